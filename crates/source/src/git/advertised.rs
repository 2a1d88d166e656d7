//! The ref advertisement on its way to libgit2 (git's gitprotocol-pack(5), "Reference Discovery").
//!
//! libgit2 asks for an unadvertised commit only if the server lists `allow-reachable-sha1-in-want`.
//! git's own server does not list it, yet over http it does serve any commit that its refs reach.
//! So the capability is written in, to let the server itself refuse; then deeper fetches follow.

const CAPABILITY: &[u8] = b" allow-reachable-sha1-in-want";

/// Largest advertisement, in bytes: about four million refs.
pub(crate) const MAX_BYTES: u64 = 256 << 20;

/// What a server says it does with a commit id that it did not advertise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ById {
    /// It serves whatever its refs reach: its refusal is final.
    Served,
    /// It does not say.
    Unsaid,
}

/// Writes the capability into the first ref's line. What is not an advertisement stays as it is.
pub(crate) fn allow_commit_ids(advertisement: Vec<u8>) -> (Vec<u8>, ById) {
    let Some(line) = capability_line(&advertisement) else { return (advertisement, ById::Unsaid) };
    let bytes = &advertisement[line.start..line.end];
    let served = |name: &[u8]| bytes.windows(name.len()).any(|window| window == name);
    if served(b"allow-reachable-sha1-in-want") || served(b"allow-any-sha1-in-want") {
        return (advertisement, ById::Served);
    }
    let content = bytes[4..].strip_suffix(b"\n").unwrap_or(&bytes[4..]);
    let length = 4 + content.len() + CAPABILITY.len() + 1;
    let mut changed = advertisement[..line.start].to_vec();
    changed.extend_from_slice(format!("{length:04x}").as_bytes());
    changed.extend_from_slice(content);
    changed.extend_from_slice(CAPABILITY);
    changed.push(b'\n');
    changed.extend_from_slice(&advertisement[line.end..]);
    (changed, ById::Unsaid)
}

/// The first line that holds a NUL, which is where capabilities begin.
fn capability_line(bytes: &[u8]) -> Option<std::ops::Range<usize>> {
    let mut start = 0;
    // The service line, its flush, and the first ref: no more lines have to be looked at.
    for _ in 0..4 {
        let digits = std::str::from_utf8(bytes.get(start..start + 4)?).ok()?;
        let length = usize::from_str_radix(digits, 16).ok()?;
        if length == 0 {
            start += 4;
            continue;
        }
        let end = start + length;
        let line = bytes.get(start + 4..end)?;
        if line.contains(&0) {
            return (length + CAPABILITY.len() < 0xfff0).then_some(start..end);
        }
        start = end;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789012345678901234567890123456789";

    fn advertisement(capabilities: &str) -> Vec<u8> {
        let first = format!("{ID} HEAD\0{capabilities}\n");
        let length = first.len() + 4;
        format!("001e# service=git-upload-pack\n0000{length:04x}{first}003d{ID} refs/heads/x\n0000")
            .into_bytes()
    }

    #[test]
    fn the_capability_is_added_once_and_the_length_follows() {
        let (changed, by_id) = allow_commit_ids(advertisement("side-band-64k agent=git/2"));
        assert_eq!(by_id, ById::Unsaid);
        assert_eq!(changed, advertisement("side-band-64k agent=git/2 allow-reachable-sha1-in-want"));
        assert_eq!(allow_commit_ids(changed.clone()), (changed, ById::Served));
    }

    #[test]
    fn what_is_no_advertisement_stays_as_it_is() {
        for other in [&b""[..], b"<html>", b"001e# service=git-upload-pack\n0000", b"0000zzzz", b"0009\0"] {
            assert_eq!(allow_commit_ids(other.to_vec()), (other.to_vec(), ById::Unsaid));
        }
    }
}
