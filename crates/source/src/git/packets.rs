//! What a host says beside the pack, counted (gitprotocol-common(5), "pkt-line Format"; gitprotocol-capabilities(5),
//! "side-band-64k"): progress, keep-alives, lists of commits. In: the answer to a request for a pack. Out: the same
//! bytes, and an error where there is no end to the talk: libgit2 keeps some of it, and waits for the pack.

use std::io::{self, Read};

/// Most bytes of talk in one answer: git's progress of the largest pack is a few hundred kilobytes.
const MOST: u64 = 16 << 20;

/// The channel of the side band that carries the pack.
const PACK: u8 = 1;

pub(super) struct Packets<R> {
    answer: R,
    place: Place,
    said: u64,
}

/// Where in the answer the next byte is.
enum Place {
    /// In a line's length, of which this much is there.
    Length(Vec<u8>),
    /// In a line, with so many bytes to come: its first one tells what it carries, where it carries anything.
    Line(usize),
    Pack(usize),
    Talk(usize),
    /// No lines any more: the pack itself, without a side band, or what libgit2 has to make something of.
    Rest,
}

/// The host talks on.
#[derive(Debug, thiserror::Error)]
#[error("the host says more than {} MiB beside the pack", MOST >> 20)]
struct EndlessTalk;

impl<R> Packets<R> {
    pub(super) fn of(answer: R) -> Self {
        Self { answer, place: Place::Length(Vec::new()), said: 0 }
    }

    fn hear(&mut self, mut bytes: &[u8]) {
        while let Some((first, rest)) = bytes.split_first() {
            self.place = match std::mem::replace(&mut self.place, Place::Rest) {
                Place::Rest => return,
                Place::Length(mut digits) => {
                    digits.push(*first);
                    bytes = rest;
                    if digits.len() < 4 { Place::Length(digits) } else { self.line(&digits) }
                }
                Place::Line(left) if *first == PACK => {
                    // One without any of it keeps the connection alive.
                    self.said += if left == 1 { 5 } else { 0 };
                    Place::Pack(left)
                }
                Place::Line(left) => {
                    self.said += 4 + left as u64;
                    Place::Talk(left)
                }
                Place::Pack(left) => pass(left, &mut bytes, Place::Pack),
                Place::Talk(left) => pass(left, &mut bytes, Place::Talk),
            };
        }
    }

    /// What a length begins; 0 to 4 are no lines, but marks.
    fn line(&mut self, digits: &[u8]) -> Place {
        let digits = std::str::from_utf8(digits).ok();
        match digits.and_then(|digits| usize::from_str_radix(digits, 16).ok()) {
            Some(0..=4) => {
                self.said += 4;
                Place::Length(Vec::new())
            }
            Some(length) => Place::Line(length - 4),
            None => Place::Rest,
        }
    }
}

/// Goes by what is there of `left` bytes.
fn pass(left: usize, bytes: &mut &[u8], place: fn(usize) -> Place) -> Place {
    let passed = left.min(bytes.len());
    *bytes = &bytes[passed..];
    if passed == left { Place::Length(Vec::new()) } else { place(left - passed) }
}

impl<R: Read> Read for Packets<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.answer.read(buffer)?;
        self.hear(&buffer[..read]);
        if self.said > MOST { Err(io::Error::other(EndlessTalk)) } else { Ok(read) }
    }
}
