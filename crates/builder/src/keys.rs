//! Cache keys. A key is the SHA-256 of its parts as JSON; the parts are kept, so that a miss can be
//! explained.

use std::collections::BTreeMap;

use model::{BuildGraph, Copy, CopyFrom, Digest, Op, Platform, VertexId};
use port::CacheKey;
use serde::Serialize;
use serde_json::{Value, json};

/// What one key is made of.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(crate) struct KeyParts {
    /// `definition` or `content`.
    pub(crate) kind: &'static str,
    /// The layer codec: other bytes for the same files are another result.
    pub(crate) codec: &'static str,
    pub(crate) platform: Platform,
    /// SOURCE_DATE_EPOCH, which is in the layer.
    pub(crate) epoch: Option<i64>,
    /// The operation, without what neither the files nor the image depend on.
    pub(crate) op: Value,
    /// Definition: the inputs' definition keys. Content: the parent's diff ids.
    pub(crate) inputs: Vec<String>,
    /// The digest of what a COPY takes, where it is known.
    pub(crate) source: Option<Digest>,
}

impl KeyParts {
    /// 64 hexadecimal digits.
    pub(crate) fn key(&self) -> CacheKey {
        // Values are made here and always turn into JSON; objects keep their keys sorted.
        let json = serde_json::to_vec(self).unwrap_or_default();
        CacheKey(content::digest_of(&json).hex().to_owned())
    }
}

/// What all keys of a build share.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    pub(crate) platform: Platform,
    pub(crate) epoch: Option<i64>,
}

impl Keys {
    /// The key of a vertex by what it is defined as. `sources` holds the digests of context copies.
    pub(crate) fn definitions(
        &self,
        graph: &BuildGraph,
        sources: &BTreeMap<VertexId, Digest>,
    ) -> Vec<CacheKey> {
        let mut keys: Vec<CacheKey> = Vec::with_capacity(graph.vertices.len());
        for (index, vertex) in graph.vertices.iter().enumerate() {
            // Inputs precede their users.
            let inputs =
                vertex.op.inputs().iter().filter_map(|id| keys.get(id.0)).map(|k| k.0.clone()).collect();
            let source = sources.get(&VertexId(index)).cloned();
            keys.push(self.parts("definition", describe(&vertex.op), inputs, source).key());
        }
        keys
    }

    /// The key of a vertex by what its inputs really were.
    pub(crate) fn content(&self, op: &Op, parents: &[Digest], source: Option<Digest>) -> KeyParts {
        let mut described = describe(op);
        if let (Op::Copy(_), Some(object)) = (op, described.as_object_mut()) {
            // How the files were named does not matter once it is known which they are.
            object.remove("sources");
            object.remove("from");
        }
        let parents = parents.iter().map(Digest::to_string).collect();
        self.parts("content", described, parents, source)
    }

    fn parts(&self, kind: &'static str, op: Value, inputs: Vec<String>, source: Option<Digest>) -> KeyParts {
        let codec = content::LAYER_CODEC;
        KeyParts { kind, codec, platform: self.platform.clone(), epoch: self.epoch, op, inputs, source }
    }
}

/// The operation without vertex ids (the inputs' keys stand for them) and proxies.
fn describe(op: &Op) -> Value {
    match op {
        Op::Scratch => json!({ "op": "scratch" }),
        Op::Image(image) => {
            json!({ "op": "image", "digest": image.digest, "diff_ids": image.config.rootfs.diff_ids })
        }
        Op::Exec(exec) => json!({
            "op": "exec", "args": exec.args, "env": exec.env, "cwd": exec.cwd, "user": exec.user,
            "secrets": exec.secrets,
        }),
        Op::Copy(Copy { from, sources, dest, chown, unpack, .. }) => json!({
            "op": "copy", "from": if *from == CopyFrom::Context { "context" } else { "vertex" },
            "sources": sources, "dest": dest, "chown": chown, "unpack": unpack,
        }),
        Op::MakeDirectory(make) => json!({ "op": "make_directory", "path": make.path, "user": make.user }),
    }
}

#[cfg(test)]
mod tests {
    use model::Exec;

    use super::*;

    fn keys() -> Keys {
        Keys { platform: Platform::host(), epoch: None }
    }

    fn run(env: &[&str], proxy: &[&str]) -> Op {
        let words = |list: &[&str]| list.iter().map(|&w| w.to_owned()).collect();
        Op::Exec(Exec {
            parent: VertexId(0),
            args: words(&["make"]),
            env: words(env),
            proxy_env: words(proxy),
            cwd: "/".into(),
            user: String::new(),
            secrets: Vec::new(),
        })
    }

    #[test]
    fn a_proxy_is_in_no_key_but_the_environment_is() {
        let key = |op: &Op| keys().content(op, &[], None).key();
        assert_eq!(key(&run(&["A=1"], &[])), key(&run(&["A=1"], &["http_proxy=x"])));
        assert_ne!(key(&run(&["A=1"], &[])), key(&run(&["A=2"], &[])));
    }

    #[test]
    fn the_epoch_and_the_parents_are_in_the_key() {
        let op = run(&[], &[]);
        let plain = keys().content(&op, &[], None);
        let dated = Keys { epoch: Some(0), ..keys() }.content(&op, &[], None);
        let moved = keys().content(&op, &[Digest::from_sha256([1; 32])], None);
        assert_ne!(plain.key(), dated.key());
        assert_ne!(plain.key(), moved.key());
    }
}
