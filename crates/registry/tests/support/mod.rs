//! A server on loopback that answers by a script.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use model::ImageReference;

/// Status line, further header lines (each with its end), body.
pub(crate) type Answer = (&'static str, String, Vec<u8>);

/// A server on loopback that answers by a script and keeps the heads of its requests.
pub(crate) struct Scripted {
    pub(crate) address: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    pub(crate) fn start(script: impl Fn(&str, &str) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let (ours, theirs) = (address.clone(), Arc::clone(&heads));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let head = head(&stream);
                theirs.lock().unwrap().push(head.clone());
                answer(stream, &script(&ours, &head));
            }
        });
        Self { address, heads }
    }

    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    pub(crate) fn image(&self) -> ImageReference {
        format!("{}/a:1", self.address).parse().unwrap()
    }
}

fn head(mut stream: &TcpStream) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) > 0 {
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    // A connection that is closed over what was not read loses the answer.
    let length =
        head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let _ = std::io::copy(&mut stream.take(length.unwrap_or(0)), &mut std::io::sink());
    head
}

fn answer(mut stream: TcpStream, (status, headers, body): &Answer) {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n");
    // A client that has read enough goes away.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
}
