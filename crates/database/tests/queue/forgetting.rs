//! What was delivered and told is not kept for ever.

use crate::world::World;

/// Two of each kind, one of them of long ago, and one that still waits.
const FILL: &str = "
    INSERT INTO slipway.hooks (id, registry, name, host, sealed, sealed_before, before_until) VALUES
        (gen_random_uuid(), 'local', 'rotated', 'github', 'new', 'old', now() - interval '1 second'),
        (gen_random_uuid(), 'local', 'rotating', 'github', 'new', 'old', now() + interval '1 hour');
    INSERT INTO slipway.deliveries (id, registry, hook_id, sender_id, event, headers, body, status, received_at)
    SELECT gen_random_uuid(), 'local', h.id, d.name, 'push', '[]', '{}', d.status, now() - d.age FROM slipway.hooks h,
        (VALUES ('old', 'matched', interval '31 days'), ('young', 'matched', interval '29 days'),
            ('waits', 'received', interval '31 days')) d (name, status, age)
    WHERE h.name = 'rotated';
    INSERT INTO slipway.outbox (run_id, registry, kind, event, target, status, finished_at)
    SELECT r.id, 'local', 'webhook', o.name, '{}', o.status, now() - o.age FROM slipway.runs r,
        (VALUES ('old', 'sent', interval '31 days'), ('refused', 'given_up', interval '31 days'),
            ('young', 'sent', interval '29 days'), ('waits', 'waiting', interval '31 days')) o (name, status, age);";

#[tokio::test]
async fn what_is_over_for_a_month_is_forgotten_and_what_waits_is_not() {
    let world = World::new().await;
    world.submit().await;
    world.db.execute(FILL).await;
    assert!(!world.db.server.forget_old().await.unwrap(), "that was all");
    let left = async |query: &str| world.db.text(query).await.unwrap_or_default();
    let names = "SELECT string_agg(sender_id, ' ' ORDER BY sender_id) FROM slipway.deliveries";
    assert_eq!(left(names).await, "waits young");
    let events = "SELECT string_agg(event, ' ' ORDER BY event) FROM slipway.outbox WHERE kind = 'webhook'";
    assert_eq!(left(events).await, "waits young");
    let secrets = "SELECT string_agg(name, ' ') FROM slipway.hooks WHERE sealed_before IS NOT NULL";
    assert_eq!(left(secrets).await, "rotating");
}

#[tokio::test]
async fn much_is_forgotten_in_parts() {
    let world = World::new().await;
    world.db.execute(FILL).await;
    world
        .db
        .execute(
            "INSERT INTO slipway.deliveries (id, registry, hook_id, sender_id, event, headers, body, status, received_at)
             SELECT gen_random_uuid(), 'local', id, n::text, 'push', '[]', '{}', 'ignored', now() - interval '40 days'
             FROM slipway.hooks, generate_series(1, 600) n",
        )
        .await;
    let mut parts = 1;
    while world.db.server.forget_old().await.unwrap() {
        parts += 1;
    }
    assert_eq!(parts, 3, "1201 rows, 500 at once");
    let left = world.db.text("SELECT count(*)::text FROM slipway.deliveries").await;
    assert_eq!(left.as_deref(), Some("2"));
}
