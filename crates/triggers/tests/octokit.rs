//! Real payloads of GitHub: every one is told, or refused by the name of its event.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use model::GitHost;
use serde_json::Value;
use triggers::{Delivery, Event, read};

const EXAMPLES: &[u8] = include_bytes!("fixtures/octokit/index.json.gz");

#[test]
fn all_329_are_told_or_refused_by_name() {
    assert_eq!(tell(), [("ping", 4), ("pull_request", 29), ("push", 7)].map(counted));
    assert_eq!(examples().len(), 329);
}

fn counted((kind, count): (&str, usize)) -> (String, usize) {
    (kind.to_owned(), count)
}

/// Reads every example; how many of each kind of event are told.
fn tell() -> Vec<(String, usize)> {
    let mut told = std::collections::BTreeMap::new();
    for (kind, payload) in examples() {
        let body = serde_json::to_vec(&payload).unwrap();
        let delivery = Delivery { headers: &[], body: &body };
        let events =
            read(GitHost::Github, &kind, &delivery).unwrap_or_else(|e| panic!("{kind}: {e}\n{payload}"));
        let [event] = events.as_slice() else { panic!("{kind}: {events:?}") };
        match event {
            Event::Other { what } => assert_eq!(*what, format!("a `{kind}` event starts nothing")),
            event => {
                check(event, &payload);
                *told.entry(kind).or_insert(0) += 1;
            }
        }
    }
    told.into_iter().collect()
}

/// Against the payload itself, by paths written out.
fn check(event: &Event, payload: &Value) {
    let text = |pointer: &str| payload.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    match event {
        Event::Push(push) => {
            assert_eq!(Some(&push.reference), text("/ref").as_ref());
            let commit = text("/after").filter(|after| !after.trim_matches('0').is_empty());
            assert_eq!(push.commit, commit);
            assert_eq!(push.commit.is_none(), payload["deleted"] == true);
            assert_eq!(push.before.is_none(), payload["created"] == true);
            assert!(push.repository.addresses.contains(&text("/repository/clone_url").unwrap()));
        }
        Event::PullRequest(request) => {
            assert_eq!(Some(&request.commit), text("/pull_request/head/sha").as_ref());
            assert_eq!(Some(&request.target_branch), text("/pull_request/base/ref").as_ref());
            assert_eq!(request.author, text("/pull_request/user/login"));
            let starting = ["opened", "reopened", "synchronize", "ready_for_review"];
            assert_eq!(request.starts_runs, starting.contains(&request.action.as_str()));
        }
        Event::Ping => assert!(payload.get("zen").is_some()),
        Event::Other { .. } => panic!("not told: {event:?}"),
    }
}

fn examples() -> Vec<(String, Value)> {
    let file = flate2::read::GzDecoder::new(EXAMPLES);
    let kinds: Vec<Value> = serde_json::from_reader(std::io::BufReader::new(file)).unwrap();
    let of_kind = |kind: &Value| {
        let name = kind["name"].as_str().unwrap().to_owned();
        kind["examples"].as_array().unwrap().clone().into_iter().map(move |example| (name.clone(), example))
    };
    kinds.iter().flat_map(of_kind).collect()
}
