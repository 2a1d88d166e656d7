//! A tiny base image: busybox and nothing else, made by hand (OCI image layout 1.1) so that no code
//! under test has a part in it, and pushed by skopeo.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Where Debian's `busybox-static` puts it.
const BUSYBOX: &str = "/bin/busybox";
/// What the image offers under a name of its own.
const APPLETS: [&str; 22] = [
    "sh", "cat", "echo", "ls", "mkdir", "rm", "cp", "mv", "ln", "chmod", "chown", "sleep", "true", "false",
    "touch", "id", "env", "head", "dd", "setsid", "wget", "stat",
];

/// Pushes the image to `registry` (`host:port`, plain http) as `repository:tag`.
///
/// # Panics
/// `busybox-static` or `skopeo` is missing, or the registry refuses.
pub fn push_busybox(registry: &str, repository_and_tag: &str) {
    push(registry, repository_and_tag, &[], &[]);
}

/// As [`push_busybox`], with one more layer, a tar archive.
///
/// # Panics
/// As [`push_busybox`].
pub fn push_busybox_with(layer: &[u8], registry: &str, repository_and_tag: &str) {
    push(registry, repository_and_tag, &[layer], &[]);
}

/// As [`push_busybox`], as a user: `name:password`.
///
/// # Panics
/// As [`push_busybox`].
pub fn push_busybox_as(user: &str, registry: &str, repository_and_tag: &str) {
    push(registry, repository_and_tag, &[], &["--dest-creds", user]);
}

fn push(registry: &str, repository_and_tag: &str, more: &[&[u8]], arguments: &[&str]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    write_layout(folder.path(), more);
    let output = Command::new("skopeo")
        .args(["copy", "--quiet", "--dest-tls-verify=false"])
        .args(arguments)
        .arg(format!("oci:{}:base", folder.path().display()))
        .arg(format!("docker://{registry}/{repository_and_tag}"))
        .stdin(Stdio::null())
        .output()
        .expect("skopeo is installed (Debian's package `skopeo`)");
    assert!(output.status.success(), "skopeo: {}", String::from_utf8_lossy(&output.stderr));
}

fn write_layout(folder: &Path, more: &[&[u8]]) {
    let busybox = layer();
    let tars: Vec<&[u8]> = [&busybox[..]].into_iter().chain(more.iter().copied()).collect();
    let layers: Vec<Vec<u8>> = tars.iter().map(|tar| gzipped(tar)).collect();
    let config = json!({
        "architecture": model_architecture(), "os": "linux",
        "config": { "Env": ["PATH=/bin"], "Cmd": ["/bin/sh"] },
        "rootfs": { "type": "layers", "diff_ids": tars.iter().map(|tar| digest(tar)).collect::<Vec<_>>() },
        "history": tars.iter().map(|_| json!({ "created": "1970-01-01T00:00:00Z", "created_by": "busybox" })).collect::<Vec<_>>(),
    })
    .to_string();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("application/vnd.oci.image.config.v1+json", config.as_bytes()),
        "layers": layers.iter().map(|layer| descriptor("application/vnd.oci.image.layer.v1.tar+gzip", layer)).collect::<Vec<_>>(),
    })
    .to_string();
    let blobs = layers.iter().map(Vec::as_slice).chain([config.as_bytes(), manifest.as_bytes()]);
    blobs.for_each(|blob| write_blob(folder, blob));
    let mut index = descriptor("application/vnd.oci.image.manifest.v1+json", manifest.as_bytes());
    index["annotations"] = json!({ "org.opencontainers.image.ref.name": "base" });
    let index = json!({ "schemaVersion": 2, "manifests": [index] }).to_string();
    std::fs::write(folder.join("index.json"), index).expect("writing the index");
    std::fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)
        .expect("writing the layout");
}

fn gzipped(tar: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(tar).expect("compressing to memory");
    gzip.finish().expect("compressing to memory")
}

fn layer() -> Vec<u8> {
    let busybox = std::fs::read(BUSYBOX).expect("busybox (Debian's package `busybox-static`)");
    let mut tar = tar::Builder::new(Vec::new());
    for folder in ["bin", "etc", "tmp"] {
        let mode = if folder == "tmp" { 0o1777 } else { 0o755 };
        append(&mut tar, tar::EntryType::Directory, &format!("{folder}/"), mode, &[]);
    }
    append(&mut tar, tar::EntryType::Regular, "bin/busybox", 0o755, &busybox);
    let users: &[u8] = b"root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/home/app:/bin/sh\n";
    append(&mut tar, tar::EntryType::Regular, "etc/passwd", 0o644, users);
    append(&mut tar, tar::EntryType::Regular, "etc/group", 0o644, b"root:x:0:\napp:x:1000:\n");
    for applet in APPLETS {
        let mut header = header(tar::EntryType::Symlink, 0o777, 0);
        tar.append_link(&mut header, format!("bin/{applet}"), "busybox").expect("writing to memory");
    }
    tar.into_inner().expect("writing to memory")
}

fn append(tar: &mut tar::Builder<Vec<u8>>, kind: tar::EntryType, path: &str, mode: u32, content: &[u8]) {
    let mut header = header(kind, mode, content.len());
    tar.append_data(&mut header, path, content).expect("writing to memory");
}

fn header(kind: tar::EntryType, mode: u32, size: usize) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size as u64);
    header
}

fn model_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": digest(bytes), "size": bytes.len() })
}

fn write_blob(folder: &Path, bytes: &[u8]) {
    let blobs = folder.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).expect("a folder for blobs");
    std::fs::write(blobs.join(hex::encode(Sha256::digest(bytes))), bytes).expect("writing a blob");
}
