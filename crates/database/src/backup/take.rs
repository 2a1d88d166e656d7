//! Taking one: every table as it was at one moment, while the service works on.

use std::collections::HashMap;
use std::io::Write;

use futures_util::TryStreamExt;
use sqlx::{Connection, PgConnection};
use time::OffsetDateTime;

use super::stream::Writer;
use super::{About, BackupError, Table};
use crate::migrate::unhurried;

/// What means nothing to a service that begins anew.
const LEFT_OUT: [&str; 6] =
    ["_sqlx_migrations", "rescuer", "run_queue", "source_chunks", "sources", "workers"];

/// Writes a backup to `out`. `url` is an address of whoever may read every table. It locks nothing that the service
/// waits for.
///
/// # Errors
/// The database is away or may not be read, or `out` takes no more.
pub async fn take(
    url: &str,
    version: &str,
    key: Option<String>,
    out: impl Write,
) -> Result<About, BackupError> {
    let mut connection = PgConnection::connect_with(&unhurried(url, "slipway backup")?).await?;
    let mut moment = connection.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let (migration, taken_at): (i64, OffsetDateTime) =
        sqlx::query_as("SELECT max(version), now() FROM slipway._sqlx_migrations")
            .fetch_one(&mut *moment)
            .await?;
    let about = About { taken_at, migration, version: version.to_owned(), key };
    let mut writer = Writer::begin(out, &about)?;
    for table in tables(&mut moment).await? {
        let columns = quoted(&table.columns);
        let statement = format!("COPY (SELECT {columns} FROM slipway.{}) TO STDOUT", table.name);
        writer.line(&table)?;
        let mut rows = moment.copy_out_raw(&statement).await?;
        while let Some(part) = rows.try_next().await? {
            if !part.is_empty() {
                writer.part(&part)?;
            }
        }
        drop(rows);
        writer.part(&[])?;
    }
    writer.end()?;
    moment.rollback().await?;
    connection.close().await?;
    Ok(about)
}

pub(super) fn quoted(columns: &[String]) -> String {
    columns.iter().map(|column| format!("\"{column}\"")).collect::<Vec<_>>().join(", ")
}

/// Each after those that it refers to.
async fn tables(connection: &mut PgConnection) -> Result<Vec<Table>, BackupError> {
    let rows: Vec<(String, Vec<String>)> = sqlx::query_as(
        "SELECT c.relname::text, array_agg(a.attname::text ORDER BY a.attnum)
         FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
         WHERE c.relnamespace = 'slipway'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
             AND a.attgenerated = '' AND c.relname <> ALL ($1)
         GROUP BY c.relname ORDER BY c.relname",
    )
    .bind(LEFT_OUT.as_slice())
    .fetch_all(&mut *connection)
    .await?;
    let references: Vec<(String, String)> = sqlx::query_as(
        "SELECT c.relname::text, r.relname::text FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
             JOIN pg_class r ON r.oid = k.confrelid
         WHERE k.contype = 'f' AND c.relnamespace = 'slipway'::regnamespace AND c.oid <> r.oid",
    )
    .fetch_all(connection)
    .await?;
    let mut waiting: HashMap<String, Vec<String>> = rows.into_iter().collect();
    let mut ordered = Vec::new();
    while !waiting.is_empty() {
        let waits =
            |name: &String| references.iter().any(|(from, to)| from == name && waiting.contains_key(to));
        let mut ready: Vec<String> = waiting.keys().filter(|name| !waits(name)).cloned().collect();
        if ready.is_empty() {
            return Err(
                crate::Error::Unreadable("tables that refer to each other in a circle".to_owned()).into()
            );
        }
        ready.sort();
        for name in ready {
            let columns = waiting.remove(&name).unwrap_or_default();
            ordered.push(Table { name, columns });
        }
    }
    Ok(ordered)
}
