//! Becoming what a backup says, as far as it can still be: what had not ended then has ended now, for whether it ended
//! otherwise afterwards nobody knows. So nothing is built or pushed a second time, and nobody is told twice.

use std::io::BufRead;

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::stream::Reader;
use super::take::quoted;
use super::{About, BackupError, Table};
use crate::migrate::{self, unhurried};

/// What was restored.
#[derive(Debug)]
pub struct Restored {
    pub about: About,
    /// Runs that had not ended, and are `failed` now.
    pub ended: i64,
}

/// Runs are numbered from here on: those that were made after the backup had numbers, too.
const GAP: i64 = 1_000_000;

/// In one transaction, without the triggers that would tell others of what happened long ago.
const BEGIN_ANEW: &str = "
    UPDATE slipway.vertex_runs SET result = 'interrupted', finished_at = greatest(started_at, now()) WHERE result = 'running';
    UPDATE slipway.step_runs SET status = 'failed', finished_at = now() WHERE status = 'started';
    UPDATE slipway.attempts SET finished_at = now(), outcome = 'lost', failure = current_setting('slipway.restored')::jsonb
        WHERE finished_at IS NULL;
    UPDATE slipway.publications SET status = 'abandoned', finished_at = now(), leased_by = NULL, lease_token_hash = NULL,
        lease_expires_at = NULL WHERE status IN ('open', 'sealed');
    DELETE FROM slipway.tag_claims WHERE NOT is_settled;
    UPDATE slipway.runs SET status = 'failed', finished_at = now(), failure = current_setting('slipway.restored')::jsonb
        WHERE status IN ('queued', 'started', 'publishing');
    UPDATE slipway.deliveries SET status = 'ignored', worked_at = now(),
        summary = 'not worked off when the backup was taken that this service was restored from: replay it if it should start something'
        WHERE status = 'received';
    UPDATE slipway.outbox SET status = 'given_up', finished_at = now(),
        last_error = 'not sent when the backup was taken that this service was restored from' WHERE status = 'waiting';";

/// Reads a backup to its end. Answers what it is of.
///
/// # Errors
/// It is damaged, not whole, or none.
pub fn check(input: impl BufRead) -> Result<About, BackupError> {
    let (mut reader, about) = Reader::begin(input)?;
    while reader.table()?.is_some() {
        while reader.part()?.is_some() {}
    }
    reader.end()?;
    Ok(about)
}

/// Makes the database of `owner` what the backup says, which was checked before. `replace` removes what is there.
///
/// # Errors
/// Somebody works with it, something is there and `replace` was not said, a newer program took the backup.
pub async fn restore(owner: &str, input: impl BufRead, replace: bool) -> Result<Restored, BackupError> {
    let (mut reader, about) = Reader::begin(input)?;
    migrate::knows(about.migration)?;
    let mut connection = PgConnection::connect_with(&unhurried(owner, "slipway restore")?).await?;
    make_room(&mut connection, replace).await?;
    migrate::run_to(owner, about.migration).await?;
    fill(&mut connection, &mut reader).await?;
    reader.end()?;
    migrate::run(owner).await?;
    let ended = begin_anew(&mut connection, &about).await?;
    connection.close().await?;
    Ok(Restored { about, ended })
}

async fn make_room(connection: &mut PgConnection, replace: bool) -> Result<(), BackupError> {
    let user: Option<String> = sqlx::query_scalar(
        "SELECT application_name FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
             AND usename IN ('slipway_server', 'slipway_worker', 'slipway_publisher') LIMIT 1",
    )
    .fetch_optional(&mut *connection)
    .await?;
    if let Some(user) = user {
        return Err(BackupError::InUse(user));
    }
    let is_there: bool = sqlx::query_scalar("SELECT to_regclass('slipway._sqlx_migrations') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await?;
    if is_there && !replace {
        return Err(BackupError::NotEmpty);
    }
    sqlx::raw_sql("DROP SCHEMA IF EXISTS slipway CASCADE").execute(connection).await?;
    Ok(())
}

/// All rows or none.
async fn fill(connection: &mut PgConnection, reader: &mut Reader<impl BufRead>) -> Result<(), BackupError> {
    let mut all = connection.begin().await?;
    triggers(&mut all, "DISABLE").await?;
    while let Some(Table { name, columns }) = reader.table()? {
        if !is_plain(&name) || !columns.iter().all(|column| is_plain(column)) {
            return Err(BackupError::Damaged("a table has a name that none has"));
        }
        let statement = format!("COPY slipway.{name} ({}) FROM STDIN", quoted(&columns));
        let mut rows = all.copy_in_raw(&statement).await?;
        while let Some(part) = reader.part()? {
            rows.send(part).await?;
        }
        rows.finish().await?;
    }
    sqlx::raw_sql("SET CONSTRAINTS ALL IMMEDIATE").execute(&mut *all).await?;
    triggers(&mut all, "ENABLE").await?;
    Ok(all.commit().await?)
}

async fn begin_anew(connection: &mut PgConnection, about: &About) -> Result<i64, BackupError> {
    let mut all = connection.begin().await?;
    triggers(&mut all, "DISABLE").await?;
    let failure = model::Failure::service(
        "restored",
        format!(
            "The service was restored from a backup of {}, when this run had not ended. Whether it did afterwards is not known.",
            about.taken_at
        ),
        "See whether the registry has its image; `slipway run rerun` builds it again.",
    );
    sqlx::query("SELECT set_config('slipway.restored', $1::text, true)")
        .bind(crate::error::json(&failure)?.to_string())
        .execute(&mut *all)
        .await?;
    let ended: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM slipway.runs WHERE status IN ('queued', 'started', 'publishing')",
    )
    .fetch_one(&mut *all)
    .await?;
    sqlx::raw_sql(BEGIN_ANEW).execute(&mut *all).await?;
    sqlx::query(
        "SELECT setval(pg_get_serial_sequence('slipway.runs', 'number'), coalesce(max(number), 0) + $1) FROM slipway.runs",
    )
    .bind(GAP)
    .execute(&mut *all)
    .await?;
    triggers(&mut all, "ENABLE").await?;
    all.commit().await?;
    Ok(ended)
}

/// Ours alone: keys are checked as ever.
async fn triggers(connection: &mut PgConnection, how: &str) -> Result<(), BackupError> {
    let statement = format!(
        "DO $$ DECLARE name text; BEGIN
           FOR name IN SELECT c.oid::regclass::text FROM pg_class c
               WHERE c.relnamespace = 'slipway'::regnamespace AND c.relkind = 'r' LOOP
             EXECUTE format('ALTER TABLE %s {how} TRIGGER USER', name);
           END LOOP;
         END $$"
    );
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(connection).await?;
    Ok(())
}

fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}
