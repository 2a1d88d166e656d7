//! A database a test, copied from a template that has all migrations. The cluster is given by
//! `SLIPWAY_TEST_POSTGRES`; `scripts/with-postgres` starts one and sets it.

use database::Database;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, PgPool};

const TEMPLATE: &str = "slipway_template";
/// Tests run in several processes: one of them makes the template.
const LOCK: i64 = 0x51_1b;

/// A database of the test's own.
#[derive(Debug)]
pub struct TestDatabase {
    options: PgConnectOptions,
    /// As a superuser, past every wall: to look at rows and to age them.
    pub admin: PgPool,
    pub server: Database,
    pub worker: Database,
    pub publisher: Database,
}

impl TestDatabase {
    /// A new one.
    ///
    /// # Panics
    /// `SLIPWAY_TEST_POSTGRES` is not set, or the cluster is not usable.
    pub async fn new() -> Self {
        let cluster = cluster();
        let mut connection = PgConnection::connect_with(&cluster).await.expect("the test cluster answers");
        sqlx::query("SELECT pg_advisory_lock($1)").bind(LOCK).execute(&mut connection).await.expect("a lock");
        make_template(&cluster, &mut connection).await;
        let name = format!("test_{}", uuid::Uuid::now_v7().simple());
        execute(&mut connection, format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE}")).await;
        // Rights to the database itself are not copied.
        execute(&mut connection, format!("GRANT CREATE ON DATABASE {name} TO slipway_owner")).await;
        connection.close().await.expect("closing a connection");
        Self::named(&cluster, &name).await
    }

    /// A new one as an older program left it: with the migrations up to one.
    ///
    /// # Panics
    /// As [`TestDatabase::new`].
    pub async fn migrated_to(version: i64) -> Self {
        let cluster = cluster();
        let mut connection = PgConnection::connect_with(&cluster).await.expect("the test cluster answers");
        sqlx::query("SELECT pg_advisory_lock($1)").bind(LOCK).execute(&mut connection).await.expect("a lock");
        let name = format!("test_{}", uuid::Uuid::now_v7().simple());
        execute(&mut connection, format!("CREATE DATABASE {name}")).await;
        let owner = make_roles(&cluster.clone().database(&name)).await;
        connection.close().await.expect("closing a connection");
        database::migrate::run_to(&owner, version).await.expect("the migrations are applied");
        Self::named(&cluster, &name).await
    }

    async fn named(cluster: &PgConnectOptions, name: &str) -> Self {
        let options = cluster.clone().database(name);
        let role = async |role: &str| {
            let url = options.clone().username(role).to_url_lossy();
            Database::connect(url.as_str(), "test").await.expect("an address")
        };
        let admin = PgPoolOptions::new().max_connections(3).connect_lazy_with(options.clone());
        Self {
            admin,
            server: role("slipway_server").await,
            worker: role("slipway_worker").await,
            publisher: role("slipway_publisher").await,
            options,
        }
    }

    /// Its address as a role, for instance `slipway_worker`.
    #[must_use]
    pub fn url(&self, role: &str) -> String {
        self.options.clone().username(role).to_url_lossy().to_string()
    }

    /// Runs statements as the superuser.
    ///
    /// # Panics
    /// One of them fails.
    pub async fn execute(&self, statements: &str) {
        let statements = AssertSqlSafe(statements.to_owned());
        sqlx::raw_sql(statements).execute(&self.admin).await.expect("the statement is right");
    }

    /// The first column of the first row, as text.
    ///
    /// # Panics
    /// The query fails or answers no row.
    pub async fn text(&self, query: &str) -> Option<String> {
        let query = AssertSqlSafe(query.to_owned());
        sqlx::query_scalar(query).fetch_one(&self.admin).await.expect("the query is right")
    }
}

fn cluster() -> PgConnectOptions {
    let url = std::env::var("SLIPWAY_TEST_POSTGRES").expect(
        "SLIPWAY_TEST_POSTGRES names a PostgreSQL to test with: run `make test`, or `scripts/with-postgres cargo test`",
    );
    url.parse().expect("SLIPWAY_TEST_POSTGRES is an address")
}

async fn make_template(cluster: &PgConnectOptions, connection: &mut PgConnection) {
    let there: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
        .bind(TEMPLATE)
        .fetch_one(&mut *connection)
        .await
        .expect("the cluster answers");
    if there {
        return;
    }
    let part = format!("{TEMPLATE}_part");
    execute(connection, format!("DROP DATABASE IF EXISTS {part}")).await;
    execute(connection, format!("CREATE DATABASE {part}")).await;
    let owner = make_roles(&cluster.clone().database(&part)).await;
    database::migrate::run(&owner).await.expect("the migrations are applied");
    execute(connection, format!("ALTER DATABASE {part} RENAME TO {TEMPLATE}")).await;
}

/// Answers the address of the tables' owner.
async fn make_roles(database: &PgConnectOptions) -> String {
    let passwords = database::migrate::Passwords::random().expect("random bytes");
    let admin = database.to_url_lossy();
    database::migrate::roles(admin.as_str(), &passwords).await.expect("the roles are made").owner
}

async fn execute(connection: &mut PgConnection, statement: String) {
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(connection).await.expect("the superuser may");
}
