//! Tables and roles. Roles belong to the cluster and are made by somebody who may; tables are made by
//! the role that owns them.

use std::str::FromStr;

use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};

use crate::{Error, connect_options};

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");

/// Everybody may fill a disk with large objects, and no table's rights say otherwise. Where `admin` is no superuser, as
/// with most hosted databases, PostgreSQL answers with warnings and leaves it so.
const NO_LARGE_OBJECTS: &str = "DO $$ DECLARE name regprocedure; BEGIN
   FOR name IN SELECT oid FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace
               AND (proname LIKE 'lo\\_%' OR proname IN ('loread', 'lowrite')) LOOP
     EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', name);
   END LOOP;
 END $$;";

/// A password for each role, 64 hexadecimal digits.
#[derive(Clone)]
pub struct Passwords {
    owner: String,
    server: String,
    worker: String,
    publisher: String,
}

/// An address for each role.
#[derive(Clone)]
pub struct Urls {
    pub owner: String,
    pub server: String,
    pub worker: String,
    pub publisher: String,
}

impl Passwords {
    /// New ones.
    ///
    /// # Errors
    /// The kernel has no random bytes.
    pub fn random() -> std::io::Result<Self> {
        let password = || {
            let mut bytes = [0; 32];
            getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
            Ok::<_, std::io::Error>(hex::encode(bytes))
        };
        Ok(Self { owner: password()?, server: password()?, worker: password()?, publisher: password()? })
    }
}

/// The newest migration that this program knows.
pub(crate) fn newest() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// Makes the four roles, or gives those that are there new passwords. `admin` names the database and
/// somebody who may make roles. Other parts of the database's address stay as they are.
///
/// # Errors
/// The database is away, or `admin` may not.
pub async fn roles(admin: &str, passwords: &Passwords) -> Result<Urls, Error> {
    let options = connect_options(admin, "slipway migrate")?;
    let mut connection = PgConnection::connect_with(&options).await?;
    let url = |role: &str, password: &str| url_as(&options, role, password);
    let mut urls = Vec::new();
    for (role, password) in [
        ("slipway_owner", &passwords.owner),
        ("slipway_server", &passwords.server),
        ("slipway_worker", &passwords.worker),
        ("slipway_publisher", &passwords.publisher),
    ] {
        // Role names and passwords can't be parameters; both consist of letters, digits and `_` only.
        let statement = format!(
            "DO $$ BEGIN CREATE ROLE {role}; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
             ALTER ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD '{password}';"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await?;
        urls.push(url(role, password));
    }
    sqlx::raw_sql(
        "DO $$ BEGIN
           EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
           EXECUTE format('GRANT CONNECT ON DATABASE %I TO slipway_server, slipway_worker, slipway_publisher', current_database());
           EXECUTE format('GRANT CONNECT, CREATE ON DATABASE %I TO slipway_owner', current_database());
         END $$;",
    )
    .execute(&mut connection)
    .await?;
    sqlx::raw_sql(NO_LARGE_OBJECTS).execute(&mut connection).await?;
    connection.close().await?;
    let [owner, server, worker, publisher] =
        urls.try_into().map_err(|_| Error::Unreadable("four roles".to_owned()))?;
    Ok(Urls { owner, server, worker, publisher })
}

fn url_as(options: &PgConnectOptions, role: &str, password: &str) -> String {
    options.clone().username(role).password(password).to_url_lossy().to_string()
}

/// Applies what is missing. `owner` is an address of the role `slipway_owner`.
///
/// # Errors
/// The database is away, a migration fails, or the database was migrated by a newer program.
pub async fn run(owner: &str) -> Result<(), Error> {
    run_to(owner, newest()).await
}

/// As [`run`], but nothing that is newer than `version`: for the tables of an older program.
///
/// # Errors
/// As [`run`].
pub async fn run_to(owner: &str, version: i64) -> Result<(), Error> {
    // The list of migrations lies beside the tables, not in `public`.
    let options = unhurried(owner, "slipway migrate")?.options([("search_path", "slipway")]);
    let mut connection = PgConnection::connect_with(&options).await?;
    sqlx::raw_sql("CREATE SCHEMA IF NOT EXISTS slipway").execute(&mut connection).await?;
    refuse_newer(&mut connection).await?;
    let wanted = MIGRATIONS.iter().filter(|migration| migration.version <= version).cloned();
    let mut migrations = Migrator::with_migrations(wanted.collect());
    migrations.set_ignore_missing(version < newest());
    migrations.run(&mut connection).await?;
    // The server says on /readyz whether they are all there.
    sqlx::raw_sql("GRANT SELECT ON slipway._sqlx_migrations TO slipway_server")
        .execute(&mut connection)
        .await?;
    connection.close().await?;
    Ok(())
}

/// Whether this program has that migration: what a newer one made it does not understand.
pub(crate) fn knows(version: i64) -> Result<(), Error> {
    match MIGRATIONS.iter().any(|migration| migration.version == version) {
        true => Ok(()),
        false => Err(Error::Newer { found: version, known: newest() }),
    }
}

async fn refuse_newer(connection: &mut PgConnection) -> Result<(), Error> {
    let is_new: bool = sqlx::query_scalar("SELECT to_regclass('slipway._sqlx_migrations') IS NULL")
        .fetch_one(&mut *connection)
        .await?;
    if is_new {
        return Ok(());
    }
    let applied: Option<i64> =
        sqlx::query_scalar("SELECT max(version) FROM slipway._sqlx_migrations").fetch_one(connection).await?;
    applied.map_or(Ok(()), knows)
}

/// For what takes its time, and is waited for: no statement is cut.
pub(crate) fn unhurried(url: &str, application: &str) -> Result<PgConnectOptions, Error> {
    Ok(PgConnectOptions::from_str(url)?.application_name(application).disable_statement_logging())
}
