//! Tokens of a key: JWTs with RS256 (RFC 7515, 7519). In: claims. Out: a token, and back again if it is this
//! key's and has not run out. PKCS#1 signatures are deterministic, so one is checked by making it again.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, RsaKeySize, SigningKey};
use serde_json::{Value, json};

/// A key with a certificate of its own.
pub(crate) struct Signer {
    key: KeyPair,
    certificate: rcgen::Certificate,
}

impl Signer {
    /// A new one, with a certificate for `name`.
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).expect("a key");
        let parameters = CertificateParams::new([name.to_owned()]).expect("a name");
        let certificate = parameters.self_signed(&key).expect("a certificate");
        Self { key, certificate }
    }

    /// What a registry needs to trust its tokens.
    pub(crate) fn certificate(&self) -> String {
        self.certificate.pem()
    }

    /// A token that lives `life` from now, with `iat`, `nbf`, `exp` and `jti` besides the claims.
    pub(crate) fn token(&self, mut claims: Value, life: Duration) -> String {
        let now = unix(SystemTime::now());
        let times = [("iat", now), ("nbf", now), ("exp", now + life.as_secs())];
        for (name, time) in times {
            claims[name] = json!(time);
        }
        claims["jti"] = json!(uuid::Uuid::now_v7().to_string());
        let header = json!({"typ": "JWT", "alg": "RS256", "x5c": [STANDARD.encode(self.certificate.der())]});
        self.sign(&format!("{}.{}", encode(&header), encode(&claims)))
    }

    fn sign(&self, signed: &str) -> String {
        let signature = self.key.sign(signed.as_bytes()).expect("a signature");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// The claims of a token of this key's that has not run out, without any leeway.
    pub(crate) fn claims(&self, token: &str) -> Option<Value> {
        let (signed, _) = token.rsplit_once('.')?;
        let payload = URL_SAFE_NO_PAD.decode(signed.split_once('.')?.1).ok()?;
        let claims: Value = serde_json::from_slice(&payload).ok()?;
        let lives = claims["exp"].as_u64()? > unix(SystemTime::now());
        (lives && self.sign(signed) == token).then_some(claims)
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer")
    }
}

/// Seconds since 1970.
pub(crate) fn unix(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

fn encode(json: &Value) -> String {
    URL_SAFE_NO_PAD.encode(json.to_string())
}
