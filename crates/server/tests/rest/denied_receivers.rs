//! What is told to others goes where an administrator lets it.

use std::time::Duration;

use serde_json::json;
use server::Config;
use tokio::net::TcpListener;

use crate::world::World;

/// A receiver on loopback that notes what it is sent, and says 200.
struct Receiver {
    address: String,
    heard: tokio::sync::mpsc::UnboundedReceiver<String>,
}

impl Receiver {
    async fn start() -> Self {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (hears, heard) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                let mut buffer = vec![0; 1 << 14];
                let length = connection.read(&mut buffer).await.unwrap();
                let _ = hears.send(String::from_utf8_lossy(&buffer[..length]).into_owned());
                let _ = connection
                    .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                    .await;
            }
        });
        Self { address, heard }
    }
}

/// A run that ends, in a world that tells this receiver of it.
async fn end_a_run(world: &World, receiver: &Receiver) {
    let secret = json!({ "kind": "webhook", "secret": format!("whsec_{}", "a".repeat(32)) });
    let put = world
        .http
        .put(world.url("/v1/registries/local/credentials/ours"))
        .json(&secret)
        .send()
        .await
        .unwrap();
    assert!(put.status().is_success(), "{}", put.text().await.unwrap());
    let url = format!("http://{}/told", receiver.address);
    let notify = json!({ "notify": [{ "url": url, "credential": "ours", "events": ["run.finished"] }] });
    let patched = world.http.patch(world.url("/v1/registries/local")).json(&notify).send().await.unwrap();
    assert!(patched.status().is_success(), "{}", patched.text().await.unwrap());
    world.submit().await;
    world.fail(&world.lease().await, false).await;
}

fn config(policy: egress::Policy) -> Config {
    Config { policy, work_every: Duration::from_millis(50), ..Config::default() }
}

#[tokio::test]
async fn a_receiver_at_a_denied_address_is_not_asked_and_the_row_says_how_it_is_let() {
    let mut receiver = Receiver::start().await;
    let world = World::with(config(egress::Policy::default())).await;
    end_a_run(&world, &receiver).await;
    let row = "SELECT coalesce(max(status || ' ' || last_error), '') FROM slipway.outbox WHERE tries > 0";
    let tried = async {
        loop {
            let said = world.db.text(row).await.unwrap();
            if !said.is_empty() {
                break said;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let said = tokio::time::timeout(Duration::from_secs(30), tried).await.unwrap();
    assert!(said.starts_with("waiting the address of "), "{said}");
    assert!(said.contains(&format!("--origin http://{}`", receiver.address)), "{said}");
    assert!(receiver.heard.try_recv().is_err(), "nobody was connected to");
}

#[tokio::test]
async fn a_receiver_that_is_a_configured_origin_is_told() {
    let mut receiver = Receiver::start().await;
    let origin = format!("http://{}", receiver.address).parse().unwrap();
    let world = World::with(config(egress::Policy::new(Vec::new(), vec![origin]))).await;
    end_a_run(&world, &receiver).await;
    let heard = tokio::time::timeout(Duration::from_secs(30), receiver.heard.recv()).await.unwrap().unwrap();
    assert!(heard.starts_with("POST /told ") && heard.contains("webhook-signature: v1,"), "{heard}");
}
