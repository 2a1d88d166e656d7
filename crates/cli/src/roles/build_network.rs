//! What every RUN is given to reach the world: what `slipway worker`, `slipway up` and `slipway doctor` take alike.
//! In: arguments. Out: settings, checked before anything starts.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use egress::CaBundle;
use model::BuildNetwork;

#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "The site's network, for every RUN")]
pub(crate) struct BuildNetworkArgs {
    /// Certificate authorities in PEM that every RUN trusts beside its image's own, and the worker beside the
    /// system's when it asks git hosts and registries. In no image and no cache key
    #[arg(long, env = "SLIPWAY_BUILD_CA_BUNDLE", value_name = "FILE", value_parser = not_empty)]
    build_ca_bundle: Option<Given>,
    /// `http_proxy` of every RUN, unless the build sets one
    #[arg(long, env = "SLIPWAY_BUILD_HTTP_PROXY", value_name = "URL", value_parser = proxy)]
    build_http_proxy: Option<Given>,
    /// `https_proxy`, likewise
    #[arg(long, env = "SLIPWAY_BUILD_HTTPS_PROXY", value_name = "URL", value_parser = proxy)]
    build_https_proxy: Option<Given>,
    /// `no_proxy`, likewise: hosts, domains and networks, by commas
    #[arg(long, env = "SLIPWAY_BUILD_NO_PROXY", value_name = "LIST", value_parser = not_empty)]
    build_no_proxy: Option<Given>,
}

/// A value; none where a variable is set to nothing, as compose files do.
type Given = Option<String>;

/// Read and checked.
pub(crate) struct ReadNetwork {
    pub(crate) network: BuildNetwork,
    pub(crate) ca_bundle: Option<CaBundle>,
}

impl BuildNetworkArgs {
    /// Reads the bundle. Before root is given up: the file may be root's alone.
    pub(crate) fn read(&self) -> anyhow::Result<ReadNetwork> {
        let ca_bundle = self.bundle_file().map(read_bundle).transpose()?;
        let network = BuildNetwork {
            ca_bundle: ca_bundle.as_ref().map(|bundle| bundle.pem().to_owned()),
            http_proxy: self.build_http_proxy.clone().flatten(),
            https_proxy: self.build_https_proxy.clone().flatten(),
            no_proxy: self.build_no_proxy.clone().flatten(),
        };
        Ok(ReadNetwork { network, ca_bundle })
    }

    pub(crate) fn bundle_file(&self) -> Option<&Path> {
        self.build_ca_bundle.as_ref()?.as_deref().map(Path::new)
    }

    /// As arguments of another process.
    pub(crate) fn arguments(&self) -> Vec<OsString> {
        let bundle = self.bundle_file().and_then(|path| std::path::absolute(path).ok());
        let word = |value: &Option<Given>| value.clone().flatten().map(PathBuf::from);
        let named = [
            ("--build-ca-bundle", bundle),
            ("--build-http-proxy", word(&self.build_http_proxy)),
            ("--build-https-proxy", word(&self.build_https_proxy)),
            ("--build-no-proxy", word(&self.build_no_proxy)),
        ];
        let pairs =
            named.into_iter().filter_map(|(name, value)| Some([name.into(), value?.into_os_string()]));
        pairs.flatten().collect()
    }
}

fn read_bundle(path: &Path) -> anyhow::Result<CaBundle> {
    let bytes =
        std::fs::read(path).with_context(|| format!("the CA bundle {} can't be read", path.display()))?;
    CaBundle::parse(bytes).with_context(|| format!("{} can't be used as --build-ca-bundle", path.display()))
}

fn not_empty(text: &str) -> Result<Given, String> {
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

fn proxy(text: &str) -> Result<Given, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let form = || "write it as http://proxy.example.com:3128".to_owned();
    let url: reqwest::Url = text.parse().map_err(|_| form())?;
    let Some(host) =
        url.host_str().filter(|_| ["http", "https", "socks5", "socks5h"].contains(&url.scheme()))
    else {
        return Err(form());
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it holds a password, which every build would be shown: use a proxy that asks for none"
            .to_owned());
    }
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    if host == "localhost" || address.is_ok_and(|address| address.to_canonical().is_loopback()) {
        return Err(
            "a RUN has a loopback of its own and can't reach the worker's: name an address of the network"
                .to_owned(),
        );
    }
    Ok(Some(text.to_owned()))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn a_proxy_that_no_run_can_use_is_refused() {
        assert_eq!(proxy("http://proxy.example:3128").unwrap().unwrap(), "http://proxy.example:3128");
        assert_eq!(proxy("").unwrap(), None);
        for (text, why) in [
            ("proxy.example:3128", "write it as"),
            ("ftp://proxy.example", "write it as"),
            ("http://me:secret@proxy.example", "password"),
            ("http://localhost:3128", "loopback"),
            ("http://127.0.0.2:3128", "loopback"),
            ("http://[::1]:3128", "loopback"),
        ] {
            let refused = proxy(text).unwrap_err();
            assert!(refused.contains(why) && !refused.contains("secret"), "{text}: {refused}");
        }
    }
}
