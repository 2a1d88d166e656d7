//! A request as it came in: headers and the raw body in, single headers and the JSON out.
//!
//! Absent: any judgement on who sent it.

use serde_json::Value;

use crate::{Refused, Unreadable};

/// One request to a hook.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// Names in lower case, as received.
    pub headers: &'a [(String, String)],
    /// As received, before anything decodes it.
    pub body: &'a [u8],
}

impl<'a> Delivery<'a> {
    /// A header's value, trimmed; absent also when it is empty.
    pub(crate) fn header(&self, name: &str) -> Result<Option<&'a str>, Refused> {
        let mut found = self.headers.iter().filter(|(key, _)| key == name).map(|(_, value)| value.trim());
        let first = found.next();
        // Two proxies could disagree about which of the two counts.
        match found.next() {
            Some(_) => Err(Refused::Malformed(format!("The header `{name}` is there twice."))),
            None => Ok(first.filter(|value| !value.is_empty())),
        }
    }

    /// The first of `names` that has a value.
    pub(crate) fn first_header(&self, names: &[&str]) -> Result<Option<&'a str>, Refused> {
        for name in names {
            if let Some(value) = self.header(name)? {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    /// The first of `names` that has a value, or a sentence that names the first.
    pub(crate) fn need_header(&self, names: &[&str]) -> Result<&'a str, Refused> {
        let missing = || Refused::Malformed(format!("The header `{}` is missing.", names[0]));
        self.first_header(names)?.ok_or_else(missing)
    }

    /// The field `payload` of a form; absent when the body is none.
    ///
    /// docs.github.com, "Creating webhooks", content type `application/x-www-form-urlencoded`.
    pub(crate) fn form_payload(&self) -> Option<Vec<u8>> {
        let content_type = self.header("content-type").ok().flatten()?;
        let essence = content_type.split(';').next().unwrap_or("").trim();
        if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return None;
        }
        let mut fields = self.body.split(|byte| *byte == b'&');
        fields.find_map(|field| field.strip_prefix(b"payload=")).map(form_decode)
    }

    /// The body's JSON, also out of a form.
    pub(crate) fn json(&self) -> Result<Value, Unreadable> {
        let decoded = self.form_payload();
        let bytes = decoded.as_deref().unwrap_or(self.body);
        serde_json::from_slice(bytes).map_err(|error| Unreadable::no_json(&error))
    }
}

/// Plus and percent signs back into bytes. What is no escape stays as it is.
fn form_decode(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [byte, after @ ..] = rest {
        rest = after;
        match (*byte, after) {
            (b'+', _) => out.push(b' '),
            (b'%', [high, low, tail @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                out.push(hex_digit(*high) << 4 | hex_digit(*low));
                rest = tail;
            }
            _ => out.push(*byte),
        }
    }
    out
}

fn hex_digit(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        _ => (byte | 0x20) - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_decoded_byte_for_byte() {
        assert_eq!(form_decode(b"%7B%22a%22%3A+%22%C3%a9%22%7d"), "{\"a\": \"é\"}".as_bytes());
        assert_eq!(form_decode(b"100%+%2"), b"100% %2");
    }
}
