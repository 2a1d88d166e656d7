//! PAX extended headers. Read here, as values may hold any byte: capabilities do hold line ends.

use crate::attributes::Attributes;
use crate::error::Error;

const ATTRIBUTE: &str = "SCHILY.xattr.";

/// What the headers before an entry say about it.
#[derive(Debug, Default)]
pub(crate) struct Pax {
    pub(crate) path: Option<Vec<u8>>,
    pub(crate) link: Option<Vec<u8>>,
    pub(crate) size: Option<u64>,
    pub(crate) user: Option<u64>,
    pub(crate) group: Option<u64>,
    pub(crate) time: Option<(i64, u32)>,
    pub(crate) attributes: Attributes,
}

impl Pax {
    /// Takes the records of one extended header.
    pub(crate) fn read(&mut self, mut data: &[u8]) -> Result<(), Error> {
        let broken = || Error::Invalid("the layer has a broken extended header".to_owned());
        while !data.is_empty() {
            let space = data.iter().position(|byte| *byte == b' ').ok_or_else(broken)?;
            let length: usize = text(&data[..space]).and_then(|text| text.parse().ok()).ok_or_else(broken)?;
            let record = data.get(space + 1..length).ok_or_else(broken)?;
            let record = record.strip_suffix(b"\n").ok_or_else(broken)?;
            let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(broken)?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            if let Some(key) = text(key) {
                self.record(key, value).ok_or_else(broken)?;
            }
            data = &data[length..];
        }
        Ok(())
    }

    fn record(&mut self, key: &str, value: &[u8]) -> Option<()> {
        match key {
            "path" => self.path = Some(value.to_vec()),
            "linkpath" => self.link = Some(value.to_vec()),
            "size" => self.size = Some(text(value)?.parse().ok()?),
            "uid" => self.user = Some(text(value)?.parse().ok()?),
            "gid" => self.group = Some(text(value)?.parse().ok()?),
            "mtime" => self.time = Some(time(text(value)?)?),
            // A sparse file lies in the archive in pieces.
            _ if key.starts_with("GNU.sparse.") => return None,
            _ => {
                if let Some(name) = key.strip_prefix(ATTRIBUTE) {
                    self.attributes.retain(|(known, _)| known != name);
                    self.attributes.push((name.to_owned(), value.to_vec()));
                }
            }
        }
        Some(())
    }
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// `-1.5` is half a second after -2.
fn time(text: &str) -> Option<(i64, u32)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().ok()?;
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let nanoseconds: u32 = digits.parse().ok()?;
    if whole.starts_with('-') && nanoseconds > 0 {
        return Some((seconds.checked_sub(1)?, 1_000_000_000 - nanoseconds));
    }
    Some((seconds, nanoseconds))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing test may panic")]

    use super::*;

    #[test]
    fn values_may_hold_line_ends() {
        let mut pax = Pax::default();
        pax.read(b"30 SCHILY.xattr.user.x=a\n\n=b\n\n15 path=a/b\nc/\n").unwrap();
        assert_eq!(pax.attributes, [("user.x".to_owned(), b"a\n\n=b\n".to_vec())]);
        assert_eq!(pax.path.unwrap(), b"a/b\nc/");
    }

    #[test]
    fn broken_records_are_refused() {
        let records: [&[u8]; 5] = [b"x", b"99 path=a\n", b"0 path=a\n", b"8 path=a", b"9 size=x\n"];
        for record in records {
            assert!(Pax::default().read(record).is_err(), "{record:?}");
        }
    }

    #[test]
    fn times_have_fractions_and_may_lie_before_1970() {
        assert_eq!(time("12.5"), Some((12, 500_000_000)));
        assert_eq!(time("-1.5"), Some((-2, 500_000_000)));
        assert_eq!(time("7"), Some((7, 0)));
        assert_eq!(time("x"), None);
    }
}
