//! A world for build stories: a store in memory, a base image with busybox, a context in a folder, and a
//! graph written like a Dockerfile.

mod graph;
mod inside;
mod outside;
mod tarball;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};

use builder::{Options, Workshop};
use model::{
    BuildNetwork, BuiltImage, Descriptor, Digest, Failure, GitRevision, ImageConfig, Platform, ResolvedImage,
    RunLimits, SourceTree,
};
use sandbox::Runtime;
use snapshot::Snapshots;

pub(crate) use graph::Recipe;
pub(crate) use inside::inside;
pub(crate) use outside::MemoryOutside;
pub(crate) use tarball::{Listed, list, tar_of};

/// Commit time of contexts that are a commit.
pub(crate) const COMMITTED: i64 = 1_500_000_000;

/// What [`tick`] answers first.
pub(crate) const NOW: i64 = 1_700_000_000;

/// A clock on which each look is a second later.
fn tick() -> i64 {
    static LOOKS: AtomicI64 = AtomicI64::new(0);
    NOW + LOOKS.fetch_add(1, Ordering::Relaxed)
}

pub(crate) struct World {
    folder: tempfile::TempDir,
    pub(crate) outside: MemoryOutside,
    pub(crate) snapshots: Snapshots,
    pub(crate) runtime: Runtime,
    pub(crate) options: Options,
    pub(crate) network: BuildNetwork,
    pub(crate) limits: RunLimits,
    pub(crate) revision: Option<GitRevision>,
    pub(crate) base: ResolvedImage,
    builds: std::cell::Cell<u32>,
}

impl World {
    /// With an empty context of this name.
    pub(crate) fn new(context: &str) -> Self {
        let folder = tempfile::Builder::new().prefix(context).tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::create_dir(folder.path().join("context")).unwrap();
        let runtime = Runtime::find(None).unwrap();
        sandbox::prepare_host(&runtime).unwrap();
        let snapshots = folder.path().join("snapshots");
        std::fs::create_dir(&snapshots).unwrap();
        let outside = MemoryOutside::default();
        let base = base_image(&outside);
        Self {
            snapshots: Snapshots::open(&snapshots).unwrap(),
            folder,
            outside,
            runtime,
            options: Options::default(),
            network: BuildNetwork::default(),
            limits: RunLimits::default(),
            revision: None,
            base,
            builds: std::cell::Cell::new(0),
        }
    }

    pub(crate) fn context(&self) -> PathBuf {
        self.folder.path().join("context")
    }

    /// Writes a file of the context.
    pub(crate) fn file(&self, path: &str, mode: u32, text: &str) {
        let path = self.context().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    /// A recipe that begins with the base image.
    pub(crate) fn on_base(&self) -> Recipe {
        Recipe::from(&self.base)
    }

    pub(crate) fn try_build(&self, recipe: &Recipe) -> Result<BuiltImage, Failure> {
        self.try_build_without(recipe, &|_, _| false)
    }

    /// With paths of the context left out.
    pub(crate) fn try_build_without(
        &self,
        recipe: &Recipe,
        excludes: &(dyn Fn(&Path, bool) -> bool + Sync),
    ) -> Result<BuiltImage, Failure> {
        self.builds.set(self.builds.get() + 1);
        let scratch = self.folder.path().join(format!("scratch-{}", self.builds.get()));
        std::fs::create_dir(&scratch).unwrap();
        let workshop = Workshop {
            snapshots: &self.snapshots,
            runtime: &self.runtime,
            scratch: &scratch,
            outside: &self.outside,
            network: &self.network,
            limits: &self.limits,
            cores: 2,
            clock: tick,
        };
        let source = SourceTree { root: self.context(), revision: self.revision.clone() };
        builder::build(&workshop, &recipe.graph(), &source, excludes, &self.options)
    }

    pub(crate) fn build(&self, recipe: &Recipe) -> BuiltImage {
        match self.try_build(recipe) {
            Ok(image) => image,
            Err(failure) => panic!("{failure}\n{}", self.outside.log_text()),
        }
    }

    /// The files of the image's topmost layer.
    pub(crate) fn top(&self, image: &BuiltImage) -> Vec<Listed> {
        let layer = image.layers.last().unwrap();
        list(&self.outside.blob(&layer.descriptor.digest))
    }

    /// The files of one layer.
    pub(crate) fn layer(&self, image: &BuiltImage, index: usize) -> Vec<Listed> {
        list(&self.outside.blob(&image.layers[index].descriptor.digest))
    }

    /// Whether some file that the build wrote to disk and left holds this text.
    pub(crate) fn disk_holds(&self, text: &str) -> bool {
        let mut found = std::process::Command::new("busybox");
        found.args(["grep", "-rqs", text]).arg(self.folder.path());
        found.status().unwrap().success()
    }

    /// One file of the topmost layer.
    pub(crate) fn top_file(&self, image: &BuiltImage, path: &str) -> Listed {
        let top = self.top(image);
        let names: Vec<&str> = top.iter().map(|f| f.path.as_str()).collect();
        let found = top.iter().find(|file| file.path == path);
        found.unwrap_or_else(|| panic!("{path} is not among {names:?}")).clone()
    }

    pub(crate) fn config(&self, image: &BuiltImage) -> ImageConfig {
        serde_json::from_slice(&self.outside.blob(&image.config.digest)).unwrap()
    }

    /// Forgets unpacked layers, as another worker's disk would.
    pub(crate) fn forget_snapshots(&mut self) {
        let fresh = self.folder.path().join(format!("snapshots-{}", self.builds.get()));
        std::fs::create_dir(&fresh).unwrap();
        self.snapshots = Snapshots::open(&fresh).unwrap();
    }

    pub(crate) fn is_commit(&mut self) {
        self.revision = Some(GitRevision { commit: "a".repeat(40), committed_at: COMMITTED });
    }
}

/// Tells a story in a world of its own, inside namespaces.
pub(crate) fn story(context: &str, tell: impl FnOnce(World)) {
    inside(|| tell(World::new(context)));
}

/// Busybox with the links that the stories use, two users, and a link out of `/srv`.
fn base_image(outside: &MemoryOutside) -> ResolvedImage {
    let busybox = std::fs::read("/bin/busybox").unwrap();
    let mut tar = tarball::Tarball::default();
    tar.folder("bin").file("bin/busybox", 0o755, &busybox);
    for applet in [
        "sh", "cat", "chmod", "chown", "date", "echo", "id", "ip", "ln", "ls", "mkdir", "mv", "pwd", "rm",
        "setsid", "sleep", "stat", "touch", "true", "yes", "head", "env",
    ] {
        tar.symlink(&format!("bin/{applet}"), "busybox");
    }
    let passwd = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n";
    tar.folder("etc")
        .file("etc/passwd", 0o644, passwd.as_bytes())
        .file("etc/group", 0o644, b"root:x:0:\napp:x:1001:\nvideo:x:44:app\n")
        .folder("srv")
        .symlink("srv/out", "../../../../../data")
        .folder("tmp");
    let (diff_id, layer) = outside.keep_layer(&tar.finish());
    let mut config =
        ImageConfig { architecture: "amd64".into(), os: "linux".into(), ..ImageConfig::default() };
    config.rootfs.diff_ids = vec![diff_id];
    ResolvedImage {
        reference: "base.example/busybox:1".parse().unwrap(),
        digest: Digest::from_sha256([7; 32]),
        platform: Platform::host(),
        config,
        layers: vec![layer],
    }
}

pub(crate) fn descriptor(media_type: &str, digest: Digest, size: u64) -> Descriptor {
    Descriptor { media_type: media_type.to_owned(), digest, size }
}
