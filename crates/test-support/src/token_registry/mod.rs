//! A registry that takes tokens alone: Debian's `docker-registry` in token mode, and before it, at one
//! address, the token server: ACR's `/oauth2/exchange` and `/oauth2/token`, the latter also as Docker's. In:
//! who may do what. Out: nothing is pushed without the whole exchange. Stricter than the real one in one
//! thing: a token ends with its second.

mod front;
mod tokens;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::net::TcpListener;

use crate::azure::jwt::Signer;
use crate::azure::{FakeAzure, World, serve};
use crate::registry::{LocalRegistry, RegistryRequest, TokenTrust};

const ISSUER: &str = "Azure Container Registry";

/// The registry; it ends when it is dropped.
#[derive(Debug)]
pub struct TokenRegistry {
    house: Arc<House>,
    registry: LocalRegistry,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Debug)]
pub(crate) struct House {
    /// `127.0.0.1:port` of the front.
    address: String,
    /// Of the real registry.
    behind: String,
    signer: Signer,
    azure: Option<Arc<World>>,
    http: reqwest::Client,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By principal or user, and repository.
    rights: HashMap<(String, String), Vec<String>>,
    users: HashMap<String, String>,
    tenant: Option<String>,
    access_life: Duration,
    counts: HashMap<&'static str, usize>,
    busy: HashMap<&'static str, VecDeque<u16>>,
    /// Scopes of each token that was asked for.
    asked: Vec<Vec<String>>,
    issued: Vec<String>,
    revoked: Vec<String>,
    refused: usize,
}

impl House {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding this")
    }
}

impl TokenRegistry {
    /// One that knows the identities of a cloud, or only users of its own.
    ///
    /// # Panics
    /// As [`LocalRegistry::start`].
    pub async fn start(azure: Option<&FakeAzure>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let signer = Signer::new("registry");
        let registry = LocalRegistry::start_with_tokens(&TokenTrust {
            realm: format!("http://{address}/oauth2/token"),
            service: address.clone(),
            issuer: ISSUER.to_owned(),
            roots: signer.certificate(),
        });
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy();
        let house = Arc::new(House {
            address,
            behind: registry.address(),
            signer,
            azure: azure.map(|azure| Arc::clone(&azure.world)),
            http: http.build().expect("a client"),
            state: Mutex::new(State {
                access_life: Duration::from_secs(4500),
                tenant: azure.map(FakeAzure::tenant),
                ..State::default()
            }),
        });
        let routes = tokens::routes().fallback(front::pass).with_state(Arc::clone(&house));
        let task = tokio::spawn(serve(listener, routes));
        Self { house, registry, task }
    }

    /// Gives a principal (its client id) or a user actions in a repository.
    pub fn allow(&self, who: &str, repository: &str, actions: &[&str]) {
        let actions = actions.iter().map(|&action| action.to_owned()).collect();
        self.house.state().rights.insert((who.to_owned(), repository.to_owned()), actions);
    }

    /// Knows a user: the admin user, a robot account.
    pub fn user(&self, name: &str, password: &str) {
        self.house.state().users.insert(name.to_owned(), password.to_owned());
    }

    /// From now on belongs to another tenant.
    pub fn belongs_to(&self, tenant: &str) {
        self.house.state().tenant = Some(tenant.to_owned());
    }

    /// From now on access tokens live so long.
    pub fn tokens_live(&self, life: Duration) {
        self.house.state().access_life = life;
    }

    /// Takes none of the tokens it has issued so far: neither access nor refresh tokens.
    pub fn revoke_all(&self) {
        let mut state = self.house.state();
        state.revoked = state.issued.clone();
    }

    /// The next requests of a kind (`exchange`, `token`) are answered with these.
    pub fn answers(&self, what: &'static str, statuses: &[u16]) {
        self.house.state().busy.entry(what).or_default().extend(statuses);
    }

    /// Requests of a kind so far.
    #[must_use]
    pub fn count(&self, what: &'static str) -> usize {
        self.house.state().counts.get(what).copied().unwrap_or_default()
    }

    /// The scopes of each token that was asked for.
    #[must_use]
    pub fn asked(&self) -> Vec<Vec<String>> {
        self.house.state().asked.clone()
    }

    /// Requests with a token that had ended or was revoked.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.house.state().refused
    }

    /// Every token issued so far.
    #[must_use]
    pub fn issued(&self) -> Vec<String> {
        self.house.state().issued.clone()
    }

    /// Of the key that signs its tokens, in PEM.
    #[must_use]
    pub fn certificate(&self) -> String {
        self.house.signer.certificate()
    }

    /// `127.0.0.1:port`.
    #[must_use]
    pub fn address(&self) -> String {
        self.house.address.clone()
    }

    /// What the real registry was asked so far.
    #[must_use]
    pub fn requests(&self) -> Vec<RegistryRequest> {
        self.registry.requests()
    }

    /// As [`LocalRegistry::manifest_digest`].
    #[must_use]
    pub fn manifest_digest(&self, repository: &str, tag: &str) -> String {
        self.registry.manifest_digest(repository, tag)
    }
}

impl Drop for TokenRegistry {
    fn drop(&mut self) {
        self.task.abort();
    }
}
