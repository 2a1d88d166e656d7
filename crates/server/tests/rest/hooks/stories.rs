//! Good deliveries, forged ones, repeated ones, and names that hosts allow.

use futures_util::future::join_all;
use serde_json::Value;

use super::senders::{AFTER, ODD_BRANCH, Proof};
use super::{Desk, Hook};
use crate::world::problem;

#[tokio::test]
async fn a_good_delivery_is_taken_and_its_decision_told() {
    let desk = Desk::open().await;
    for hook in desk.hooks() {
        let name = hook.sender.name;
        let answer = hook.deliver(&hook.sent("push-to-branch", 1)).await;
        assert_eq!(answer.status(), 202, "{name}");
        let delivery = hook.worked(answer).await;
        assert_eq!(delivery["status"], "matched", "{name}: {delivery}");
        let decision = &delivery["decisions"][0];
        assert_eq!(
            (decision["task"].as_str(), decision["reason"].as_str()),
            (Some("app"), Some("branch main"))
        );
        let run = hook.get(&format!("runs/{}", decision["run"].as_str().unwrap())).await;
        let (cause, source) = (&run["cause"], &run["spec"]["source"]);
        assert_eq!(
            (cause["type"].as_str(), cause["ref"].as_str()),
            (Some("commit"), Some("refs/heads/main")),
            "{run}"
        );
        // What nobody signed is only a hint: the branch is looked up when it is fetched.
        let (commit, reference) = match hook.sender.host {
            "azure_devops" => (None, "refs/heads/main"),
            _ => (Some(AFTER), AFTER),
        };
        assert_eq!(
            (cause["commit"].as_str(), source["ref"].as_str()),
            (commit, Some(reference)),
            "{name}: {run}"
        );
        assert_eq!(run["images"][0]["reference"], format!("{name}.example/team/app:main"));
    }
}

#[tokio::test]
async fn who_does_not_know_the_secret_is_refused_and_leaves_no_row() {
    let desk = Desk::open().await;
    for hook in desk.hooks() {
        let plain = || hook.sender.sent("push-to-branch", 1);
        let mut forged = vec![
            ("another secret", plain().signed("whsec_YW5vdGhlciBzZWNyZXQgb2Ygc29tZSBsZW5ndGg=")),
            ("an empty signature", plain().signed_with_nothing()),
            ("no signature", plain().unsigned()),
        ];
        if hook.sender.signs_bodies() {
            forged.push(("a body written anew", plain().signed(hook.secret).written_anew()));
        }
        for (what, sent) in forged {
            let (status, kind, said) = problem(hook.deliver(&sent).await).await;
            assert_eq!(
                (status, kind.as_str()),
                (401, "signature_refused"),
                "{}, {what}: {said}",
                hook.sender.name
            );
            assert!(!said.to_string().contains(hook.secret), "{said}");
        }
    }
    assert_eq!((desk.count("deliveries").await, desk.count("runs").await), ("0".into(), "0".into()));
}

#[tokio::test]
async fn a_signature_of_long_ago_is_not_taken_again() {
    let desk = Desk::open().await;
    for hook in desk.hooks().filter(|hook| hook.sender.proof == Proof::Signed) {
        let stale = hook.sent("push-to-branch", 1).with("webhook-timestamp", "1767225600");
        let (status, _, said) = problem(hook.deliver(&stale).await).await;
        assert_eq!(status, 401, "{said}");
    }
    assert_eq!(desk.count("deliveries").await, "0");
}

/// Where the body is not signed, the id alone says what is the same: GitLab's header, Azure DevOps' body.
#[tokio::test]
async fn a_body_that_nobody_signed_may_be_written_anew() {
    let desk = Desk::open().await;
    for hook in desk.hooks().filter(|hook| !hook.sender.signs_bodies()) {
        let sent = hook.sent("push-to-branch", 1);
        assert_eq!(hook.deliver(&sent).await.status(), 202);
        assert_eq!(hook.deliver(&sent.written_anew()).await.status(), 200, "{}", hook.sender.name);
    }
}

/// What a delivery was called when it came first, and whether it came before.
async fn told(hook: Hook<'_>, id: u32) -> (u16, Value) {
    let answer = hook.deliver(&hook.sent("push-to-branch", id)).await;
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn a_delivery_that_comes_a_hundred_times_at_once_is_one_row_and_one_run() {
    let desk = Desk::open().await;
    for hook in desk.hooks() {
        let name = hook.sender.name;
        let answers = join_all((0..100).map(|_| told(hook, 7))).await;
        let first: Vec<_> = answers.iter().filter(|(status, _)| *status == 202).collect();
        let again = answers.iter().filter(|(status, body)| *status == 200 && body["again"] == true).count();
        assert_eq!((first.len(), again), (1, 99), "{name}");
        assert!(answers.iter().all(|(_, body)| body["delivery"] == first[0].1["delivery"]), "{name}");
        let delivery = hook.worked(hook.deliver(&hook.sent("push-to-branch", 7)).await).await;
        assert_eq!(delivery["status"], "matched", "{name}: {delivery}");
        // The same push under another id is another delivery, but not another run.
        let other = hook.worked(hook.deliver(&hook.sent("push-to-branch", 8)).await).await;
        assert_eq!(other["decisions"][0]["run"], delivery["decisions"][0]["run"], "{name}");
        assert!(
            other["decisions"][0]["reason"].as_str().unwrap().contains("is for the same commit"),
            "{other}"
        );
        assert_eq!(hook.get("deliveries").await["deliveries"].as_array().unwrap().len(), 2, "{name}");
        assert_eq!(hook.runs().await.len(), 1, "{name}");
    }
}

#[tokio::test]
async fn a_deleted_branch_starts_nothing() {
    let desk = Desk::open().await;
    for hook in desk.hooks() {
        let delivery = hook.worked(hook.deliver(&hook.sent("push-deleted-branch", 1)).await).await;
        assert_eq!(delivery["status"], "ignored", "{}: {delivery}", hook.sender.name);
        assert_eq!(delivery["decisions"][0]["reason"], "a deleted branch", "{}", hook.sender.name);
    }
    assert_eq!(desk.count("runs").await, "0");
}

#[tokio::test]
async fn a_branch_may_be_called_what_git_allows() {
    let desk = Desk::open().await;
    for hook in desk.hooks() {
        let name = hook.sender.name;
        let delivery = hook.worked(hook.deliver(&hook.sent("push-odd-branch-name", 1)).await).await;
        assert_eq!(delivery["status"], "matched", "{name}: {delivery}");
        let run = hook.get(&format!("runs/{}", delivery["decisions"][0]["run"].as_str().unwrap())).await;
        assert_eq!(run["cause"]["ref"], ODD_BRANCH, "{name}: {run}");
        // A tag holds neither slash, quote nor ü.
        assert_eq!(
            run["images"][0]["reference"],
            format!("{name}.example/team/app:feature-it-s--quoted--gr--e---")
        );
    }
}

/// GitLab makes a signing token itself, and GitHub's settings may be somebody else's.
#[tokio::test]
async fn a_secret_that_the_host_made_is_as_good_and_never_shown_again() {
    let desk = Desk::open().await;
    for hook in desk.hooks() {
        let name = hook.sender.name;
        let secret = "whsec_dGhlIGhvc3QgbWFkZSB0aGlzIHNlY3JldCBieSBpdHNlbGY=";
        let rotate = |secret: &str| {
            let path = desk.world.url(&format!("/v1/registries/{name}/hooks/hook/rotate"));
            desk.world
                .http
                .post(path)
                .json(&serde_json::json!({ "secret": secret, "grace_seconds": 0 }))
                .send()
        };
        let (status, _, said) = problem(rotate("too short").await.unwrap()).await;
        assert_eq!((status, said["field"].as_str()), (422, Some("secret")), "{said}");
        let rotated = rotate(secret).await.unwrap();
        assert_eq!(rotated.status(), 200);
        let answer = rotated.text().await.unwrap();
        assert!(!answer.contains(secret) && !answer.contains("/hooks/"), "whoever gave it has it: {answer}");
        let theirs = Hook { secret, ..hook };
        assert_eq!(theirs.deliver(&theirs.sent("push-to-branch", 1)).await.status(), 202, "{name}");
        assert_eq!(
            hook.deliver(&hook.sent("push-to-branch", 2)).await.status(),
            401,
            "{name}: the one before"
        );
        assert!(!hook.get("hooks/hook").await.to_string().contains(secret));
    }
}

#[tokio::test]
async fn two_secrets_are_good_while_one_is_changed_and_one_afterwards() {
    let desk = Desk::open().await;
    for hook in desk.hooks() {
        let name = hook.sender.name;
        let path = desk.world.url(&format!("/v1/registries/{name}/hooks/hook/rotate"));
        let rotate = desk.world.http.post(path).json(&serde_json::json!({ "grace_seconds": 3600 }));
        let rotated: Value = rotate.send().await.unwrap().json().await.unwrap();
        assert_eq!(rotated.get("address"), None, "it is shown once, when the hook is made");
        let new = Hook { secret: rotated["secret"].as_str().unwrap(), ..hook };
        assert_ne!(new.secret, hook.secret);
        assert_eq!(hook.deliver(&hook.sent("push-to-branch", 1)).await.status(), 202, "{name}: the old one");
        assert_eq!(new.deliver(&new.sent("push-to-branch", 2)).await.status(), 202, "{name}: the new one");
        desk.world.db.execute("UPDATE slipway.hooks SET before_until = now()").await;
        assert_eq!(hook.deliver(&hook.sent("push-to-branch", 3)).await.status(), 401, "{name}: the old one");
        assert_eq!(new.deliver(&new.sent("push-to-branch", 4)).await.status(), 202, "{name}: the new one");
    }
}

/// Whoever did not get the answer asks again: the secret that the git host has stays good as long as was promised.
#[tokio::test]
async fn a_secret_that_is_changed_twice_in_a_grace_keeps_the_one_that_the_host_has() {
    let desk = Desk::open().await;
    for hook in desk.hooks().take(2) {
        let name = hook.sender.name;
        let path = desk.world.url(&format!("/v1/registries/{name}/hooks/hook/rotate"));
        let rotate = async |grace: u32| -> Value {
            let request = desk.world.http.post(&path).json(&serde_json::json!({ "grace_seconds": grace }));
            request.send().await.unwrap().json().await.unwrap()
        };
        let (lost, second) = (rotate(3600).await, rotate(60).await);
        assert_eq!(
            lost["previous_secret_until"], second["previous_secret_until"],
            "no shorter than promised"
        );
        let with = |answer: &Value| answer["secret"].as_str().unwrap().to_owned();
        let status = async |secret: &str, id| {
            let known = Hook { secret, ..hook };
            known.deliver(&known.sent("push-to-branch", id)).await.status().as_u16()
        };
        assert_eq!(status(hook.secret, 1).await, 202, "{name}: the one that the host has");
        assert_eq!(status(&with(&second), 2).await, 202, "{name}: the newest");
        assert_eq!(status(&with(&lost), 3).await, 401, "{name}: the one that nobody saw");
        let last = rotate(0).await;
        assert_eq!(status(hook.secret, 4).await, 401, "{name}: at once");
        assert_eq!(status(&with(&second), 5).await, 401, "{name}: at once");
        assert_eq!(status(&with(&last), 6).await, 202, "{name}");
    }
}

/// Who knows the secret and forgot a header is not told to compare the secret.
#[tokio::test]
async fn a_sender_that_is_known_is_told_what_is_missing() {
    let desk = Desk::open().await;
    let hook = desk.hooks().find(|hook| hook.sender.name == "github").unwrap();
    let mut nameless = hook.sent("push-to-branch", 1);
    nameless.headers.retain(|(name, _)| name != "x-github-event");
    let long = hook.sent("push-to-branch", 1).with("x-github-delivery", &"x".repeat(201));
    for (sent, words) in [(nameless, "`x-github-event` is missing"), (long, "longer than 200 characters")] {
        let (status, kind, said) = problem(hook.deliver(&sent).await).await;
        assert_eq!((status, kind.as_str()), (400, "delivery_unusable"), "{said}");
        assert!(said["detail"].as_str().unwrap().contains(words), "{said}");
    }
    assert_eq!(desk.count("deliveries").await, "0");
}

/// A secret of before, sealed with a key that is gone, is no reason to refuse the present one.
#[tokio::test]
async fn an_old_secret_that_cannot_be_opened_is_left_aside() {
    let desk = Desk::open().await;
    desk.world
        .db
        .execute(
            "UPDATE slipway.hooks SET sealed_before = 'broken', before_until = now() + interval '1 hour'",
        )
        .await;
    for hook in desk.hooks() {
        let answer = hook.deliver(&hook.sent("push-to-branch", 1)).await;
        assert_eq!(answer.status(), 202, "{}", hook.sender.name);
    }
}
