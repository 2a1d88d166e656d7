//! What a token says of itself. In: a JWT (RFC 7519). Out: its claims, unverified: they are the registry's
//! business, and here only a hint about time, tenant and rights. Absent: keys.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

/// The claims that are looked at; what a token does not say is none.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(crate) struct Claims {
    /// Unix seconds.
    pub(crate) exp: Option<u64>,
    pub(crate) iat: Option<u64>,
    /// Entra's tenant.
    pub(crate) tid: Option<String>,
    /// What a registry's access token is good for.
    pub(crate) access: Option<Vec<Granted>>,
}

/// Rights in one resource.
#[derive(Deserialize)]
pub(crate) struct Granted {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) actions: Vec<String>,
}

/// Claims of a token; none where it is no JWT, which it needn't be.
pub(crate) fn claims(token: &str) -> Option<Claims> {
    let mut parts = token.split('.');
    let (Some(_), Some(payload), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

impl Claims {
    /// Seconds from issue to expiry: so that a clock that is wrong here does not matter.
    pub(crate) fn life(&self) -> Option<u64> {
        self.exp?.checked_sub(self.iat?)
    }

    /// Whether the token is good for an action in a repository; none where it does not tell.
    pub(crate) fn grants(&self, repository: &str, action: &str) -> Option<bool> {
        let meant = |granted: &Granted| granted.kind == "repository" && granted.name == repository;
        let has = |granted: &Granted| granted.actions.iter().any(|given| given == action || given == "*");
        Some(self.access.as_ref()?.iter().any(|granted| meant(granted) && has(granted)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(payload: &str) -> String {
        format!("e30.{}.x", URL_SAFE_NO_PAD.encode(payload))
    }

    #[test]
    fn a_token_tells_its_life_and_its_rights() {
        let text = r#"{"iat":100,"exp":160,"access":[{"type":"repository","name":"a","actions":["pull"]}]}"#;
        let told = claims(&token(text)).expect("it is a JWT");
        assert_eq!(told.life(), Some(60));
        assert_eq!((told.grants("a", "pull"), told.grants("a", "push")), (Some(true), Some(false)));
        assert_eq!(told.grants("b", "pull"), Some(false));
    }

    #[test]
    fn what_is_no_jwt_tells_nothing() {
        for other in ["", "opaque", "a.b", "a.!.c", "a.b.c.d.e"] {
            assert!(claims(other).is_none(), "{other}");
        }
        assert_eq!(claims(&token("{}")).expect("it is one").grants("a", "push"), None);
        assert_eq!(claims(&token(r#"{"iat":9,"exp":3}"#)).expect("it is one").life(), None);
    }
}
