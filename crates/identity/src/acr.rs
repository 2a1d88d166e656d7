//! From a token of Entra's to one of an Azure container registry. In: an identity, scopes. Out: an access
//! token (75 minutes), by way of a refresh token (3 hours), which is kept. `POST /oauth2/exchange`, then
//! `POST /oauth2/token` (Azure/acr, `docs/AAD-OAuth.md`). Absent: rights; the registry knows them.

use std::time::{Duration, Instant};

use mask::Secrets;
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::azure::Entra;
use crate::http::{Answer, said};
use crate::server::Server;
use crate::tokens::{Key, Lasting};
use crate::{Error, jwt};

/// Of registries in Azure's clouds: the public one, China's, and the US government's.
const SUFFIXES: [&str; 3] = ["azurecr.io", "azurecr.cn", "azurecr.us"];
/// Where a token does not tell its life.
const DEFAULT_LIFE: Duration = Duration::from_secs(60);

/// The sign-in to an Azure container registry.
pub(crate) struct Acr {
    entra: Entra,
    refresh: Mutex<Option<Lasting<String>>>,
}

#[derive(Deserialize)]
struct Exchanged {
    refresh_token: String,
}

#[derive(Deserialize)]
struct Given {
    access_token: String,
}

impl Acr {
    /// The sign-in to `server`.
    ///
    /// # Errors
    /// A token of Entra's may not go there: it would sign whoever has it in to every registry of the identity's.
    pub(crate) fn new(entra: Entra, server: &Server, suffixes: &[String]) -> Result<Self, Error> {
        if !server.is_private() {
            return Err(server.no_place("it is spoken to over plain http"));
        }
        let own = SUFFIXES.iter().copied().chain(suffixes.iter().map(String::as_str));
        if !own.into_iter().any(|suffix| ends_in(server.host_name(), suffix)) {
            return Err(server.no_place("its name is none of Azure Container Registry's"));
        }
        Ok(Self { entra, refresh: Mutex::default() })
    }

    /// An access token for these scopes. A refresh token that was revoked meanwhile is had anew, once.
    ///
    /// # Errors
    /// Entra or the registry is unreachable, or says no.
    pub(crate) async fn token(&self, server: &Server, key: &Key) -> Result<Lasting<String>, Error> {
        let mut refresh = self.refresh.lock().await;
        let kept =
            refresh.as_ref().filter(|kept| kept.is_fresh(Instant::now())).map(|kept| kept.value.clone());
        if let Some(kept) = kept {
            match self.ask(server, &kept, key).await {
                Err(Error::Denied { .. }) => {
                    tracing::debug!(registry = server.host, "a kept sign-in is refused")
                }
                answer => return answer,
            }
        }
        *refresh = None;
        let fresh = self.exchange(server).await?;
        let token = self.ask(server, &fresh.value, key).await?;
        *refresh = Some(fresh);
        Ok(token)
    }

    async fn exchange(&self, server: &Server) -> Result<Lasting<String>, Error> {
        let entra = self.entra.token().await?;
        let tenant = self.entra.tenant.clone().or_else(|| jwt::claims(&entra)?.tid);
        let mut form =
            vec![("grant_type", "access_token"), ("service", &server.host), ("access_token", &entra)];
        form.extend(tenant.as_deref().map(|tenant| ("tenant", tenant)));
        let had = Instant::now();
        let answer = server
            .send(server.http.request(Method::POST, server.at("/oauth2/exchange")?).form(&form))
            .await?;
        let exchanged: Exchanged = read(server, &answer, &entra)?;
        tracing::debug!(registry = server.host, "signed in by an identity");
        Ok(lasting(exchanged.refresh_token, had))
    }

    async fn ask(&self, server: &Server, refresh: &str, key: &Key) -> Result<Lasting<String>, Error> {
        let mut form = vec![
            ("grant_type", "refresh_token".to_owned()),
            ("service", server.host.clone()),
            ("refresh_token", refresh.to_owned()),
        ];
        form.extend(key.iter().map(|(repository, access)| ("scope", access.scope(repository))));
        let had = Instant::now();
        let answer =
            server.send(server.http.request(Method::POST, server.at("/oauth2/token")?).form(&form)).await?;
        let given: Given = read(server, &answer, refresh)?;
        Ok(lasting(given.access_token, had))
    }
}

/// Whether a host is that name, or below it.
fn ends_in(host: &str, suffix: &str) -> bool {
    let (host, suffix) = (host.to_ascii_lowercase(), suffix.trim_start_matches('.').to_ascii_lowercase());
    !suffix.is_empty()
        && (host == suffix || host.strip_suffix(&suffix).is_some_and(|rest| rest.ends_with('.')))
}

fn lasting(token: String, had: Instant) -> Lasting<String> {
    let life = jwt::claims(&token).and_then(|claims| claims.life()).map_or(DEFAULT_LIFE, Duration::from_secs);
    Lasting::new(token, had, life)
}

fn read<T: for<'a> Deserialize<'a>>(server: &Server, answer: &Answer, sent: &str) -> Result<T, Error> {
    match answer.status {
        StatusCode::OK => serde_json::from_slice(&answer.body)
            .map_err(|_| server.unreachable("its answer to a sign-in is not what Azure documents")),
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
            Err(server
                .denied("it does not know Azure's sign-in; is it an Azure container registry?".to_owned()))
        }
        status if status.is_client_error() => {
            Err(server.denied(said(answer, &Secrets::default().with(sent).mask())))
        }
        status => Err(server.unreachable(&format!("it answers a sign-in with {status}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_only_looks_like_azures_is_none() {
        assert!(ends_in("team.azurecr.io", "azurecr.io") && ends_in("Team.AzureCR.io", ".azurecr.io"));
        assert!(ends_in("10.1.2.3", "10.1.2.3"));
        for other in ["evilazurecr.io", "azurecr.io.evil.example", "team.azurecr.io.", "evil.example", ""] {
            assert!(!ends_in(other, "azurecr.io"), "{other}");
        }
        assert!(!ends_in("evil.example", "") && !ends_in("evil.example", "."));
    }
}
