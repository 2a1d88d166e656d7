//! With SOURCE_DATE_EPOCH the same inputs give the same digest: as root or as an ordinary user, with
//! the cache or without it.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use serde_json::json;
use support::{Identity, World};
use test_support::{GitServer, TestRepository};

const DOCKERFILE: &str = "ARG BASE\nFROM ${BASE}\nENV LANG=C.UTF-8\nWORKDIR /srv/app\nCOPY --chown=app . .\n\
                          RUN mkdir -p /var/data && echo $SOURCE_DATE_EPOCH > /var/data/epoch && chown app /var/data\n\
                          USER app\nENTRYPOINT [\"cat\"]\nCMD [\"/var/data/epoch\"]\n";

#[tokio::test(flavor = "multi_thread")]
async fn the_same_inputs_give_the_same_digest() {
    let repository = TestRepository::new();
    repository.commit_to("main", &[("Dockerfile", DOCKERFILE), ("a/b", "b\n"), ("c", "c\n")]);
    let git = GitServer::start(&repository);
    let mut digests = Vec::new();
    for identity in [Identity::Root, Identity::OrdinaryUser] {
        let world = World::start(identity).await;
        // The address of the base is part of no digest: only its content is.
        let base = world.base_image();
        for no_cache in [false, false, true] {
            let run = world
                .build(json!({
                    "source": { "type": "git", "url": git.url(), "ref": "main" },
                    "images": ["same:1"],
                    "build_args": { "BASE": base },
                    "source_date_epoch": 0,
                    "no_cache": no_cache,
                }))
                .await;
            assert_eq!(run["status"], "succeeded", "{run}\n{}", world.log());
            digests.push((identity, no_cache, run["images"][0]["digest"].as_str().unwrap().to_owned()));
        }
    }
    assert!(digests.iter().all(|(_, _, digest)| *digest == digests[0].2), "{digests:#?}");
}
