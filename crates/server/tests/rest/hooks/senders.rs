//! The git hosts as senders. In: the fixtures of `triggers`, as the hosts document them. Out: the same, signed anew
//! with a hook's own secret, under another id.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The commit that every fixture of a push goes to.
pub(crate) const AFTER: &str = "bffeb74224043ba2feb48d137756c8a9331c449a";
pub(crate) const ODD_BRANCH: &str = "refs/heads/feature/it's-\"quoted\"/größe-日本";

/// How a host shows that it knows the secret.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Proof {
    /// These headers hold the hexadecimal HMAC of the body, after this.
    Hmac(&'static [(&'static str, &'static str)]),
    /// A header holds the secret.
    Token,
    /// Standard Webhooks.
    Signed,
    /// The password of basic authentication.
    Password,
}

/// Where a host writes a delivery's id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Id {
    Headers(&'static [&'static str]),
    Body,
}

#[derive(Debug)]
pub(crate) struct Sender {
    /// Of its registry in the stories as well.
    pub(crate) name: &'static str,
    /// The word of the API.
    pub(crate) host: &'static str,
    /// The fixture whose headers it sends.
    headers: &'static str,
    /// The folder of its bodies.
    bodies: &'static str,
    pub(crate) repository: &'static str,
    pub(crate) proof: Proof,
    id: Id,
}

const GITHUB: &[(&str, &str)] = &[("x-hub-signature-256", "sha256=")];
/// Gitea and Forgejo copy GitHub's headers.
const GITEA: &[(&str, &str)] =
    &[("x-gitea-signature", ""), ("x-gogs-signature", ""), ("x-hub-signature-256", "sha256=")];
const FORGEJO: &[(&str, &str)] =
    &[("x-forgejo-signature", ""), ("x-gitea-signature", ""), ("x-hub-signature-256", "sha256=")];

pub(crate) static SENDERS: [Sender; 7] = [
    Sender {
        name: "github",
        host: "github",
        headers: "github/push-to-branch",
        bodies: "github",
        repository: "https://github.com/octo-org/demo.git",
        proof: Proof::Hmac(GITHUB),
        id: Id::Headers(&["x-github-delivery"]),
    },
    Sender {
        name: "gitea",
        host: "gitea",
        headers: "gitea/push-to-branch",
        bodies: "gitea",
        repository: "https://git.example/tools/demo.git",
        proof: Proof::Hmac(GITEA),
        id: Id::Headers(&["x-gitea-delivery", "x-gogs-delivery", "x-github-delivery"]),
    },
    Sender {
        name: "forgejo",
        host: "gitea",
        headers: "forgejo/push-to-branch",
        bodies: "gitea",
        repository: "https://git.example/tools/demo.git",
        proof: Proof::Hmac(FORGEJO),
        id: Id::Headers(&["x-forgejo-delivery", "x-gitea-delivery", "x-github-delivery"]),
    },
    Sender {
        name: "gitlab",
        host: "gitlab",
        headers: "gitlab/push-to-branch",
        bodies: "gitlab",
        repository: "https://gitlab.example.com/mike/diaspora.git",
        proof: Proof::Token,
        id: Id::Headers(&["idempotency-key", "x-gitlab-event-uuid"]),
    },
    Sender {
        name: "gitlab-signed",
        host: "gitlab",
        headers: "gitlab/push-signed",
        bodies: "gitlab",
        repository: "https://gitlab.example.com/mike/diaspora.git",
        proof: Proof::Signed,
        id: Id::Headers(&["webhook-id", "x-gitlab-event-uuid"]),
    },
    Sender {
        name: "azure-devops",
        host: "azure_devops",
        headers: "azure_devops/push-to-branch",
        bodies: "azure_devops",
        repository: "https://dev.azure.com/fabrikam/Fabrikam%20Fiber/_git/Fabrikam-Fiber-Git",
        proof: Proof::Password,
        id: Id::Body,
    },
    Sender {
        name: "standard",
        host: "standard",
        headers: "standard/push-to-branch",
        bodies: "standard",
        repository: "https://git.example/tools/demo.git",
        proof: Proof::Signed,
        id: Id::Headers(&["webhook-id"]),
    },
];

/// A request to a hook.
#[derive(Clone)]
pub(crate) struct Sent {
    pub(crate) sender: &'static Sender,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Sender {
    /// `fixture` without its folder. It is not signed yet.
    pub(crate) fn sent(&'static self, fixture: &str, id: u32) -> Sent {
        let read = |name: &str| {
            let path = format!("{}/../triggers/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
        };
        let header = |line: &str| {
            let (name, value) = line.split_once(':').unwrap();
            (name.to_ascii_lowercase(), value.trim().to_owned())
        };
        let headers = read(&format!("{}.headers", self.headers)).lines().map(header).collect();
        let body = read(&format!("{}/{fixture}.json", self.bodies));
        Sent { sender: self, headers, body: body.into_bytes() }.named(id)
    }

    /// What a header may hold of the secret.
    pub(crate) fn encoded(&self, secret: &str) -> String {
        STANDARD.encode(format!("anybody:{secret}"))
    }

    /// Whether another body needs another proof.
    pub(crate) fn signs_bodies(&self) -> bool {
        matches!(self.proof, Proof::Hmac(_) | Proof::Signed)
    }
}

impl Sent {
    fn named(mut self, id: u32) -> Self {
        match self.sender.id {
            Id::Headers(names) => {
                names.iter().fold(self, |sent, name| sent.with(name, &format!("72d3162e-{id}")))
            }
            Id::Body => {
                let text = String::from_utf8(self.body).unwrap();
                let (before, rest) = text.split_once("\"notificationId\": ").unwrap();
                let (_, after) = rest.split_once(',').unwrap();
                self.body = format!("{before}\"notificationId\": {id},{after}").into_bytes();
                self
            }
        }
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a proof that it is from who knows the secret.
    pub(crate) fn signed(self, secret: &str) -> Self {
        match self.sender.proof {
            Proof::Hmac(headers) => {
                let digest = hex::encode(hmac(secret.as_bytes(), &[&self.body]));
                headers
                    .iter()
                    .fold(self, |sent, (name, before)| sent.with(name, &format!("{before}{digest}")))
            }
            Proof::Token => self.with("x-gitlab-token", secret),
            Proof::Password => {
                let basic = format!("Basic {}", self.sender.encoded(secret));
                self.with("authorization", &basic)
            }
            Proof::Signed => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().to_string();
                let id = self.headers.iter().find(|(name, _)| name == "webhook-id").unwrap().1.clone();
                let key = STANDARD.decode(secret.strip_prefix("whsec_").expect("a key for signing")).unwrap();
                let parts: [&[u8]; 5] = [id.as_bytes(), b".", now.as_bytes(), b".", &self.body];
                let signature = format!("v1,{}", STANDARD.encode(hmac(&key, &parts)));
                self.with("webhook-timestamp", &now).with("webhook-signature", &signature)
            }
        }
    }

    /// As a host sends it that was told no secret.
    pub(crate) fn signed_with_nothing(self) -> Self {
        match self.sender.proof {
            Proof::Hmac(headers) => headers.iter().fold(self, |sent, (name, before)| sent.with(name, before)),
            Proof::Token => self.with("x-gitlab-token", ""),
            Proof::Password => {
                let basic = format!("Basic {}", self.sender.encoded(""));
                self.with("authorization", &basic)
            }
            Proof::Signed => self.signed("whsec_c2VjcmV0").with("webhook-signature", "v1,"),
        }
    }

    /// Without any header that could be a proof.
    pub(crate) fn unsigned(mut self) -> Self {
        let is_proof =
            |name: &str| name.contains("signature") || name == "authorization" || name == "x-gitlab-token";
        self.headers.retain(|(name, _)| !is_proof(name));
        self
    }

    /// The same JSON, written by another hand. The proof stays what it was.
    pub(crate) fn written_anew(mut self) -> Self {
        let json: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        let anew = serde_json::to_vec(&json).unwrap();
        assert_ne!(anew, self.body);
        self.body = anew;
        self
    }

    /// The same JSON, made exactly so long: by a text, or where no unknown field is taken by blanks.
    pub(crate) fn padded_to(mut self, size: usize) -> Self {
        if self.sender.name == "standard" {
            self.body.resize(size, b' ');
            return self;
        }
        let text = String::from_utf8(self.body).unwrap();
        let (_, rest) = text.split_once('{').unwrap();
        let room = size - rest.len() - r#"{"padding":"","#.len();
        self.body = format!(r#"{{"padding":"{}",{rest}"#, "x".repeat(room)).into_bytes();
        assert_eq!(self.body.len(), size);
        self
    }
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}
