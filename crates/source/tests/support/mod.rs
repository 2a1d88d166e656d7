//! An outside in memory: git over plain HTTP/1.0 to a test server, uploads from bytes. What a source
//! never asks fails the test.

use std::io::{Cursor, Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;

use model::{Descriptor, Digest, Failure, ImageReference, Platform, ResolvedImage};
use port::{BlobReady, ByteStream, CacheHit, CacheKey, NewBlob, Outside, Progress};
use test_support::{ForgedPack, Talk};

/// What it is told and what it answers.
#[derive(Default)]
pub(crate) struct TestOutside {
    /// Address of a repository.
    pub(crate) url: String,
    /// The uploaded archive.
    pub(crate) upload: Vec<u8>,
    /// Refuse a want that was not advertised, as git's own client-side rule has it.
    pub(crate) strict: bool,
    /// Answer every pack request with this.
    pub(crate) failure: Option<Failure>,
    /// Play a host that sends this, or talks for ever.
    pub(crate) forged: Option<(ForgedPack, Option<Talk>)>,
    pub(crate) log: Mutex<String>,
    /// Objects in each pack that was sent.
    pub(crate) packs: Mutex<Vec<u32>>,
    pub(crate) advertised: Mutex<String>,
}

impl TestOutside {
    pub(crate) fn git(url: &str) -> Self {
        Self { url: url.to_owned(), ..Self::default() }
    }

    pub(crate) fn archive(bytes: Vec<u8>) -> Self {
        Self { upload: bytes, ..Self::default() }
    }

    /// Body of the answer; the head must say 200.
    fn request(&self, method: &str, path: &str, content_type: &str, body: &[u8]) -> Vec<u8> {
        let (host, repository) = self.url.trim_start_matches("http://").split_once('/').expect("a path");
        let mut connection = TcpStream::connect(host).expect("the git server listens");
        let length = body.len();
        write!(
            connection,
            "{method} /{repository}{path} HTTP/1.0\r\nHost: {host}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n"
        )
        .expect("the server reads");
        connection.write_all(body).expect("the server reads");
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer).expect("the server answers");
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
        let end = answer.windows(4).position(|w| w == b"\r\n\r\n").expect("an end of the head");
        answer.split_off(end + 4)
    }

    fn refuses(&self, request: &[u8]) -> bool {
        let request = String::from_utf8_lossy(request);
        let advertised = self.advertised.lock().expect("no panic elsewhere");
        let mut wants = request.split("want ").skip(1);
        self.strict && wants.any(|want| !advertised.contains(&want[..40]))
    }
}

impl Outside for TestOutside {
    fn fetch_url(&self, _: &str) -> Result<port::Fetched, Failure> {
        unreachable!("no source is a file at an address")
    }

    fn git_refs(&self) -> Result<ByteStream, Failure> {
        if let Some((pack, _)) = &self.forged {
            return Ok(ByteStream::whole(Cursor::new(pack.advertisement())));
        }
        let refs = self.request("GET", "/info/refs?service=git-upload-pack", "", b"");
        *self.advertised.lock().expect("no panic elsewhere") = String::from_utf8_lossy(&refs).into_owned();
        Ok(ByteStream::whole(Cursor::new(refs)))
    }

    fn git_upload_pack(&self, request: &[u8]) -> Result<ByteStream, Failure> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        if let Some((pack, talk)) = &self.forged {
            return Ok(ByteStream::whole(pack.answer(request, *talk)));
        }
        if self.refuses(request) {
            return Ok(ByteStream::whole(&b"0025ERR upload-pack: not our ref 0000"[..]));
        }
        let answer =
            self.request("POST", "/git-upload-pack", "application/x-git-upload-pack-request", request);
        if let Some(at) = answer.windows(8).position(|w| w == b"PACK\0\0\0\x02") {
            let count = u32::from_be_bytes(answer[at + 8..at + 12].try_into().expect("four bytes"));
            self.packs.lock().expect("no panic elsewhere").push(count);
        }
        Ok(ByteStream::whole(Cursor::new(answer)))
    }

    fn upload(&self) -> Result<ByteStream, Failure> {
        Ok(ByteStream::whole(Cursor::new(self.upload.clone())))
    }

    fn source_found(&self, _: &model::GitRevision) -> Result<(), Failure> {
        Ok(())
    }

    fn resolve(&self, _: &ImageReference, _: &Platform) -> Result<ResolvedImage, Failure> {
        panic!("a source asks for no image")
    }

    fn image_blob(&self, _: &ImageReference, _: &Descriptor) -> Result<std::fs::File, Failure> {
        panic!("a source asks for no blob")
    }

    fn unpacked(&self, _: &[port::BaseLayer]) -> Result<Vec<Digest>, Failure> {
        panic!("a source asks for no layer")
    }

    fn stored_blob(&self, _: &Digest) -> Result<std::fs::File, Failure> {
        panic!("a source asks for no blob")
    }

    fn cache_lookup(&self, _: &[CacheKey]) -> Result<Vec<Option<CacheHit>>, Failure> {
        panic!("a source asks for no cache")
    }

    fn new_blob(&self) -> Result<NewBlob, Failure> {
        panic!("a source writes no blob")
    }

    fn blob_ready(&self, _: BlobReady) -> Result<(), Failure> {
        panic!("a source writes no blob")
    }

    fn secret(&self, _: &str) -> Result<Option<port::Secret>, Failure> {
        panic!("a source needs no secret")
    }

    fn network(&self) -> Result<(), Failure> {
        panic!("a source runs nothing")
    }

    fn log(&self, lines: &str) {
        self.log.lock().expect("no panic elsewhere").push_str(lines);
    }

    fn progress(&self, _: Progress) {}

    fn vertex(&self, _: port::VertexEvent) {}
}
