//! What a Dockerfile means: vertices and edges, no I/O done yet.

use serde::{Deserialize, Serialize};

use crate::{Digest, ImageConfig, Location, Platform, ResolvedImage};

/// Index into [`BuildGraph::vertices`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VertexId(pub usize);

/// Vertices in an order in which every input precedes its users; only what the target needs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BuildGraph {
    pub vertices: Vec<Vertex>,
    pub output: Output,
}

/// The image to be made.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Output {
    /// The file system.
    pub root: VertexId,
    /// Whole, but for `created`, `rootfs.diff_ids` and `history`, which the builder fills.
    pub config: ImageConfig,
    /// The base image's history is not in it (it comes from the base's config); these follow.
    pub history: Vec<HistoryEntry>,
    pub platform: Platform,
}

/// A history entry of an instruction.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// For instance `RUN /bin/sh -c make # buildkit`.
    pub created_by: String,
    /// The vertex that made its layer; none for an instruction that makes none.
    pub layer: Option<VertexId>,
}

/// One node.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Vertex {
    pub op: Op,
    /// As the user wrote it, on one line: `RUN make`. Variables of a FROM are filled in.
    pub instruction: String,
    /// The stage's name; `stage-1` for one without beside others.
    pub stage: Option<String>,
    /// Which of the stage's steps, from 1, and how many it has.
    pub step: Option<(usize, usize)>,
    /// The instruction's own line.
    pub location: Option<Location>,
}

impl Vertex {
    /// As log and progress show it: `[build 2/4] RUN make`.
    #[must_use]
    pub fn name(&self) -> String {
        let Self { instruction, stage, step, .. } = self;
        match (stage, step) {
            (_, None) => instruction.clone(),
            (None, Some((step, steps))) => format!("[{step}/{steps}] {instruction}"),
            (Some(stage), Some((step, steps))) => format!("[{stage} {step}/{steps}] {instruction}"),
        }
    }
}

/// What a vertex does. Each result is a file system: a stack of layers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Op {
    /// The empty file system.
    Scratch,
    /// A base image's layers.
    Image(Box<ResolvedImage>),
    /// RUN.
    Exec(Exec),
    /// COPY, and ADD of local files.
    Copy(Copy),
    /// WORKDIR: makes the folder, and those above it, where they are missing.
    MakeDirectory(MakeDirectory),
}

/// A process.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Exec {
    pub parent: VertexId,
    /// The whole argument vector; a shell form already carries its shell.
    pub args: Vec<String>,
    /// `NAME=value`, ENV and declared ARG, in the order of declaration.
    pub env: Vec<String>,
    /// Proxy variables: given to the process, in no key and no history.
    pub proxy_env: Vec<String>,
    /// Absolute.
    pub cwd: String,
    /// `name`, `uid`, `name:group`, `uid:gid`; empty is root. Looked up in the parent's files.
    pub user: String,
    /// In no layer, no history, and with their names alone in keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<SecretMount>,
}

/// A secret that a process is given.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SecretMount {
    /// As the build names it.
    pub id: String,
    /// Absolute path of a file; none where it is only in the environment.
    pub target: Option<String>,
    /// Name of a variable.
    pub env: Option<String>,
    /// Whether a build without it fails.
    pub required: bool,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
}

/// A copy of files.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Copy {
    pub parent: VertexId,
    pub from: CopyFrom,
    /// Paths or patterns (Go's `filepath.Match`) within the source's root, as written and expanded; and the
    /// addresses of `fetches`.
    pub sources: Vec<String>,
    /// Those of `sources` that are fetched (ADD), in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fetches: Vec<Fetch>,
    /// Absolute. Ends with `/` where it must be a folder.
    pub dest: String,
    /// `user[:group]`, names looked up in the parent's files; absent is 0:0.
    pub chown: Option<String>,
    /// ADD: an archive among the sources is unpacked.
    pub unpack: bool,
}

/// A file at an http or https address. Its mode is 0600, its time the answer's `Last-Modified`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Fetch {
    /// Place of its address in [`Copy::sources`].
    pub source: usize,
    /// What the file is called in a folder.
    pub name: String,
    /// What it has to be.
    pub checksum: Option<Digest>,
}

/// Where a copy reads.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "snake_case")]
pub enum CopyFrom {
    /// The build's context.
    Context,
    /// Another stage, or an image named by `--from`.
    Vertex { vertex: VertexId },
}

/// A folder that has to exist.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MakeDirectory {
    pub parent: VertexId,
    /// Absolute and clean.
    pub path: String,
    /// Owner of what is made; empty is root.
    pub user: String,
}

impl Op {
    /// The vertices this one reads, its parent first.
    #[must_use]
    pub fn inputs(&self) -> Vec<VertexId> {
        match self {
            Self::Scratch | Self::Image(_) => Vec::new(),
            Self::Exec(exec) => vec![exec.parent],
            Self::Copy(copy) => match copy.from {
                CopyFrom::Context => vec![copy.parent],
                CopyFrom::Vertex { vertex } => vec![copy.parent, vertex],
            },
            Self::MakeDirectory(make) => vec![make.parent],
        }
    }

    /// The file system that this one's layer goes on top of.
    #[must_use]
    pub fn parent(&self) -> Option<VertexId> {
        match self {
            Self::Scratch | Self::Image(_) => None,
            Self::Exec(exec) => Some(exec.parent),
            Self::Copy(copy) => Some(copy.parent),
            Self::MakeDirectory(make) => Some(make.parent),
        }
    }
}

impl BuildGraph {
    /// The vertex of an id. Ids come from the same graph, so it is always there.
    #[must_use]
    pub fn vertex(&self, id: VertexId) -> &Vertex {
        &self.vertices[id.0]
    }
}
