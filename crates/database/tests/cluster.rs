//! The private cluster: it survives the kill of its processes and keeps what was committed.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use database::cluster::{Cluster, ClusterOptions};
use database::{Database, migrate};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid, User};
use sqlx::{Connection, PgConnection};

fn options(folder: &Path) -> ClusterOptions {
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o711)).unwrap();
    // Postgres refuses root; Debian's package brings a user for it.
    let owner = Uid::effective().is_root().then(|| User::from_name("postgres").unwrap().unwrap());
    ClusterOptions {
        data: folder.join("data"),
        socket: folder.join("socket"),
        owner: owner.map(|user| (user.uid.as_raw(), user.gid.as_raw())),
    }
}

async fn until_it_answers(database: &Database) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while let Err(error) = database.ping().await {
        assert!(std::time::Instant::now() < deadline, "{error}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_postmaster_is_started_again_and_has_lost_nothing() {
    let folder = tempfile::TempDir::with_prefix("sw-").unwrap();
    let cluster = Cluster::start(options(folder.path())).await.unwrap();
    let urls = migrate::roles(&cluster.admin_url(), &migrate::Passwords::random().unwrap()).await.unwrap();
    migrate::run(&urls.owner).await.unwrap();
    let server = Database::connect(&urls.server, "test").await.unwrap();
    assert!(server.is_current().await.unwrap());
    let mut worker = PgConnection::connect(&urls.worker).await.unwrap();
    let refused = sqlx::query("CREATE TEMP TABLE mine (a int)").execute(&mut worker).await.unwrap_err();
    assert!(refused.to_string().contains("permission denied"), "{refused}");
    // The other databases of a cluster have no walls.
    for other in ["postgres", "template1"] {
        let url = urls.worker.replace("/slipway?", &format!("/{other}?"));
        assert_ne!(url, urls.worker);
        let refused = Database::connect(&url, "test").await.unwrap().ping().await.unwrap_err();
        assert!(refused.to_string().contains("pg_hba.conf"), "{refused}");
    }
    server.upsert_registry("local", "127.0.0.1:5000", true).await.unwrap();

    let pid = std::fs::read_to_string(folder.path().join("data/postmaster.pid")).unwrap();
    let pid = Pid::from_raw(pid.lines().next().unwrap().parse().unwrap());
    kill(pid, Signal::SIGKILL).unwrap();
    while kill(pid, None).is_ok() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    until_it_answers(&server).await;
    assert!(server.get_registry("local").await.unwrap().is_some());
    cluster.stop().await;
    assert!(server.ping().await.unwrap_err().is_unavailable());

    // The lock of a cluster that was killed with its machine: the id belongs to somebody else by now.
    std::fs::write(folder.path().join("data/postmaster.pid"), format!("{}\n", std::process::id())).unwrap();
    let cluster = Cluster::start(options(folder.path())).await.unwrap();
    assert!(server.get_registry("local").await.unwrap().is_some());
    // A second start gives new passwords and changes nothing else.
    let urls = migrate::roles(&cluster.admin_url(), &migrate::Passwords::random().unwrap()).await.unwrap();
    migrate::run(&urls.owner).await.unwrap();
    let again = Database::connect(&urls.server, "test").await.unwrap();
    assert!(again.get_registry("local").await.unwrap().is_some());
    cluster.stop().await;
}
