//! What the stories share: a cloud, a registry of its, and everything that was logged.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![allow(dead_code, clippy::allow_attributes, reason = "not every story needs everything")]

use std::io::Write;
use std::sync::{Mutex, Once};

use identity::{Authorization, Error, Identity, Options, SignIn};
use test_support::{FakeAzure, Principal, TokenRegistry};

pub(crate) const SECRET: &str = "s3cret-of-the-principal";
pub(crate) const CLIENT: &str = "0b1f5c2e-client";

static LOGGED: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static SUBSCRIBED: Once = Once::new();

struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOGGED.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A cloud with a service principal, and a registry that lets it push to `app`.
pub(crate) struct World {
    pub(crate) azure: FakeAzure,
    pub(crate) registry: TokenRegistry,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::at("127.0.0.1:0").await
    }

    pub(crate) async fn at(imds: &str) -> Self {
        SUBSCRIBED.call_once(|| {
            let all =
                tracing_subscriber::fmt().with_max_level(tracing_subscriber::filter::LevelFilter::TRACE);
            all.with_writer(|| Log).with_ansi(false).init();
        });
        let azure = FakeAzure::start_at(imds).await;
        azure.knows(principal());
        let registry = TokenRegistry::start(Some(&azure)).await;
        registry.allow(CLIENT, "app", &["pull", "push"]);
        Self { azure, registry }
    }

    pub(crate) fn options(&self) -> Options {
        Options {
            authority: Some(self.azure.authority()),
            roots: vec![self.azure.root()],
            acr_suffixes: vec!["127.0.0.1".into()],
            policy: loopback(),
        }
    }

    pub(crate) fn service_principal(&self) -> SignIn {
        SignIn::ServicePrincipal {
            tenant_id: self.azure.tenant(),
            client_id: CLIENT.to_owned(),
            client_secret: SECRET.to_owned(),
        }
    }

    pub(crate) fn identity(&self, sign_in: SignIn) -> Identity {
        Identity::new(&self.registry.address(), false, sign_in, self.options()).unwrap()
    }

    /// Nothing that was issued or declared has been written anywhere.
    pub(crate) fn nothing_leaked(&self) {
        let logged = String::from_utf8_lossy(&LOGGED.lock().unwrap()).into_owned();
        assert!(logged.contains("signed in by an identity"), "the log is captured");
        for secret in self.azure.issued().iter().chain(&self.registry.issued()) {
            assert!(!logged.contains(secret.as_str()), "a token is in the log");
        }
        for secret in [SECRET, "hunter2", "federated-one", "federated-two"] {
            assert!(!logged.contains(secret), "{secret} is in the log");
        }
    }
}

/// Token servers have a port of their own.
pub(crate) fn loopback() -> egress::Policy {
    egress::Policy::new(vec!["127.0.0.0/8".parse().unwrap()], Vec::new())
}

pub(crate) fn principal() -> Principal {
    Principal { client_id: CLIENT.into(), secret: Some(SECRET.into()), ..Principal::default() }
}

pub(crate) fn token(authorization: Authorization) -> String {
    match authorization {
        Authorization::Bearer { token, .. } => token,
        other => panic!("{other:?} is no token"),
    }
}

/// Kind, blame, and everything it says.
pub(crate) fn failure(error: &Error) -> (String, &'static str, String) {
    let failure = error.failure();
    (failure.kind.clone(), failure.blame.as_str(), format!("{failure} {error:?}"))
}
