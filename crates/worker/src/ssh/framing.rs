//! Where a git server stops to listen. In: the bytes it says, in pieces of any size. Out: where the flush packet
//! is that ends its turn (gitprotocol-common(5), "pkt-line"). Absent: what the packets mean.

/// As much of the first packet as a person is shown of it.
const SHOWN: usize = 300;

/// Follows one turn of a git server.
#[derive(Debug, Default)]
pub(super) struct Framing {
    /// Digits of a length that is not all there.
    head: Vec<u8>,
    /// Bytes of the packet that are still to come.
    left: usize,
    /// What the first packet says.
    first: Vec<u8>,
    packets: u64,
}

/// It does not speak git's protocol.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotGit;

impl Framing {
    /// Takes the next piece. Answers how many bytes of it belong to this turn, once its end has come.
    pub(super) fn feed(&mut self, piece: &[u8]) -> Result<Option<usize>, NotGit> {
        let mut at = 0;
        while at < piece.len() {
            if self.left > 0 {
                let part = &piece[at..piece.len().min(at + self.left)];
                if self.packets == 1 {
                    let room = SHOWN.saturating_sub(self.first.len());
                    self.first.extend_from_slice(&part[..part.len().min(room)]);
                }
                self.left -= part.len();
                at += part.len();
                continue;
            }
            self.head.push(piece[at]);
            at += 1;
            if self.head.len() < 4 {
                // A login's greeting is told at its first letter.
                self.head.iter().all(u8::is_ascii_hexdigit).then_some(()).ok_or(NotGit)?;
                continue;
            }
            let digits = std::str::from_utf8(&self.head).map_err(|_| NotGit)?;
            let length = usize::from_str_radix(digits, 16).map_err(|_| NotGit)?;
            self.head.clear();
            match length {
                0 => return Ok(Some(at)),
                4.. => self.left = length - 4,
                _ => return Err(NotGit),
            }
            self.packets += 1;
        }
        Ok(None)
    }

    /// The host's words, where it refused in the protocol's own way.
    pub(super) fn refusal(&self) -> Option<String> {
        let words = self.first.strip_prefix(b"ERR ")?;
        Some(String::from_utf8_lossy(words).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fed(bytes: &[u8], size: usize) -> (Result<Option<usize>, NotGit>, Framing) {
        let mut framing = Framing::default();
        let mut so_far = 0;
        for piece in bytes.chunks(size) {
            match framing.feed(piece) {
                Ok(None) => so_far += piece.len(),
                Ok(Some(at)) => return (Ok(Some(so_far + at)), framing),
                Err(error) => return (Err(error), framing),
            }
        }
        (Ok(None), framing)
    }

    #[test]
    fn a_turn_ends_at_its_flush_packet_in_pieces_of_any_size() {
        // A packet may hold what looks like a flush, and may be empty.
        let turn = b"000a00000000080000000400000009done";
        for size in 1..=turn.len() {
            assert_eq!(fed(turn, size).0, Ok(Some(26)), "in pieces of {size}");
            assert_eq!(fed(&turn[..25], size).0, Ok(None), "in pieces of {size}");
        }
    }

    #[test]
    fn what_is_no_packet_is_not_git() {
        for other in [&b"Welcome to host"[..], b"hello", b"0001", b"0003x", b"+123", b"\x00\x00"] {
            assert_eq!(fed(other, 3).0, Err(NotGit), "{}", String::from_utf8_lossy(other));
        }
    }

    #[test]
    fn a_refusal_is_told_from_refs() {
        for size in [1, 5, 100] {
            let (_, framing) = fed(b"0013ERR not for you", size);
            assert_eq!(framing.refusal().as_deref(), Some("not for you"));
            let (_, framing) = fed(b"0008refs0013ERR not for you", size);
            assert_eq!(framing.refusal(), None);
        }
    }
}
