//! A running server, and a worker played by the test.

use std::time::Duration;

use database::{LeasedRun, NewToken, NewWorker, Outcome, PublicationBlob};
use model::{
    BuiltImage, Descriptor, Digest, Failure, Layer, LayerSource, MediaType, Platform, Role, RunStatus,
    StoreId, WorkerId,
};
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};
use server::Config;
use test_support::TestDatabase;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub(crate) struct World {
    pub(crate) db: TestDatabase,
    pub(crate) http: reqwest::Client,
    pub(crate) address: String,
    pub(crate) worker: WorkerId,
    pub(crate) store: StoreId,
    pub(crate) stop: CancellationToken,
    pub(crate) server: tokio::task::JoinHandle<Result<(), server::Error>>,
}

/// What an administrator who has everything on one machine lets.
pub(crate) fn loopback() -> egress::Policy {
    egress::Policy::new(vec!["127.0.0.0/8".parse().unwrap()], Vec::new())
}

impl World {
    pub(crate) async fn new() -> Self {
        let config = Config {
            poll: Duration::from_millis(100),
            body_limit: 4096,
            policy: loopback(),
            ..Config::default()
        };
        Self::with(Config { source_limit: 4 << 20, upload_pause: Duration::from_millis(400), ..config }).await
    }

    pub(crate) async fn with(config: Config) -> Self {
        let db = TestDatabase::new().await;
        db.server.upsert_registry("local", "127.0.0.1:5000", true).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        let key = tempfile::tempdir().unwrap();
        vault::make_key_file(&key.path().join("key")).unwrap();
        let vault = vault::Vault::open(&key.path().join("key")).unwrap();
        let server = tokio::spawn(server::serve(config, db.server.clone(), vault, listener, stop.clone()));
        let token = token(&db, Role::Administrator, None).await;
        let http = client(Some(&token));
        let (worker, store) = (WorkerId(Uuid::now_v7()), StoreId(Uuid::now_v7()));
        let world = Self { db, http, address, worker, store, stop, server };
        let new = NewWorker {
            id: world.worker,
            store,
            name: "w".to_owned(),
            platform: Platform::host(),
            slots: 2,
            limits: model::WorkerLimits::None,
        };
        world.db.worker.register_worker(&new).await.unwrap();
        world
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.http.get(self.url(path))
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.http.post(self.url(path))
    }

    /// Starts a run and answers its path.
    pub(crate) async fn submit(&self) -> String {
        let answer = self.post("/v1/registries/local/runs").json(&body()).send().await.unwrap();
        assert_eq!(answer.status(), 201);
        answer.headers()["location"].to_str().unwrap().to_owned()
    }

    pub(crate) async fn lease(&self) -> LeasedRun {
        self.db.worker.lease_next(self.worker).await.unwrap().expect("a run is waiting")
    }

    pub(crate) async fn log(&self, leased: &LeasedRun, offset: i64, bytes: &[u8]) {
        let written =
            self.db.worker.append_log(leased.run, leased.epoch, &leased.token, leased.attempt, offset, bytes);
        written.await.unwrap();
    }

    /// A first layer of the run's image is there.
    pub(crate) async fn announce(&self, leased: &LeasedRun) {
        let layer = descriptor('0', MediaType::OCI_LAYER_GZIP);
        let blob = PublicationBlob::in_store(layer, &leased.scope);
        self.db.worker.announce_blob(leased.run, leased.epoch, &leased.token, &blob).await.unwrap();
    }

    /// The image is there, and is to be pushed.
    pub(crate) async fn build(&self, leased: &LeasedRun) {
        let layer = descriptor('0', MediaType::OCI_LAYER_GZIP);
        let image = BuiltImage {
            manifest: descriptor('1', MediaType::OCI_MANIFEST),
            config: descriptor('2', MediaType::OCI_CONFIG),
            layers: vec![Layer { diff_id: digest('3'), descriptor: layer, source: LayerSource::Store }],
        };
        let outcome = Outcome::Publishing { image, revision: None };
        let ended = self.db.worker.finish(leased.run, leased.epoch, &leased.token, &leased.scope, &outcome);
        ended.await.unwrap();
    }

    /// Ends the run as the user's fault, or with `again` as the service's.
    pub(crate) async fn fail(&self, leased: &LeasedRun, again: bool) -> RunStatus {
        let failure = match again {
            true => Failure::service("cell_died", "The cell ended.", ""),
            false => {
                Failure::user("run_failed", "The command `make` ended with exit code 2.", "See the log.")
            }
        };
        let outcome = Outcome::Failed { failure, revision: None };
        let ended = self.db.worker.finish(leased.run, leased.epoch, &leased.token, &leased.scope, &outcome);
        ended.await.unwrap()
    }
}

/// A token that is kept.
pub(crate) async fn token(db: &TestDatabase, role: Role, registry: Option<&str>) -> String {
    let token = vault::Token::random().unwrap();
    let new = NewToken {
        name: format!("{role}-{}", registry.unwrap_or("all")),
        hash: token.hash,
        shown: token.shown,
        role,
        registry: registry.map(str::to_owned),
        created_by: None,
        expires_in_seconds: None,
    };
    db.server.create_token(&new).await.unwrap();
    token.text.expose().to_owned()
}

/// One that is told from others by a digit.
pub(crate) fn digest(digit: char) -> Digest {
    format!("sha256:{}", digit.to_string().repeat(64)).parse().unwrap()
}

fn descriptor(digit: char, media_type: &str) -> Descriptor {
    Descriptor { media_type: media_type.to_owned(), digest: digest(digit), size: 1 }
}

/// A client that sends a token, or none.
pub(crate) fn client(token: Option<&str>) -> reqwest::Client {
    let mut headers = reqwest::header::HeaderMap::new();
    if let Some(token) = token {
        headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    reqwest::Client::builder().no_proxy().default_headers(headers).build().unwrap()
}

pub(crate) fn body() -> Value {
    json!({ "source": "https://example.com/team/app.git#main:service", "images": ["team/app:1"] })
}

pub(crate) async fn json_of(answer: RequestBuilder) -> Value {
    answer.send().await.unwrap().json().await.unwrap()
}

/// The problem that an answer must be: status, kind and media type agree.
pub(crate) async fn problem(answer: Response) -> (u16, String, Value) {
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    let status = answer.status().as_u16();
    let body: Value = answer.json().await.unwrap();
    assert_eq!(
        (body["status"].as_u64(), body["request_id"].as_str()),
        (Some(status.into()), Some(id.as_str()))
    );
    assert!(!body["detail"].as_str().unwrap().is_empty());
    (status, body["kind"].as_str().unwrap().to_owned(), body)
}
