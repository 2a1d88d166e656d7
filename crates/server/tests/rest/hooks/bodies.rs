//! Large bodies and slow ones: as large as a host may send, larger, many at once, and never ending.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use server::{Config, Rate};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Desk, Hook};
use crate::world::problem;

/// GitHub sends so much at most, and gives an answer ten seconds.
const LARGEST: usize = 25 * 1024 * 1024;
const PATIENCE: Duration = Duration::from_secs(10);

impl Hook<'_> {
    /// A connection that has sent the head of a delivery.
    async fn connection(&self, head: &str) -> TcpStream {
        let (host, path) = self.address.strip_prefix("http://").unwrap().split_once('/').unwrap();
        let mut connection = TcpStream::connect(host).await.unwrap();
        let head = format!("POST /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{head}\r\n\r\n");
        connection.write_all(head.as_bytes()).await.unwrap();
        connection
    }
}

/// All that comes until the server closes.
async fn answer_of(connection: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut answer = Vec::new();
    let read = tokio::time::timeout(super::LIMIT, connection.read_to_end(&mut answer)).await;
    read.expect("the connection is closed").unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn the_largest_delivery_of_a_host_is_taken_in_time() {
    let desk = Desk::open().await;
    for hook in desk.hooks() {
        let sent = hook.sender.sent("push-to-branch", 1).padded_to(LARGEST).signed(hook.secret);
        let began = Instant::now();
        let answer = hook.deliver(&sent).await;
        assert_eq!(answer.status(), 202, "{}", hook.sender.name);
        assert!(began.elapsed() < PATIENCE, "{}: {:?}", hook.sender.name, began.elapsed());
        let delivery = hook.worked(answer).await;
        assert_eq!((&delivery["status"], &delivery["size"]), (&"matched".into(), &LARGEST.into()));
    }
}

/// A client that sends everything before it reads hears the answer all the same.
#[tokio::test]
async fn a_larger_one_is_refused_whether_its_length_is_told_or_not() {
    let desk = Desk::open().await;
    let piece = vec![b'x'; 1 << 20];
    for hook in desk.hooks() {
        let began = Instant::now();
        let mut told = hook.connection(&format!("content-length: {}", LARGEST + 1)).await;
        let mut head = [0; 12];
        told.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, b"HTTP/1.1 413", "before the first byte was sent");
        for _ in 0..LARGEST >> 20 {
            told.write_all(&piece).await.unwrap();
        }
        told.write_all(b"x").await.unwrap();
        assert!(answer_of(&mut told).await.contains("application/problem+json"));

        let mut untold = hook.connection("transfer-encoding: chunked").await;
        for _ in 0..=LARGEST >> 20 {
            untold.write_all(b"100000\r\n").await.unwrap();
            untold.write_all(&piece).await.unwrap();
            untold.write_all(b"\r\n").await.unwrap();
        }
        untold.write_all(b"0\r\n\r\n").await.unwrap();
        untold.shutdown().await.unwrap();
        let answer = answer_of(&mut untold).await;
        assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("body_too_large"), "{answer}");
        assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    }
    assert_eq!(desk.count("deliveries").await, "0");
}

#[tokio::test]
async fn large_deliveries_wait_for_each_other() {
    let (size, budget) = (1 << 20, 3 << 20);
    let desk =
        Desk::with(Config { delivery_limit: size, delivery_budget: budget, ..Config::default() }).await;
    for hook in desk.hooks() {
        let large = |id| hook.sender.sent("push-to-branch", id).padded_to(size).signed(hook.secret);
        let sent: Vec<_> = (0..12).map(large).collect();
        let answers = join_all(sent.iter().map(|sent| hook.deliver(sent))).await;
        assert!(answers.iter().all(|answer| answer.status() == 202), "{answers:?}");
    }
}

/// Who knows a hook's address, and not its secret, keeps out that hook's large deliveries at most: those of other hooks
/// come, and small ones.
#[tokio::test]
async fn large_deliveries_that_do_not_end_keep_out_those_of_their_own_hook_alone() {
    let (limit, budget) = (1 << 20, 1 << 20);
    let desk =
        Desk::with(Config { delivery_limit: limit, delivery_budget: budget, ..Config::default() }).await;
    let [hook, other] = desk.hooks().take(2).collect::<Vec<_>>().try_into().ok().unwrap();
    let mut hanging = Vec::new();
    for _ in 0..8 {
        let mut begun = hook.connection(&format!("content-length: {limit}")).await;
        begun.write_all(&vec![b'x'; 200_000]).await.unwrap();
        hanging.push(begun);
    }
    let large = async |hook: &Hook<'_>, id| {
        hook.deliver(&hook.sender.sent("push-to-branch", id).padded_to(limit).signed(hook.secret)).await
    };
    // Until the hanging ones have their places, others get one.
    let mut others = 1;
    let refused = loop {
        match large(&hook, others).await {
            answer if answer.status() == 202 && others < 100 => others += 1,
            answer => break answer,
        }
    };
    assert_eq!(refused.headers()["retry-after"], "10");
    assert_eq!(problem(refused).await.1, "busy");
    assert_eq!(large(&other, 1).await.status(), 202, "another hook's");
    assert_eq!(hook.deliver(&hook.sent("push-to-branch", 200)).await.status(), 202, "a small one");
    // A hook that is not there takes no part at all.
    let elsewhere = format!("{}{}", &hook.address[..hook.address.len() - 36], uuid::Uuid::new_v4());
    let nowhere = desk.stranger.post(elsewhere).body(vec![b'x'; limit]).send().await.unwrap();
    assert_eq!(problem(nowhere).await.1, "hook_not_found");
    drop(hanging);
    assert_eq!(large(&hook, 201).await.status(), 202, "the places are given back");
}

#[tokio::test]
async fn a_body_that_drips_is_ended_and_holds_up_nobody() {
    let delivery_timeout = Duration::from_secs(2);
    let desk = Desk::with(Config { delivery_timeout, ..Config::default() }).await;
    for hook in desk.hooks() {
        let began = Instant::now();
        let slow = join_all((0..50).map(|_| async {
            let connection = hook.connection("content-length: 1000000").await;
            let (mut reading, mut writing) = connection.into_split();
            let drip = async {
                loop {
                    // What was answered is read also when the connection is closed already.
                    let _ = writing.write_all(b"x").await;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            tokio::select! {
                answer = answer_of(&mut reading) => answer,
                () = drip => unreachable!(),
            }
        }));
        let others = async {
            let answer = hook.deliver(&hook.sent("push-to-branch", 1)).await;
            (answer.status(), began.elapsed())
        };
        let (slow, (status, took)) = tokio::join!(slow, others);
        assert!(status == 202 && took < delivery_timeout, "{}: {status} after {took:?}", hook.sender.name);
        for answer in slow {
            assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("\"request_timeout\""), "{answer}");
        }
        assert!(began.elapsed() < 5 * delivery_timeout, "{:?}", began.elapsed());
    }
}

/// Who only knows the service, and not a hook, costs it neither a body nor a bucket.
#[tokio::test]
async fn nothing_of_a_body_is_read_before_it_is_known_whose_it_is() {
    let desk = Desk::with(Config { hook_rate: Rate::new(1, 1), ..Config::default() }).await;
    let hook = desk.hooks().next().unwrap();
    let elsewhere = format!("{}{}", &hook.address[..hook.address.len() - 36], uuid::Uuid::new_v4());
    let nowhere = Hook { address: &elsewhere, ..hook };
    let begun =
        (0..5).map(async |_| answer_of(&mut nowhere.connection("content-length: 1000000").await).await);
    for answer in join_all(begun).await {
        assert!(answer.starts_with("HTTP/1.1 404") && answer.contains("hook_not_found"), "{answer}");
    }
    assert_eq!(hook.deliver(&hook.sent("push-to-branch", 1)).await.status(), 202);
    let mut begun = hook.connection("content-length: 1000000").await;
    let answer = answer_of(&mut begun).await;
    assert!(answer.starts_with("HTTP/1.1 429") && answer.contains("retry-after"), "{answer}");
}
