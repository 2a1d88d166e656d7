//! Who we are at Microsoft Entra. In: a declared identity. Out: a token of Entra's for container registries,
//! by `azure_identity`, which keeps it until five minutes before its end. Absent: registries.

use std::error::Error as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use azure_core::cloud::CustomConfiguration;
use azure_core::credentials::{Secret, TokenCredential};
use azure_core::error::ErrorKind;
use azure_core::http::{
    ClientMethodOptions, ClientOptions, ExponentialRetryOptions, RetryOptions, Transport,
};
use azure_identity::{
    ClientAssertion, ClientAssertionCredential, ClientAssertionCredentialOptions, ClientSecretCredential,
    ClientSecretCredentialOptions, ManagedIdentityCredential, ManagedIdentityCredentialOptions,
    UserAssignedId,
};
use mask::Mask;

use crate::error::{innermost, short};
use crate::http::{self, Proxies};
use crate::{Error, Options, SignIn};

/// The audience that every registry takes, also where a policy forbids that of the resource manager.
const SCOPE: &str = "https://containerregistry.azure.net/.default";
/// IMDS is asked for up to 72 seconds, as Microsoft advises; everything ends after this.
const PATIENCE: Duration = Duration::from_secs(90);
const RETRIES: u32 = 3;

/// An identity at Entra.
pub(crate) struct Entra {
    host: String,
    credential: Arc<dyn TokenCredential>,
    /// Of the declared secret.
    mask: Mask,
    /// As declared; a managed identity's is in its token.
    pub(crate) tenant: Option<String>,
}

impl Entra {
    /// The identity of a sign-in; none where it is not one of Azure's.
    ///
    /// # Errors
    /// The declaration lacks something, or holds what can't be.
    pub(crate) fn new(host: &str, sign_in: &SignIn, options: &Options) -> Result<Option<Self>, Error> {
        let is_beside_us = matches!(sign_in, SignIn::ManagedIdentity { .. });
        let proxies = if is_beside_us { Proxies::Never } else { Proxies::AsSet };
        let client_options = client_options(options, http::client(host, options, proxies)?);
        let (credential, tenant) = match sign_in {
            SignIn::Anonymous | SignIn::Basic { .. } => return Ok(None),
            SignIn::ManagedIdentity { client_id } => (managed(client_id.as_deref(), client_options), None),
            SignIn::WorkloadIdentity { tenant_id, client_id, token_file } => {
                let tenant = given_or_set(host, tenant_id.as_deref(), "AZURE_TENANT_ID")?;
                let client = given_or_set(host, client_id.as_deref(), "AZURE_CLIENT_ID")?;
                let file = match token_file {
                    Some(file) => file.clone(),
                    None => given_or_set(host, None, "AZURE_FEDERATED_TOKEN_FILE")?.into(),
                };
                (workload(&tenant, client, file, client_options), Some(tenant))
            }
            SignIn::ServicePrincipal { tenant_id, client_id, client_secret } => {
                let secret = Secret::new(client_secret.clone());
                let options = ClientSecretCredentialOptions { client_options };
                let credential =
                    ClientSecretCredential::new(tenant_id, client_id.clone(), secret, Some(options));
                (credential.map(|credential| credential as _), Some(tenant_id.clone()))
            }
        };
        let mask = sign_in.mask();
        let credential = credential.map_err(|error| failed(host, &error, &mask))?;
        Ok(Some(Self { host: host.to_owned(), credential, mask, tenant }))
    }

    /// A token for container registries.
    ///
    /// # Errors
    /// There is no answer, or it is no.
    pub(crate) async fn token(&self) -> Result<String, Error> {
        match tokio::time::timeout(PATIENCE, self.credential.get_token(&[SCOPE], None)).await {
            Ok(Ok(token)) => Ok(token.token.secret().to_owned()),
            Ok(Err(error)) => Err(failed(&self.host, &error, &self.mask)),
            Err(_) => Err(Error::IdentityUnavailable {
                host: self.host.clone(),
                cause: format!("no token within {} seconds", PATIENCE.as_secs()),
            }),
        }
    }
}

/// Our own client, with its limits; IMDS brings a patience of its own.
fn client_options(options: &Options, http: reqwest::Client) -> ClientOptions {
    let retry = ExponentialRetryOptions { max_retries: RETRIES, ..ExponentialRetryOptions::default() };
    let cloud = options.authority.as_ref().map(|authority| {
        let mut cloud = CustomConfiguration::default();
        cloud.authority_host.clone_from(authority);
        Arc::new(cloud.into())
    });
    ClientOptions {
        retry: RetryOptions::exponential(retry),
        transport: Some(Transport::new(Arc::new(http))),
        cloud,
        ..ClientOptions::default()
    }
}

type Credential = azure_core::Result<Arc<dyn TokenCredential>>;

fn managed(client_id: Option<&str>, client_options: ClientOptions) -> Credential {
    let user_assigned_id = client_id.map(|id| UserAssignedId::ClientId(id.to_owned()));
    let options = ManagedIdentityCredentialOptions { user_assigned_id, client_options };
    ManagedIdentityCredential::new(Some(options)).map(|credential| credential as _)
}

fn workload(tenant: &str, client: String, file: PathBuf, client_options: ClientOptions) -> Credential {
    let options = ClientAssertionCredentialOptions { client_options };
    ClientAssertionCredential::new(tenant.to_owned(), client, TokenFile(file), Some(options))
        .map(|credential| credential as _)
}

/// Kubernetes replaces the file. `azure_identity`'s own credential would keep what it read for ten minutes.
#[derive(Debug)]
struct TokenFile(PathBuf);

#[async_trait]
impl ClientAssertion for TokenFile {
    async fn secret(&self, _: Option<ClientMethodOptions<'_>>) -> azure_core::Result<String> {
        let read = tokio::fs::read_to_string(&self.0).await;
        read.map(|token| token.trim().to_owned()).map_err(|error| {
            let message = format!("the token file {} can't be read: {error}", self.0.display());
            azure_core::Error::with_error(ErrorKind::Io, error, message)
        })
    }
}

fn given_or_set(host: &str, given: Option<&str>, variable: &str) -> Result<String, Error> {
    let set = || std::env::var(variable).ok();
    given.map(str::to_owned).or_else(set).filter(|value| !value.is_empty()).ok_or_else(|| {
        Error::IdentityRefused { host: host.to_owned(), said: format!("{variable} is neither given nor set") }
    })
}

/// Whether it was a no is told by the innermost answer's status.
fn failed(host: &str, error: &azure_core::Error, mask: &Mask) -> Error {
    let mut causes = std::iter::successors(Some(error), |&error| error.source()?.downcast_ref());
    let answer = causes.find_map(|error| match error.kind() {
        ErrorKind::HttpResponse { status, .. } => {
            Some((u16::from(*status), short(&mask.text(&error.to_string()))))
        }
        _ => None,
    });
    let host = host.to_owned();
    match (answer, error.source()) {
        (Some((status, said)), _)
            if (400..500).contains(&status) && !matches!(status, 404 | 408 | 410 | 429) =>
        {
            Error::IdentityRefused { host, said }
        }
        (Some((status, said)), _) => {
            Error::IdentityUnavailable { host, cause: format!("{said} (status {status})") }
        }
        (None, Some(cause)) => Error::IdentityUnavailable { host, cause: file_or_innermost(cause) },
        // Nothing was asked: it is the declaration.
        (None, None) => Error::IdentityRefused { host, said: short(&error.to_string()) },
    }
}

fn file_or_innermost(cause: &(dyn std::error::Error + 'static)) -> String {
    let words = cause.to_string();
    if words.starts_with("the token file") { short(&words) } else { innermost(cause) }
}
