//! A registry's own ways to sign in. In: scopes. Out: a token of the server that its challenge names
//! (distribution, "Token Authentication Specification"), or user and password, or nothing. Absent: clouds.

use std::time::{Duration, Instant};

use reqwest::header::WWW_AUTHENTICATE;
use reqwest::{Method, RequestBuilder, StatusCode, Url};
use serde::Deserialize;

use crate::challenge::{Challenge, is_loopback, token_server};
use crate::http::{self, Answer, said};
use crate::tokens::{Key, Lasting};
use crate::{Authorization, Error, Options, SignIn, jwt};

/// As Docker's documentation has it where an answer does not tell.
const DEFAULT_LIFE: Duration = Duration::from_secs(60);
/// How long it is believed that a registry wants no token.
const LOOK_AGAIN: Duration = Duration::from_secs(600);

/// The registry's own API.
pub(crate) struct Server {
    /// `host[:port]`, as in references.
    pub(crate) host: String,
    pub(crate) http: egress::Client,
    pub(crate) sign_in: SignIn,
    base: Url,
}

impl Server {
    pub(crate) fn new(
        registry: &str,
        plain_http: bool,
        sign_in: SignIn,
        options: &Options,
    ) -> Result<Self, Error> {
        let base = base(registry, plain_http)?;
        let http = http::of_registry(registry, &base, options)?;
        Ok(Self { host: registry.to_owned(), http, sign_in, base })
    }

    /// An address of the registry's.
    pub(crate) fn at(&self, path: &str) -> Result<Url, Error> {
        self.base.join(path).map_err(|_| self.unreachable("it is no address"))
    }

    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Answer, Error> {
        http::send(&self.http, &self.host, request).await
    }

    /// As the registry wants it: a token of its token server's, or user and password, or nothing.
    ///
    /// # Errors
    /// It is unreachable, or its token server is, or says no.
    pub(crate) async fn ask(&self, key: &Key) -> Result<Lasting<Authorization>, Error> {
        let answer = self.send(self.http.request(Method::GET, self.at("/v2/")?)).await?;
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
                self.http.request(Method::GET, url).basic_auth(username, Some(password))
            }
            _ => self.http.request(Method::GET, url),
        };
        let had = Instant::now();
        let answer = self.send(request).await?;
        match answer.status {
            StatusCode::OK => {}
            status if status.is_client_error() => {
                return Err(self.denied(said(&answer, &self.sign_in.mask())));
            }
            status => return Err(self.unreachable(&format!("its token server answers {status}"))),
        }
        let given: Given = serde_json::from_slice(&answer.body)
            .map_err(|_| self.unreachable("its token server's answer can't be read"))?;
        let token = given.token.or(given.access_token).filter(|token| !token.is_empty());
        let token = token.ok_or_else(|| self.denied("its token server gives no token".to_owned()))?;
        let life = given.expires_in.or_else(|| jwt::claims(&token)?.life());
        Ok(Lasting::new(token, had, life.map_or(DEFAULT_LIFE, Duration::from_secs)))
    }

    /// Whether nobody between here and there can listen.
    pub(crate) fn is_private(&self) -> bool {
        self.base.scheme() == "https" || is_loopback(&self.base)
    }

    /// Without a port.
    pub(crate) fn host_name(&self) -> &str {
        self.base.host_str().unwrap_or_default()
    }

    /// An identity's token may not go here.
    pub(crate) fn no_place(&self, why: &str) -> Error {
        Error::NoPlaceForIdentity { host: self.host.clone(), why: why.to_owned() }
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

/// A token, as it is sent.
pub(crate) fn bearer(token: Lasting<String>) -> Lasting<Authorization> {
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

#[cfg(test)]
mod tests {
    use super::*;

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
