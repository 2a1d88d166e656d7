//! Managed identities: each story in a network of its own, where the metadata service has its real address.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use identity::{Access, SignIn};
use support::{World, failure, token};
use test_support::{IDENTITY_HEADER, Principal, in_its_own_network};

const IMDS: &str = "169.254.169.254:80";
const APP_SERVICE: &[(&str, &str)] =
    &[("IDENTITY_ENDPOINT", "http://127.0.0.1:4141/msi/token"), ("IDENTITY_HEADER", IDENTITY_HEADER)];

fn assigned(client_id: &str, is_system: bool) -> Principal {
    Principal { client_id: client_id.into(), is_assigned: true, is_system, ..Principal::default() }
}

/// Two identities of one machine, each with a repository of its own.
async fn two_identities(world: &World) {
    world.azure.knows(assigned("the-machine", true));
    world.azure.knows(assigned("the-builder", false));
    world.registry.allow("the-machine", "system", &["pull", "push"]);
    world.registry.allow("the-builder", "user", &["pull", "push"]);
    for (client_id, own, other) in [(None, "system", "user"), (Some("the-builder"), "user", "system")] {
        let client_id = client_id.map(str::to_owned);
        let identity = world.identity(SignIn::ManagedIdentity { client_id });
        token(identity.authorization(&[own], Access::Push).await.unwrap());
        identity.preflight(&[own]).await.unwrap();
        assert_eq!(failure(&identity.preflight(&[other]).await.unwrap_err()).0, "registry_denied");
    }
    let nobody = world.identity(SignIn::ManagedIdentity { client_id: Some("nobody".into()) });
    let (kind, blame, words) = failure(&nobody.authorization(&["user"], Access::Push).await.unwrap_err());
    assert_eq!((kind.as_str(), blame), ("identity_refused", "user"), "{words}");
    world.nothing_leaked();
}

#[tokio::test]
async fn the_metadata_service_knows_the_machines_identities() {
    // The machine's proxy is not asked who the machine is.
    let proxy = [("http_proxy", "http://127.0.0.1:9"), ("no_proxy", "127.0.0.1")];
    if !in_its_own_network("the_metadata_service_knows_the_machines_identities", &proxy) {
        return;
    }
    let world = World::at(IMDS).await;
    two_identities(&world).await;
    assert_eq!((world.azure.count("imds"), world.azure.count("app_service")), (3, 0));
}

#[tokio::test]
async fn an_app_service_knows_the_apps_identities() {
    if !in_its_own_network("an_app_service_knows_the_apps_identities", APP_SERVICE) {
        return;
    }
    let world = World::at("127.0.0.1:4141").await;
    two_identities(&world).await;
    assert_eq!((world.azure.count("imds"), world.azure.count("app_service")), (0, 3));
}

#[tokio::test]
async fn without_a_service_there_is_no_identity() {
    if !in_its_own_network("without_a_service_there_is_no_identity", APP_SERVICE) {
        return;
    }
    let world = World::new().await;
    let identity = world.identity(SignIn::ManagedIdentity { client_id: None });
    let (kind, blame, words) = failure(&identity.authorization(&["app"], Access::Push).await.unwrap_err());
    assert_eq!((kind.as_str(), blame), ("identity_unavailable", "service"), "{words}");
}

#[tokio::test]
async fn a_workload_identity_is_found_in_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "federated-one").unwrap();
    let variables = [
        ("AZURE_TENANT_ID", "the-tenant"),
        ("AZURE_CLIENT_ID", "the-pod"),
        ("AZURE_FEDERATED_TOKEN_FILE", file.to_str().unwrap()),
    ];
    if !in_its_own_network("a_workload_identity_is_found_in_the_environment", &variables) {
        return;
    }
    let world = World::new().await;
    let sign_in = SignIn::WorkloadIdentity { tenant_id: None, client_id: None, token_file: None };
    let asked = world.identity(sign_in).authorization(&["app"], Access::Push).await;
    // The cloud's tenant is another one in each test; that this one was asked for shows in its answer.
    let (kind, _, words) = failure(&asked.unwrap_err());
    assert!(kind == "identity_refused" && words.contains("AADSTS90002"), "{words}");
    let tenant_id = Some(world.azure.tenant());
    let pod = Principal {
        client_id: "the-pod".into(),
        assertion: Some("federated-one".into()),
        ..Principal::default()
    };
    world.azure.knows(pod);
    world.registry.allow("the-pod", "app", &["pull", "push"]);
    let sign_in = SignIn::WorkloadIdentity { tenant_id, client_id: None, token_file: None };
    world.identity(sign_in).preflight(&["app"]).await.unwrap();
}
