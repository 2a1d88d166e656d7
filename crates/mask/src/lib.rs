//! Secrets out of what people read: a build's log, the words of a server that repeats what it was sent. In: secrets;
//! text in pieces of any size. Out: the text, each secret as `***`, also where it lies across pieces, and in the
//! encodings in which tools print one. What is short enough to be a word by chance is left: nobody could read the log
//! any more. Absent: where secrets come from, and how they are kept.

use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use model::Failure;

/// The shortest secret that is masked, in bytes.
const SHORTEST: usize = 4;
/// The shortest line of a secret of several lines.
const SHORTEST_LINE: usize = 8;
const MASK: &[u8] = b"***";

/// What is to be found.
#[derive(Default)]
pub struct Secrets {
    needles: Vec<Vec<u8>>,
}

impl Secrets {
    /// A password, a token, a key.
    #[must_use]
    pub fn with(mut self, secret: &str) -> Self {
        forms(secret, &mut self.needles);
        self
    }

    /// A password, also as basic authentication sends it.
    #[must_use]
    pub fn with_login(mut self, user: &str, password: &str) -> Self {
        encoded(format!("{user}:{password}").as_bytes(), &mut self.needles);
        self.with(password)
    }

    #[must_use]
    pub fn mask(self) -> Mask {
        Mask::of(self.needles)
    }
}

/// Finds some secrets.
#[derive(Clone, Default)]
pub struct Mask {
    /// None where there is nothing to find.
    finder: Option<AhoCorasick>,
    needles: Vec<Vec<u8>>,
}

/// One text that comes in pieces.
pub struct Masked {
    mask: Mask,
    /// The end of what came, where a secret may have begun.
    held: Vec<u8>,
}

impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mask(…)")
    }
}

impl Mask {
    fn of(mut needles: Vec<Vec<u8>>) -> Self {
        needles.sort();
        needles.dedup();
        let finder = (!needles.is_empty())
            .then(|| AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&needles).ok());
        Self { finder: finder.flatten(), needles }
    }

    /// For a text that comes in pieces.
    #[must_use]
    pub fn begin(&self) -> Masked {
        Masked { mask: self.clone(), held: Vec::new() }
    }

    /// A whole text.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        match &self.finder {
            None => text.to_owned(),
            Some(finder) => {
                let masked = finder.replace_all_bytes(text.as_bytes(), &vec![MASK; self.needles.len()]);
                String::from_utf8_lossy(&masked).into_owned()
            }
        }
    }

    /// A failure's words, and the line it shows.
    #[must_use]
    pub fn failure(&self, mut failure: Failure) -> Failure {
        if self.finder.is_some() {
            failure.message = self.text(&failure.message);
            failure.hint = self.text(&failure.hint);
            if let Some(location) = &mut failure.location {
                location.text = self.text(&location.text);
            }
        }
        failure
    }

    /// How many of the last bytes may be the beginning of a secret.
    fn undecided(&self, text: &[u8]) -> usize {
        let begun = |needle: &Vec<u8>| {
            let most = text.len().min(needle.len() - 1);
            (1..=most).rev().find(|&length| text.ends_with(&needle[..length])).unwrap_or(0)
        };
        self.needles.iter().map(begun).max().unwrap_or(0)
    }
}

impl Masked {
    /// What is certain so far.
    pub fn push(&mut self, piece: &[u8]) -> Vec<u8> {
        let Some(finder) = &self.mask.finder else { return piece.to_vec() };
        let mut text = std::mem::take(&mut self.held);
        text.extend_from_slice(piece);
        // What begins from here on may still become another, longer secret.
        let open = text.len() - self.mask.undecided(&text);
        let (mut certain, mut at) = (Vec::with_capacity(text.len()), 0);
        for found in finder.find_iter(&text).take_while(|found| found.start() < open) {
            certain.extend_from_slice(&text[at..found.start()]);
            certain.extend_from_slice(MASK);
            at = found.end();
        }
        let rest = &text[at..];
        let decided = rest.len() - self.mask.undecided(rest);
        certain.extend_from_slice(&rest[..decided]);
        self.held = rest[decided..].to_vec();
        certain
    }

    /// The rest: nothing comes after it.
    pub fn end(&mut self) -> Vec<u8> {
        let rest = std::mem::take(&mut self.held);
        match &self.mask.finder {
            None => rest,
            Some(finder) => finder.replace_all_bytes(&rest, &vec![MASK; self.mask.needles.len()]),
        }
    }
}

/// The ways in which a secret appears.
fn forms(secret: &str, needles: &mut Vec<Vec<u8>>) {
    let whole = secret.trim_end_matches(['\n', '\r']);
    if whole.len() < SHORTEST {
        return;
    }
    needles.push(whole.as_bytes().to_vec());
    for line in whole.lines().map(str::trim).filter(|line| line.len() >= SHORTEST_LINE) {
        needles.push(line.as_bytes().to_vec());
    }
    let json = serde_json::Value::from(whole).to_string();
    needles.push(json.trim_matches('"').as_bytes().to_vec());
    let hex: String = whole.bytes().map(|byte| format!("{byte:02x}")).collect();
    needles.push(hex.to_ascii_uppercase().into_bytes());
    needles.push(hex.into_bytes());
    needles.extend([percent(whole, true), percent(whole, false)]);
    encoded(whole.as_bytes(), needles);
    encoded(secret.as_bytes(), needles);
}

/// Base64 of something that has it at its beginning, or behind one or two other bytes: without the characters
/// that also depend on what stands before and after.
fn encoded(secret: &[u8], needles: &mut Vec<Vec<u8>>) {
    for shift in 0..3_usize {
        let shifted: Vec<u8> = std::iter::repeat_n(0, shift).chain(secret.iter().copied()).collect();
        let from = [0, 2, 3][shift];
        let certain = shifted.len() * 8 / 6;
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            let text = engine.encode(&shifted);
            if let Some(inner) = text.as_bytes().get(from..certain).filter(|inner| inner.len() >= SHORTEST) {
                needles.push(inner.to_vec());
            }
        }
    }
}

/// RFC 3986 wants upper case; many write lower case.
fn percent(text: &str, upper: bool) -> Vec<u8> {
    let mut out = Vec::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(byte),
            _ if upper => out.extend_from_slice(format!("%{byte:02X}").as_bytes()),
            _ => out.extend_from_slice(format!("%{byte:02x}").as_bytes()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(secrets: &[&str]) -> Mask {
        secrets.iter().fold(Secrets::default(), |all, secret| all.with(secret)).mask()
    }

    /// In pieces of each size, the same comes out.
    fn through(mask: &Mask, text: &str) -> String {
        let whole = mask.text(text);
        for size in 1..=text.len() {
            let mut masked = mask.begin();
            let mut out: Vec<u8> =
                text.as_bytes().chunks(size).flat_map(|piece| masked.push(piece)).collect();
            out.extend(masked.end());
            assert_eq!(String::from_utf8_lossy(&out), whole, "in pieces of {size}");
        }
        whole
    }

    #[test]
    fn a_secret_is_found_across_pieces_of_any_size() {
        let mask = mask(&["hunter2hunter2", "hunter2"]);
        assert_eq!(
            through(&mask, "pw=hunter2hunter2;hunter2 hunter\nhunhunter2\n"),
            "pw=***;*** hunter\nhun***\n"
        );
        assert_eq!(through(&mask, "hunter2hunter"), "***hunter");
        assert_eq!(through(&mask, "nothing"), "nothing");
    }

    #[test]
    fn a_secret_within_another_does_not_give_the_other_away() {
        let mask = mask(&["abcdefgh", "cdef"]);
        assert_eq!(through(&mask, "abcdefgh abcdef cdef\n"), "*** ab*** ***\n");
    }

    #[test]
    fn encodings_of_a_secret_are_found() {
        let secret = "p4ss/w\"rd+ü~1";
        let mask = mask(&[secret]);
        for before in ["", "a", "ab", "abc", "user:"] {
            for after in ["", "z", "zz", "\n"] {
                let text = format!("{before}{secret}{after}");
                for printed in [STANDARD_NO_PAD.encode(&text), URL_SAFE_NO_PAD.encode(&text)] {
                    let masked = through(&mask, &printed);
                    assert!(masked.contains("***") && masked.len() <= 3 + 8 + 2 * before.len(), "{masked}");
                }
            }
        }
        assert_eq!(through(&mask, &serde_json::Value::from(secret).to_string()), "\"***\"");
        assert_eq!(through(&mask, "p4ss%2Fw%22rd%2B%C3%BC~1"), "***");
        assert_eq!(through(&mask, "p4ss%2fw%22rd%2b%c3%bc~1"), "***");
        let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(through(&mask, &format!("{hex} {}", hex.to_ascii_uppercase())), "*** ***");
    }

    #[test]
    fn each_line_of_a_key_is_found_and_short_words_are_left() {
        let key = mask(&["-----BEGIN KEY-----\nabcdefghij\nab\n-----END KEY-----\n", "on"]);
        assert_eq!(through(&key, "x abcdefghij on ab\n"), "x *** on ab\n");
    }

    #[test]
    fn a_password_is_found_as_the_header_has_it() {
        let mask = Secrets::default().with_login("ci", "tok3n-123").mask();
        let header = format!("Basic {}", STANDARD_NO_PAD.encode("ci:tok3n-123"));
        assert!(through(&mask, &header).starts_with("Basic ***"));
        let failure = Failure::user("x", "with tok3n-123", "no tok3n-123");
        assert_eq!(mask.failure(failure).to_string(), "with *** (x)\nhint: no ***");
    }
}
