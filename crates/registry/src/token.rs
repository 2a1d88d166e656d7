//! Tokens for pulling without a credential (the token authentication that Docker's registry documents).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::Error;

/// As the documentation has it where an answer does not tell.
const DEFAULT_LIFE: Duration = Duration::from_secs(60);
/// Largest answer of a token server.
const LIMIT: usize = 1 << 20;

/// Tokens that are still good, by host and scope.
#[derive(Clone, Default)]
pub(crate) struct Tokens {
    known: Arc<Mutex<HashMap<String, (String, Instant)>>>,
}

/// What `WWW-Authenticate: Bearer …` asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Challenge {
    pub(crate) realm: String,
    pub(crate) service: Option<String>,
    pub(crate) scope: Option<String>,
}

impl Tokens {
    pub(crate) fn get(&self, key: &str) -> Option<String> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(key).filter(|(_, until)| *until > Instant::now()).map(|(token, _)| token.clone())
    }

    /// Keeps a token that came from elsewhere, for a while: one that is refused is asked for anew.
    pub(crate) fn keep(&self, key: &str, token: String) -> String {
        let until = Instant::now() + DEFAULT_LIFE;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(key.to_owned(), (token.clone(), until));
        token
    }

    /// Fetches a token as a challenge has it.
    ///
    /// # Errors
    /// The token server is unreachable or gives none.
    pub(crate) async fn fetch(
        &self,
        http: &egress::Client,
        host: &str,
        key: &str,
        challenge: &Challenge,
    ) -> Result<Option<String>, Error> {
        #[derive(Deserialize)]
        struct Answer {
            token: Option<String>,
            access_token: Option<String>,
            expires_in: Option<u64>,
        }
        let protocol = |reason: &str| Error::Protocol { host: host.to_owned(), reason: reason.to_owned() };
        let mut url =
            challenge.realm.parse::<reqwest::Url>().map_err(|_| protocol("its token realm is no address"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(protocol("its token realm is no http address"));
        }
        for (name, value) in [("service", &challenge.service), ("scope", &challenge.scope)] {
            if let Some(value) = value {
                url.query_pairs_mut().append_pair(name, value);
            }
        }
        let realm = url.host_str().unwrap_or_default().to_owned();
        let sent = http.send(http.request(reqwest::Method::GET, url)).await;
        let response = sent.map_err(|error| Error::not_sent(&realm, &error))?;
        if response.status().is_client_error() {
            return Ok(None);
        }
        // What it says is not quoted: the realm may be any page of any host.
        if !response.status().is_success() {
            return Err(Error::refused_elsewhere(host, response.status().as_u16()));
        }
        let body = crate::get::read_limited(response, LIMIT, &realm).await?;
        let answer: Answer =
            serde_json::from_slice(&body).map_err(|_| protocol("its token server gives none"))?;
        let Some(token) = answer.token.or(answer.access_token) else { return Ok(None) };
        let life = answer.expires_in.map_or(DEFAULT_LIFE, Duration::from_secs);
        let until = Instant::now() + life.mul_f64(0.8).min(Duration::from_secs(3600));
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(key.to_owned(), (token.clone(), until));
        Ok(Some(token))
    }
}

impl Challenge {
    /// Reads a header (RFC 9110, section 11.6.1), as far as registries write it.
    pub(crate) fn parse(header: &str) -> Option<Self> {
        let (scheme, mut rest) = header.trim().split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let mut parameters = HashMap::new();
        while let Some((name, after)) = rest.split_once('=') {
            let name = name.trim_start_matches([',', ' ']).to_ascii_lowercase();
            let (value, after) = match after.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"')?,
                None => after.split_once(',').unwrap_or((after, "")),
            };
            parameters.insert(name, value.trim().to_owned());
            rest = after;
        }
        let realm = parameters.remove("realm")?;
        Some(Self { realm, service: parameters.remove("service"), scope: parameters.remove("scope") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_challenges_that_registries_send() {
        let header = "Bearer realm=\"https://auth.example/token\",service=\"r.example\",scope=\"repository:a/b:pull,push\"";
        let challenge = Challenge {
            realm: "https://auth.example/token".into(),
            service: Some("r.example".into()),
            scope: Some("repository:a/b:pull,push".into()),
        };
        assert_eq!(Challenge::parse(header), Some(challenge));
        let bare = Challenge::parse("bearer realm=https://auth.example/token, service=x").expect("it is one");
        assert_eq!((bare.realm.as_str(), bare.service.as_deref()), ("https://auth.example/token", Some("x")));
        for other in ["Basic realm=\"x\"", "Bearer", "Bearer service=\"x\"", "Bearer realm=\"x"] {
            assert_eq!(Challenge::parse(other), None, "{other}");
        }
    }
}
