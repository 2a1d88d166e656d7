//! What each role may not do.

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::world::World;

#[tokio::test]
async fn worker_and_publisher_may_call_their_functions_and_nothing_else() {
    let world = World::new().await;
    world.submit().await;
    for role in ["slipway_worker", "slipway_publisher"] {
        let mut connection = PgConnection::connect(&world.db.url(role)).await.unwrap();
        for table in [
            "registries",
            "runs",
            "run_queue",
            "workers",
            "attempts",
            "step_runs",
            "log_chunks",
            "publications",
            "publication_images",
            "publication_blobs",
            "sources",
            "source_chunks",
            "cache_entries",
            "idempotency_keys",
            "rescuer",
            "tokens",
            "credentials",
            "tasks",
            "tag_claims",
            "hooks",
            "deliveries",
            "outbox",
        ] {
            for statement in [format!("SELECT FROM slipway.{table}"), format!("DELETE FROM slipway.{table}")]
            {
                refused(&mut connection, role, &statement).await;
            }
        }
        for function in
            ["request_cancel(gen_random_uuid())", "requeue_expired()", "end_run(NULL, NULL, NULL, NULL)"]
        {
            refused(&mut connection, role, &format!("SELECT slipway.{function}")).await;
        }
    }
    let mut publisher = PgConnection::connect(&world.db.url("slipway_publisher")).await.unwrap();
    refused(&mut publisher, "slipway_publisher", "SELECT slipway.lease_next(gen_random_uuid())").await;
    let mut worker = PgConnection::connect(&world.db.url("slipway_worker")).await.unwrap();
    let lease = "SELECT slipway.lease_publication(gen_random_uuid(), gen_random_uuid())";
    refused(&mut worker, "slipway_worker", lease).await;
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
