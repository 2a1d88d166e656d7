//! What is particular to one host's signatures and ids.

use model::{Blame, GitHost};
use triggers::Refused;

use crate::world::{SECRET, SIGNED_AT, SIGNING_KEY, sent};

#[test]
fn each_host_has_its_own_headers_for_id_and_event() {
    for (name, id, event) in [
        ("github/push-to-branch", "72d3162e-cc78-11e3-81ab-4c9367dc0001", "push"),
        ("gitlab/push-signed", "72d3162e-cc78-11e3-81ab-4c9367dc002", "Push Hook"),
        ("gitlab/push-to-branch", "f5e57b8e-cc78-11e3-81ab-4c9367dc002", "Push Hook"),
        ("azure_devops/push-to-branch", "d21a27a6-3b89-45fb-9af9-0fe220348c1d:", "git.push"),
        ("standard/push-to-branch", "msg_72d3162ecc7811e381ab4c9367dc00", "push"),
        ("forgejo/push-to-branch", "72d3162e-cc78-11e3-81ab-4c9367dc00", "push"),
        ("gitea/pull-request-synchronized", "72d3162e-cc78-11e3-81ab-4c9367dc00", "pull_request"),
    ] {
        let verified = sent(name).verify(&[SECRET, SIGNING_KEY]).unwrap();
        assert!(verified.delivery_id.starts_with(id), "{name}: {}", verified.delivery_id);
        assert_eq!(verified.event, event, "{name}");
    }
}

#[test]
fn a_delivery_without_id_or_event_is_of_no_use_whoever_sent_it() {
    for (name, headers, named) in [
        ("github/push-to-branch", &["x-github-delivery"][..], "x-github-delivery"),
        ("github/push-to-branch", &["x-github-event"], "x-github-event"),
        ("gitea/push-to-branch", &["x-gitea-event"], "x-forgejo-event"),
        ("gitlab/push-to-branch", &["idempotency-key", "x-gitlab-event-uuid"], "idempotency-key"),
        ("standard/push-to-branch", &["webhook-id"], "webhook-id"),
        ("standard/push-to-branch", &["webhook-timestamp"], "webhook-timestamp"),
    ] {
        let delivery = headers.iter().fold(sent(name), |delivery, header| delivery.without_header(header));
        let message = format!("The header `{named}` is missing.");
        // What the signature is made over is asked for before it is known who signed.
        let missing = match named.starts_with("webhook-") {
            true => Refused::Malformed(message),
            false => Refused::Unusable(message),
        };
        assert_eq!(delivery.verify(&[SECRET, SIGNING_KEY]), Err(missing), "{name}");
    }
    let long = sent("github/push-to-branch").with_header("x-github-delivery", &"x".repeat(201));
    assert!(matches!(long.verify(&[SECRET]), Err(Refused::Unusable(_))));
    let event = sent("github/push-to-branch").with_header("x-github-event", &"ü".repeat(20_000));
    assert_eq!(event.verify(&[SECRET]).unwrap().event, "ü".repeat(100));
}

#[test]
fn a_hook_of_another_host_believes_nothing() {
    // Gitea signs as GitHub does, besides. It is told apart by what GitHub never sends.
    let gitea = sent("gitea/push-to-branch").to(GitHost::Github).verify(&[SECRET]);
    let message = "The delivery is Gitea's or Forgejo's, and the hook is one for GitHub.".to_owned();
    assert_eq!(gitea, Err(Refused::Unusable(message)));
    let refused = [
        sent("github/push-to-branch").to(GitHost::Gitea),
        sent("github/push-to-branch").to(GitHost::Gitlab),
        sent("gitlab/push-to-branch").to(GitHost::Github),
        sent("gitea/push-to-branch").to(GitHost::Standard),
        sent("standard/push-to-branch").to(GitHost::AzureDevops),
        sent("azure_devops/push-to-branch").to(GitHost::Gitlab),
    ];
    for delivery in refused {
        assert_eq!(delivery.verify(&[SECRET, SIGNING_KEY]), Err(Refused::Unsigned), "{:?}", delivery.host);
    }
}

#[test]
fn a_form_is_verified_as_its_host_signs_it() {
    // GitHub signs the form, Gitea the JSON within.
    for name in ["github/push-form-encoded", "gitea/push-form-encoded"] {
        assert!(sent(name).verify(&[SECRET]).is_ok(), "{name}");
        let changed = sent(name).with_body("quoted", "quotes");
        assert_eq!(changed.verify(&[SECRET]), Err(Refused::WrongSignature), "{name}");
    }
}

#[test]
fn a_signed_delivery_of_gitlab_is_not_believed_for_its_token() {
    let both = sent("gitlab/push-signed").with_header("x-gitlab-token", SECRET);
    assert!(both.verify(&[SIGNING_KEY]).is_ok());
    assert_eq!(both.verify(&[SECRET]), Err(Refused::WrongSignature));
    assert_eq!(both.at(SIGNED_AT + 301).verify(&[SIGNING_KEY, SECRET]), Err(Refused::Stale));
}

#[test]
fn a_password_may_hold_a_colon_and_any_user_sends_it() {
    // `:pass:word`
    let delivery = sent("azure_devops/push-to-branch").with_header("authorization", "basic OnBhc3M6d29yZA==");
    assert!(delivery.verify(&["pass:word"]).is_ok());
    assert_eq!(delivery.verify(&["word"]), Err(Refused::WrongSignature));
}

#[test]
fn a_body_of_azure_devops_is_read_only_after_its_password() {
    let delivery = sent("azure_devops/push-to-branch").with_body("{", "no JSON");
    assert_eq!(delivery.verify(&["wrong"]), Err(Refused::WrongSignature));
    assert!(matches!(delivery.verify(&[SECRET]), Err(Refused::Unusable(_))));
}

#[test]
fn a_refusal_says_who_has_to_act() {
    let refusals =
        [Refused::Unsigned, Refused::WrongSignature, Refused::Stale, Refused::Malformed("It is not.".into())];
    let failures = refusals.map(|refused| refused.failure());
    let kinds = failures.each_ref().map(|failure| failure.kind.as_str());
    assert_eq!(kinds, ["hook_unsigned", "hook_wrong_signature", "hook_stale", "hook_malformed"]);
    assert!(failures.iter().all(|failure| failure.blame == Blame::User && failure.hint.ends_with('.')));
}
