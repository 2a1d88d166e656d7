//! What each role may do, by two lists, and what it may not.

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::world::World;

/// What the server's role may do with each table; no other role may touch one. A new table has to be put here.
const TABLES: &[(&str, &str)] = &[
    ("_sqlx_migrations", "SELECT"),
    ("attempts", "SELECT"),
    ("cache_entries", "SELECT"),
    ("credentials", "SELECT INSERT UPDATE DELETE"),
    ("deliveries", "SELECT INSERT UPDATE DELETE"),
    ("gone_receivers", "SELECT INSERT DELETE"),
    ("hooks", "SELECT INSERT UPDATE DELETE"),
    ("idempotency_keys", "SELECT INSERT DELETE"),
    ("log_chunks", "SELECT"),
    ("outbox", "SELECT UPDATE"),
    ("publication_blobs", "SELECT"),
    ("publication_images", "SELECT"),
    ("publications", "SELECT"),
    ("registries", "SELECT INSERT UPDATE DELETE"),
    ("rescuer", "SELECT"),
    ("run_queue", "SELECT INSERT"),
    ("runs", "SELECT INSERT"),
    ("source_chunks", "SELECT INSERT DELETE"),
    ("sources", "SELECT INSERT UPDATE DELETE"),
    ("step_runs", "SELECT"),
    ("tag_claims", "SELECT"),
    ("tasks", "SELECT INSERT UPDATE DELETE"),
    ("tokens", "SELECT INSERT UPDATE DELETE"),
    ("vertex_runs", "SELECT"),
    ("workers", "SELECT"),
];

/// Every function that a role may call, and which: a new one has to be put here. What is not here is for other
/// functions and for triggers alone.
const FUNCTIONS: &[(&str, &str)] = &[
    ("announce_blob", "worker"),
    ("append_log", "worker"),
    ("append_publication_log", "publisher"),
    ("begin_manifest", "publisher"),
    ("blob_state", "publisher"),
    ("cache_lookup", "worker"),
    ("cache_record", "worker"),
    ("deliveries_until", "server"),
    ("finish", "worker"),
    ("forget_blobs", "worker"),
    ("forget_deliveries", "server"),
    ("forget_logs", "server"),
    ("forget_old", "server"),
    ("forget_reports", "server"),
    ("forget_runs", "server"),
    ("forget_stores", "server"),
    ("forget_uploads", "server"),
    ("hand_back", "worker"),
    ("lease_length", "server"),
    ("lease_next", "worker"),
    ("lease_publication", "publisher"),
    ("leased_run", "publisher"),
    ("log_end", "server"),
    ("logs_until", "server"),
    ("publication_credential", "publisher"),
    ("publication_failed", "publisher"),
    ("publication_lacks_blob", "publisher"),
    ("publication_trust", "publisher"),
    ("publication_work", "publisher"),
    ("published", "publisher"),
    ("queue_wait", "worker"),
    ("record_vertices", "worker"),
    // For a worker of the version before, too.
    ("register_worker", "worker"),
    ("register_worker", "worker"),
    ("renew_leases", "worker"),
    ("renew_publication", "publisher"),
    ("request_cancel", "server"),
    ("requeue_expired", "server"),
    ("run_credential", "publisher"),
    ("sealed_credential", "server"),
    ("source_chunk", "worker"),
    ("source_found", "worker"),
    ("tidy", "server"),
    ("unfinished_publications", "worker"),
    ("users_of_credential", "server"),
];

const ROLES: [&str; 3] = ["server", "worker", "publisher"];

/// Rights as PostgreSQL itself sees them, also by way of PUBLIC, of another role, or in one column.
async fn rights(world: &World, query: &str) -> Vec<(String, String)> {
    sqlx::query_as(AssertSqlSafe(query.to_owned())).fetch_all(&world.db.admin).await.unwrap()
}

fn listed(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(name, rights)| ((*name).to_owned(), (*rights).to_owned())).collect()
}

#[tokio::test]
async fn a_role_may_do_to_each_table_what_the_list_above_says() {
    let world = World::new().await;
    for role in ROLES {
        let query = format!(
                "SELECT c.relname::text, coalesce(string_agg(v.verb, ' ' ORDER BY v.place) FILTER (WHERE
                     CASE WHEN v.verb IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES')
                         THEN has_any_column_privilege('slipway_{role}', c.oid, v.verb)
                         ELSE has_table_privilege('slipway_{role}', c.oid, v.verb) END), '')
                 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, unnest(
                     ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) WITH ORDINALITY v(verb, place)
                 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
                 GROUP BY c.relname ORDER BY c.relname COLLATE \"C\""
        );
        let none = |(name, _): &(&'static str, &'static str)| (*name, "");
        let nothing: Vec<_> = TABLES.iter().map(none).collect();
        let expected = if role == "server" { TABLES } else { &nothing };
        assert_eq!(rights(&world, &query).await, listed(expected), "{role}");
    }
}

#[tokio::test]
async fn a_role_may_call_the_functions_that_the_list_above_says() {
    let world = World::new().await;
    let found = rights(
        &world,
        "SELECT p.proname::text, string_agg(r.role, ' ' ORDER BY r.role) FROM pg_proc p, unnest(ARRAY['server', 'worker', 'publisher']) r(role)
         WHERE p.pronamespace = 'slipway'::regnamespace AND has_function_privilege('slipway_' || r.role, p.oid, 'EXECUTE')
         GROUP BY p.oid, p.proname ORDER BY p.proname COLLATE \"C\"",
    );
    assert_eq!(found.await, listed(FUNCTIONS));
    let beside = "SELECT string_agg(p.oid::regprocedure::text, ' ') FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
                  WHERE n.nspname NOT IN ('slipway', 'pg_catalog', 'information_schema')";
    assert_eq!(world.db.text(beside).await, None, "all of them lie in one schema");
}

/// What PostgreSQL gives to everybody. NOTIFY is a command without a right: whoever may connect may notify, so a hint
/// is believed by nobody (database/src/hints.rs), and polling alone is sufficient.
#[tokio::test]
async fn a_role_keeps_nothing_in_the_database_beside_the_tables() {
    let world = World::new().await;
    for role in ROLES {
        let mut connection = PgConnection::connect(&world.db.url(&format!("slipway_{role}"))).await.unwrap();
        for statement in [
            "SELECT lo_create(0)",
            "SELECT lo_creat(-1)",
            "SELECT lo_from_bytea(0, 'x')",
            "SELECT lo_open(1, 131072)",
            "SELECT lowrite(0, 'x')",
            "CREATE TABLE slipway.mine (a int)",
            "CREATE TABLE public.mine (a int)",
            "CREATE SCHEMA mine",
        ] {
            let refused = sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap_err();
            let code =
                refused.as_database_error().and_then(|error| error.code().map(|code| code.into_owned()));
            assert_eq!(code.as_deref(), Some("42501"), "{role} {statement}: {refused}");
        }
    }
}

#[tokio::test]
async fn worker_and_publisher_are_refused_every_table() {
    let world = World::new().await;
    world.submit().await;
    let tables = rights(
        &world,
        "SELECT c.relname::text, (SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 ORDER BY a.attnum LIMIT 1)
         FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = 'slipway'::regnamespace",
    )
    .await;
    assert_eq!(tables.len(), TABLES.len());
    for role in ["slipway_worker", "slipway_publisher"] {
        let mut connection = PgConnection::connect(&world.db.url(role)).await.unwrap();
        for (table, column) in &tables {
            for statement in [
                format!("SELECT FROM slipway.{table}"),
                format!("INSERT INTO slipway.{table} DEFAULT VALUES"),
                format!("UPDATE slipway.{table} SET {column} = DEFAULT"),
                format!("DELETE FROM slipway.{table}"),
                format!("TRUNCATE slipway.{table}"),
            ] {
                refused(&mut connection, role, &statement).await;
            }
        }
    }
    let mut publisher = PgConnection::connect(&world.db.url("slipway_publisher")).await.unwrap();
    for function in [
        "lease_next(gen_random_uuid())",
        "sealed_credential('local', 'npm')",
        "end_run(NULL, NULL, NULL, NULL)",
    ] {
        refused(&mut publisher, "slipway_publisher", &format!("SELECT slipway.{function}")).await;
    }
    let mut worker = PgConnection::connect(&world.db.url("slipway_worker")).await.unwrap();
    for function in [
        "lease_publication(gen_random_uuid(), gen_random_uuid())",
        "leased_run(gen_random_uuid(), 1, '')",
        "request_cancel(gen_random_uuid())",
        "requeue_expired()",
    ] {
        refused(&mut worker, "slipway_worker", &format!("SELECT slipway.{function}")).await;
    }
}

#[tokio::test]
async fn the_server_can_not_move_a_run_itself() {
    let world = World::new().await;
    world.submit().await;
    let mut server = PgConnection::connect(&world.db.url("slipway_server")).await.unwrap();
    for statement in [
        "UPDATE slipway.runs SET status = 'succeeded'",
        "DELETE FROM slipway.runs",
        "UPDATE slipway.run_queue SET epoch = 7",
        "UPDATE slipway.publications SET status = 'published'",
        "UPDATE slipway.vertex_runs SET result = 'cached'",
        "INSERT INTO slipway.log_chunks VALUES (gen_random_uuid(), 1, 0, '')",
        "SELECT slipway.end_run(NULL, NULL, NULL, NULL)",
        "SELECT slipway.lease_next(gen_random_uuid())",
    ] {
        refused(&mut server, "slipway_server", statement).await;
    }
}

async fn refused(connection: &mut PgConnection, role: &str, statement: &str) {
    let result = sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut *connection).await;
    let error = result.expect_err(&format!("{role}: {statement}"));
    let code = error.as_database_error().and_then(|error| error.code()).map(|code| code.into_owned());
    assert_eq!(code.as_deref(), Some("42501"), "{role}: {statement}: {error}");
}
