//! How the server is reached: what `slipway server` and `slipway up` take alike.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use server::{Config, TlsFiles};

#[derive(Debug, Clone, Args)]
pub(crate) struct ServingArgs {
    /// Certificate in PEM, with those it is signed by; read again when it changes
    #[arg(long, env = "SLIPWAY_TLS_CERT", requires = "tls_key", value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// The certificate's key in PEM
    #[arg(long, env = "SLIPWAY_TLS_KEY", requires = "tls_cert", value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// A proxy in front speaks TLS: listen on any address without it. Who signs in is the last address of its
    /// X-Forwarded-For
    #[arg(long, env = "SLIPWAY_BEHIND_PROXY")]
    behind_proxy: bool,
    /// Where the service is reached from outside; hooks' addresses and reports hold it. Needed for hooks where others
    /// than this machine reach it
    #[arg(long, env = "SLIPWAY_PUBLIC_URL", value_name = "URL", value_parser = public_url)]
    public_url: Option<String>,
}

impl ServingArgs {
    /// The server's settings, with everything else as documented.
    pub(crate) fn config(&self) -> Config {
        let tls = self.tls_cert.clone().zip(self.tls_key.clone());
        Config {
            tls: tls.map(|(certificate, key)| TlsFiles { certificate, key }),
            behind_proxy: self.behind_proxy,
            public_url: self.public_url.clone(),
            ..Config::default()
        }
    }

    pub(crate) fn scheme(&self) -> &'static str {
        if self.tls_cert.is_some() { "https" } else { "http" }
    }

    /// As arguments of another process.
    pub(crate) fn arguments(&self) -> Vec<OsString> {
        let mut words: Vec<OsString> = Vec::new();
        let mut add = |name: &str, value: Option<OsString>| {
            words.extend(value.map(|value| [OsString::from(name), value]).into_iter().flatten());
        };
        let absolute = |path: &Option<PathBuf>| {
            path.as_ref().and_then(|path| std::path::absolute(path).ok()).map(Into::into)
        };
        add("--tls-cert", absolute(&self.tls_cert));
        add("--tls-key", absolute(&self.tls_key));
        add("--public-url", self.public_url.as_ref().map(Into::into));
        if self.behind_proxy {
            words.push("--behind-proxy".into());
        }
        words
    }
}

fn public_url(text: &str) -> Result<String, String> {
    let url: reqwest::Url = text.parse().map_err(|_| "write it as https://build.example.com".to_owned())?;
    if !matches!(url.scheme(), "http" | "https") || url.query().is_some() || !url.username().is_empty() {
        return Err("write it as https://build.example.com".to_owned());
    }
    Ok(text.trim_end_matches('/').to_owned())
}
