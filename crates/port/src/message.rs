//! The messages, one JSON object a packet. Descriptors travel beside them, in the order that each
//! message names.

use model::{BuiltImage, Descriptor, Digest, Failure, GitRevision, ImageReference, Platform, ResolvedImage};
use serde::{Deserialize, Serialize};

use crate::{BaseLayer, BlobReady, CacheHit, CacheKey, Progress, Secret, VertexEvent};

/// From the cell to its worker.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToWorker {
    /// The first message: the cell stands in its new user namespace and waits for its id maps.
    Unshared,
    /// A question and its id, which the answer repeats.
    Ask { id: u64, question: Question },
    /// Log lines.
    Log { lines: String },
    /// How far the build is.
    Progress(Progress),
    /// What happens to a vertex.
    Vertex(VertexEvent),
    /// The last message.
    Finish(Finish),
}

/// How a cell's work ended.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    Built {
        image: Box<BuiltImage>,
        revision: Option<GitRevision>,
    },
    Failed {
        failure: Failure,
        revision: Option<GitRevision>,
    },
    /// A cell that was started for a deed without a result (making or clearing folders).
    Done,
    /// A cell that was started to keep unpacked layers within bounds.
    Cleaned(Cleaned),
}

/// What became of the unpacked layers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cleaned {
    /// Bytes of those that are there now.
    pub bytes: u64,
    /// Removed to make room.
    pub removed: u64,
    /// Read again and compared with what they had been.
    pub compared: u64,
    /// Found to be something else than they had been.
    pub damaged: u64,
}

/// From the worker to its cell.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToCell {
    /// The id maps are written.
    Mapped,
    /// What to build.
    Start(Box<serde_json::Value>),
    /// The answer to the question of that id.
    Answer { id: u64, answer: Result<Answer, Failure> },
    /// The last word on a byte stream.
    StreamEnd(StreamEnd),
}

/// As in [`crate::Outside`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    GitRefs,
    /// The request's body is in the file passed beside.
    GitUploadPack,
    Upload,
    FetchUrl {
        url: String,
    },
    SourceFound {
        revision: GitRevision,
    },
    Resolve {
        image: ImageReference,
        platform: Platform,
    },
    ImageBlob {
        image: ImageReference,
        blob: Descriptor,
    },
    Unpacked {
        layers: Vec<BaseLayer>,
    },
    StoredBlob {
        digest: Digest,
    },
    CacheLookup {
        keys: Vec<CacheKey>,
    },
    NewBlob,
    BlobReady(BlobReady),
    Secret {
        id: String,
    },
    /// The slirp4netns exit descriptor comes back beside the answer.
    Network,
}

/// As in [`crate::Outside`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// A pipe's reading end is passed beside; [`ToCell::StreamEnd`] follows.
    Stream {
        stream: u64,
    },
    /// As `Stream`.
    Fetched {
        stream: u64,
        last_modified: Option<i64>,
    },
    Resolved {
        image: Box<ResolvedImage>,
    },
    /// The file is passed beside.
    File,
    Unpacked {
        diff_ids: Vec<Digest>,
    },
    Cache {
        hits: Vec<Option<CacheHit>>,
    },
    Secret {
        value: Option<Secret>,
    },
    /// The file is passed beside.
    NewBlob {
        id: u64,
    },
    Done,
}

/// End of file on a stream proves nothing; this does.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StreamEnd {
    pub stream: u64,
    /// What was written to the pipe, or why it ended early.
    pub outcome: Result<Sent, Failure>,
}

/// All of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// In bytes.
    pub length: u64,
    /// Where nothing else says what the bytes have to be.
    pub digest: Option<Digest>,
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use crate::{Channel, Outside, SocketOutside, VertexEvent, VertexStart};

    #[test]
    fn what_happens_to_a_vertex_arrives_as_it_was_told_and_in_order() {
        let (ours, theirs) = Channel::pair().unwrap();
        let cell = SocketOutside::new(theirs, || {});
        let (name, stage) = ("RUN ä\0 ".repeat(20_000), Some("build".to_owned()));
        let events = [
            VertexEvent::Started(VertexStart { number: 1, name, stage, line: Some(3) }),
            VertexEvent::Ended { number: 1, result: model::VertexResult::Cached },
            VertexEvent::Started(VertexStart { number: 2, name: String::new(), stage: None, line: None }),
        ];
        for event in &events {
            cell.vertex(event.clone());
        }
        for event in events {
            let ToWorker::Vertex(told) = ours.receive().unwrap().unwrap().message else {
                panic!("it is told of a vertex")
            };
            assert_eq!(told, event);
        }
    }
}
