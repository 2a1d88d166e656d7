//! Identities of Azure at a registry in token mode.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::time::Duration;

use identity::{Access, Identity, Options, SignIn};
use support::{CLIENT, SECRET, World, failure, principal, token};
use test_support::Principal;

#[tokio::test]
async fn a_service_principal_gets_a_token_for_just_what_it_asks_and_asks_once() {
    let world = World::new().await;
    world.registry.allow(CLIENT, "base", &["pull"]);
    let identity = world.identity(world.service_principal());
    let first = token(identity.authorization(&["app"], Access::Push).await.unwrap());
    let again = token(identity.clone().authorization(&["app"], Access::Push).await.unwrap());
    assert_eq!(first, again);
    let mount = identity.authorize(&[("app", Access::Push), ("base", Access::Pull)]).await.unwrap();
    assert_ne!(first, token(mount));
    let asked = [vec!["repository:app:pull,push"], vec!["repository:app:pull,push", "repository:base:pull"]];
    assert_eq!(world.registry.asked(), asked);
    let counts =
        (world.azure.count("authority"), world.registry.count("exchange"), world.registry.count("token"));
    assert_eq!(counts, (1, 1, 2), "the refresh token is kept");
    world.nothing_leaked();
}

#[tokio::test]
async fn many_who_ask_at_once_share_one_sign_in() {
    let world = World::new().await;
    let identity = world.identity(world.service_principal());
    let ask = || identity.authorization(&["app"], Access::Push);
    let (a, b, c, d) = tokio::join!(ask(), ask(), ask(), ask());
    let tokens = [a, b, c, d].map(|answer| token(answer.unwrap()));
    assert!(tokens.iter().all(|token| *token == tokens[0]));
    assert_eq!((world.registry.count("exchange"), world.registry.count("token")), (1, 1));
}

#[tokio::test]
async fn a_token_for_one_repository_does_not_push_to_another() {
    let world = World::new().await;
    world.registry.allow(CLIENT, "other", &["pull", "push"]);
    let identity = world.identity(world.service_principal());
    let token = token(identity.authorization(&["app"], Access::Push).await.unwrap());
    let begin = async |repository: &str| {
        let url = format!("http://{}/v2/{repository}/blobs/uploads/", world.registry.address());
        let http = reqwest::Client::builder().build().unwrap();
        http.post(url).bearer_auth(&token).send().await.unwrap().status().as_u16()
    };
    assert_eq!((begin("app").await, begin("other").await), (202, 401));
}

#[tokio::test]
async fn a_wrong_secret_tenant_or_audience_is_the_users_to_mend() {
    let world = World::new().await;
    let declared = |tenant: &str, secret: &str| SignIn::ServicePrincipal {
        tenant_id: tenant.to_owned(),
        client_id: CLIENT.to_owned(),
        client_secret: secret.to_owned(),
    };
    let refused = async |sign_in: SignIn| {
        let error = world.identity(sign_in).authorization(&["app"], Access::Push).await.unwrap_err();
        let (kind, blame, words) = failure(&error);
        assert!(!words.contains(SECRET) && !words.contains("hunter2"), "{words}");
        assert_eq!(blame, "user", "{words}");
        (kind, words)
    };
    let tenant = world.azure.tenant();
    let (kind, words) = refused(declared(&tenant, "hunter2")).await;
    assert!(kind == "identity_refused" && words.contains("AADSTS7000215"), "{words}");
    let (kind, words) = refused(declared("another-tenant", SECRET)).await;
    assert!(kind == "identity_refused" && words.contains("AADSTS90002"), "{words}");
    assert_eq!(world.registry.count("exchange"), 0);

    world.registry.belongs_to("another-tenant");
    let (kind, words) = refused(declared(&tenant, SECRET)).await;
    assert!(kind == "registry_denied" && words.contains("AcrPush"), "{words}");
    world.registry.belongs_to(&tenant);
    world.azure.tokens_are_for("https://vault.azure.net");
    let (kind, words) = refused(declared(&tenant, SECRET)).await;
    assert!(kind == "registry_denied" && words.contains("wrong audience"), "{words}");
    assert_eq!(world.registry.count("token"), 0);
}

#[tokio::test]
async fn a_declaration_that_lacks_something_says_what() {
    let world = World::new().await;
    let sign_in = SignIn::WorkloadIdentity { tenant_id: None, client_id: None, token_file: None };
    let made = Identity::new(&world.registry.address(), false, sign_in, world.options());
    let (kind, _, words) = failure(&made.unwrap_err());
    assert!(
        kind == "identity_refused" && words.contains("AZURE_TENANT_ID is neither given nor set"),
        "{words}"
    );
}

#[tokio::test]
async fn an_identity_goes_to_registries_of_azures_and_nowhere_else() {
    let world = World::new().await;
    let made = |host: &str, plain_http: bool, suffixes: &[&str]| {
        let acr_suffixes = suffixes.iter().map(|&suffix| suffix.to_owned()).collect();
        let options = Options { acr_suffixes, ..world.options() };
        Identity::new(host, plain_http, world.service_principal(), options)
    };
    made("team.azurecr.io", false, &[]).unwrap();
    made("team.registry.example", false, &["registry.example"]).unwrap();
    for (host, plain_http, suffixes, why) in [
        ("evil.example", false, &[][..], "none of Azure Container Registry's"),
        ("azurecr.io.evil.example", false, &[], "none of Azure Container Registry's"),
        ("127.0.0.1:5000", false, &[], "none of Azure Container Registry's"),
        ("team.azurecr.io", true, &[], "plain http"),
        ("team.registry.example", true, &["registry.example"], "plain http"),
    ] {
        let (kind, blame, words) = failure(&made(host, plain_http, suffixes).unwrap_err());
        assert_eq!((kind.as_str(), blame), ("identity_refused", "user"), "{words}");
        assert!(words.contains(why) && words.contains("--acr-suffix"), "{host}: {words}");
    }
    assert_eq!(world.azure.count("authority"), 0, "and nobody was asked for a token");
}

#[tokio::test]
async fn a_replaced_token_file_is_read_anew() {
    let world = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let federated = |assertion: &str| Principal { assertion: Some(assertion.into()), ..principal() };
    world.azure.knows(federated("federated-one"));
    std::fs::write(&file, "federated-one\n").unwrap();
    let identity = world.identity(SignIn::WorkloadIdentity {
        tenant_id: Some(world.azure.tenant()),
        client_id: Some(CLIENT.into()),
        token_file: Some(file.clone()),
    });
    // Entra is asked each time, for its token is never good for five minutes more.
    world.azure.tokens_live(Duration::from_secs(60));
    identity.preflight(&["app"]).await.unwrap();

    world.azure.knows(federated("federated-two"));
    world.registry.revoke_all();
    let (kind, _, words) = failure(&identity.preflight(&["app"]).await.unwrap_err());
    assert!(kind == "identity_refused" && words.contains("AADSTS700024"), "{words}");
    std::fs::write(&file, "federated-two").unwrap();
    identity.preflight(&["app"]).await.unwrap();

    std::fs::remove_file(&file).unwrap();
    world.registry.revoke_all();
    let (kind, blame, words) = failure(&identity.preflight(&["app"]).await.unwrap_err());
    assert_eq!((kind.as_str(), blame), ("identity_unavailable", "service"), "{words}");
    assert!(words.contains("can't be read"), "{words}");
    world.nothing_leaked();
}

#[tokio::test]
async fn a_revoked_identity_ends_with_what_it_had() {
    let world = World::new().await;
    world.azure.tokens_live(Duration::from_secs(60));
    let identity = world.identity(world.service_principal());
    let had = token(identity.authorization(&["app"], Access::Push).await.unwrap());
    world.azure.knows(Principal { is_revoked: true, ..principal() });
    world.registry.revoke_all();
    identity.refused(&had);
    let (kind, blame, words) = failure(&identity.authorization(&["app"], Access::Push).await.unwrap_err());
    assert_eq!((kind.as_str(), blame), ("identity_refused", "user"), "{words}");
}

#[tokio::test]
async fn a_refused_token_is_replaced_and_a_refused_sign_in_too() {
    let world = World::new().await;
    let identity = world.identity(world.service_principal());
    let first = token(identity.authorization(&["app"], Access::Push).await.unwrap());
    identity.refused("some other token");
    assert_eq!(first, token(identity.authorization(&["app"], Access::Push).await.unwrap()));
    identity.refused(&first);
    assert_ne!(first, token(identity.authorization(&["app"], Access::Push).await.unwrap()));
    assert_eq!(world.registry.count("exchange"), 1);
    world.registry.revoke_all();
    identity.preflight(&["app"]).await.unwrap();
    assert_eq!(world.registry.count("exchange"), 2);
}

#[tokio::test]
async fn a_short_token_is_renewed_before_its_end_and_kept_until_then_if_need_be() {
    let world = World::new().await;
    world.registry.tokens_live(Duration::from_secs(10));
    let identity = world.identity(world.service_principal());
    let first = token(identity.authorization(&["app"], Access::Push).await.unwrap());
    tokio::time::sleep(Duration::from_millis(5000)).await;
    assert_eq!(first, token(identity.authorization(&["app"], Access::Push).await.unwrap()));
    tokio::time::sleep(Duration::from_millis(3200)).await;
    world.registry.answers("token", &[503, 503, 503]);
    assert_eq!(
        first,
        token(identity.authorization(&["app"], Access::Push).await.unwrap()),
        "for want of another"
    );
    assert_ne!(first, token(identity.authorization(&["app"], Access::Push).await.unwrap()));
}

#[tokio::test]
async fn who_is_busy_is_asked_three_times() {
    let world = World::new().await;
    let identity = world.identity(world.service_principal());
    world.registry.answers("exchange", &[429, 503]);
    world.azure.answers("authority", &[500]);
    identity.authorization(&["app"], Access::Push).await.unwrap();
    assert_eq!(world.registry.count("exchange"), 3);
    world.registry.answers("token", &[503, 503, 503]);
    let error = identity.authorization(&["app"], Access::Pull).await.unwrap_err();
    assert_eq!(failure(&error).0, "registry_unreachable", "{error}");
    assert_eq!((failure(&error).1, world.registry.count("token")), ("service", 1 + 3));

    let unlucky = world.identity(world.service_principal());
    world.azure.answers("authority", &[503; 4]);
    let error = unlucky.authorization(&["app"], Access::Push).await.unwrap_err();
    assert_eq!(
        (failure(&error).0.as_str(), failure(&error).1),
        ("identity_unavailable", "service"),
        "{error}"
    );
}

#[tokio::test]
async fn preflight_says_which_right_is_missing_before_anything_is_pushed() {
    let world = World::new().await;
    world.registry.allow(CLIENT, "read-only", &["pull"]);
    let identity = world.identity(world.service_principal());
    identity.preflight(&["app"]).await.unwrap();
    let error = identity.preflight(&["app", "read-only", "unknown"]).await.unwrap_err();
    let (kind, blame, words) = failure(&error);
    assert_eq!((kind.as_str(), blame), ("registry_denied", "user"));
    assert!(words.contains("push to read-only, unknown") && words.contains("Repository Writer"), "{words}");
    world.registry.allow(CLIENT, "read-only", &["pull", "push"]);
    identity.preflight(&["app", "read-only"]).await.unwrap();
    assert_eq!(world.registry.requests(), [], "the registry itself was asked nothing");
}
