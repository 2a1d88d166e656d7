//! What hyper answers by itself, before there is a request that a handler could see: to a head that is too large or
//! can't be parsed. In: bytes on their way to a client. Out: the same bytes, except that such an answer, which has
//! no body, is a problem as all others are. hyper has no hook for it (hyperium/hyper, issue 3844). Absent: HTTP/2,
//! where a broken head ends the connection and `head` refuses a large one.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use uuid::Uuid;

use super::kind;
use super::problem::Problem;

/// Longer than any answer of hyper's own.
const LONGEST: usize = 256;

/// A connection whose bare refusals are given a body.
pub(crate) struct Bare<T> {
    inner: T,
    /// What is written instead, and how far it is.
    instead: Option<(Vec<u8>, usize)>,
}

impl<T> Bare<T> {
    pub(crate) fn new(inner: T) -> Self {
        Self { inner, instead: None }
    }
}

/// The status, where this is hyper's refusal and nothing else. Every answer of ours has an `x-request-id`.
fn refusal(written: &[u8]) -> Option<StatusCode> {
    let text = std::str::from_utf8(written).ok().filter(|text| text.len() <= LONGEST)?;
    let (line, headers) = text.strip_suffix("\r\n\r\n")?.split_once("\r\n")?;
    let status: u16 = line.strip_prefix("HTTP/1.")?.get(2..5)?.parse().ok()?;
    let has = |wanted: &str| headers.split("\r\n").any(|header| header.eq_ignore_ascii_case(wanted));
    let only = |header: &str| {
        let (name, _) = header.split_once(':').unwrap_or((header, ""));
        ["connection", "content-length", "date"].iter().any(|known| name.eq_ignore_ascii_case(known))
    };
    let is_bare = has("content-length: 0") && has("connection: close") && headers.split("\r\n").all(only);
    StatusCode::from_u16(status).ok().filter(|status| status.is_client_error() && is_bare)
}

/// The whole answer.
fn problem(status: StatusCode) -> Vec<u8> {
    let id = Uuid::now_v7().to_string();
    tracing::info!(status = status.as_u16(), request_id = id, "a request that can't be read was refused");
    let problem = match status {
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => super::head::too_large(),
        StatusCode::URI_TOO_LONG => super::head::address_too_long(),
        _ => Problem::new(
            &kind::REQUEST_INVALID,
            "What came is no HTTP request.",
            "Does the client speak https where the service speaks http, or does it send what a header can't hold?",
        ),
    };
    let body = serde_json::to_string(&problem.body("", &id)).unwrap_or_default();
    let (code, reason) = (status.as_str(), status.canonical_reason().unwrap_or_default());
    let length = body.len();
    format!(
        "HTTP/1.1 {code} {reason}\r\ncontent-type: application/problem+json\r\ncache-control: no-store\r\n\
         x-request-id: {id}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

impl<T: AsyncWrite + Unpin> Bare<T> {
    /// Writes `instead`, and then answers for all of the `length` bytes that it stands for.
    fn poll_instead(&mut self, context: &mut Context<'_>, length: usize) -> Poll<io::Result<usize>> {
        while let Some((bytes, at)) = &mut self.instead {
            match ready!(Pin::new(&mut self.inner).poll_write(context, &bytes[*at..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => *at += written,
            }
            if *at == bytes.len() {
                self.instead = None;
            }
        }
        Poll::Ready(Ok(length))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Bare<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.instead.is_none() {
            let Some(status) = refusal(bytes) else {
                return Pin::new(&mut self.inner).poll_write(context, bytes);
            };
            self.instead = Some((problem(status), 0));
        }
        self.poll_instead(context, bytes.len())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut filled = slices.iter().filter(|slice| !slice.is_empty());
        match (filled.next(), filled.next()) {
            (Some(one), None) => self.poll_write(context, one),
            _ => Pin::new(&mut self.inner).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Bare<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_ours_is_no_refusal_of_hypers() {
        let bare = "HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\ndate: Thu, 01 Jan 2026 00:00:00 GMT\r\n\r\n";
        assert_eq!(refusal(bare.as_bytes()), Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
        for other in [
            bare.replace("date:", "x-request-id: 1\r\ndate:"),
            bare.replace("431", "200"),
            bare.replace("length: 0", "length: 1"),
            bare.replace("connection: close\r\n", ""),
            format!("{bare}HTTP"),
        ] {
            assert_eq!(refusal(other.as_bytes()), None, "{other}");
        }
    }
}
