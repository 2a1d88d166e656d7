//! Requests and answers, as far as a proxy needs to know them: heads, and how long bodies are (RFC 9112).

use tokio::io::{AsyncRead, AsyncReadExt};

use super::RegistryFault;

/// A whole request.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    /// Without the one that says what becomes of the connection.
    headers: Vec<(String, String)>,
    /// As it came, with the sizes of its pieces where it has them.
    pub(super) body: Vec<u8>,
}

impl Request {
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut text = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            text += &format!("{name}: {value}\r\n");
        }
        text += "Connection: close\r\n\r\n";
        [text.as_bytes(), &self.body].concat()
    }
}

pub(super) async fn read_request(from: &mut (impl AsyncRead + Unpin)) -> Option<Request> {
    let (head, mut rest) = read_head(from).await?;
    let mut lines = head.split("\r\n");
    let mut words = lines.next()?.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .filter(|(name, _)| name != "connection")
        .collect();
    let header = |name: &str| headers.iter().find(|(known, _)| known == name).map(|(_, value)| value);
    if header("transfer-encoding").is_some_and(|value| value.contains("chunked")) {
        while !rest.ends_with(b"0\r\n\r\n") {
            more(from, &mut rest).await?;
        }
    } else if let Some(length) = header("content-length").and_then(|length| length.parse::<usize>().ok()) {
        while rest.len() < length {
            more(from, &mut rest).await?;
        }
    }
    Some(Request { method, path, headers, body: rest })
}

/// Up to the end of the connection, which was asked to be closed.
pub(super) async fn read_answer(from: &mut (impl AsyncRead + Unpin)) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes).await.ok()?;
    bytes.starts_with(b"HTTP/1.").then_some(bytes)
}

async fn read_head(from: &mut (impl AsyncRead + Unpin)) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        more(from, &mut bytes).await?;
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            bytes.truncate(end);
            return Some((String::from_utf8(bytes).ok()?, rest));
        }
    }
}

async fn more(from: &mut (impl AsyncRead + Unpin), bytes: &mut Vec<u8>) -> Option<()> {
    (from.read_buf(bytes).await.ok()? > 0).then_some(())
}

/// An answer that no registry gave. None: the connection ends without one.
pub(super) fn made_up(fault: RegistryFault, request: &Request) -> Option<Vec<u8>> {
    let (status, headers, body) = match fault {
        RegistryFault::Busy(wait) => {
            let wait = wait.map(|seconds| format!("Retry-After: {seconds}\r\n")).unwrap_or_default();
            let body = r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"too many requests"}]}"#;
            ("429 Too Many Requests".to_owned(), wait, body)
        }
        RegistryFault::Broken(status) => (format!("{status} Broken"), String::new(), "<html>broken</html>"),
        RegistryFault::LostBlob => {
            let digest = request.path.split("digest=").nth(1)?.split('&').next()?.replace("%3A", ":");
            let repository = request.path.strip_prefix("/v2/")?.split("/blobs/").next()?;
            let headers =
                format!("Location: /v2/{repository}/blobs/{digest}\r\nDocker-Content-Digest: {digest}\r\n");
            ("201 Created".to_owned(), headers, "")
        }
        _ => return None,
    };
    let body = if request.method == "HEAD" { "" } else { body };
    let head =
        format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    Some([head, body.to_owned()].concat().into_bytes())
}
