//! The wall between the roles' users: who may read and write which file of one `slipway up`, as root.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::path::{Path, PathBuf};

use serde_json::json;
use support::{Identity, World};
use test_support::{GitServer, TestRepository};

/// Whether a shell command succeeds as a user.
fn may(user: &str, command: &str) -> bool {
    let mut runuser = Identity::Root.command(Path::new("runuser"));
    runuser.args(["-u", user, "--", "sh", "-c", command]);
    runuser.output().unwrap().status.success()
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let find = Identity::Root.command(Path::new("find")).arg(folder).args(["-type", "f"]).output().unwrap();
    String::from_utf8(find.stdout).unwrap().lines().map(PathBuf::from).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_roles_user_reads_what_is_its_own_and_the_publisher_writes_no_store() {
    let world = World::start(Identity::Root).await;
    let base = world.base_image();
    let repository = TestRepository::new();
    repository.commit_to("main", &[("Dockerfile", &format!("FROM {base}\nRUN echo made > /made\n"))]);
    let git = GitServer::start(&repository);
    let source = json!({ "type": "git", "url": git.url(), "ref": "main" });
    let run = world.build(json!({ "source": source, "images": ["app:1"] })).await;
    assert_eq!(run["status"], "succeeded", "{run}");

    let users = ["slipway-server", "slipway-worker", "slipway-publisher", "slipway-registry", "slipway-db"];
    let secrets = files_below(&world.data.join("secrets"));
    assert!(secrets.len() >= 7, "{secrets:?}");
    for secret in &secrets {
        let name = secret.file_name().unwrap().to_str().unwrap();
        for user in users {
            let own = name.split('.').next() == user.strip_prefix("slipway-");
            assert_eq!(may(user, &format!("cat {}", secret.display())), own, "{user} reads {name}");
        }
    }

    let blobs = files_below(&world.data.join("store/blobs"));
    assert!(!blobs.is_empty());
    for blob in &blobs {
        let blob = blob.display();
        assert!(may("slipway-publisher", &format!("cat {blob}")), "the publisher pushes {blob}");
        for write in [
            format!("echo x >> {blob}"),
            format!("rm -f {blob} && ! test -e {blob}"),
            format!("chmod 666 {blob}"),
        ] {
            assert!(!may("slipway-publisher", &write), "{write}");
        }
    }
    let store = world.data.join("store");
    let folders =
        Identity::Root.command(Path::new("find")).arg(&store).args(["-type", "d"]).output().unwrap();
    for folder in String::from_utf8(folders.stdout).unwrap().lines() {
        assert!(!may("slipway-publisher", &format!("touch {folder}/mine")), "writes in {folder}");
    }
    for user in ["slipway-server", "slipway-registry", "slipway-db"] {
        assert!(!may(user, &format!("ls {}", store.join("blobs").display())), "{user} lists blobs");
    }
}
