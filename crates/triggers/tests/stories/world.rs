//! A fixture from disk as a delivery, and the hook it was sent to.

use model::GitHost;
use time::OffsetDateTime;
use triggers::{Delivery, Event, PullRequest, Push, Refused, Unreadable, Verified};

pub(crate) const SECRET: &str = "It's a Secret to Everybody";
pub(crate) const SIGNING_KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
pub(crate) const SIGNED_AT: i64 = 1_767_225_600;

/// The commits that fixtures go from, go to, and name as an annotated tag.
pub(crate) const BEFORE: &str = "28e1879d029cb852e4844d9c718537df08844e03";
pub(crate) const AFTER: &str = "bffeb74224043ba2feb48d137756c8a9331c449a";
pub(crate) const ODD_BRANCH: &str = "refs/heads/feature/it's-\"quoted\"/größe-日本";

#[derive(Clone)]
pub(crate) struct Sent {
    pub(crate) host: GitHost,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) now: i64,
}

/// `name` is `<folder>/<what it shows>`.
pub(crate) fn sent(name: &str) -> Sent {
    let path = format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    let body = std::fs::read(format!("{path}.json")).or_else(|_| std::fs::read(format!("{path}.form")));
    let headers = std::fs::read_to_string(format!("{path}.headers")).expect("headers beside the body");
    let folder = name.split('/').next().unwrap();
    let host = if folder == "forgejo" { "gitea" } else { folder };
    let header = |line: &str| {
        let (name, value) = line.split_once(':').expect("a header");
        (name.to_ascii_lowercase(), value.trim().to_owned())
    };
    Sent {
        host: host.parse().expect("a host's folder"),
        headers: headers.lines().map(header).collect(),
        body: body.expect("a fixture of that name"),
        now: SIGNED_AT,
    }
}

impl Sent {
    pub(crate) fn to(self, host: GitHost) -> Self {
        Self { host, ..self }
    }

    pub(crate) fn at(self, now: i64) -> Self {
        Self { now, ..self }
    }

    pub(crate) fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn without_header(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self
    }

    /// `text` once replaced; the signature is then no longer right.
    pub(crate) fn with_body(mut self, text: &str, by: &str) -> Self {
        let body = String::from_utf8(self.body).unwrap();
        assert!(body.contains(text), "the body has no {text}");
        self.body = body.replacen(text, by, 1).into_bytes();
        self
    }

    pub(crate) fn delivery(&self) -> Delivery<'_> {
        Delivery { headers: &self.headers, body: &self.body }
    }

    pub(crate) fn verify(&self, secrets: &[&str]) -> Result<Verified, Refused> {
        let now = OffsetDateTime::from_unix_timestamp(self.now).unwrap();
        triggers::verify(self.host, secrets, &self.delivery(), now)
    }

    /// The kind of event without asking for a signature, as far as headers tell it.
    pub(crate) fn kind(&self) -> String {
        let names = ["x-forgejo-event", "x-gitea-event", "x-gitlab-event", "x-github-event"];
        let header = |name: &&str| self.headers.iter().find(|(known, _)| known == name);
        match names.iter().find_map(header) {
            Some((_, value)) => value.clone(),
            None => self.verify(&[SECRET, SIGNING_KEY]).map_or("push".to_owned(), |verified| verified.event),
        }
    }

    pub(crate) fn read(&self) -> Result<Vec<Event>, Unreadable> {
        triggers::read(self.host, &self.kind(), &self.delivery())
    }

    /// The only event.
    pub(crate) fn event(&self) -> Event {
        let mut events = self.read().expect("it is readable");
        assert_eq!(events.len(), 1, "{events:?}");
        events.remove(0)
    }

    pub(crate) fn push(&self) -> Push {
        match self.event() {
            Event::Push(push) => push,
            other => panic!("no push: {other:?}"),
        }
    }

    pub(crate) fn pull_request(&self) -> PullRequest {
        match self.event() {
            Event::PullRequest(request) => request,
            other => panic!("no pull request: {other:?}"),
        }
    }

    /// Why nothing starts.
    pub(crate) fn other(&self) -> String {
        match self.event() {
            Event::Other { what } => what,
            other => panic!("it is told: {other:?}"),
        }
    }
}
