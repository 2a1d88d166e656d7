//! Reports: who is told, and that nobody waits for somebody else's receiver.

use std::time::Duration;

use axum::Router;
use axum::routing::post;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::world::World;

/// Shorter than a single request to who does not answer.
const SOON: Duration = Duration::from_secs(10);

impl World {
    /// From now on the registry's runs are told there.
    async fn tell(&self, url: &str) {
        let notify = json!({ "notify": [{ "url": url, "credential": "key", "events": ["run.queued"] }] });
        let patch = self.http.patch(self.url("/v1/registries/local")).json(&notify);
        assert_eq!(patch.send().await.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn a_receiver_that_does_not_answer_holds_up_no_other() {
    let world = World::new().await;
    let key = json!({ "kind": "webhook", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" });
    world.http.put(world.url("/v1/registries/local/credentials/key")).json(&key).send().await.unwrap();

    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.tell(&format!("http://{}/", silent.local_addr().unwrap())).await;
    for _ in 0..100 {
        world.submit().await;
    }
    // It accepts, and that is all.
    let mut held = vec![tokio::time::timeout(SOON, silent.accept()).await.expect("it is told").unwrap().0];
    tokio::spawn(async move {
        while let Ok((connection, _)) = silent.accept().await {
            held.push(connection);
        }
    });

    let (heard, mut hears) = mpsc::channel(1);
    let app = Router::new().route("/", post(async move || heard.send(()).await.unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.tell(&format!("http://{}/", listener.local_addr().unwrap())).await;
    tokio::spawn(async move { axum::serve(listener, app).await });
    world.submit().await;
    tokio::time::timeout(SOON, hears.recv()).await.expect("it is told at once").unwrap();
}
