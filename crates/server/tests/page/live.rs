//! What changes by itself while somebody looks: lists, a run with its steps, its log.

use model::{Role, VertexResult};
use serde_json::json;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::browser::in_browser;
use crate::furnish::furnish;
use crate::world::World;

#[tokio::test]
async fn lists_show_a_run_that_begins_and_ends_without_being_asked() {
    let world = World::new().await;
    in_browser(&world.address, async |page| {
        page.sign_in(&world, Role::Reader).await;
        page.until("document.querySelector('#live-under-way .empty')").await;
        page.until("moves?.readyState === EventSource.OPEN").await;
        // What the page asks now and then by itself must not be what shows it.
        page.js("Array.from({ length: 1000 }, (_, timer) => clearInterval(timer))").await;
        page.js("document.body.dataset.same = 'yes'").await;
        world.submit().await;
        page.until("document.querySelector('#live-under-way .s-queued')").await;
        let leased = world.lease().await;
        page.until("document.querySelector('#live-under-way .s-started')").await;
        world.fail(&leased, false).await;
        page.until("document.querySelector('#live-failed .s-failed')").await;
        page.until("document.querySelector('#live-under-way .empty')").await;
        page.shows("document.body.dataset.same", "yes").await;
        page.says("#live-failed", "exit code 2").await;
        page.shows("document.querySelector('#live-failed .moment').textContent", "just now").await;
    })
    .await;
}

#[tokio::test]
async fn a_run_shows_its_log_and_its_steps_as_they_grow_and_its_end() {
    let world = World::new().await;
    let there = furnish(&world).await;
    let leased = &there.leased;
    in_browser(&world.address, async |page| {
        page.sign_in(&world, Role::Reader).await;
        page.goto(&there.run).await;
        page.until("document.querySelector('.rows').textContent.includes('shop v0.9.4')").await;
        let log = format!("/v1{}/logs", there.run);
        let before = world.get(&log).send().await.unwrap().bytes().await.unwrap().len();
        let line = "#5 9.801 error[E0382]: use of moved value: `basket`\n";
        world.log(leased, i64::try_from(before).unwrap(), line.as_bytes()).await;
        page.until("document.querySelector('.rows').lastElementChild.textContent.includes('moved value')").await;
        let scrolled = "(b => b.scrollTop + b.clientHeight >= b.scrollHeight - 20)(document.querySelector('.lines'))";
        page.shows(scrolled, true).await;

        let place = "document.querySelector('#vertex-1-5').closest('tr')";
        page.shows(&format!("{place}.querySelector('.status').textContent"), "running").await;
        let ended = database::VertexRecord {
            number: 5,
            name: "RUN cargo build --release".to_owned(),
            stage: Some("build".to_owned()),
            line: Some(5),
            started: Duration::from_millis(2950),
            ended: Some((VertexResult::Failed, Duration::from_secs(30))),
        };
        world.db.worker.record_vertices(leased.run, leased.epoch, &leased.token, &[ended]).await.unwrap();
        page.until(&format!("{place}.querySelector('.status').textContent === 'failed'")).await;
        let bar = |number: u32, name: &str| {
            format!("Number(document.querySelector('#vertex-1-{number}').closest('tr').querySelector('rect').getAttribute('{name}'))")
        };
        let (start, width) = (page.js(&bar(5, "x")).await, page.js(&bar(5, "width")).await);
        let (start, width) = (start.as_f64().unwrap(), width.as_f64().unwrap());
        assert!(start > 0.0 && width < 700.0, "27 s of 41 s or more: {start}, {width}");
        assert!((start / width - 2.95 / 27.05).abs() < 0.01, "2.95 s before, for 27.05 s: {start}, {width}");
        page.js("document.querySelector('#vertex-1-6').focus()").await;
        page.enter().await;
        page.until("document.querySelector('.row.chosen')?.textContent.includes('[assets 1/2] RUN npm ci')").await;
        page.shows("location.hash", "#L15").await;

        world.fail(leased, false).await;
        page.until("document.querySelector('h1 .status').textContent === 'failed'").await;
        page.until("document.querySelector('.state').textContent.endsWith('ended')").await;
        page.says(".failure", "exit code 2").await;
    })
    .await;
}

#[tokio::test]
async fn another_attempt_begins_another_log_and_the_first_one_stays() {
    let world = World::new().await;
    let path = world.submit().await;
    let leased = world.lease().await;
    world.log(&leased, 0, b"the first try\n").await;
    let run = path.strip_prefix("/v1").unwrap();
    in_browser(&world.address, async |page| {
        page.sign_in(&world, Role::Reader).await;
        page.goto(run).await;
        page.until("document.querySelector('.rows').textContent.includes('the first try')").await;
        world.fail(&leased, true).await;
        world.db.execute("UPDATE slipway.run_queue SET not_before = now()").await;
        let leased = world.lease().await;
        world.log(&leased, 0, b"the second try\n").await;
        page.until("document.querySelector('.rows').textContent === '1the second try'").await;
        page.until("document.querySelector('#attempt-1')?.textContent.includes('The cell ended')").await;
        page.goto(&format!("{run}?attempt=1")).await;
        page.until("document.querySelector('.rows').textContent === '1the first try'").await;
        page.until("document.querySelector('.state').textContent.endsWith('ended')").await;
    })
    .await;
}

#[tokio::test]
async fn a_log_goes_on_where_it_was_when_the_server_comes_back() {
    let world = World::new().await;
    let path = world.submit().await;
    let leased = world.lease().await;
    world.log(&leased, 0, "grün 1\n".as_bytes()).await;
    let run = path.strip_prefix("/v1").unwrap().to_owned();
    let address = world.address.clone();
    in_browser(&address, async |page| {
        page.sign_in(&world, Role::Reader).await;
        page.goto(&run).await;
        page.until("document.querySelector('.rows').textContent === '1grün 1'").await;
        let World { db, stop, server, worker: _, .. } = world;
        stop.cancel();
        server.await.unwrap().unwrap();
        page.until("document.querySelector('.state').textContent.includes('connection lost')").await;
        let written = db.worker.append_log(
            leased.run,
            leased.epoch,
            &leased.token,
            leased.attempt,
            8,
            "grün 2\n".as_bytes(),
        );
        written.await.unwrap();

        let listener = TcpListener::bind(address.strip_prefix("http://").unwrap()).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        vault::make_key_file(&folder.path().join("key")).unwrap();
        let vault = vault::Vault::open(&folder.path().join("key")).unwrap();
        let stop = CancellationToken::new();
        let again =
            server::serve(server::Config::default(), db.server.clone(), vault, listener, stop.clone());
        let again = tokio::spawn(again);
        page.until("document.querySelector('.rows').textContent === '1grün 12grün 2'").await;
        page.until("document.querySelector('.state').textContent === '2 lines, live'").await;
        stop.cancel();
        again.await.unwrap().unwrap();
    })
    .await;
}

#[tokio::test]
async fn an_open_detail_and_the_focus_stay_when_the_page_is_renewed() {
    let world = World::new().await;
    let there = furnish(&world).await;
    in_browser(&world.address, async |page| {
        page.sign_in(&world, Role::Submitter).await;
        page.goto(&there.run).await;
        page.js("document.querySelector('#asked-for').open = true").await;
        page.js("document.querySelector('#cancel').focus()").await;
        page.js("document.querySelector('#cancel').dataset.old = 'yes'").await;
        let cause = json!({ "type": "manual", "by": "somebody else" });
        world
            .db
            .execute(&format!("UPDATE slipway.runs SET cause = '{cause}' WHERE id = '{}'", there.leased.run))
            .await;
        page.until("document.querySelector('.facts').textContent.includes('somebody else')").await;
        page.shows("document.querySelector('#cancel').dataset.old ?? 'new'", "new").await;
        page.shows("document.querySelector('#asked-for').open", true).await;
        page.shows("document.activeElement.id", "cancel").await;
    })
    .await;
}
