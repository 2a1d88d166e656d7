//! Headers of a layer's archive: plain ustar, with PAX records only for what that can't hold.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use tar::{EntryType, Header};

/// Largest numbers of fields with 7 and 11 octal digits.
const MAX_ID: u64 = 0o777_7777;
const MAX_LONG: u64 = 0o777_7777_7777;
const NAME: usize = 100;
const PREFIX: usize = 155;

/// What a header says.
pub(crate) struct Fields<'a> {
    pub(crate) path: &'a Path,
    pub(crate) kind: EntryType,
    pub(crate) link: &'a Path,
    pub(crate) mode: u32,
    pub(crate) user: u32,
    pub(crate) group: u32,
    pub(crate) size: u64,
    pub(crate) time: i64,
}

/// Records of a PAX extended header.
pub(crate) type Records = Vec<(String, Vec<u8>)>;

impl Fields<'_> {
    /// The header, and what it can't hold.
    pub(crate) fn encode(&self) -> (Header, Records) {
        let mut header = Header::new_ustar();
        let mut records = Records::new();
        let mut number = |key: &str, value: u64, max: u64| {
            if value <= max {
                return value;
            }
            records.push((key.to_owned(), value.to_string().into_bytes()));
            0
        };
        header.set_entry_type(self.kind);
        header.set_mode(self.mode & 0o7777);
        header.set_uid(number("uid", u64::from(self.user), MAX_ID));
        header.set_gid(number("gid", u64::from(self.group), MAX_ID));
        header.set_size(number("size", self.size, MAX_LONG));
        match u64::try_from(self.time) {
            Ok(time) => header.set_mtime(number("mtime", time, MAX_LONG)),
            Err(_) => {
                header.set_mtime(0);
                records.push(("mtime".to_owned(), self.time.to_string().into_bytes()));
            }
        }
        let mut path = self.path.as_os_str().as_bytes().to_vec();
        if self.kind == EntryType::Directory {
            path.push(b'/');
        }
        let link = self.link.as_os_str().as_bytes();
        if let Some(ustar) = header.as_ustar_mut() {
            ustar.dev_major = *b"0000000\0";
            ustar.dev_minor = *b"0000000\0";
            match split(&path) {
                Some((prefix, name)) => {
                    fill(&mut ustar.prefix, prefix);
                    fill(&mut ustar.name, name);
                }
                None => {
                    fill(&mut ustar.name, &path);
                    records.push(("path".to_owned(), path));
                }
            }
            fill(&mut ustar.linkname, link);
            if link.len() > NAME {
                records.push(("linkpath".to_owned(), link.to_vec()));
            }
        }
        header.set_cksum();
        (header, records)
    }
}

/// A path as the prefix and the name of a ustar header, if it fits.
fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.len() <= NAME {
        return Some((&[], path));
    }
    let slash = |at: &usize| path.get(*at) == Some(&b'/');
    let first = path.len().checked_sub(NAME + 1)?;
    // Neither part may be empty.
    let at = (first.max(1)..=PREFIX.min(path.len() - 2)).find(slash)?;
    Some((&path[..at], &path[at + 1..]))
}

fn fill(field: &mut [u8], bytes: &[u8]) {
    for (place, byte) in field.iter_mut().zip(bytes) {
        *place = *byte;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(path: &Path) -> Fields<'_> {
        let link = Path::new("");
        Fields { path, kind: EntryType::Regular, link, mode: 0o644, user: 0, group: 0, size: 0, time: 0 }
    }

    #[test]
    fn what_ustar_holds_needs_no_records() {
        let long = format!("{}/{}", "p".repeat(155), "n".repeat(100));
        let (header, records) = fields(Path::new(&long)).encode();
        assert!(records.is_empty());
        assert_eq!(&*header.path_bytes(), long.as_bytes());
    }

    #[test]
    fn what_ustar_can_not_hold_becomes_a_record() {
        let long = "n".repeat(101);
        let mut large = fields(Path::new(&long));
        large.user = 3_000_000;
        large.size = 9 << 30;
        large.time = -1;
        let (_, records) = large.encode();
        let expected = [("uid", "3000000"), ("size", "9663676416"), ("mtime", "-1"), ("path", &long)];
        let expected: Records = expected.map(|(k, v)| (k.to_owned(), v.as_bytes().to_vec())).into();
        assert_eq!(records, expected);
    }
}
