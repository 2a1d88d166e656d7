//! A site with an authority and proxies of its own: the worker's fetches and every RUN use them.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::path::Path;
use std::process::Output;

use serde_json::json;
use support::{Identity, World, slipway};
use test_support::{GitServer, TestRepository, TlsFront};

fn bundle(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, text).unwrap();
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_of_a_private_authority_is_fetched_and_its_steps_trust_it() {
    let repository = TestRepository::new();
    let git = GitServer::start(&repository);
    let plain = git.url();
    let upstream = plain.strip_prefix("http://").unwrap().split('/').next().unwrap();
    let front = TlsFront::start(upstream.to_owned()).await;
    let url = plain.replace(&format!("http://{upstream}"), &format!("https://{}", front.address()));
    // Read while `up` is still root: nobody else has to be able to.
    let file = bundle(front.root());
    let site = ["--build-ca-bundle", file.path().to_str().unwrap()];
    let origin = format!("https://{}", front.address());
    let site =
        [&site[..], &["--build-https-proxy", "http://proxy.example:3128", "--origin", &origin]].concat();
    let world = World::start_with(Identity::Root, &site).await;
    let shows = "RUN cat $SSL_CERT_FILE; echo proxy $HTTPS_PROXY; touch /made";
    repository.commit_to("main", &[("Dockerfile", &format!("FROM {}\n{shows}\n", world.base_image()))]);

    let spec = json!({ "source": { "type": "git", "url": url, "ref": "main" }, "images": [] });
    let run = world.submit(spec.clone()).await;
    let ended = world.ended(&run).await;
    let log = world.run_log(&run).await;
    assert_eq!(ended["status"], "succeeded", "{ended}\n{log}");
    let line = front.root().lines().nth(2).unwrap();
    assert!(log.contains(line) && log.contains("proxy http://proxy.example:3128"), "{log}");

    drop(world);
    let world = World::start_with(Identity::Root, &["--origin", &origin]).await;
    let failed = world.build(spec).await;
    assert_eq!(failed["status"], "failed", "the system does not know the authority: {failed}");
    assert!(failed["failure"]["message"].as_str().unwrap().contains("certificate"), "{failed}");
}

fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = std::process::Command::new(slipway());
    command.args(arguments).env_remove("SLIPWAY_BUILD_CA_BUNDLE").envs(variables.iter().copied());
    command.output().unwrap()
}

#[test]
fn a_bundle_that_is_none_is_refused_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let refusal = |file: &Path| {
        let file = file.to_str().unwrap();
        let output = run(&["up", "--data", data.to_str().unwrap(), "--build-ca-bundle", file], &[]);
        assert!(!output.status.success());
        assert!(!data.exists(), "nothing was made");
        String::from_utf8(output.stderr).unwrap()
    };
    let missing = refusal(Path::new("/no/such/bundle.pem"));
    assert!(
        missing.contains("/no/such/bundle.pem can't be read") && missing.contains("No such file"),
        "{missing}"
    );
    let text = bundle("hello\n");
    let said = refusal(text.path());
    assert!(said.contains("no certificate in PEM") && said.contains("--build-ca-bundle"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_tells_what_steps_would_be_given() {
    let front = TlsFront::start("127.0.0.1:1".to_owned()).await;
    let file = bundle(front.root());
    let path = file.path().to_str().unwrap();
    let site = |variables: &[(&str, &str)]| {
        let output = run(&["doctor", "--json"], variables);
        let findings: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let found = findings.as_array().unwrap().iter().find(|finding| finding["what"] == "RUN's network");
        (output.status.success(), found.unwrap().clone())
    };
    let (_, none) = site(&[("SLIPWAY_BUILD_CA_BUNDLE", ""), ("SLIPWAY_BUILD_HTTP_PROXY", "")]);
    assert_eq!(
        (&none["level"], &none["found"]),
        (&json!("ok"), &json!("trusts what its image does; no proxy"))
    );
    let set = [("SLIPWAY_BUILD_CA_BUNDLE", path), ("SLIPWAY_BUILD_NO_PROXY", ".example")];
    let found = site(&set).1["found"].to_string();
    assert!(
        found.contains(path) && found.contains("1 certificate") && found.contains("NO_PROXY=.example"),
        "{found}"
    );
    let (fine, broken) = site(&[("SLIPWAY_BUILD_CA_BUNDLE", "/no/such")]);
    assert!(!fine && broken["level"] == "missing", "{broken}");
}
