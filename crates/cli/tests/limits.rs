//! Runs that take more than they may: each ends with blame `limits` and its own line, and a neighbour on the same
//! worker does not notice. Disks are files of the story's own.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::residue::Residue;
use support::{Identity, World, slipway};
use test_support::{ForgedPack, ForgingHost, GitServer, LocalRegistry, TestRepository};

/// Residue is counted by ids of the whole machine, and a disk is filled in time: these stories take turns.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Goes on writing a little for some seconds, as builds do.
const NEIGHBOUR: &str =
    "RUN for i in 0 1 2 3 4 5 6 7 8 9; do head -c 100000 /dev/urandom > /small-$i || exit 1; sleep 0.3; done";

/// A world, and branches with a Dockerfile each.
struct Stage {
    world: World,
    base: String,
    repository: TestRepository,
    git: GitServer,
}

impl Stage {
    fn new(world: World) -> Self {
        let (base, repository) = (world.base_image(), TestRepository::new());
        let git = GitServer::start(&repository);
        Self { world, base, repository, git }
    }

    /// A build of `FROM base` and one more line.
    fn spec(&self, branch: &str, line: &str) -> Value {
        self.repository.commit_to(branch, &[("Dockerfile", &format!("ARG BASE\nFROM ${{BASE}}\n{line}\n"))]);
        json!({
            "source": { "type": "git", "url": self.git.url(), "ref": branch },
            "images": [format!("limits:{branch}")],
            "build_args": { "BASE": self.base },
            "no_cache": true,
        })
    }

    /// Runs `line` beside a neighbour, which has to succeed at its first attempt, and answers what the hog failed of.
    async fn ends(&self, branch: &str, line: &str) -> Value {
        let workers = self.world.role("worker");
        let neighbour = self.world.submit(self.spec("neighbour", NEIGHBOUR)).await;
        self.world.wait_for_log(&neighbour, "RUN for").await;
        let hog = self.world.build(self.spec(branch, line)).await;
        let neighbour = self.world.ended(&neighbour).await;
        assert_eq!(neighbour["status"], "succeeded", "{branch}: {neighbour}\n{}", self.world.log());
        assert_eq!(self.world.role("worker"), workers, "{branch}: the worker lives");
        assert_eq!(hog["status"], "failed", "{branch}: {hog}\n{}", self.world.log());
        let failure = hog["failure"].clone();
        assert_eq!(failure["blame"], "limits", "{branch}: {failure}");
        assert_eq!(
            (&failure["location"]["line"], &failure["location"]["text"]),
            (&json!(3), &json!(line)),
            "{failure}"
        );
        assert!(failure["hint"].as_str().unwrap().contains("--run-"), "{failure}");
        failure
    }
}

fn free(folder: &Path) -> (u64, u64) {
    let disk = nix::sys::statvfs::statvfs(folder).unwrap();
    (disk.blocks_available() * disk.fragment_size(), disk.files_available())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_fills_the_disk_is_ended_and_leaves_it_as_it_was() {
    let _turn = TURN.lock().await;
    let limits = ["--slots=3", "--run-disk=64M", "--run-inodes=5000", "--disk-reserve=40M"];
    let stage = Stage::new(World::start_on_small_disk(300, 60_000, &limits).await);
    let store = stage.world.data.join("store");
    // Everything that a first build leaves in the store is there before.
    let first = stage.world.build(stage.spec("first", "RUN true")).await;
    assert_eq!(first["status"], "succeeded", "{first}");
    let before = free(&store);

    let failure = stage.ends("dd", "RUN dd if=/dev/zero of=/big bs=1M count=10240").await;
    assert_eq!(failure["kind"], "disk_limit", "{failure}");
    assert!(failure["message"].as_str().unwrap().contains("64 MiB"), "{failure}");

    let nameless = "RUN exec 3>/gone; rm /gone; dd if=/dev/zero bs=1M count=100 >&3; sleep 600";
    assert_eq!(stage.ends("nameless", nameless).await["kind"], "disk_limit");

    let files = "RUN i=0; while :; do : > /file-$i; i=$((i + 1)); done";
    assert_eq!(stage.ends("files", files).await["kind"], "inode_limit");

    // A hole is nothing, also while there is something to look at.
    let sparse = "RUN truncate -s 1024G /sparse && dd if=/dev/zero of=/real bs=1M count=30 && sleep 2 && rm /sparse /real";
    let sparse = stage.world.build(stage.spec("sparse", sparse)).await;
    assert_eq!(sparse["status"], "succeeded", "{sparse}");

    // Three neighbours' layers and logs are in the store now, and nothing of the hogs.
    let after = free(&store);
    assert!(before.0 - after.0 < 20 << 20, "{before:?} {after:?}");
    assert!(before.1 - after.1 < 300, "{before:?} {after:?}");
}

/// A base image's layer with so many files of so many bytes: zeros, which are nothing in a registry, or noise.
fn layer(files: usize, size: usize, is_noise: bool) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut content = vec![0; size];
    if is_noise {
        std::fs::File::open("/dev/urandom").unwrap().read_exact(&mut content).unwrap();
    }
    for number in 0..files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(size as u64);
        tar.append_data(&mut header, format!("file-{number}"), &content[..]).unwrap();
    }
    tar.into_inner().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_starts_from_a_base_image_that_fills_the_disk_is_ended_as_well() {
    let _turn = TURN.lock().await;
    let elsewhere = LocalRegistry::start();
    let origin = format!("--origin=http://{}", elsewhere.address());
    let limits = ["--slots=3", "--run-disk=64M", "--run-inodes=5000", "--disk-reserve=40M", &origin];
    let stage = Stage::new(World::start_on_small_disk(300, 60_000, &limits).await);
    let store = stage.world.data.join("store");
    for (name, layer, kind) in [
        ("zeros", layer(1, 280 << 20, false), "disk_limit"),
        ("files", layer(20_000, 0, false), "inode_limit"),
        ("noise", layer(1, 100 << 20, true), "disk_limit"),
    ] {
        test_support::push_busybox_with(&layer, &elsewhere.address(), &format!("{name}:1"));
        let neighbour = stage.world.submit(stage.spec("neighbour", NEIGHBOUR)).await;
        stage.world.wait_for_log(&neighbour, "RUN for").await;
        let before = free(&store);
        let mut spec = stage.spec("hog", "RUN true");
        spec["build_args"]["BASE"] = json!(format!("{}/{name}:1", elsewhere.address()));
        let hog = stage.world.build(spec).await;
        let neighbour = stage.world.ended(&neighbour).await;
        assert_eq!(neighbour["status"], "succeeded", "{name}: {neighbour}\n{}", stage.world.log());
        let failure = &hog["failure"];
        assert_eq!((&failure["kind"], &failure["blame"]), (&json!(kind), &json!("limits")), "{name}: {hog}");
        assert_eq!(hog["attempt"], 1, "{name}: {hog}");
        // The neighbour's layer, and the image's blob where that is small, may have come meanwhile.
        let is_back = || {
            before.0.saturating_sub(free(&store).0) < 16 << 20
                && before.1.saturating_sub(free(&store).1) < 300
        };
        let told = Instant::now();
        while !is_back() {
            assert!(told.elapsed() < Duration::from_secs(15), "{name}: {before:?} {:?}", free(&store));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_memory_or_processes_is_ended_and_the_worker_lives() {
    let _turn = TURN.lock().await;
    let limits =
        ["--slots=3", "--run-memory=192M", "--run-processes=150", "--run-file-size=8M", "--run-log=64K"];
    let stage = Stage::new(World::start_with(Identity::Root, &limits).await);

    let failure = stage
        .ends(
            "memory",
            r#"RUN awk 'BEGIN { text = "x"; while (length(text) < 500000000) text = text text }'"#,
        )
        .await;
    assert_eq!(failure["kind"], "memory_limit", "{failure}");
    assert!(failure["message"].as_str().unwrap().contains("192 MiB"), "{failure}");

    let bomb = r#"RUN awk 'BEGIN { while (started < 400) if (system("sleep 600 &") == 0) started++ }'"#;
    let failure = stage.ends("bomb", bomb).await;
    assert_eq!(failure["kind"], "process_limit", "{failure}");
    assert!(failure["message"].as_str().unwrap().contains("150"), "{failure}");

    // One that ends by itself: its shell can't start what comes next.
    let bomb = "RUN f() { f | f & }; f; while :; do sleep 600 & done";
    assert_eq!(stage.ends("bomb-that-ends", bomb).await["kind"], "process_limit");

    // A repository is a stranger's as well: what its host sends becomes large in memory.
    for pack in [ForgedPack::delta_bomb(1 << 30), ForgedPack::zeros(300 << 20)] {
        let lie = pack.lie;
        let host = ForgingHost::start(pack);
        let source = json!({ "type": "git", "url": host.url(), "ref": "main" });
        let bomb = stage.world.build(json!({ "source": source, "images": [] })).await;
        let failure = &bomb["failure"];
        assert_eq!(
            (&failure["kind"], &failure["blame"]),
            (&json!("memory_limit"), &json!("limits")),
            "{lie}: {bomb}"
        );
        assert_eq!(bomb["attempt"], 1, "{lie}: {bomb}");
    }

    let talks = "RUN i=0; while [ $i -lt 5000 ]; do echo \"line $i of a step that talks\"; i=$((i+1)); done";
    let run = stage.world.submit(stage.spec("talks", talks)).await;
    assert_eq!(stage.world.ended(&run).await["status"], "succeeded");
    let log = stage.world.run_log(&run).await;
    let end = "\nThe log ends here: it is longer than 64 KiB, the worker's --run-log. The run goes on.\n";
    // What the publisher has to say follows.
    let (steps, push) = log.split_once(end).unwrap_or_else(|| panic!("{} bytes without an end", log.len()));
    assert!(!push.contains("a step that talks") && push.contains("pushed "), "{push}");
    assert!(steps.len() < 64 << 10 && steps.contains("line 900 of"), "{} bytes", steps.len());

    let long = "RUN dd if=/dev/zero of=/long bs=1M count=9";
    assert_eq!(stage.ends("long-file", long).await["kind"], "file_size_limit");

    let mut spec = stage.spec("slow", "RUN echo in the middle; sleep 600");
    spec["timeout_seconds"] = json!(3);
    let slow = stage.world.build(spec).await;
    assert_eq!(
        (&slow["status"], &slow["failure"]["kind"]),
        (&json!("timed_out"), &json!("timed_out")),
        "{slow}"
    );
    assert!(slow["failure"]["message"].as_str().unwrap().contains("3 seconds"), "{slow}");
    gone(&stage.world, Instant::now()).await;
}

/// Double-forks, leaves its session, ignores TERM, holds the output open and never sleeps.
const STUBBORN: &str =
    "RUN (setsid sh -c 'trap \"\" TERM; while :; do :; done' &) ; echo in the middle; sleep 600";

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_run_is_gone_within_fifteen_seconds_and_has_its_share_of_the_cores() {
    let _turn = TURN.lock().await;
    let stage = Stage::new(World::start_with(Identity::Root, &["--run-cpus=0.5"]).await);
    let run = stage.world.submit(stage.spec("stubborn", STUBBORN)).await;
    stage.world.wait_for_log(&run, "in the middle").await;
    assert_eq!(quota(&run), "50000", "microseconds of each tenth of a second");
    let told = Instant::now();
    stage.world.cancel(&run).await;
    let ended = stage.world.ended(&run).await;
    assert_eq!(ended["status"], "cancelled", "{ended}");
    gone(&stage.world, told).await;
}

/// Waits until nothing of a run is left, fifteen seconds after `told` at most.
async fn gone(world: &World, told: Instant) {
    while !Residue::now(&world.data).is_none() {
        assert!(told.elapsed() < Duration::from_secs(15), "{:?}", Residue::now(&world.data));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(told.elapsed() < Duration::from_secs(15));
}

/// Of the run's cgroup, of either version.
fn quota(run: &str) -> String {
    let id = run.rsplit('/').next().unwrap();
    let roots = ["cpu/slipway", "slipway"].map(|root| Path::new("/sys/fs/cgroup").join(root));
    let folders = roots.iter().filter_map(|root| std::fs::read_dir(root).ok()).flatten().flatten();
    let folder = folders.map(|entry| entry.path()).find(|path| path.to_string_lossy().contains(id)).unwrap();
    let read = |file: &str| std::fs::read_to_string(folder.join(file)).ok();
    let text = read("cpu.cfs_quota_us").or_else(|| read("cpu.max")).unwrap();
    text.split_whitespace().next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_cgroup_there_are_no_limits_and_who_needs_them_leases_nothing() {
    let user = Identity::OrdinaryUser;
    let doctor = user.command(&slipway()).arg("doctor").output().unwrap();
    assert!(String::from_utf8_lossy(&doctor.stdout).contains("limits: none"), "{doctor:?}");

    let world = World::start(user).await;
    let readyz = async |world: &World| {
        let answer = world.http.get(format!("{}/readyz", world.server)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let (status, said) = readyz(&world).await;
    assert!(status == 200 && said.contains("limits: none on "), "{said}");

    drop(world);
    let stage = Stage::new(World::start_with(user, &["--require-limits"]).await);
    let (status, said) = readyz(&stage.world).await;
    assert!(status == 503 && said.contains("limits: none on "), "{said}");
    assert!(stage.world.log().contains("no run is leased here"), "{}", stage.world.log());
    let run = stage.world.submit(stage.spec("waits", "RUN true")).await;
    // Longer than a worker needs to see it, by a notification or without.
    let waited = stage.world.http.get(&run).header("prefer", "wait=3").send().await.unwrap();
    assert_eq!(waited.json::<Value>().await.unwrap()["status"], "queued");
}
