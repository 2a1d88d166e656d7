//! What whoever runs a worker gives to every RUN, so that it reaches the world as this site does.

use serde::{Deserialize, Serialize};

/// Known to a RUN and to nothing that outlives it: in no layer, no configuration, no history and no key.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct BuildNetwork {
    /// Certificate authorities to trust beside the image's own: PEM, one or more certificates.
    pub ca_bundle: Option<String>,
    /// For `http_proxy`: an address.
    pub http_proxy: Option<String>,
    /// For `https_proxy`: an address.
    pub https_proxy: Option<String>,
    /// For `no_proxy`: hosts, domains and networks, by commas.
    pub no_proxy: Option<String>,
}

impl BuildNetwork {
    /// The proxies' variables, `NAME=value`, in both spellings: curl reads `http_proxy` in small letters alone,
    /// others the large ones. None of a kind that `set` has in either spelling.
    #[must_use]
    pub fn proxy_variables(&self, set: impl Fn(&str) -> bool) -> Vec<String> {
        let kinds = [("HTTP", &self.http_proxy), ("HTTPS", &self.https_proxy), ("NO", &self.no_proxy)];
        let mut variables = Vec::new();
        for (kind, value) in kinds {
            let large = format!("{kind}_PROXY");
            let small = large.to_ascii_lowercase();
            let (Some(value), false) = (value, set(&large) || set(&small)) else { continue };
            variables.extend([large, small].map(|name| format!("{name}={value}")));
        }
        variables
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_that_is_set_in_one_spelling_is_left_alone_in_both() {
        let network = BuildNetwork {
            http_proxy: Some("http://p:1".to_owned()),
            no_proxy: Some("local".to_owned()),
            ..BuildNetwork::default()
        };
        assert_eq!(
            network.proxy_variables(|name| name == "http_proxy"),
            ["NO_PROXY=local", "no_proxy=local"]
        );
        let all = ["HTTP_PROXY=http://p:1", "http_proxy=http://p:1", "NO_PROXY=local", "no_proxy=local"];
        assert_eq!(network.proxy_variables(|_| false), all);
    }
}
