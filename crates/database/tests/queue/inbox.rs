//! The inbox: one delivery that can't be worked off holds up no other.

use database::{DeliveryStatus, Error, Inbox, Worked};

use model::GitHost;

use crate::world::World;

const FILL: &str = "
    INSERT INTO slipway.hooks (id, registry, name, host, sealed) VALUES (gen_random_uuid(), 'local', 'hub', 'github', '');
    INSERT INTO slipway.deliveries (id, registry, hook_id, sender_id, event, headers, body, next_try_at)
    SELECT gen_random_uuid(), 'local', h.id, d.name, d.name, '[]', '{}', now() - d.age FROM slipway.hooks h,
        (VALUES ('oldest', interval '3 hours'), ('poison', interval '2 hours'), ('youngest', interval '1 hour')) d (name, age);";

fn done(inbox: &Inbox) -> Worked {
    Worked {
        status: DeliveryStatus::Ignored,
        summary: inbox.event.clone(),
        decisions: Vec::new(),
        push: None,
    }
}

/// Another server may have taken the oldest meanwhile: the one that failed is put back, and none else.
#[tokio::test]
async fn the_delivery_that_failed_is_the_one_that_waits() {
    let world = World::new().await;
    world.db.execute(FILL).await;
    let server = &world.db.server;
    let failed = server
        .work_delivery(async |oldest| {
            assert_eq!(oldest.event, "oldest");
            // It is held here, as by another server, while the next fails.
            let poison = server.work_delivery(async |next| {
                assert_eq!(next.event, "poison");
                Err(Error::Unreadable("it is poison".to_owned()))
            });
            let (delivery, _) = poison.await.expect_err("it fails");
            server.postpone_delivery(delivery.expect("it is known which")).await?;
            Ok(done(&oldest))
        })
        .await;
    assert!(failed.is_ok_and(|worked| worked.is_some()));
    let waits = "SELECT string_agg(event || ' ' || tries, ', ' ORDER BY next_try_at) FROM slipway.deliveries WHERE status = 'received'";
    assert_eq!(world.db.text(waits).await.as_deref(), Some("youngest 0, poison 1"));
}

#[tokio::test]
async fn poison_is_tried_ten_times_and_then_said_to_have_failed() {
    let world = World::new().await;
    world.db.execute(FILL).await;
    world.db.execute("DELETE FROM slipway.deliveries WHERE event <> 'poison'").await;
    let server = &world.db.server;
    let mut over = None;
    for _ in 0..11 {
        world.db.execute("UPDATE slipway.deliveries SET next_try_at = now()").await;
        assert_eq!(over, None, "it is tried again");
        let failed = server.work_delivery(async |_| Err(Error::Unreadable("it is poison".to_owned()))).await;
        over = server.postpone_delivery(failed.expect_err("it fails").0.expect("known")).await.unwrap();
    }
    assert_eq!(over, Some(GitHost::Github), "it is counted once, at the end");
    assert!(server.work_delivery(async |inbox| Ok(done(&inbox))).await.unwrap().is_none(), "nothing waits");
    let said = world.db.text("SELECT status || ': ' || summary FROM slipway.deliveries").await.unwrap();
    assert!(said.starts_with("failed: It could not be worked off"), "{said}");
}
