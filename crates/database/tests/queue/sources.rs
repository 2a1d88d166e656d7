//! What a cell says of its source, and what comes of it.

use database::{LeasedRun, NewRun, Outcome, PublicationBlob};
use model::{BuildSpec, Cause, Failure, GitRevision, MediaType};
use uuid::Uuid;

use crate::world::{World, descriptor, new_run, service_failure, spec};

const ONE: &str = "1111111111111111111111111111111111111111";
const OTHER: &str = "2222222222222222222222222222222222222222";
const RAW: &str = "app:{{.Run.Commit}}";

impl World {
    /// A run whose image is named by the commit.
    async fn named_by_commit(&self, cause: Cause) -> LeasedRun {
        let spec = BuildSpec { images: vec![RAW.to_owned()], ..spec() };
        self.submit_as(NewRun { spec, images: Some(vec![RAW.to_owned()]), cause, ..new_run("local") }).await;
        self.lease().await
    }

    async fn says(&self, leased: &LeasedRun, commit: &str) -> Result<(), Failure> {
        let revision = GitRevision { commit: commit.to_owned(), committed_at: 0 };
        let said = self.db.worker.source_found(leased.run, leased.epoch, &leased.token, &revision).await;
        said.map_err(|error| error.failure())
    }

    async fn images(&self, leased: &LeasedRun) -> Vec<String> {
        self.run(leased.run).await.images
    }
}

#[tokio::test]
async fn a_commit_is_said_once() {
    let world = World::new().await;
    let leased = world.named_by_commit(Cause::Manual { by: None, rerun: None }).await;
    for wrong in ["", "main", "{{.Run.ID}}"] {
        assert_eq!(world.says(&leased, wrong).await.unwrap_err().kind, "database_refused", "{wrong}");
    }
    for nothing in ["'{}'", "'{\"commit\": null}'", "NULL"] {
        let lease = format!("'{}', {}, '{}'", leased.run, leased.epoch.0, leased.token.0);
        let said =
            sqlx::raw_sql(sqlx::AssertSqlSafe(format!("SELECT slipway.source_found({lease}, {nothing})")));
        let error = said.execute(&world.db.admin).await.expect_err(nothing);
        let code = error.as_database_error().and_then(|error| error.code()).map(|code| code.into_owned());
        assert_eq!(code.as_deref(), Some("SW002"), "{nothing}");
    }
    assert_eq!(world.images(&leased).await, [RAW], "nothing was filled in");
    world.says(&leased, ONE).await.unwrap();
    world.says(&leased, ONE).await.unwrap();
    assert_eq!(world.says(&leased, OTHER).await.unwrap_err().kind, "database_refused");
    assert_eq!(world.images(&leased).await, [format!("app:{ONE}")]);
}

#[tokio::test]
async fn what_a_hook_said_is_not_contradicted() {
    let world = World::new().await;
    let cause = |reference: &str| -> Cause {
        serde_json::from_value(serde_json::json!({
            "type": "commit", "hook": "h", "host": "github", "delivery": Uuid::nil(), "commit": ONE, "reason": "", "ref": reference,
        }))
        .unwrap()
    };
    let leased = world.named_by_commit(cause("refs/heads/main")).await;
    assert_eq!(world.says(&leased, OTHER).await.unwrap_err().kind, "database_refused");
    world.says(&leased, ONE).await.unwrap();
    let tagged = world.named_by_commit(cause("refs/tags/v1")).await;
    world.says(&tagged, OTHER).await.expect("an annotated tag has an id of its own");
}

#[tokio::test]
async fn a_next_attempt_names_the_image_by_what_it_finds() {
    let world = World::new().await;
    let leased = world.named_by_commit(Cause::Manual { by: None, rerun: None }).await;
    world.says(&leased, ONE).await.unwrap();
    let outcome = Outcome::Failed { failure: service_failure(), revision: None };
    world.finish(&leased, outcome).await.unwrap();
    world.skip_pause().await;
    let again = world.lease().await;
    world.says(&again, OTHER).await.expect("the branch has moved on");
    assert_eq!(world.images(&again).await, [format!("app:{OTHER}")]);
}

#[tokio::test]
async fn nothing_is_pushed_under_a_name_that_is_not_whole() {
    let world = World::new().await;
    let leased = world.named_by_commit(Cause::Manual { by: None, rerun: None }).await;
    let made = PublicationBlob::in_store(descriptor("made", MediaType::OCI_LAYER_GZIP), &leased.scope);
    let announce = || world.db.worker.announce_blob(leased.run, leased.epoch, &leased.token, &made);
    announce().await.unwrap_err();
    world.says(&leased, ONE).await.unwrap();
    announce().await.unwrap();
    let tags = world.db.text("SELECT string_agg(tag, ' ') FROM slipway.publication_images").await;
    assert_eq!(tags.as_deref(), Some(ONE));
}
