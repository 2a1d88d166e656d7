//! As much of Azure as signing in needs: the metadata service (IMDS), App Service's identity endpoint, and
//! Entra's token endpoint with TLS of a certificate authority of its own. Errors are those of the documents.
//! Absent: rights; a registry has these.

mod authority;
mod imds;
pub(crate) mod jwt;

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;

pub use imds::IDENTITY_HEADER;
use jwt::Signer;

/// Who may sign in.
#[derive(Debug, Clone, Default)]
pub struct Principal {
    pub client_id: String,
    /// Of a service principal.
    pub secret: Option<String>,
    /// The one federated token that it may be now.
    pub assertion: Option<String>,
    /// Assigned to the machine by IMDS.
    pub is_assigned: bool,
    /// And the one that is meant where none is named.
    pub is_system: bool,
    pub is_revoked: bool,
}

/// A cloud of one tenant.
#[derive(Debug)]
pub struct FakeAzure {
    pub(crate) world: Arc<World>,
    imds: SocketAddr,
    authority: SocketAddr,
    root: String,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) tenant: String,
    pub(crate) signer: Signer,
    state: Mutex<State>,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) principals: Vec<Principal>,
    /// Of Entra's tokens.
    pub(crate) life: Duration,
    /// Issued whatever is asked for.
    pub(crate) audience: Option<String>,
    counts: HashMap<&'static str, usize>,
    busy: HashMap<&'static str, VecDeque<u16>>,
    issued: Vec<String>,
}

impl World {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding this")
    }

    /// Counts a request, and answers it if it is to be answered with an error.
    pub(crate) fn arrives(&self, what: &'static str) -> Option<Response> {
        let mut state = self.state();
        *state.counts.entry(what).or_default() += 1;
        let status = state.busy.get_mut(what)?.pop_front()?;
        let status = axum::http::StatusCode::from_u16(status).expect("a status");
        Some((status, [("retry-after", "0")], axum::Json(json!({"error": "busy"}))).into_response())
    }

    /// A token of Entra's for a principal.
    pub(crate) fn token(&self, client_id: &str, audience: &str) -> (String, Duration) {
        let mut state = self.state();
        let audience = state.audience.clone().unwrap_or_else(|| audience.to_owned());
        let claims: Value = json!({
            "aud": audience, "iss": format!("https://sts.windows.net/{}/", self.tenant),
            "appid": client_id, "oid": client_id, "sub": client_id, "tid": self.tenant, "ver": "1.0",
        });
        let (token, life) = (self.signer.token(claims, state.life), state.life);
        state.issued.push(token.clone());
        (token, life)
    }
}

impl FakeAzure {
    /// One on loopback, without principals.
    ///
    /// # Panics
    /// There are no free ports.
    pub async fn start() -> Self {
        Self::start_at("127.0.0.1:0").await
    }

    /// One whose IMDS is at an address: `169.254.169.254:80` in a network of the test's own.
    ///
    /// # Panics
    /// The address can't be had.
    pub async fn start_at(imds: &str) -> Self {
        let state = State {
            principals: Vec::new(),
            life: Duration::from_secs(86_400),
            audience: None,
            counts: HashMap::new(),
            busy: HashMap::new(),
            issued: Vec::new(),
        };
        let (tenant, signer) = (uuid::Uuid::now_v7().to_string(), Signer::new("entra"));
        let world = Arc::new(World { tenant, signer, state: Mutex::new(state) });
        let plain = TcpListener::bind(imds).await.expect("an address for IMDS");
        let (imds, routes) = (plain.local_addr().expect("an address"), imds::routes(Arc::clone(&world)));
        let tls = crate::tls::TlsListener::bind().await;
        let (authority, root) = (tls.address(), tls.root());
        let theirs = authority::routes(Arc::clone(&world));
        let tasks = vec![tokio::spawn(serve(plain, routes)), tokio::spawn(serve(tls, theirs))];
        Self { world, imds, authority, root, tasks }
    }

    /// Adds a principal, or takes the place of the one with that client id.
    pub fn knows(&self, principal: Principal) {
        let mut state = self.world.state();
        state.principals.retain(|known| known.client_id != principal.client_id);
        state.principals.push(principal);
    }

    #[must_use]
    pub fn tenant(&self) -> String {
        self.world.tenant.clone()
    }

    /// `https://…`, of Entra.
    #[must_use]
    pub fn authority(&self) -> String {
        format!("https://{}", self.authority)
    }

    /// The certificate authority that Entra's certificate is of, in PEM.
    #[must_use]
    pub fn root(&self) -> String {
        self.root.clone()
    }

    /// Where IMDS listens.
    #[must_use]
    pub fn imds(&self) -> SocketAddr {
        self.imds
    }

    /// From now on Entra's tokens live so long.
    pub fn tokens_live(&self, life: Duration) {
        self.world.state().life = life;
    }

    /// From now on tokens are for this audience.
    pub fn tokens_are_for(&self, audience: &str) {
        self.world.state().audience = Some(audience.to_owned());
    }

    /// The next requests of a kind (`imds`, `app_service`, `authority`) are answered with these.
    pub fn answers(&self, what: &'static str, statuses: &[u16]) {
        self.world.state().busy.entry(what).or_default().extend(statuses);
    }

    /// Requests of a kind so far.
    #[must_use]
    pub fn count(&self, what: &'static str) -> usize {
        self.world.state().counts.get(what).copied().unwrap_or_default()
    }

    /// Every token issued so far.
    #[must_use]
    pub fn issued(&self) -> Vec<String> {
        self.world.state().issued.clone()
    }
}

impl Drop for FakeAzure {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

pub(crate) async fn serve<L>(listener: L, routes: Router)
where
    L: axum::serve::Listener,
    L::Addr: std::fmt::Debug,
{
    axum::serve(listener, routes).await.expect("it serves");
}
