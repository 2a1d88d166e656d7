//! Whose a tag is, where several runs of a task want it.

use database::{AfterFailure, LeasedPublication, ManifestTag, NewRun, Outcome};
use model::{RunId, RunStatus, TaskId, TaskSpec, Trust};
use uuid::Uuid;

use crate::world::{World, digest, image, new_run, spec, user_failure};

/// A run of the task that has its push before it.
struct Pushing {
    run: RunId,
    leased: LeasedPublication,
}

impl World {
    async fn task(&self) -> (TaskId, String) {
        let spec = TaskSpec { build: spec(), enabled: true, triggers: Vec::new(), notify: Vec::new() };
        let row = self.db.server.create_task("local", "app", &spec, None).await.unwrap().unwrap();
        (row.id, row.name)
    }

    /// Asked for now: in the order of the calls.
    async fn ask(&self, task: &(TaskId, String), trust: Trust) -> RunId {
        self.submit_as(NewRun { task: Some(task.clone()), trust, ..new_run("local") }).await
    }

    /// The runs that were asked for, built, with the leases on their publications.
    async fn build(&self, runs: &[RunId]) -> Vec<Pushing> {
        let mut pushing = Vec::new();
        for run in runs {
            let leased = self.lease().await;
            assert_eq!(leased.run, *run);
            let outcome = Outcome::Publishing { image: image(), revision: None };
            self.finish(&leased, outcome).await.unwrap();
            let leased = self.db.publisher.lease_publication(Uuid::now_v7(), self.store).await;
            pushing.push(Pushing { run: *run, leased: leased.unwrap().unwrap() });
        }
        pushing
    }

    async fn begin(&self, pushing: &Pushing) -> ManifestTag {
        self.db.publisher.begin_manifest(&pushing.leased.lease).await.unwrap().remove(0)
    }

    async fn end(&self, pushing: &Pushing) {
        self.db.publisher.published(&pushing.leased.lease, &digest("manifest")).await.unwrap();
        assert_eq!(self.run(pushing.run).await.status, RunStatus::Succeeded);
    }

    /// The run's publication, leased once more.
    async fn again(&self, pushing: &Pushing) -> Pushing {
        self.skip_pause().await;
        let leased = self.db.publisher.lease_publication(Uuid::now_v7(), self.store).await.unwrap().unwrap();
        assert_eq!(leased.run, pushing.run);
        Pushing { run: pushing.run, leased }
    }

    async fn claims(&self) -> Option<String> {
        self.db.text("SELECT string_agg(trust, ' ' ORDER BY number) FROM slipway.tag_claims").await
    }
}

#[tokio::test]
async fn a_strangers_run_never_takes_a_tag_that_a_trusted_one_has() {
    let world = World::new().await;
    let task = world.task().await;
    let runs = [world.ask(&task, Trust::Trusted).await, world.ask(&task, Trust::Untrusted).await];
    let [trusted, strangers] = world.build(&runs).await.try_into().ok().unwrap();
    assert_eq!((trusted.leased.trust, strangers.leased.trust), (Trust::Trusted, Trust::Untrusted));
    assert_eq!(world.begin(&trusted).await.superseded_by, None);
    world.end(&trusted).await;
    assert_eq!(world.begin(&strangers).await.superseded_by, Some(trusted.run), "though it came later");
    world.end(&strangers).await;
    let skipped = world.run(strangers.run).await.skipped;
    assert_eq!(skipped.iter().map(|tag| tag.superseded_by).collect::<Vec<_>>(), [trusted.run]);
    assert_eq!(world.claims().await.as_deref(), Some("trusted"), "what has no tag claims none");
}

#[tokio::test]
async fn a_strangers_run_does_not_outrank_a_trusted_one_that_is_under_way() {
    let world = World::new().await;
    let task = world.task().await;
    let runs = [world.ask(&task, Trust::Trusted).await, world.ask(&task, Trust::Untrusted).await];
    let [trusted, strangers] = world.build(&runs).await.try_into().ok().unwrap();
    assert_eq!(world.begin(&strangers).await.superseded_by, None, "nobody else has wanted it yet");
    world.end(&strangers).await;
    assert_eq!(world.begin(&trusted).await.superseded_by, None, "though it is the older one");
    world.end(&trusted).await;
    assert_eq!(world.claims().await.as_deref(), Some("trusted"));
}

#[tokio::test]
async fn an_older_run_waits_for_a_newer_ones_push_and_has_the_tag_if_that_fails() {
    let world = World::new().await;
    let task = world.task().await;
    let runs = [world.ask(&task, Trust::Trusted).await, world.ask(&task, Trust::Trusted).await];
    let [older, newer] = world.build(&runs).await.try_into().ok().unwrap();
    world.begin(&newer).await;
    let tag = world.begin(&older).await;
    assert_eq!((tag.superseded_by, tag.is_settled), (Some(newer.run), false));
    let late = world.db.publisher.begin_manifest(&older.leased.lease).await.unwrap_err();
    assert!(late.is_lease_lost(), "its place at the publisher is free");
    assert!(world.run(older.run).await.skipped.is_empty(), "nothing is decided");

    let failed = world.db.publisher.publication_failed(&newer.leased.lease, &user_failure()).await.unwrap();
    assert_eq!((failed, world.run(newer.run).await.status), (AfterFailure::Failed, RunStatus::Failed));
    let older = world.again(&older).await;
    let tag = world.begin(&older).await;
    assert_eq!((tag.superseded_by, tag.is_settled), (None, true), "a run that failed has no tag");
    world.end(&older).await;
}

#[tokio::test]
async fn a_tag_goes_back_to_whoever_had_it_and_to_nobody_older() {
    let world = World::new().await;
    let task = world.task().await;
    let mut runs = Vec::new();
    for _ in 0..3 {
        runs.push(world.ask(&task, Trust::Trusted).await);
    }
    let [oldest, older, newest] = world.build(&runs).await.try_into().ok().unwrap();
    world.begin(&older).await;
    world.end(&older).await;
    world.begin(&newest).await;
    world.db.publisher.publication_failed(&newest.leased.lease, &user_failure()).await.unwrap();
    let tag = world.begin(&oldest).await;
    assert_eq!((tag.superseded_by, tag.is_settled), (Some(older.run), true));
    world.end(&oldest).await;
    assert_eq!(world.claims().await.as_deref(), Some("trusted"), "one claim is left");
}

#[tokio::test]
async fn who_waits_for_a_tag_can_be_cancelled() {
    let world = World::new().await;
    let task = world.task().await;
    let runs = [world.ask(&task, Trust::Trusted).await, world.ask(&task, Trust::Trusted).await];
    let [older, newer] = world.build(&runs).await.try_into().ok().unwrap();
    world.begin(&newer).await;
    world.begin(&older).await;
    assert_eq!(world.db.server.request_cancel(older.run).await.unwrap(), database::Cancel::Requested);
    assert_eq!(world.run(older.run).await.status, RunStatus::Cancelled);
    world.end(&newer).await;
}

#[tokio::test]
async fn a_newer_run_waits_for_an_older_ones_push_that_is_under_way_as_long_as_its_lease() {
    let world = World::new().await;
    let task = world.task().await;
    let mut runs = Vec::new();
    for _ in 0..3 {
        runs.push(world.ask(&task, Trust::Trusted).await);
    }
    let [oldest, older, newest] = world.build(&runs).await.try_into().ok().unwrap();
    assert!(world.begin(&oldest).await.is_settled);
    let tag = world.begin(&older).await;
    assert_eq!(
        (tag.superseded_by, tag.is_settled),
        (None, false),
        "the registry may get the oldest one's last"
    );
    world.end(&oldest).await;
    let older = world.again(&older).await;
    assert!(world.begin(&older).await.is_settled, "nobody else pushes now");

    world
        .db
        .execute("UPDATE slipway.publications SET lease_expires_at = now() WHERE lease_expires_at > now()")
        .await;
    let tag = world.begin(&newest).await;
    assert_eq!(
        (tag.superseded_by, tag.is_settled),
        (None, true),
        "whose lease is over asks again before it pushes"
    );
    let tag = world.begin(&older).await;
    assert_eq!((tag.superseded_by, tag.is_settled), (Some(newest.run), false), "and waits then");
    world.end(&newest).await;
}
