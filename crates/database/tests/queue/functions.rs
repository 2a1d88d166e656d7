//! The functions' own code: names and types that exist.

use crate::world::World;

#[tokio::test]
async fn every_function_is_sound_to_plpgsql_check() {
    let world = World::new().await;
    // Debian's package postgresql-15-plpgsql-check; scripts/setup installs it for the tests.
    world.db.execute("CREATE EXTENSION plpgsql_check").await;
    let complaints = world
        .db
        .text(
            "SELECT string_agg(p.oid::regprocedure || ': ' || c.message, E'\\n')
             FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang,
                 LATERAL plpgsql_check_function_tb(p.oid, CASE WHEN p.prorettype = 'trigger'::regtype
                     THEN (SELECT t.tgrelid FROM pg_trigger t WHERE t.tgfoid = p.oid LIMIT 1) ELSE 0 END) c
             WHERE p.pronamespace = 'slipway'::regnamespace AND l.lanname = 'plpgsql' AND c.level = 'error'",
        )
        .await;
    assert_eq!(complaints, None);
}
