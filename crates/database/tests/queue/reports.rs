//! What is written down to be told, and in which order it is taken.

use database::{NewRun, Report};
use model::{Cause, DeliveryId, GitHost, HookEvent, Notify, SourceSpec};
use uuid::Uuid;

use crate::world::{World, new_run};

fn pushed(url: &str, credential: Option<&str>) -> NewRun {
    let mut run = new_run("local");
    run.spec.source = SourceSpec::Git { url: url.to_owned(), reference: None, subdirectory: None };
    run.spec.source_credential = credential.map(str::to_owned);
    let event = HookEvent {
        hook: "hub".to_owned(),
        host: GitHost::Gitea,
        delivery: DeliveryId(Uuid::now_v7()),
        commit: Some("3f786850e387550fdab836ed7e6dc881de23001b".to_owned()),
        reason: "branch main".to_owned(),
    };
    run.cause = Cause::Commit { event, reference: "refs/heads/main".to_owned(), pusher: None, rerun: None };
    run
}

/// A public repository is built without a credential: there is nobody to tell, and nothing to give up.
#[tokio::test]
async fn a_commit_status_waits_only_where_there_is_a_credential_for_it() {
    let world = World::new().await;
    let hosts = "SELECT string_agg(host, ' ' ORDER BY created_at) FROM slipway.outbox";
    world.submit_as(pushed("https://git.example/team/app.git", None)).await;
    assert_eq!(world.db.text(hosts).await, None);
    for url in [
        "https://Git.example:3000/team/app.git",
        "ssh://git@git.example/team/app",
        "git@git.example:team/app",
    ] {
        world.submit_as(pushed(url, Some("git"))).await;
    }
    assert_eq!(world.db.text(hosts).await.as_deref(), Some("git.example:3000 git.example git.example"));
}

#[tokio::test]
async fn what_goes_to_a_busy_host_waits_and_lets_the_rest_pass() {
    let world = World::new().await;
    for host in ["slow.example", "quick.example:8443"] {
        let (url, credential) = (format!("https://{host}/hook?key=1"), "key".to_owned());
        world
            .submit_as(NewRun {
                notify: vec![Notify { url, credential, events: vec![] }],
                ..new_run("local")
            })
            .await;
    }
    let busy = ["slow.example".to_owned()];
    let taken = world.db.server.take_report(&busy, 60).await.unwrap().expect("the other is due");
    assert_eq!(taken.host, "quick.example:8443");
    assert!(matches!(taken.report, Report::Webhook { url, .. } if url.contains("quick.example")));
    assert!(world.db.server.take_report(&busy, 60).await.unwrap().is_none(), "it was taken");
    assert_eq!(world.db.server.take_report(&[], 60).await.unwrap().expect("due").host, "slow.example");
}
