//! Bad input and trouble: each ends the run with its own kind, a sentence, and the user's own line.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use serde_json::{Value, json};
use support::{Identity, World};
use test_support::{GIT_HOSTS, GitServer, LocalRegistry, TestRepository};

async fn failure_of(world: &World, spec: Value) -> Value {
    let run = world.build(spec).await;
    assert_eq!(run["status"], "failed", "{run}");
    assert!(!run["failure"]["message"].as_str().unwrap().is_empty());
    run["failure"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_mistake_has_its_own_kind_and_shows_the_users_line() {
    let world = World::start(Identity::Root).await;
    let base = world.base_image();
    let repository = TestRepository::new();
    let git = GitServer::start(&repository);
    let private = GitServer::start_private(&repository, "Basic c29tZWJvZHk6ZWxzZQ==");
    let spec = |url: &str, reference: &str| {
        json!({
            "source": { "type": "git", "url": url, "ref": reference },
            "images": ["trouble:1"],
            "build_args": { "BASE": base },
        })
    };
    repository.commit_to("no-dockerfile", &[("readme", "nothing to build\n")]);
    repository.commit_to("syntax", &[("Dockerfile", "FROM scratch\nCOPPY a b\n")]);
    repository.commit_to("run-fails", &[("Dockerfile", "ARG BASE\nFROM ${BASE}\nRUN echo before; exit 7\n")]);
    let nul = "FROM ${BASE}\nRUN printf 'a\\0b\\n'; printf 'c\\0d' >&2; exit 7\n";
    repository.commit_to("nul", &[("Dockerfile", &format!("ARG BASE\n{nul}"))]);
    let unknown_base = format!("FROM {}/no/such:1\n", world.registry);
    repository.commit_to("unknown-base", &[("Dockerfile", &unknown_base)]);
    repository.commit_to(
        "unsupported",
        &[("Dockerfile", "ARG BASE\nFROM ${BASE}\nRUN --mount=type=cache,target=/c true\n")],
    );

    for (url, reference, kind, line) in [
        (git.url(), "no-dockerfile", "dockerfile_not_found", None),
        (git.url(), "no-such-branch", "ref_not_found", None),
        (private.url(), "syntax", "repository_not_found_or_private", None),
        (format!("http://{GIT_HOSTS}:9/nobody/listens.git"), "main", "repository_unreachable", None),
        ("http://127.0.0.1:9/nobody/listens.git".to_owned(), "main", "address_denied", None),
        (git.url(), "syntax", "dockerfile_syntax", Some((2, "COPPY a b"))),
        (git.url(), "run-fails", "run_failed", Some((3, "RUN echo before; exit 7"))),
        (git.url(), "nul", "run_failed", Some((3, r"RUN printf 'a\0b\n'; printf 'c\0d' >&2; exit 7"))),
        (git.url(), "unknown-base", "base_image_not_found", Some((1, unknown_base.trim()))),
        (
            git.url(),
            "unsupported",
            "dockerfile_unsupported",
            Some((3, "RUN --mount=type=cache,target=/c true")),
        ),
    ] {
        let failure = failure_of(&world, spec(&url, reference)).await;
        assert_eq!(failure["kind"], kind, "{reference}: {failure}");
        if let Some((line, text)) = line {
            assert_eq!(
                (failure["location"]["line"].as_u64(), failure["location"]["text"].as_str()),
                (Some(line), Some(text))
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_credential_of_the_registry_is_told_and_kept_to_the_publisher() {
    let private = LocalRegistry::start_with_password("ci", "right");
    let public = LocalRegistry::start();
    test_support::push_busybox(&public.address(), "base/busybox:1");
    let password = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(password.path(), "hunter2\n").unwrap();
    std::fs::set_permissions(password.path(), std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let arguments =
        ["--registry", &private.address(), "--registry-username", "ci", "--registry-password-file"];
    let arguments = [&arguments[..], &[password.path().to_str().unwrap()]].concat();
    let world = World::start_with(Identity::Root, &arguments).await;
    let repository = TestRepository::new();
    let git = GitServer::start(&repository);
    let dockerfile = format!("FROM {}/base/busybox:1\nRUN echo built > /built\n", public.address());
    repository.commit_to("main", &[("Dockerfile", &dockerfile)]);
    let spec =
        json!({ "source": { "type": "git", "url": git.url(), "ref": "main" }, "images": ["trouble:1"] });
    let run = world.submit(spec).await;
    let failure = world.ended(&run).await["failure"].clone();
    assert_eq!(failure["kind"], "registry_denied", "{failure}");
    assert_eq!(failure["blame"], "user");
    assert!(!world.run_log(&run).await.contains("RUN echo built"), "nothing is built in vain");
    assert!(!world.log().contains("hunter2"), "the password is in no log");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_ends_the_run_that_filled_it_and_the_next_one_succeeds() {
    let world = World::start_on_small_disk(64).await;
    let base = world.base_image();
    let repository = TestRepository::new();
    let git = GitServer::start(&repository);
    let spec = |branch: &str| {
        json!({
            "source": { "type": "git", "url": git.url(), "ref": branch },
            "images": ["trouble:1"],
            "build_args": { "BASE": base },
        })
    };
    let fill = "RUN dd if=/dev/urandom of=/big bs=1M count=200";
    repository.commit_to("fills", &[("Dockerfile", &format!("ARG BASE\nFROM ${{BASE}}\n{fill}\n"))]);
    repository.commit_to("fits", &[("Dockerfile", "ARG BASE\nFROM ${BASE}\nRUN echo small > /small\n")]);

    let failure = failure_of(&world, spec("fills")).await;
    assert_eq!(failure["kind"], "disk_full", "{failure}");
    assert_eq!(failure["location"]["text"], fill, "{failure}");
    let fits = world.build(spec("fits")).await;
    assert_eq!(fits["status"], "succeeded", "what filled the disk is gone: {fits}");
}
