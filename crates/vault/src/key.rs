//! AES-256-GCM (NIST SP 800-38D) with a random nonce for each sealing, and the name of the thing as
//! additional data: a row that is put in another's place does not open.
//!
//! Sealed: one byte of version, four that tell keys apart, then nonce, ciphertext and tag.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::Failure;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::Secret;

const VERSION: u8 = 1;
const KEY: usize = 32;
const NAME: usize = 4;
const HEAD: usize = 1 + NAME + NONCE_LEN;

/// Why a secret can't be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The key's file is missing or not readable.
    #[error("the key file {path} can't be read: {source}")]
    Unreadable { path: String, source: std::io::Error },
    /// The file's content is no key.
    #[error("the key file {path} does not hold a key: 32 bytes in base64")]
    NotAKey { path: String },
    /// It was sealed with another key, or for another thing, or is damaged.
    #[error("a secret of `{name}` can't be opened: {why}")]
    Sealed { name: String, why: &'static str },
    /// The cryptographic library refused.
    #[error("nothing can be sealed")]
    Refused,
}

impl Error {
    /// As the world outside sees it.
    #[must_use]
    pub fn failure(&self) -> Failure {
        let hint = match self {
            Self::Sealed { .. } => {
                "Is it the key file that the service was set up with? Else enter the secret anew."
            }
            _ => "`slipway up` makes a key file in its data folder; server and publisher need the same one.",
        };
        Failure::service("secret_unreadable", format!("{self}."), hint)
    }
}

/// Writes a new random key, readable by its owner only. An existing file is kept.
///
/// # Errors
/// The file can't be written.
pub fn make_key_file(path: &Path) -> std::io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    let mut key = Zeroizing::new([0; KEY]);
    getrandom::fill(key.as_mut()).map_err(|error| std::io::Error::other(error.to_string()))?;
    let part = path.with_extension("part");
    let _ = std::fs::remove_file(&part);
    let mut file = File::options().write(true).create_new(true).mode(0o400).open(&part)?;
    file.write_all(Zeroizing::new(STANDARD.encode(key.as_ref())).as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&part, path)
}

/// Seals and opens with one key.
pub struct Vault {
    key: RandomizedNonceKey,
    name: [u8; NAME],
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Vault(…)")
    }
}

impl Vault {
    /// With the key in a file.
    ///
    /// # Errors
    /// It can't be read, or is no key.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| Error::Unreadable { path: path.display().to_string(), source })?;
        let not_a_key = || Error::NotAKey { path: path.display().to_string() };
        let key = Zeroizing::new(STANDARD.decode(Zeroizing::new(text).trim()).map_err(|_| not_a_key())?);
        Self::with_key(&key).ok_or_else(not_a_key)
    }

    fn with_key(key: &[u8]) -> Option<Self> {
        let hash = Sha256::digest(key);
        let mut name = [0; NAME];
        name.copy_from_slice(hash.get(..NAME)?);
        Some(Self { key: RandomizedNonceKey::new(&AES_256_GCM, key).ok()?, name })
    }

    /// Ciphertext of a secret of the thing `name`, for instance `credential/local/git`.
    ///
    /// # Errors
    /// The cryptographic library refuses.
    pub fn seal(&self, name: &str, secret: &str) -> Result<Vec<u8>, Error> {
        let mut text = secret.as_bytes().to_vec();
        let aad = Aad::from(name.as_bytes());
        let nonce = self.key.seal_in_place_append_tag(aad, &mut text).map_err(|_| Error::Refused)?;
        let head = [&[VERSION][..], &self.name, nonce.as_ref()].concat();
        Ok([head, text].concat())
    }

    /// The secret again.
    ///
    /// # Errors
    /// Another key, another name, or damaged bytes.
    pub fn unseal(&self, name: &str, sealed: &[u8]) -> Result<Secret, Error> {
        let wrong = |why| Error::Sealed { name: name.to_owned(), why };
        let (head, text) = sealed.split_at_checked(HEAD).ok_or_else(|| wrong("it is cut short"))?;
        if head[0] != VERSION {
            return Err(wrong("a newer version of Slipway sealed it"));
        }
        if head[1..=NAME] != self.name {
            return Err(wrong("it was sealed with another key"));
        }
        let nonce =
            Nonce::try_assume_unique_for_key(&head[1 + NAME..]).map_err(|_| wrong("it is cut short"))?;
        let mut text = Zeroizing::new(text.to_vec());
        let damaged = "it is damaged, or belongs to something else";
        let aad = Aad::from(name.as_bytes());
        let plain = self.key.open_in_place(nonce, aad, &mut text).map_err(|_| wrong(damaged))?;
        std::str::from_utf8(plain).map(Secret::new).map_err(|_| wrong(damaged))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault(byte: u8) -> Vault {
        Vault::with_key(&[byte; KEY]).expect("a key")
    }

    #[test]
    fn a_secret_opens_only_with_its_key_under_its_name_and_undamaged() {
        let sealed = vault(1).seal("credential/local/git", "hunter2").expect("sealed");
        assert!(!sealed.windows(7).any(|part| part == b"hunter2"));
        let open =
            |vault: &Vault, name: &str, sealed: &[u8]| vault.unseal(name, sealed).map_err(|e| e.to_string());
        assert_eq!(open(&vault(1), "credential/local/git", &sealed), Ok(Secret::new("hunter2")));
        assert!(open(&vault(1), "credential/local/other", &sealed).is_err());
        assert!(open(&vault(2), "credential/local/git", &sealed).is_err_and(|e| e.contains("another key")));
        for place in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[place] ^= 1;
            assert!(open(&vault(1), "credential/local/git", &damaged).is_err(), "byte {place}");
            assert!(open(&vault(1), "credential/local/git", &sealed[..place]).is_err(), "cut at {place}");
        }
        assert_ne!(sealed, vault(1).seal("credential/local/git", "hunter2").expect("sealed"));
    }

    #[test]
    fn a_key_file_is_made_once_and_is_its_owners() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        make_key_file(&path).expect("made");
        let sealed = Vault::open(&path).expect("a key").seal("a", "b").expect("sealed");
        make_key_file(&path).expect("kept");
        assert_eq!(Vault::open(&path).expect("a key").unseal("a", &sealed).expect("opened").expose(), "b");
        let mode = std::os::unix::fs::PermissionsExt::mode(&path.metadata().expect("a file").permissions());
        assert_eq!(mode & 0o777, 0o400);
        assert!(!format!("{:?}", Vault::open(&path)).contains("key:"));
        let wrong = folder.path().join("wrong");
        std::fs::write(&wrong, "c2hvcnQ=").expect("written");
        assert!(matches!(Vault::open(&wrong), Err(Error::NotAKey { .. })));
    }
}
