//! What a worker is told about the run that it holds, and what it is not: over the publisher's real socket,
//! with a cloud and a registry that check everything.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod world;

use broker::{Answer, Ask, Broker, Question, RunSecrets};
use database::LeasedRun;
use identity::SignIn;
use model::{CredentialKind, Failure, LeaseToken, Trust};
use publisher::IdentityOptions;
use test_support::{FakeAzure, Principal, TokenRegistry};

const CLIENT: &str = "0b1f5c2e-client";
const SECRET: &str = "s3cret-of-the-principal";

struct Cloud {
    registry: TokenRegistry,
    _azure: FakeAzure,
}

type World = world::World<Cloud>;

/// A publisher whose identity may push to `app` and pull from `base`.
async fn world() -> World {
    let azure = FakeAzure::start_at("127.0.0.1:0").await;
    let secret = Some(SECRET.to_owned());
    azure.knows(Principal { client_id: CLIENT.into(), secret, ..Principal::default() });
    let registry = TokenRegistry::start(Some(&azure)).await;
    registry.allow(CLIENT, "app", &["pull", "push"]);
    registry.allow(CLIENT, "base", &["pull"]);
    let address = registry.address();
    let options = IdentityOptions {
        authority: Some(azure.authority()),
        roots: vec![azure.root()],
        acr_suffixes: vec!["127.0.0.1".into()],
        ..IdentityOptions::default()
    };
    let (tenant_id, client_secret) = (azure.tenant(), SECRET.to_owned());
    let mut world = World::new(Cloud { registry, _azure: azure }, &address).await;
    let sign_in = SignIn::ServicePrincipal { tenant_id, client_id: CLIENT.into(), client_secret };
    world.publish_with(sign_in, options).await;
    world
}

async fn ask(world: &World, leased: &LeasedRun, ask: Ask) -> Result<Answer, Failure> {
    let LeasedRun { run, epoch, token, .. } = leased.clone();
    Broker::at(world.socket()).ask(&Question { run, epoch, token, ask }).await
}

async fn pull_token(world: &World, leased: &LeasedRun, repository: &str) -> Result<Answer, Failure> {
    ask(world, leased, Ask::PullToken { repository: repository.into() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_right_to_push_is_known_before_anything_is_built() {
    let world = world().await;
    let may = world.lease(&["app:1", "app:2"]).await;
    assert_eq!(ask(&world, &may, Ask::Preflight).await, Ok(Answer::Passed));
    let may_not = world.lease(&["app:1", "base:1", "other:1"]).await;
    let failure = ask(&world, &may_not, Ask::Preflight).await.unwrap_err();
    assert_eq!((failure.kind.as_str(), failure.blame.as_str()), ("registry_denied", "user"), "{failure}");
    assert!(failure.message.contains("base") && failure.message.contains("other"), "{failure}");
    assert!(!failure.message.contains("app") && !failure.hint.is_empty(), "{failure}");
    assert_eq!(ask(&world, &world.lease(&[]).await, Ask::Preflight).await, Ok(Answer::Passed));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_gets_a_token_that_pulls_from_one_repository_and_does_nothing_else() {
    let world = world().await;
    let leased = world.lease(&["app:1"]).await;
    for repository in ["base", "app"] {
        let answer = pull_token(&world, &leased, repository).await;
        assert!(matches!(answer, Ok(Answer::PullToken(Some(_)))), "{answer:?}");
        let asked = world.registry.registry.asked();
        assert_eq!(asked.last().unwrap()[..], [format!("repository:{repository}:pull")]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_gets_the_secrets_that_it_declares() {
    let world = world().await;
    world.credential("source", CredentialKind::Git, Some("ci"), "git-pass").await;
    world.credential("npm", CredentialKind::Build, None, "npm-t0ken").await;
    world.credential("unasked", CredentialKind::Build, None, "unasked-t0ken").await;
    let leased = world.lease_with(&[], Trust::Trusted, &[("npmrc", "npm")], Some("source")).await;
    let Ok(Answer::Secrets(RunSecrets { git, build })) = ask(&world, &leased, Ask::Secrets).await else {
        panic!("it has secrets")
    };
    let git = git.unwrap();
    assert_eq!((git.username.as_deref(), git.secret.expose()), (Some("ci"), "git-pass"));
    let build: Vec<_> = build.iter().map(|(id, secret)| (id.as_str(), secret.expose())).collect();
    assert_eq!(build, [("npmrc", "npm-t0ken")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registrys_credential_is_no_secret_of_a_build() {
    let world = world().await;
    let leased = world.lease_with(&[], Trust::Trusted, &[("x", "registry")], None).await;
    let failure = ask(&world, &leased, Ask::Secrets).await.unwrap_err();
    assert_eq!(failure.kind, "credential_not_found");
    assert!(!failure.to_string().contains(SECRET));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_run_gets_its_source_and_nothing_else() {
    let world = world().await;
    world.credential("source", CredentialKind::Git, None, "git-pass").await;
    world.credential("npm", CredentialKind::Build, None, "npm-t0ken").await;
    let leased = world.lease_with(&["app:1"], Trust::Untrusted, &[("npmrc", "npm")], Some("source")).await;
    let Ok(Answer::Secrets(secrets)) = ask(&world, &leased, Ask::Secrets).await else { panic!("an answer") };
    assert!(secrets.git.is_some() && secrets.build.is_empty());
    assert_eq!(pull_token(&world, &leased, "base").await, Ok(Answer::PullToken(None)));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_hold_the_run_is_told_nothing() {
    let world = world().await;
    let leased = world.lease(&["app:1"]).await;
    let guessed = LeasedRun { token: LeaseToken("0".repeat(64)), ..leased.clone() };
    let stale = LeasedRun { epoch: model::Epoch(leased.epoch.0 - 1), ..leased.clone() };
    for other in [&guessed, &stale] {
        for question in [Ask::Preflight, Ask::Secrets, Ask::PullToken { repository: "app".into() }] {
            let failure = ask(&world, other, question).await.unwrap_err();
            assert_eq!(failure.kind, "lease_lost", "{failure}");
        }
    }
    world.finish(&leased, world.image(&[("made", world::STORE)])).await;
    assert_eq!(ask(&world, &leased, Ask::Secrets).await.unwrap_err().kind, "lease_lost", "it has ended");
}
