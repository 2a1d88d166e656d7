//! Every host: who is believed.

use model::GitHost;
use triggers::Refused;

use crate::world::{SECRET, SIGNED_AT, SIGNING_KEY, Sent, sent};

/// A delivery of each way to sign, the secret that signed it, and where the signature is.
const SIGNED: [(&str, &str, &str); 7] = [
    ("github/push-to-branch", SECRET, "x-hub-signature-256"),
    ("gitea/push-to-branch", SECRET, "x-gitea-signature"),
    ("forgejo/push-to-branch", SECRET, "x-forgejo-signature"),
    ("gitlab/push-to-branch", SECRET, "x-gitlab-token"),
    ("gitlab/push-signed", SIGNING_KEY, "webhook-signature"),
    ("azure_devops/push-to-branch", SECRET, "authorization"),
    ("standard/push-to-branch", SIGNING_KEY, "webhook-signature"),
];

const OTHER_SECRET: &str = "whsec_bm90IHRoZSByaWdodCBvbmU=";

#[test]
fn a_right_signature_is_accepted_also_by_the_second_secret() {
    for (name, secret, _) in SIGNED {
        let delivery = sent(name);
        let verified = delivery.verify(&[secret]).unwrap_or_else(|refused| panic!("{name}: {refused}"));
        assert_eq!(delivery.verify(&[OTHER_SECRET, secret]), Ok(verified.clone()), "{name}");
        assert_eq!(delivery.verify(&[secret, OTHER_SECRET]), Ok(verified), "{name}");
    }
}

#[test]
fn a_wrong_secret_is_refused() {
    for (name, _, _) in SIGNED {
        for secrets in [&[OTHER_SECRET][..], &["wrong"], &["wrong", OTHER_SECRET], &[""], &["whsec_"], &[]] {
            assert_eq!(sent(name).verify(secrets), Err(Refused::WrongSignature), "{name} {secrets:?}");
        }
    }
}

#[test]
fn no_signature_and_an_empty_one_are_unsigned() {
    for (name, secret, header) in SIGNED {
        // Forgejo signs twice; here neither is there.
        let without = sent(name).without_header("x-gitea-signature").without_header(header);
        assert_eq!(without.verify(&[secret]), Err(Refused::Unsigned), "{name}");
        for empty in ["", " "] {
            let empty = without.clone().with_header(header, empty);
            assert_eq!(empty.verify(&[secret]), Err(Refused::Unsigned), "{name}");
        }
    }
    for (name, header, empty) in [
        ("github/push-to-branch", "x-hub-signature-256", "sha256="),
        ("standard/push-to-branch", "webhook-signature", "v1,"),
        ("gitlab/push-signed", "webhook-signature", "v1, v1,"),
        ("azure_devops/push-to-branch", "authorization", "Basic YW55Ym9keTo="),
    ] {
        let empty = sent(name).with_header(header, empty);
        assert_eq!(empty.verify(&[SECRET, SIGNING_KEY]), Err(Refused::Unsigned), "{name}");
    }
    // What Gitea sends when its hook has no secret, to a hook that has none either.
    for (host, secrets) in [(GitHost::Gitea, &[][..]), (GitHost::Gitea, &[""]), (GitHost::Github, &[""])] {
        let unsigned = sent("gitea/push-signed-with-nothing").to(host);
        assert_eq!(unsigned.verify(secrets), Err(Refused::Unsigned), "{host:?}");
    }
}

#[test]
fn nobody_signs_with_an_empty_secret() {
    let of_nothing = "22f8eea909400af98adf3681a9f31923ef6b7fcba4abb553d92823a3e9d5c25e";
    for (name, header, signature) in [
        ("github/push-to-branch", "x-hub-signature-256", format!("sha256={of_nothing}")),
        ("gitea/push-to-branch", "x-gitea-signature", of_nothing.to_owned()),
        (
            "standard/push-to-branch",
            "webhook-signature",
            "v1,a4H3AxrCEOcqsZANsKIJZxUJ0TqkxUMn2LFsDhZS9Is=".to_owned(),
        ),
    ] {
        let mut delivery = sent(name).with_header(header, &signature).with_header("webhook-id", "msg_1");
        delivery.body = b"{}".to_vec();
        assert_eq!(delivery.verify(&["", "whsec_"]), Err(Refused::WrongSignature), "{name}");
    }
}

#[test]
fn a_right_signature_under_another_version_is_refused() {
    let mut delivery = sent("standard/push-to-branch");
    for (_, value) in &mut delivery.headers {
        *value = value.replace("v1,", "v1a,");
    }
    assert_eq!(delivery.verify(&[SIGNING_KEY]), Err(Refused::WrongSignature));
}

#[test]
fn a_body_that_was_written_anew_is_refused_where_it_is_signed() {
    for (name, secret, header) in SIGNED {
        let mut anew = sent(name);
        let json: serde_json::Value = serde_json::from_slice(&anew.body).unwrap();
        anew.body = serde_json::to_vec(&json).unwrap();
        let is_signed = header.contains("signature");
        assert_eq!(anew.verify(&[secret]).is_err(), is_signed, "{name}");
    }
}

#[test]
fn a_signature_that_is_no_signature_is_refused() {
    for (name, secret, header) in SIGNED {
        for wrong in ["sha256=zz", "sha256=00", "sha1=00", "v1,00", "v1a,00", "Basic !", "Bearer x", "ü"] {
            let refused =
                sent(name).without_header("x-gitea-signature").with_header(header, wrong).verify(&[secret]);
            assert!(
                matches!(refused, Err(Refused::WrongSignature | Refused::Malformed(_))),
                "{name} {wrong}"
            );
        }
    }
}

#[test]
fn a_header_that_is_there_twice_is_refused() {
    for (name, secret, header) in SIGNED {
        let mut twice = sent(name);
        let first = twice.headers.iter().find(|(known, _)| known == header).cloned().unwrap();
        twice.headers.push(first);
        let message = format!("The header `{header}` is there twice.");
        assert_eq!(twice.verify(&[secret]), Err(Refused::Malformed(message)), "{name}");
    }
}

#[test]
fn a_time_is_signed_along_and_counts_for_five_minutes() {
    for name in ["standard/push-to-branch", "gitlab/push-signed"] {
        let at = |seconds: i64| sent(name).at(SIGNED_AT + seconds).verify(&[SIGNING_KEY]);
        assert!(at(300).is_ok() && at(-300).is_ok());
        assert_eq!(at(301), Err(Refused::Stale));
        assert_eq!(at(-301), Err(Refused::Stale));
        let later = (SIGNED_AT + 400).to_string();
        let moved = sent(name).at(SIGNED_AT + 400).with_header("webhook-timestamp", &later);
        assert_eq!(moved.verify(&[SIGNING_KEY]), Err(Refused::WrongSignature));
    }
}

/// github.com/standard-webhooks, the vector that its libraries test with.
#[test]
fn the_documented_signature_is_accepted_among_others() {
    let headers = [
        ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
        ("webhook-timestamp", "1614265330"),
        ("webhook-signature", "v1a,AAAA v1,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= v2,x"),
    ];
    let headers: Vec<_> = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let body = br#"{"test": 2432232314}"#.to_vec();
    let vector = Sent { host: GitHost::Standard, headers, body, now: 1_614_265_330 };
    let verified = vector.verify(&[SIGNING_KEY]).unwrap();
    assert_eq!(verified.delivery_id, "msg_p5jXN8AQM9LWM0D4loKWxJek");
}
