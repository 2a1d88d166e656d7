//! What a git host says around a forged pack, and the host: git's smart http protocol as far as one shallow fetch goes.

use std::io::{self, BufRead, BufReader, Cursor, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use super::ForgedPack;
use crate::GIT_HOSTS;

/// What a host says instead of the pack, for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Talk {
    Progress,
    /// The pack's channel, and nothing in it.
    KeepAlives,
    /// Commits whose parents it does not send.
    Commits,
}

/// Sends a forged pack to whoever asks, and ends with the process.
#[derive(Debug)]
pub struct ForgingHost {
    address: SocketAddr,
}

impl ForgedPack {
    /// The ref advertisement, with the tip as `main`.
    #[must_use]
    pub fn advertisement(&self) -> Vec<u8> {
        let tip = &self.tip;
        let capabilities =
            "multi_ack_detailed side-band-64k thin-pack shallow ofs-delta symref=HEAD:refs/heads/main";
        [
            &line(b"# service=git-upload-pack\n")[..],
            b"0000",
            &line(format!("{tip} HEAD\0{capabilities}\n").as_bytes()),
            &line(format!("{tip} refs/heads/main\n").as_bytes()),
            b"0000",
        ]
        .concat()
    }

    /// The answer to a request for a pack, on the side band.
    #[must_use]
    pub fn answer(&self, request: &[u8], talk: Option<Talk>) -> Box<dyn Read + Send> {
        let has = |word: &[u8]| request.windows(word.len()).any(|part| part == word);
        let mut head = Vec::new();
        if has(b"deepen ") && talk == Some(Talk::Commits) {
            return Box::new(Endless::of(line(format!("shallow {}", self.tip).as_bytes())));
        }
        if has(b"deepen ") {
            head.extend(line(format!("shallow {}", self.tip).as_bytes()));
            head.extend(b"0000");
        }
        if !has(b"done") {
            return Box::new(Cursor::new(head));
        }
        head.extend(line(b"NAK\n"));
        match talk {
            None => {
                self.pack.chunks(65_000).for_each(|part| head.extend(line(&[b"\x01", part].concat())));
                head.extend(b"0000");
                Box::new(Cursor::new(head))
            }
            Some(Talk::KeepAlives) => Box::new(Cursor::new(head).chain(Endless::of(line(b"\x01")))),
            Some(_) => Box::new(Cursor::new(head).chain(Endless::of(line(b"\x02Counting objects: 1\r")))),
        }
    }
}

impl ForgingHost {
    /// Listens where git hosts of tests do.
    ///
    /// # Panics
    /// Nothing can listen there.
    #[must_use]
    pub fn start(pack: ForgedPack) -> Self {
        let listener = TcpListener::bind((GIT_HOSTS, 0)).expect("loopback");
        let address = listener.local_addr().expect("it listens");
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let pack = pack.clone();
                std::thread::spawn(move || serve(connection, &pack));
            }
        });
        Self { address }
    }

    /// Of its repository.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/repository.git", self.address)
    }
}

/// One request.
fn serve(mut connection: TcpStream, pack: &ForgedPack) -> io::Result<()> {
    let mut reader = BufReader::new(connection.try_clone()?);
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first)?;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        match header.trim_end().to_ascii_lowercase().split_once(':') {
            Some(("content-length", value)) => length = value.trim().parse().unwrap_or(0),
            Some(_) => {}
            None => break,
        }
    }
    let mut request = vec![0; length];
    reader.read_exact(&mut request)?;
    let (kind, mut answer): (_, Box<dyn Read>) = if first.starts_with("GET ") {
        ("advertisement", Box::new(Cursor::new(pack.advertisement())))
    } else {
        ("result", pack.answer(&request, None))
    };
    write!(
        connection,
        "HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-{kind}\r\nConnection: close\r\n\r\n"
    )?;
    io::copy(&mut answer, &mut connection).map(drop)
}

/// With its length in front.
fn line(content: &[u8]) -> Vec<u8> {
    [format!("{:04x}", content.len() + 4).as_bytes(), content].concat()
}

/// The same bytes again and again.
struct Endless {
    bytes: Vec<u8>,
    at: usize,
}

impl Endless {
    fn of(line: Vec<u8>) -> Self {
        Self { at: 0, bytes: line.repeat(100) }
    }
}

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = (&self.bytes[self.at..]).read(buffer)?;
        self.at = (self.at + read) % self.bytes.len();
        Ok(read)
    }
}
