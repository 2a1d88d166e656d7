//! Packs of git made by hand (gitformat-pack(5)), and a host's answers around them (gitprotocol-pack(5), -http(5)): one
//! that is as it should be, and many with a lie each. In: nothing. Out: bytes. Absent: git, which writes none of these.

mod host;

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use sha1::{Digest, Sha1};

pub use host::{ForgingHost, Talk};

const COMMIT: u8 = 1;
const TREE: u8 = 2;
const BLOB: u8 = 3;
const OFS_DELTA: u8 = 6;
const REF_DELTA: u8 = 7;

/// A commit that a host says it has, and what it sends for it.
#[derive(Debug, Clone)]
pub struct ForgedPack {
    /// What is wrong with it.
    pub lie: &'static str,
    /// Id of the commit, in hex.
    pub tip: String,
    pub pack: Vec<u8>,
}

type Id = [u8; 20];

impl ForgedPack {
    /// A commit with the file `word`, which says `hello`.
    #[must_use]
    pub fn honest() -> Self {
        let commit = Commit::of(b"hello\n");
        let objects = commit.objects();
        commit.sends("nothing", &objects, 3)
    }

    /// One of each kind of lie. None of them needs more than some megabytes, neither here nor where it is read.
    #[must_use]
    pub fn lies() -> Vec<Self> {
        let commit = Commit::of(b"hello\n");
        let honest = commit.objects();
        let whole = Self::honest();
        let with = |lie, object: Vec<u8>| {
            let objects: Vec<_> = honest.iter().cloned().chain([object]).collect();
            commit.sends(lie, &objects, 4)
        };
        let without = |lie, number: usize, instead: Vec<u8>| {
            let mut objects = honest.clone();
            objects[number] = instead;
            commit.sends(lie, &objects, 3)
        };
        let cut = |lie, length: usize| Self { lie, pack: whole.pack[..length].to_vec(), ..whole.clone() };
        let mut wrong_sum = Self { lie: "a wrong sum at the end", ..whole.clone() };
        *wrong_sum.pack.last_mut().expect("it has an end") ^= 1;
        let blob = id("blob", b"hello\n");
        let grown = |size: u64, copies: usize| delta(6, size, &[0x90, 6].repeat(copies));
        vec![
            wrong_sum,
            cut("it breaks off", whole.pack.len() / 2),
            cut("it has a head alone", 12),
            cut("nothing", 0),
            Self { lie: "no pack at all", pack: b"<html>".to_vec(), ..whole.clone() },
            commit.sends("four billion objects", &honest, u32::MAX),
            commit.sends("fewer objects than it says", &honest, 5),
            commit.sends("more objects than it says", &honest, 2),
            without("another commit", 0, object(COMMIT, &Commit::of(b"other\n").text)),
            without("a commit that is none", 0, object(COMMIT, b"tree of life\n")),
            without("a tree that is not sent", 1, object(BLOB, b"x")),
            without("a tree that is none", 1, object(TREE, b"100644 word")),
            without("a file that is not sent", 2, object(BLOB, b"x")),
            with("an unknown kind", object(5, b"x")),
            with("no kind", object(0, b"x")),
            with("an object longer than it says", sized(BLOB, 5, &[], &vec![0; 8 << 20])),
            with("an object shorter than it says", sized(BLOB, 1 << 40, &[], b"x")),
            with("no zlib", [&header(BLOB, 20)[..], &[0xff; 40]].concat()),
            with("a base that is not sent", sized(REF_DELTA, 5, &[7; 20], &grown(6, 1))),
            with("a base that is itself", sized(OFS_DELTA, 5, &[0], &grown(6, 1))),
            with("a base before the beginning", sized(OFS_DELTA, 5, &[0xff, 0xff, 0xff, 0x7f], &grown(6, 1))),
            with("a delta of another base", by_id(&blob, &delta(7, 6, &[0x90, 6]))),
            with("a delta that makes more than it says", by_id(&blob, &grown(6, 4000))),
            with("a delta that makes less than it says", by_id(&blob, &grown(1 << 62, 1))),
            with("a copy from behind the end", by_id(&blob, &delta(6, 6, &[0x91, 3, 6]))),
            with("a delta that breaks off", by_id(&blob, &delta(6, 6, &[0x90]))),
            with("a reserved order", by_id(&blob, &delta(6, 6, &[0]))),
        ]
    }

    /// A file of so many bytes, made of nothing by one delta: each order of seven bytes makes sixteen megabytes.
    #[must_use]
    pub fn delta_bomb(bytes: u64) -> Self {
        const PIECE: u64 = 0xff_ffff;
        let commit = Commit::of(&vec![0; usize::try_from(PIECE).expect("it fits")]);
        let base = id("blob", &commit.content);
        let orders = [0xf0, 0xff, 0xff, 0xff].repeat(usize::try_from(bytes / PIECE).expect("it fits"));
        let delta = by_id(&base, &delta(PIECE, bytes / PIECE * PIECE, &orders));
        let objects: Vec<_> = commit.objects().into_iter().chain([delta]).collect();
        commit.sends("a delta bomb", &objects, 4)
    }

    /// A file of so many zeros.
    #[must_use]
    pub fn zeros(bytes: u64) -> Self {
        let mut hash = Sha1::new();
        hash.update(format!("blob {bytes}\0"));
        let mut zlib = ZlibEncoder::new(header(BLOB, bytes), Compression::fast());
        let mut left = bytes;
        let piece = vec![0; 1 << 20];
        while left > 0 {
            let part = &piece[..piece.len().min(usize::try_from(left).unwrap_or(piece.len()))];
            hash.update(part);
            zlib.write_all(part).expect("compressing to memory");
            left -= part.len() as u64;
        }
        let commit = Commit::with_file(hash.finalize().into(), Vec::new());
        let mut objects = commit.objects();
        objects[2] = zlib.finish().expect("compressing to memory");
        commit.sends("a zlib bomb", &objects, 3)
    }
}

/// A commit with one file.
struct Commit {
    text: Vec<u8>,
    tree: Vec<u8>,
    content: Vec<u8>,
}

impl Commit {
    fn of(content: &[u8]) -> Self {
        Self::with_file(id("blob", content), content.to_vec())
    }

    fn with_file(blob: Id, content: Vec<u8>) -> Self {
        let tree = [&b"100644 word\0"[..], &blob].concat();
        let who = "A <a@example.com> 1700000000 +0000";
        let text = format!("tree {}\nauthor {who}\ncommitter {who}\n\nx\n", hex::encode(id("tree", &tree)));
        Self { text: text.into_bytes(), tree, content }
    }

    fn objects(&self) -> Vec<Vec<u8>> {
        vec![object(COMMIT, &self.text), object(TREE, &self.tree), object(BLOB, &self.content)]
    }

    /// With a lie, or none.
    fn sends(&self, lie: &'static str, objects: &[Vec<u8>], count: u32) -> ForgedPack {
        let mut pack = [&b"PACK\0\0\0\x02"[..], &count.to_be_bytes(), &objects.concat()].concat();
        pack.extend(Sha1::digest(&pack));
        ForgedPack { lie, tip: hex::encode(id("commit", &self.text)), pack }
    }
}

fn id(kind: &str, content: &[u8]) -> Id {
    let head = format!("{kind} {}\0", content.len());
    Sha1::new().chain_update(head).chain_update(content).finalize().into()
}

fn object(kind: u8, content: &[u8]) -> Vec<u8> {
    sized(kind, content.len() as u64, &[], content)
}

/// An object that says it has `size` bytes, with what tells its base.
fn sized(kind: u8, size: u64, base: &[u8], content: &[u8]) -> Vec<u8> {
    let mut zlib = ZlibEncoder::new([header(kind, size), base.to_vec()].concat(), Compression::fast());
    zlib.write_all(content).expect("compressing to memory");
    zlib.finish().expect("compressing to memory")
}

fn by_id(base: &Id, delta: &[u8]) -> Vec<u8> {
    sized(REF_DELTA, delta.len() as u64, base, delta)
}

/// Three bits of kind, four of the size, then seven at a time.
fn header(kind: u8, size: u64) -> Vec<u8> {
    let first = kind << 4 | low(size, 0x0f);
    let rest = size >> 4;
    if rest == 0 { vec![first] } else { [vec![first | 0x80], varint(rest)].concat() }
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 0x7f {
        bytes.push(low(number, 0x7f) | 0x80);
        number >>= 7;
    }
    bytes.push(low(number, 0x7f));
    bytes
}

fn low(number: u64, mask: u8) -> u8 {
    u8::try_from(number & u64::from(mask)).expect("the mask has eight bits")
}

/// Orders that make `size` bytes of a base of `base`.
fn delta(base: u64, size: u64, orders: &[u8]) -> Vec<u8> {
    [varint(base), varint(size), orders.to_vec()].concat()
}
