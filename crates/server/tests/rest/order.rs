//! In which order pushes count that were delivered in another, and what becomes of deliveries that nobody could read.

use serde_json::{Value, json};

use crate::strangers::{Story, merge_request, push};
use crate::world::json_of;

/// A push from one commit to another; each is a digit.
fn moved(before: char, after: char) -> Value {
    let (before, after) = (before.to_string().repeat(40), after.to_string().repeat(40));
    let mut body = push("team/app");
    for (field, value) in [("before", &before), ("after", &after), ("checkout_sha", &after)] {
        body[field] = json!(value);
    }
    body
}

impl Story {
    async fn push(&self, id: &str, before: char, after: char) -> Value {
        self.deliver(id, "Push Hook", &moved(before, after)).await
    }

    /// The commits of the runs, in the order in which they were made.
    async fn built(&self) -> String {
        let query = "SELECT coalesce(string_agg(left(cause ->> 'commit', 1), '' ORDER BY number), '') FROM slipway.runs";
        self.world.db.text(query).await.unwrap()
    }

    async fn counted(&self, outcome: &str) -> u32 {
        let text = self.world.get("/metrics").send().await.unwrap().text().await.unwrap();
        let name = format!("slipway_deliveries_total{{host=\"gitlab\",outcome=\"{outcome}\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&name)).map_or(0, |count| count.parse().unwrap())
    }
}

#[tokio::test]
async fn a_push_that_comes_after_a_later_one_starts_nothing_unless_somebody_wants_it() {
    let story = Story::begin(&[]).await;
    story.push("1", 'a', 'b').await;
    story.push("3", 'c', 'd').await;
    let late = story.push("2", 'b', 'c').await;
    let words = "a later push of refs/heads/main was delivered before";
    assert_eq!(
        (&late["status"], &late["decisions"][0]["reason"]),
        (&json!("ignored"), &json!(words)),
        "{late}"
    );
    assert_eq!(late["summary"], format!("push of cccccccc to refs/heads/main of team/app: ignored: {words}"));
    // What goes on from the newest goes on, and what nothing is known of is taken for new.
    story.push("4", 'd', 'e').await;
    story.push("5", '6', '7').await;
    assert_eq!(story.built().await, "bde7");

    // Another branch of the same commits is another matter.
    let mut topic = moved('b', 'c');
    topic["ref"] = json!("refs/heads/topic");
    let other = story.deliver("6", "Push Hook", &topic).await;
    assert!(other["decisions"][0]["reason"].as_str().unwrap().contains("branch topic is not"), "{other}");

    let path = format!("/v1/registries/local/deliveries/{}/replay", late["id"].as_str().unwrap());
    for _ in 0..2 {
        assert_eq!(story.world.post(&path).send().await.unwrap().status(), 202);
        assert_eq!(story.worked("2").await["status"], "matched", "somebody wants it");
    }
    assert_eq!(story.built().await, "bde7c", "once");
}

#[tokio::test]
async fn a_branch_that_is_set_back_is_built_once_more_and_the_same_push_twice_is_not() {
    let story = Story::begin(&[]).await;
    let ways = [('0', 'a'), ('a', 'b'), ('b', 'a'), ('a', 'b'), ('b', 'a')];
    for (id, (before, after)) in ways.into_iter().enumerate() {
        for id in [format!("{id}"), format!("{id}-again")] {
            let delivery = story.push(&id, before, after).await;
            assert_eq!(delivery["status"], "matched", "{id}: {delivery}");
            let was_there = delivery["decisions"][0]["was_there"].as_bool().unwrap_or_default();
            assert_eq!(was_there, id.ends_with("-again"), "{delivery}");
            let said = delivery["summary"].as_str().unwrap().contains("nothing was started");
            assert_eq!(said, was_there, "{delivery}");
        }
    }
    assert_eq!(story.built().await, "ababa", "each return is a run, and the newest");
    // Deleted, and made again where it was.
    story.push("gone", 'a', '0').await;
    story.push("made", '0', 'a').await;
    assert_eq!(story.built().await, "ababaa");
}

#[tokio::test]
async fn what_can_not_be_kept_is_explained_at_once_and_counted_once() {
    let story = Story::begin(&[]).await;
    let mut nul = moved('a', 'b');
    nul["commits"] = json!([{ "id": "b", "added": ["a\0b"], "modified": [], "removed": [] }]);
    nul["total_commits_count"] = json!(1);
    let mut number = merge_request(15, "mine");
    number["object_attributes"]["iid"] = json!(1_u64 << 63);
    for (id, event, body, why) in [
        ("1", "Push Hook", &nul, "The delivery's `commits[0]` names a file with the character NUL."),
        (
            "2",
            "Merge Request Hook",
            &number,
            "The delivery's `object_attributes.iid` is not a whole number below 2^63.",
        ),
    ] {
        let delivery = story.deliver(id, event, body).await;
        assert_eq!(delivery["status"], "failed", "{delivery}");
        assert!(delivery["summary"].as_str().unwrap().starts_with(why), "{delivery}");
    }
    let mut long = moved('a', 'b');
    long["project"]["path_with_namespace"] = json!("x".repeat(2_000_000));
    let delivery = story.deliver("3", "Push Hook", &long).await;
    assert_eq!(delivery["status"], "matched", "{delivery}");
    let list = json_of(story.world.get("/v1/registries/local/deliveries")).await.to_string();
    assert!(list.len() < 10_000, "{} bytes", list.len());
    assert_eq!((story.counted("failed").await, story.counted("matched").await), (2, 1));
}
