//! One registry that is signed in to. In: repositories and what is to be done there. Out: what to send.
//! Every way of signing in meets here. Absent: pushes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::header::WWW_AUTHENTICATE;
use reqwest::{RequestBuilder, StatusCode, Url};
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::acr::Acr;
use crate::azure::Entra;
use crate::challenge::{Challenge, is_loopback, token_server};
use crate::http::{self, Answer, said};
use crate::tokens::{Key, Lasting, Tokens};
use crate::{Access, Authorization, Error, Options, SignIn, jwt};

/// As Docker's documentation has it where an answer does not tell.
const DEFAULT_LIFE: Duration = Duration::from_secs(60);
/// How long it is believed that a registry wants no token.
const LOOK_AGAIN: Duration = Duration::from_secs(600);

/// The sign-in to one registry. Cloning is cheap, and clones share what they know.
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

struct Inner {
    server: Server,
    acr: Option<Acr>,
    tokens: Tokens,
    /// One at a time: who waits finds what the first has fetched.
    fetching: Mutex<()>,
}

/// The registry's own API.
pub(crate) struct Server {
    /// `host[:port]`, as in references.
    pub(crate) host: String,
    pub(crate) http: reqwest::Client,
    pub(crate) sign_in: SignIn,
    base: Url,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity({}, {:?})", self.0.server.host, self.0.server.sign_in)
    }
}

impl Identity {
    /// The sign-in to `registry` (`host[:port]`), which is spoken to over http if `plain_http` says so or it
    /// is a loopback address. Asks nobody yet.
    ///
    /// # Errors
    /// The declaration lacks something, or holds what can't be.
    pub fn new(registry: &str, plain_http: bool, sign_in: SignIn, options: Options) -> Result<Self, Error> {
        let http = http::client(registry, &options)?;
        let entra = Entra::new(registry, &sign_in, &options, &http)?;
        let base = base(registry, plain_http)?;
        let server = Server { host: registry.to_owned(), http, sign_in, base };
        let (acr, tokens, fetching) = (entra.map(Acr::new), Tokens::default(), Mutex::default());
        Ok(Self(Arc::new(Inner { server, acr, tokens, fetching })))
    }

    /// What to send for these repositories: kept, and renewed when a fifth of its life is left. While a new
    /// one can't be had, the old one is given until its end.
    ///
    /// # Errors
    /// No identity, or the registry is unreachable or says no.
    pub async fn authorization(&self, repositories: &[&str], access: Access) -> Result<Authorization, Error> {
        let scopes: Vec<_> = repositories.iter().map(|repository| (*repository, access)).collect();
        self.authorize(&scopes).await
    }

    /// The same with an access for each repository: a blob is mounted by pulling here and pushing there.
    ///
    /// # Errors
    /// As [`Identity::authorization`].
    pub async fn authorize(&self, scopes: &[(&str, Access)]) -> Result<Authorization, Error> {
        let key = key(scopes);
        if let Some(fresh) = self.0.tokens.fresh(&key, Instant::now()) {
            return Ok(fresh);
        }
        let _one = self.0.fetching.lock().await;
        if let Some(fresh) = self.0.tokens.fresh(&key, Instant::now()) {
            return Ok(fresh);
        }
        match self.fetch(&key).await {
            Err(error) if error.is_passing() => {
                let old = self.0.tokens.usable(&key, Instant::now());
                let old = old.ok_or_else(|| error.clone())?;
                tracing::warn!(registry = self.0.server.host, %error, "a token can't be renewed yet");
                Ok(old)
            }
            fetched => fetched,
        }
    }

    /// Forgets a token that the registry refused (401): ask for another.
    pub fn refused(&self, token: &str) {
        self.0.tokens.forget(token);
    }

    /// As [`Identity::authorize`], but whatever is kept.
    pub(crate) async fn fetch(&self, key: &Key) -> Result<Authorization, Error> {
        let server = &self.0.server;
        let lasting = match &self.0.acr {
            Some(acr) => bearer(acr.token(server, key).await?),
            None => server.ask(key).await?,
        };
        let authorization = lasting.value.clone();
        self.0.tokens.keep(key.clone(), lasting, Instant::now());
        Ok(authorization)
    }

    pub(crate) fn server(&self) -> &Server {
        &self.0.server
    }
}

/// Each repository once, with the most that is asked for it.
pub(crate) fn key(scopes: &[(&str, Access)]) -> Key {
    let mut key: Key =
        scopes.iter().map(|(repository, access)| ((*repository).to_owned(), *access)).collect();
    key.sort_by(|one, other| (&one.0, other.1).cmp(&(&other.0, one.1)));
    key.dedup_by(|next, first| next.0 == first.0);
    key
}

fn bearer(token: Lasting<String>) -> Lasting<Authorization> {
    token.map(|token, expires_at| Authorization::Bearer { token, expires_at })
}

fn base(registry: &str, plain_http: bool) -> Result<Url, Error> {
    let unreachable =
        || Error::Unreachable { host: registry.to_owned(), cause: "it is no address".to_owned() };
    // The name in references is not the host's (distribution/reference, `normalize.go`).
    let host = if registry == "docker.io" { "registry-1.docker.io" } else { registry };
    let plain: Url = format!("http://{host}/").parse().map_err(|_| unreachable())?;
    if plain_http || is_loopback(&plain) {
        return Ok(plain);
    }
    format!("https://{host}/").parse().map_err(|_| unreachable())
}

impl Server {
    /// An address of the registry's.
    pub(crate) fn at(&self, path: &str) -> Result<Url, Error> {
        self.base.join(path).map_err(|_| self.unreachable("it is no address"))
    }

    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Answer, Error> {
        http::send(&self.host, request).await
    }

    /// As the registry wants it: a token of its token server's, or user and password, or nothing.
    async fn ask(&self, key: &Key) -> Result<Lasting<Authorization>, Error> {
        let answer = self.send(self.http.get(self.at("/v2/")?)).await?;
        let headers = answer.headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        match Challenge::best(headers) {
            Some(Challenge::Bearer { realm, service }) => {
                let url = token_server(&realm, &self.base).ok_or_else(|| {
                    self.denied("its token server is not one that a credential may go to".to_owned())
                })?;
                self.token(url, service.as_deref(), key).await.map(bearer)
            }
            Some(Challenge::Basic) | None => Ok(Lasting::new(self.plain(), Instant::now(), LOOK_AGAIN)),
        }
    }

    /// Without a token.
    fn plain(&self) -> Authorization {
        match &self.sign_in {
            SignIn::Basic { username, password } => {
                Authorization::Basic { username: username.clone(), password: password.clone() }
            }
            _ => Authorization::Anonymous,
        }
    }

    /// Docker's token authentication (distribution, "Token Authentication Specification").
    async fn token(&self, mut url: Url, service: Option<&str>, key: &Key) -> Result<Lasting<String>, Error> {
        #[derive(Deserialize)]
        struct Given {
            token: Option<String>,
            access_token: Option<String>,
            expires_in: Option<u64>,
        }
        url.query_pairs_mut().extend_pairs(service.map(|service| ("service", service)));
        url.query_pairs_mut()
            .extend_pairs(key.iter().map(|(repository, access)| ("scope", access.scope(repository))));
        let request = match &self.sign_in {
            SignIn::Basic { username, password } => {
                url.query_pairs_mut().append_pair("account", username);
                self.http.get(url).basic_auth(username, Some(password))
            }
            _ => self.http.get(url),
        };
        let had = Instant::now();
        let answer = self.send(request).await?;
        match answer.status {
            StatusCode::OK => {}
            status if status.is_client_error() => return Err(self.denied(said(&answer))),
            status => return Err(self.unreachable(&format!("its token server answers {status}"))),
        }
        let given: Given = serde_json::from_slice(&answer.body)
            .map_err(|_| self.unreachable("its token server's answer can't be read"))?;
        let token = given.token.or(given.access_token).filter(|token| !token.is_empty());
        let token = token.ok_or_else(|| self.denied("its token server gives no token".to_owned()))?;
        let life = given.expires_in.or_else(|| jwt::claims(&token)?.life());
        Ok(Lasting::new(token, had, life.map_or(DEFAULT_LIFE, Duration::from_secs)))
    }

    pub(crate) fn unreachable(&self, cause: &str) -> Error {
        Error::Unreachable { host: self.host.clone(), cause: cause.to_owned() }
    }

    pub(crate) fn denied(&self, said: String) -> Error {
        Error::Denied { host: self.host.clone(), said, hint: self.hint().to_owned() }
    }

    /// How the right to push is given.
    pub(crate) fn hint(&self) -> &'static str {
        match self.sign_in {
            SignIn::Anonymous => "Declare a sign-in for this registry: it wants one for pushes.",
            SignIn::Basic { .. } => "Check user and password, and let that user push to these repositories.",
            SignIn::ManagedIdentity { .. }
            | SignIn::WorkloadIdentity { .. }
            | SignIn::ServicePrincipal { .. } => {
                "Give the identity the role AcrPush on the registry or, where it assigns rights by repository \
                 (ABAC), Container Registry Repository Writer on these repositories."
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_asked_once_whatever_the_order() {
        let (push, pull) = (Access::Push, Access::Pull);
        let wanted = vec![("a".to_owned(), push), ("b".to_owned(), pull)];
        assert_eq!(key(&[("b", pull), ("a", pull), ("a", push), ("b", pull)]), wanted);
        assert_eq!(key(&[("a", push), ("b", pull)]), wanted);
    }

    #[test]
    fn a_registry_is_spoken_to_with_tls_but_for_loopback_and_where_declared() {
        for (registry, plain, address) in [
            ("r.example", false, "https://r.example/"),
            ("docker.io", false, "https://registry-1.docker.io/"),
            ("10.0.0.1:5000", false, "https://10.0.0.1:5000/"),
            ("10.0.0.1:5000", true, "http://10.0.0.1:5000/"),
            ("localhost:5000", false, "http://localhost:5000/"),
            ("[::1]:5000", false, "http://[::1]:5000/"),
        ] {
            assert_eq!(base(registry, plain).expect("an address").as_str(), address);
        }
    }
}
