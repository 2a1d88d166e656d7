//! A build graph, written like a Dockerfile.

use model::{
    BuildGraph, Copy, CopyFrom, Digest, Exec, Fetch, HistoryEntry, ImageConfig, Location, MakeDirectory, Op,
    Output, Platform, ResolvedImage, SecretMount, Vertex, VertexId,
};

#[derive(Clone)]
pub(crate) struct Recipe {
    vertices: Vec<Vertex>,
    /// The stage's current file system.
    at: VertexId,
    history: Vec<HistoryEntry>,
    user: String,
    env: Vec<String>,
}

impl Recipe {
    pub(crate) fn from(image: &ResolvedImage) -> Self {
        Self::begin(Op::Image(Box::new(image.clone())), "FROM base")
    }

    pub(crate) fn scratch() -> Self {
        Self::begin(Op::Scratch, "FROM scratch")
    }

    fn begin(op: Op, name: &str) -> Self {
        let vertex = vertex(op, name, None);
        let (history, env) = (Vec::new(), vec!["PATH=/bin".to_owned()]);
        Self { vertices: vec![vertex], at: VertexId(0), history, user: String::new(), env }
    }

    fn add(mut self, name: &str, op: Op) -> Self {
        let line = u32::try_from(self.vertices.len()).unwrap() + 1;
        let location =
            Location { file: "Dockerfile".into(), line, text: name.to_owned(), column: 0, width: 0 };
        self.at = VertexId(self.vertices.len());
        self.vertices.push(vertex(op, name, Some(location)));
        self.history.push(HistoryEntry { created_by: name.to_owned(), layer: Some(self.at) });
        self
    }

    pub(crate) fn run_with(self, secrets: &[SecretMount], script: &str) -> Self {
        let mut recipe = self.run(script);
        if let Some(Vertex { op: Op::Exec(exec), .. }) = recipe.vertices.last_mut() {
            exec.secrets = secrets.to_vec();
        }
        recipe
    }

    pub(crate) fn run(self, script: &str) -> Self {
        let (parent, env, user) = (self.at, self.env.clone(), self.user.clone());
        let args = vec!["/bin/sh".to_owned(), "-c".to_owned(), script.to_owned()];
        let op = Exec {
            parent,
            args,
            env,
            proxy_env: vec!["http_proxy=p".into()],
            cwd: "/".into(),
            user,
            secrets: Vec::new(),
        };
        self.add(&format!("RUN {script}"), Op::Exec(op))
    }

    pub(crate) fn user(mut self, user: &str) -> Self {
        user.clone_into(&mut self.user);
        self
    }

    pub(crate) fn env(mut self, variable: &str) -> Self {
        self.env.push(variable.to_owned());
        self
    }

    pub(crate) fn copy(self, sources: &[&str], dest: &str) -> Self {
        self.copy_op(CopyFrom::Context, sources, dest, None, false, None)
    }

    pub(crate) fn copy_chown(self, chown: &str, sources: &[&str], dest: &str) -> Self {
        self.copy_op(CopyFrom::Context, sources, dest, Some(chown), false, None)
    }

    pub(crate) fn add_archive(self, sources: &[&str], dest: &str) -> Self {
        self.copy_op(CopyFrom::Context, sources, dest, None, true, None)
    }

    /// ADD of addresses among other things.
    pub(crate) fn add_fetched(self, checksum: Option<Digest>, sources: &[&str], dest: &str) -> Self {
        self.copy_op(CopyFrom::Context, sources, dest, None, true, checksum)
    }

    pub(crate) fn copy_from(self, vertex: VertexId, sources: &[&str], dest: &str) -> Self {
        self.copy_op(CopyFrom::Vertex { vertex }, sources, dest, None, false, None)
    }

    fn copy_op(
        self,
        from: CopyFrom,
        sources: &[&str],
        dest: &str,
        chown: Option<&str>,
        unpack: bool,
        checksum: Option<Digest>,
    ) -> Self {
        let name = format!("COPY {} {dest}", sources.join(" "));
        let is_fetched = |source: &&(usize, &&str)| unpack && source.1.starts_with("http");
        let fetch = |(source, address): (usize, &&str)| Fetch {
            source,
            name: address.rsplit('/').next().unwrap().to_owned(),
            checksum: checksum.clone(),
        };
        let fetches = sources.iter().enumerate().filter(|source| is_fetched(&source)).map(fetch).collect();
        let op = Copy {
            parent: self.at,
            from,
            sources: sources.iter().map(|&s| s.to_owned()).collect(),
            fetches,
            dest: dest.to_owned(),
            chown: chown.map(str::to_owned),
            unpack,
        };
        self.add(&name, Op::Copy(op))
    }

    pub(crate) fn workdir(self, path: &str) -> Self {
        let op = MakeDirectory { parent: self.at, path: path.to_owned(), user: self.user.clone() };
        self.add(&format!("WORKDIR {path}"), Op::MakeDirectory(op))
    }

    /// An instruction without a layer.
    pub(crate) fn label(mut self) -> Self {
        self.history.push(HistoryEntry { created_by: "LABEL a=b".into(), layer: None });
        self
    }

    /// A further stage; answers the last vertex of the one before it.
    pub(crate) fn stage(mut self, op: Op) -> (Self, VertexId) {
        let before = self.at;
        self.at = VertexId(self.vertices.len());
        self.vertices.push(vertex(op, "FROM", None));
        self.history.clear();
        (self, before)
    }

    pub(crate) fn graph(&self) -> BuildGraph {
        let config =
            ImageConfig { architecture: "amd64".into(), os: "linux".into(), ..ImageConfig::default() };
        BuildGraph {
            vertices: self.vertices.clone(),
            output: Output {
                root: self.at,
                config,
                history: self.history.clone(),
                platform: Platform::host(),
            },
        }
    }
}

fn vertex(op: Op, instruction: &str, location: Option<Location>) -> Vertex {
    Vertex { op, instruction: instruction.to_owned(), stage: None, step: None, location }
}
