//! One packet: a JSON message and the descriptors beside it, over a Unix socketpair of type
//! `SEQPACKET`. A message too large for a packet travels in a sealed memory file, so no size is
//! special to the layers above. The other end may be hostile: sizes are capped, and only sealed
//! memory files are read.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, sendmsg,
    socketpair,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The largest message, in bytes of JSON.
pub const MAX_MESSAGE: usize = 16 << 20;
/// What goes into the packet itself; the rest takes a memory file.
const INLINE: usize = 32 << 10;
/// Descriptors beside one message, the memory file among them.
const MAX_DESCRIPTORS: usize = 4;
const AS_BYTES: u8 = b'{';
const AS_FILE: u8 = b'@';

/// One end of the port.
#[derive(Debug)]
pub struct Channel {
    socket: OwnedFd,
}

/// What one packet carried.
#[derive(Debug)]
pub struct Packet<T> {
    pub message: T,
    pub descriptors: Vec<OwnedFd>,
}

impl Channel {
    /// Both ends. They are closed on exec; a spawner passes one on by hand.
    ///
    /// # Errors
    /// No descriptors are left.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (ours, theirs) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
        Ok((Self { socket: ours }, Self { socket: theirs }))
    }

    /// An end that was inherited.
    #[must_use]
    pub fn from_socket(socket: OwnedFd) -> Self {
        Self { socket }
    }

    /// Sends one message; blocks while the other end does not read.
    ///
    /// # Errors
    /// The other end is gone, or the message is too large.
    pub fn send<T: Serialize>(&self, message: &T, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let json = serde_json::to_vec(message)?;
        if json.len() <= INLINE {
            return self.send_packet(AS_BYTES, &json, descriptors);
        }
        let file = sealed_file(&json)?;
        let mut all = vec![file.as_fd()];
        all.extend_from_slice(descriptors);
        self.send_packet(AS_FILE, &[], &all)
    }

    fn send_packet(&self, kind: u8, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let raw: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&raw)];
        let control: &[ControlMessage<'_>] = if raw.is_empty() { &[] } else { &rights };
        let slices = [IoSlice::new(std::slice::from_ref(&kind)), IoSlice::new(bytes)];
        loop {
            match sendmsg::<()>(self.socket.as_raw_fd(), &slices, control, MsgFlags::MSG_NOSIGNAL, None) {
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
                Ok(_) => return Ok(()),
            }
        }
    }

    /// The next message; none when the other end is gone.
    ///
    /// # Errors
    /// The other end sent what is not a message of this type.
    pub fn receive<T: DeserializeOwned>(&self) -> io::Result<Option<Packet<T>>> {
        let Some((bytes, mut descriptors)) = self.receive_packet()? else { return Ok(None) };
        let json = match bytes.split_first() {
            Some((&AS_BYTES, json)) => json.to_vec(),
            Some((&AS_FILE, _)) if !descriptors.is_empty() => {
                read_sealed_file(descriptors.remove(0), MAX_MESSAGE)?
            }
            _ => return Err(invalid("a packet of no known kind")),
        };
        Ok(Some(Packet { message: serde_json::from_slice(&json)?, descriptors }))
    }

    fn receive_packet(&self) -> io::Result<Option<(Vec<u8>, Vec<OwnedFd>)>> {
        let mut buffer = vec![0_u8; INLINE + 1];
        let mut space = nix::cmsg_space!([RawFd; MAX_DESCRIPTORS]);
        let (count, truncated, descriptors) = loop {
            let mut slices = [IoSliceMut::new(&mut buffer)];
            let flags = MsgFlags::MSG_CMSG_CLOEXEC;
            match recvmsg::<()>(self.socket.as_raw_fd(), &mut slices, Some(&mut space), flags) {
                Err(Errno::EINTR) => {}
                Err(Errno::ECONNRESET) => return Ok(None),
                Err(error) => return Err(error.into()),
                Ok(message) => {
                    let mut descriptors = Vec::new();
                    for control in message.cmsgs()? {
                        if let ControlMessageOwned::ScmRights(raw) = control {
                            descriptors.extend(raw.into_iter().map(own));
                        }
                    }
                    let cut = MsgFlags::MSG_TRUNC | MsgFlags::MSG_CTRUNC;
                    break (message.bytes, message.flags.intersects(cut), descriptors);
                }
            }
        };
        if truncated {
            return Err(invalid("a packet over the limit"));
        }
        if count == 0 {
            return Ok(None);
        }
        buffer.truncate(count);
        Ok(Some((buffer, descriptors)))
    }

    /// Ends both directions: every blocked call on either end returns.
    pub fn shut_down(&self) {
        let _ = nix::sys::socket::shutdown(self.socket.as_raw_fd(), nix::sys::socket::Shutdown::Both);
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[expect(unsafe_code, reason = "a descriptor that SCM_RIGHTS delivered has no other owner")]
fn own(raw: RawFd) -> OwnedFd {
    // SAFETY: the kernel made this descriptor for the message just received, and nothing else holds it.
    unsafe { OwnedFd::from_raw_fd(raw) }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

/// A memory file that nobody can change any more.
///
/// # Errors
/// No memory or no descriptors are left.
pub fn sealed_file(bytes: &[u8]) -> io::Result<File> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let mut file = File::from(memfd_create(c"slipway-message", flags)?);
    file.write_all(bytes)?;
    fcntl(&file, FcntlArg::F_ADD_SEALS(needed_seals()))?;
    Ok(file)
}

/// The bytes of a file that the other end passed. Anything but a sealed memory file is refused: it
/// could change while it is read, or never answer.
///
/// # Errors
/// Not sealed, or larger than `limit`.
pub fn read_sealed_file(file: OwnedFd, limit: usize) -> io::Result<Vec<u8>> {
    let seals = fcntl(&file, FcntlArg::F_GET_SEALS).map_err(|_| invalid("not a memory file"))?;
    if !SealFlag::from_bits_truncate(seals).contains(needed_seals()) {
        return Err(invalid("an unsealed memory file"));
    }
    let file = File::from(file);
    let size = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    if size > limit {
        return Err(invalid("a memory file over the limit"));
    }
    let mut bytes = vec![0; size];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

fn needed_seals() -> SealFlag {
    SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_GROW
}

/// A file read from its start whatever its shared offset is.
#[derive(Debug)]
pub(crate) struct FromStart {
    file: File,
    offset: u64,
}

impl FromStart {
    pub(crate) fn new(file: File) -> Self {
        Self { file, offset: 0 }
    }
}

impl Read for FromStart {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn a_message_of_any_size_arrives_with_its_descriptors() {
        let (a, b) = Channel::pair().unwrap();
        for size in [0, INLINE - 2, INLINE, 3 << 20] {
            let text = "x".repeat(size);
            let file = sealed_file(b"beside").unwrap();
            a.send(&text, &[file.as_fd()]).unwrap();
            let packet: Packet<String> = b.receive().unwrap().unwrap();
            assert_eq!(packet.message.len(), size);
            let beside = packet.descriptors.into_iter().next().unwrap();
            assert_eq!(read_sealed_file(beside, 10).unwrap(), b"beside");
        }
        drop(a);
        assert!(b.receive::<String>().unwrap().is_none());
    }

    #[test]
    fn a_file_that_could_change_is_not_read() {
        let (reader, _writer) = std::io::pipe().unwrap();
        assert!(read_sealed_file(reader.into(), 10).is_err());
        let open = memfd_create(c"open", MFdFlags::MFD_ALLOW_SEALING).unwrap();
        assert!(read_sealed_file(open, 10).is_err());
        assert!(read_sealed_file(sealed_file(b"too long").unwrap().into(), 3).is_err());
    }
}
