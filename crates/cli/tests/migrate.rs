//! What the roles need before their first start comes from `slipway migrate`, and a second call changes nothing.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use test_support::TestDatabase;

#[tokio::test(flavor = "multi_thread")]
async fn migrate_makes_the_key_and_the_first_administrators_token_once() {
    let database = TestDatabase::new().await;
    let folder = tempfile::tempdir().unwrap();
    let (key, token) = (folder.path().join("key"), folder.path().join("token"));
    let migrate = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_slipway"));
        command.arg("migrate").env("DATABASE_URL", database.url("postgres"));
        command.args(["--registry", "local=127.0.0.1:5000"]);
        command.arg("--key-file").arg(&key).arg("--administrator-token-file").arg(&token);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        [&key, &token].map(|file| std::fs::read_to_string(file).unwrap())
    };
    let made = migrate();
    assert!(made[1].starts_with("sw_"), "{made:?}");
    for file in [&key, &token] {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o400);
    }
    vault::Vault::open(&key).unwrap();
    let known =
        format!("SELECT count(*)::text FROM slipway.tokens WHERE hash = sha256('{}')", made[1].trim());
    assert_eq!(database.text(&known).await.as_deref(), Some("1"), "the service knows the token");
    assert_eq!(migrate(), made, "what is there stays");
    assert_eq!(database.text("SELECT count(*)::text FROM slipway.tokens").await.as_deref(), Some("1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn migrate_leaves_a_newer_programs_tables_alone() {
    let database = TestDatabase::new().await;
    let later =
        "INSERT INTO slipway._sqlx_migrations (version, description, success, checksum, execution_time)
        VALUES (9999, 'later', true, '', 0)";
    database.execute(later).await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_slipway"));
    let output = command.arg("migrate").env("DATABASE_URL", database.url("slipway_owner")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && said.contains("migrated by a newer Slipway (migration 9999"),
        "{said}"
    );
}
