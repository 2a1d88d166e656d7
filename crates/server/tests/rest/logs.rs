//! Logs: as text by offset, and followed as events.

use std::time::Duration;

use database::{Forget, Keep};
use model::Role;
use serde_json::Value;
use server::Config;

use crate::world::{World, client, json_of, problem, token};

/// The events of a whole stream: name, id, data.
async fn events(world: &World, path: &str, last: Option<&str>) -> Vec<(String, String, Value)> {
    let mut request = world.get(&format!("{path}/logs")).header("accept", "text/event-stream");
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    let text = request.send().await.unwrap().text().await.unwrap();
    let field = |event: &str, name: &str| {
        let line = event.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_default().trim_start().to_owned()
    };
    let events = text.split("\n\n").filter(|event| event.contains("data:"));
    events
        .map(|e| (field(e, "event"), field(e, "id"), serde_json::from_str(&field(e, "data")).unwrap()))
        .collect()
}

fn text_of(events: &[(String, String, Value)]) -> String {
    events
        .iter()
        .filter(|(name, ..)| name == "log")
        .map(|(.., data)| data["text"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn text_is_read_from_an_offset_on() {
    let world = World::new().await;
    let path = world.submit().await;
    let leased = world.lease().await;
    world.log(&leased, 0, b"one\ntwo\n").await;
    let read = async |query: &str| world.get(&format!("{path}/logs{query}")).send().await.unwrap();
    let answer = read("?offset=4").await;
    assert_eq!(answer.headers()["x-log-next-offset"], "8");
    assert_eq!(answer.headers()["x-log-complete"], "false");
    assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("text/plain"));
    assert_eq!(answer.text().await.unwrap(), "two\n");
    let (status, kind, _) = problem(read("?offset=9").await).await;
    assert_eq!((status, kind.as_str()), (416, "offset_beyond_log"));
    let (status, kind, _) = problem(read("?attempt=2").await).await;
    assert_eq!((status, kind.as_str()), (404, "attempt_not_found"));
    world.fail(&leased, false).await;
    assert_eq!(read("").await.headers()["x-log-complete"], "true");
}

#[tokio::test]
async fn a_log_that_was_removed_is_no_empty_one() {
    let world = World::new().await;
    let (old, path) = (world.submit().await, world.submit().await);
    // Nothing was written to this one: it has no log that could be removed.
    world.fail(&world.lease().await, false).await;
    let leased = world.lease().await;
    world.log(&leased, 0, b"one\ntwo\n").await;
    world.fail(&leased, false).await;
    let keep = Keep { logs: Duration::ZERO, ..Keep::default() };
    assert_eq!(world.db.server.forget(Forget::Logs, &keep).await.unwrap(), 1);
    let run = json_of(world.get(&path)).await;
    let (day, _) = run["log_removed_at"].as_str().unwrap().split_once('T').unwrap();
    for accept in ["text/plain", "text/event-stream"] {
        let request = world.get(&format!("{path}/logs")).header("accept", accept);
        let (status, kind, body) = problem(request.send().await.unwrap()).await;
        assert_eq!((status, kind.as_str()), (410, "log_removed"));
        assert!(body["detail"].as_str().unwrap().contains(day), "{body}");
    }
    assert_eq!(json_of(world.get(&old)).await["log_removed_at"], Value::Null);
    assert_eq!(world.get(&format!("{old}/logs")).send().await.unwrap().text().await.unwrap(), "");
}

#[tokio::test]
async fn a_followed_log_comes_as_it_is_written_and_ends_with_the_run() {
    let world = World::new().await;
    let path = world.submit().await;
    let leased = world.lease().await;
    let mut stream =
        world.get(&format!("{path}/logs")).header("accept", "text/event-stream").send().await.unwrap();
    let mut seen = String::new();
    // Half a character is held back until the rest is there.
    let (line, cut) = ("grün\n".as_bytes(), 3);
    world.log(&leased, 0, &line[..cut]).await;
    while !seen.contains("\"gr\"") {
        let bytes = stream.chunk().await.unwrap().unwrap();
        seen.push_str(str::from_utf8(&bytes).unwrap());
    }
    world.log(&leased, 3, &line[cut..]).await;
    world.fail(&leased, false).await;
    while let Some(bytes) = stream.chunk().await.unwrap() {
        seen.push_str(str::from_utf8(&bytes).unwrap());
    }
    assert!(seen.contains("\"ün\\n\""), "{seen}");
    assert!(seen.contains("event: end"), "{seen}");
}

#[tokio::test]
async fn a_stream_goes_on_from_any_of_its_events() {
    let world = World::new().await;
    let path = world.submit().await;
    let leased = world.lease().await;
    world.log(&leased, 0, b"first attempt\n").await;
    world.fail(&leased, true).await;
    world.db.execute("UPDATE slipway.run_queue SET not_before = now()").await;
    let leased = world.lease().await;
    world.log(&leased, 0, b"second ").await;
    world.log(&leased, 7, b"attempt\n").await;
    world.fail(&leased, false).await;

    let all = events(&world, &path, Some("1:0")).await;
    assert_eq!(text_of(&all), "first attempt\nsecond attempt\n");
    assert_eq!(all.last().unwrap().0, "end");
    assert_eq!(all.last().unwrap().2["status"], "failed");
    for (at, (_, id, _)) in all.iter().enumerate().filter(|(_, (_, id, _))| !id.is_empty()) {
        let rest = events(&world, &path, Some(id)).await;
        assert_eq!(text_of(&rest), text_of(&all[at + 1..]), "from {id}");
    }
    let refused = world.get(&format!("{path}/logs")).header("accept", "text/event-stream");
    let (status, ..) = problem(refused.header("last-event-id", "x").send().await.unwrap()).await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn a_piece_of_no_size_is_refused_with_what_to_ask_instead() {
    let world = World::new().await;
    let run = world.submit().await;
    for query in ["limit=0", "limit=16777217", "offset=-1"] {
        let answer = world.get(&format!("{run}/logs?{query}")).send().await.unwrap();
        let (status, kind, said) = problem(answer).await;
        assert_eq!((status, kind.as_str()), (400, "parameter_invalid"), "{query}");
        assert!(!said["hint"].as_str().unwrap().is_empty(), "{said}");
    }
}

/// Without the hint the reader would look by itself after an hour.
#[tokio::test]
async fn a_reader_hears_of_a_line_and_does_not_wait_for_its_next_look() {
    let hour = std::time::Duration::from_secs(3600);
    let world = World::with(server::Config { poll: hour, ..server::Config::default() }).await;
    let path = world.submit().await;
    let leased = world.lease().await;
    let mut reader =
        world.get(&format!("{path}/logs")).header("accept", "text/event-stream").send().await.unwrap();
    for (offset, line) in [(0, "one\n"), (4, "two\n"), (8, "six\n")] {
        world.log(&leased, offset, line.as_bytes()).await;
        let mut heard = String::new();
        while !heard.contains(line.trim()) {
            let next = tokio::time::timeout(hour / 120, reader.chunk()).await;
            heard += &String::from_utf8_lossy(&next.expect("it hears").unwrap().unwrap());
        }
    }
}

/// Who may not look any more is not told on either, however long the run takes.
#[tokio::test]
async fn a_followed_log_ends_with_its_token() {
    let config =
        Config { ping: Duration::from_millis(50), poll: Duration::from_millis(20), ..Config::default() };
    let world = World::with(config).await;
    let path = world.submit().await;
    let reader = client(Some(&token(&world.db, Role::Reader, None).await));
    for ends in [
        "UPDATE slipway.tokens SET expires_at = now() WHERE role = 'reader'",
        "DELETE FROM slipway.tokens WHERE role = 'reader'",
    ] {
        world.db.execute("UPDATE slipway.tokens SET expires_at = NULL").await;
        let request = reader.get(world.url(&format!("{path}/logs"))).header("accept", "text/event-stream");
        let mut stream = request.send().await.unwrap();
        assert!(stream.chunk().await.unwrap().is_some(), "the run's status");
        world.db.execute(ends).await;
        let rest = async { while let Ok(Some(_)) = stream.chunk().await {} };
        tokio::time::timeout(Duration::from_secs(20), rest).await.expect("the stream ends");
    }
}

/// Nor does a log that is long, and read slowly, come to its end.
#[tokio::test]
async fn a_followed_log_ends_with_its_token_also_while_there_is_much_to_tell() {
    const PIECE: usize = 256 << 10;
    const PIECES: usize = 160;
    let world = World::with(Config { ping: Duration::from_millis(5), ..Config::default() }).await;
    let path = world.submit().await;
    let leased = world.lease().await;
    for piece in 0..PIECES {
        world.log(&leased, i64::try_from(piece * PIECE).unwrap(), &[b'x'; PIECE]).await;
    }
    world.fail(&leased, false).await;
    let reader = client(Some(&token(&world.db, Role::Reader, None).await));
    let request = reader.get(world.url(&format!("{path}/logs"))).header("accept", "text/event-stream");
    let mut stream = request.send().await.unwrap();
    assert!(stream.chunk().await.unwrap().is_some(), "it begins");
    world.db.execute("DELETE FROM slipway.tokens WHERE role = 'reader'").await;
    let mut told = 0;
    while let Ok(Some(part)) = stream.chunk().await {
        told += part.len();
    }
    assert!(told < PIECES * PIECE, "all of it was told: {told} bytes");
}
