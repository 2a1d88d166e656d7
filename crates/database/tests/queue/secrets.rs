//! Which secrets a publisher may read, and under which lease.

use database::{NewCredential, NewRegistry, NewRun, Under};
use model::{BuildSpec, CredentialKind, Epoch, LeaseToken, SignIn, Trust};
use uuid::Uuid;

use crate::world::{World, new_run, spec};

impl World {
    /// Four credentials, of which the sign-in names `pusher`; and one of another registry.
    async fn credentials(&self) {
        let kinds = [
            ("source", CredentialKind::Git),
            ("npm", CredentialKind::Build),
            ("unasked", CredentialKind::Build),
            ("pusher", CredentialKind::Registry),
        ];
        self.db.server.upsert_registry("other", "127.0.0.1:5001", true).await.unwrap();
        for (registry, name, kind) in kinds.map(|(name, kind)| ("local", name, kind)).into_iter().chain([(
            "other",
            "theirs",
            CredentialKind::Build,
        )]) {
            let (registry, name, sealed) = (registry.to_owned(), name.to_owned(), name.as_bytes().to_vec());
            let new = NewCredential { registry, name, kind, username: None, known_hosts: None, sealed };
            self.db.server.put_credential(&new).await.unwrap();
        }
        let row = NewRegistry {
            name: "local".into(),
            address: "127.0.0.1:5000".into(),
            plain_http: true,
            sign_in: SignIn::Basic { credential: "pusher".into() },
            notify: Vec::new(),
        };
        self.db.server.update_registry(&row, None).await.unwrap();
    }

    async fn named(&self, trust: Trust) -> database::LeasedRun {
        let secrets = [("npmrc", "npm"), ("x", "theirs")];
        let secrets = secrets.map(|(id, name)| (id.to_owned(), name.to_owned())).into_iter().collect();
        let spec = BuildSpec { source_credential: Some("source".into()), secrets, ..spec() };
        self.submit_as(NewRun { spec, trust, ..new_run("local") }).await;
        self.lease().await
    }

    /// The names that can be read under a lease.
    async fn readable(&self, lease: Under<'_>) -> Vec<&'static str> {
        let mut found = Vec::new();
        for name in ["source", "npm", "unasked", "pusher", "theirs", "none"] {
            if let Some(sealed) = self.db.publisher.credential_under(lease, name).await.unwrap() {
                assert_eq!(sealed.sealed, name.as_bytes());
                found.push(name);
            }
        }
        found
    }
}

#[tokio::test]
async fn a_run_opens_what_it_names_and_its_registrys_sign_in() {
    let world = World::new().await;
    world.credentials().await;
    for (trust, names) in
        [(Trust::Trusted, &["source", "npm", "pusher"][..]), (Trust::Untrusted, &["source", "pusher"])]
    {
        let leased = world.named(trust).await;
        let lease = Under::Run { run: leased.run, epoch: leased.epoch, token: &leased.token };
        assert_eq!(world.readable(lease).await, names, "{trust:?}");
        let (guessed, before) = (LeaseToken("0".repeat(64)), Epoch(leased.epoch.0 - 1));
        for lease in [
            Under::Run { run: leased.run, epoch: leased.epoch, token: &guessed },
            Under::Run { run: leased.run, epoch: before, token: &leased.token },
        ] {
            let error = world.db.publisher.credential_under(lease, "source").await.unwrap_err();
            assert!(error.is_lease_lost());
        }
    }
}

#[tokio::test]
async fn a_publication_opens_its_registrys_sign_in_and_nothing_else() {
    let world = World::new().await;
    world.credentials().await;
    world.publishing().await;
    let leased = world.db.publisher.lease_publication(Uuid::now_v7(), world.store).await.unwrap().unwrap();
    assert_eq!(world.readable(Under::Publication(&leased.lease)).await, ["pusher"]);
    world.expire_leases().await;
    world.db.publisher.lease_publication(Uuid::now_v7(), world.store).await.unwrap().unwrap();
    let late = world.db.publisher.credential_under(Under::Publication(&leased.lease), "pusher").await;
    assert!(late.unwrap_err().is_lease_lost(), "somebody else has it now");
    let any = world.db.publisher.sealed_credential("local", "unasked").await.unwrap_err();
    assert!(any.to_string().contains("permission denied"), "{any}");
}
