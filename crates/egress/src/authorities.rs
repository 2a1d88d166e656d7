//! Certificate authorities from a file. In: its text. Out: what can be trusted, checked. Deliberately absent: reading
//! the file.

use crate::innermost;

/// The longest bundle; a system's whole list has a quarter of a megabyte.
const MAX_BUNDLE: usize = 4 << 20;

/// Certificate authorities that are trusted beside the system's.
#[derive(Debug, Clone)]
pub struct CaBundle {
    pem: String,
    certificates: Vec<reqwest::Certificate>,
}

/// Why a text is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum CaBundleError {
    #[error("it holds no certificate in PEM (`-----BEGIN CERTIFICATE-----`)")]
    Empty,
    #[error("it is not text: convert it with `openssl x509 -inform der -out bundle.pem`")]
    NotText,
    #[error("it holds a private key, which every build would be shown: leave only certificates in it")]
    PrivateKey,
    #[error("it has {0} bytes; up to {MAX_BUNDLE} can be used")]
    TooLong(usize),
    #[error("one of its certificates can't be read: {0}")]
    Certificate(String),
}

impl CaBundle {
    /// Checks a bundle in PEM.
    ///
    /// # Errors
    /// It is not text, too long, holds no certificate, one that can't be read, or a private key.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, CaBundleError> {
        if bytes.len() > MAX_BUNDLE {
            return Err(CaBundleError::TooLong(bytes.len()));
        }
        let pem = String::from_utf8(bytes).map_err(|_| CaBundleError::NotText)?;
        if pem.lines().any(|line| line.starts_with("-----BEGIN ") && line.contains("PRIVATE KEY")) {
            return Err(CaBundleError::PrivateKey);
        }
        let unreadable = |error: reqwest::Error| CaBundleError::Certificate(innermost(&error));
        let certificates = reqwest::Certificate::from_pem_bundle(pem.as_bytes()).map_err(unreadable)?;
        if certificates.is_empty() {
            return Err(CaBundleError::Empty);
        }
        // Nothing looks into a certificate before a client trusts it.
        let trusting = reqwest::Client::builder().no_proxy().tls_certs_only(certificates.iter().cloned());
        trusting.build().map_err(unreadable)?;
        Ok(Self { pem, certificates })
    }

    /// As it was read.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    pub fn certificates(&self) -> impl ExactSizeIterator<Item = reqwest::Certificate> {
        self.certificates.iter().cloned()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn refusal(text: &[u8]) -> String {
        CaBundle::parse(text.to_vec()).unwrap_err().to_string()
    }

    #[test]
    fn what_is_no_bundle_is_refused_with_what_it_is() {
        assert!(refusal(b"hello\n").contains("no certificate in PEM"));
        assert!(refusal(b"\x30\x82\xff").contains("not text"));
        let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
        assert!(refusal(key.as_bytes()).contains("private key"));
        let broken = b"-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
        assert!(refusal(broken).contains("can't be read"), "{}", refusal(broken));
        assert!(refusal(&vec![b' '; MAX_BUNDLE + 1]).contains("bytes"));
    }

    #[test]
    fn several_certificates_are_a_bundle() {
        let one = || rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap().cert.pem();
        let bundle = CaBundle::parse(format!("# ours\n{}\n{}", one(), one()).into_bytes()).unwrap();
        assert_eq!(bundle.certificates().len(), 2);
        assert!(bundle.pem().starts_with("# ours\n"));
    }
}
