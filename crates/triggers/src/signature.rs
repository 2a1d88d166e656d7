//! Signatures: bytes, a signature as text and the hook's secrets in, a verdict out, in constant time.
//!
//! Absent: where a host puts its signature; `verify` knows that.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use time::OffsetDateTime;

use crate::{Delivery, Refused};

/// How far a sender's clock may be off. standard-webhooks.md, "Verifying webhook authenticity".
const TOLERANCE_SECONDS: i128 = 300;

/// With or without `=` at the end.
pub(crate) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Whether `signature` is the HMAC-SHA256 of one of `bodies` by one of `secrets`, in hexadecimal.
pub(crate) fn check_hex(signature: &str, secrets: &[&str], bodies: &[&[u8]]) -> Result<(), Refused> {
    let signature = hex::decode(signature).map_err(|_| Refused::WrongSignature)?;
    let keys = secrets.iter().filter(|secret| !secret.is_empty());
    let fits = keys.flat_map(|key| bodies.iter().map(|body| is_hmac(key.as_bytes(), &[body], &signature)));
    verdict(fits)
}

/// Whether `password` is one of `secrets`.
pub(crate) fn check_password(password: &str, secrets: &[&str]) -> Result<(), Refused> {
    let given = Sha256::digest(password);
    let known = secrets.iter().filter(|secret| !secret.is_empty());
    // Digests have one length, so that not even the secret's length shows.
    verdict(known.map(|secret| bool::from(Sha256::digest(secret).as_slice().ct_eq(given.as_slice()))))
}

/// Whether a delivery is signed as Standard Webhooks has it, not long ago.
///
/// github.com/standard-webhooks, spec/standard-webhooks.md: `v1,<base64>` over `id.timestamp.body`,
/// several divided by blanks while a secret is changed. Asymmetric `v1a` is not taken.
pub(crate) fn check_standard(
    secrets: &[&str],
    delivery: &Delivery<'_>,
    now: OffsetDateTime,
) -> Result<(), Refused> {
    let header = delivery.header("webhook-signature")?.ok_or(Refused::Unsigned)?;
    let versions = header.split_ascii_whitespace().map(|part| part.split_once(',').unwrap_or(("", part)));
    if versions.clone().all(|(_, signature)| signature.is_empty()) {
        return Err(Refused::Unsigned);
    }
    let id = delivery.need_header(&["webhook-id"])?;
    let timestamp = delivery.need_header(&["webhook-timestamp"])?;
    let parts: [&[u8]; 5] = [id.as_bytes(), b".", timestamp.as_bytes(), b".", delivery.body];
    let keys: Vec<Vec<u8>> = secrets.iter().filter_map(|secret| standard_key(secret)).collect();
    let mut fits = false;
    for signature in versions.filter(|(version, _)| *version == "v1").map(|(_, text)| text) {
        let Ok(signature) = BASE64.decode(signature) else { continue };
        fits |= keys.iter().any(|key| is_hmac(key, &parts, &signature));
    }
    verdict(std::iter::once(fits))?;
    check_age(timestamp, now)
}

fn check_age(timestamp: &str, now: OffsetDateTime) -> Result<(), Refused> {
    let malformed = |_| Refused::Malformed("The header `webhook-timestamp` is no number of seconds.".into());
    let signed_at = timestamp.parse::<i64>().map_err(malformed)?;
    let age = i128::from(now.unix_timestamp()) - i128::from(signed_at);
    if age.abs() > TOLERANCE_SECONDS { Err(Refused::Stale) } else { Ok(()) }
}

/// The bytes of `whsec_<base64>`.
fn standard_key(secret: &str) -> Option<Vec<u8>> {
    let text = secret.strip_prefix("whsec_").unwrap_or(secret);
    BASE64.decode(text).ok().filter(|key| !key.is_empty())
}

fn is_hmac(key: &[u8], parts: &[&[u8]], signature: &[u8]) -> bool {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return false };
    for part in parts {
        mac.update(part);
    }
    mac.verify_slice(signature).is_ok()
}

/// Asks every one, so that the time does not tell which fits.
fn verdict(fits: impl Iterator<Item = bool>) -> Result<(), Refused> {
    if fits.fold(false, |any, fit| any | fit) { Ok(()) } else { Err(Refused::WrongSignature) }
}
