//! Long logs, and logs of strangers.

use std::fmt::Write as _;

use model::Role;
use serde_json::json;
use thirtyfour::prelude::*;

use crate::answers::{EVIL, hostile};
use crate::browser::in_browser;
use crate::world::World;

#[tokio::test]
async fn a_log_of_200_000_lines_keeps_the_page_small_and_every_line_in_reach() {
    let world = World::new().await;
    let path = world.submit().await;
    let leased = world.lease().await;
    let mut at = 0;
    for thousand in 0..200 {
        let mut text = String::new();
        for line in thousand * 1000 + 1..=thousand * 1000 + 1000 {
            let word = if line == 150_000 { "needle" } else { "hay" };
            let _ =
                writeln!(text, "#7 {line}.000 {word} compiling a crate with a rather long name, line {line}");
        }
        world.log(&leased, at, text.as_bytes()).await;
        at += i64::try_from(text.len()).unwrap();
    }
    let run = path.strip_prefix("/v1").unwrap();
    in_browser(&world.address, async |page| {
        page.sign_in(&world, Role::Reader).await;
        page.goto(&format!("{run}#L199990-L199995")).await;
        page.until("document.querySelector('.state').textContent.startsWith('200,000 lines')").await;
        page.until("document.querySelectorAll('.row.chosen').length === 6").await;
        page.shows("document.querySelector('.row.chosen a').textContent", "199990").await;
        let rows = page.js("document.querySelectorAll('.row').length").await.as_u64().unwrap();
        assert!(rows < 250, "{rows} rows are in the document");

        page.keys("/").await;
        page.keys("NEEDLE").await;
        page.enter().await;
        page.until("document.querySelector('.row.found a')?.textContent === '150000'").await;
        page.shows("document.querySelector('.row.found mark').textContent", "needle").await;
        page.shows("document.querySelector('.count').textContent", "1 of 1").await;
        let seen = "(r => { const b = document.querySelector('.lines').getBoundingClientRect(), m = r.getBoundingClientRect(); \
                    return m.top >= b.top && m.bottom <= b.bottom })(document.querySelector('.row.found'))";
        page.until(seen).await;

        page.find(".row.found a").await.click().await.unwrap();
        page.until("location.hash === '#L150000'").await;
        let below = page.find("a[href='#L150004']").await;
        let chain = page.driver.action_chain().key_down(Key::Shift).click_element(&below).key_up(Key::Shift);
        chain.perform().await.unwrap();
        page.until("location.hash === '#L150000-L150004' && document.querySelectorAll('.row.chosen').length === 5").await;
        page.js("document.querySelector('.lines').scrollTop = 0").await;
        page.until("document.querySelector('.rows').firstElementChild.textContent.startsWith('1#7 1.000')").await;
        let rows = page.js("document.querySelectorAll('.row').length").await.as_u64().unwrap();
        assert!(rows < 250, "{rows} rows are in the document");
    })
    .await;
}

#[tokio::test]
async fn what_strangers_wrote_is_shown_and_never_run() {
    let world = World::new().await;
    let pages = hostile(&world).await;
    let id = pages[0].rsplit('/').next().unwrap();
    let leased =
        world.db.text(&format!("SELECT epoch::text FROM slipway.run_queue WHERE run_id = '{id}'")).await;
    assert_eq!(leased.as_deref(), Some("1"));
    let colours = "\x1b[31mred\x1b[0m \x1b[1;38;5;46mbright\x1b[0m \x1b]8;;javascript:alert(3)\x07link\x1b]8;;\x07 \x1b[2J10%\r\x1b[4munder\x1b[24mdone\u{202e}\n";
    let insert = format!(
        "INSERT INTO slipway.log_chunks (run_id, attempt, start, bytes) SELECT '{id}', 1, slipway.log_end('{id}', 1), convert_to(E'{}', 'UTF8')",
        colours.replace('\x1b', "\\x1b").replace('\x07', "\\x07").replace('\r', "\\r").replace('\n', "\\n")
    );
    world.db.execute(&insert).await;
    in_browser(&world.address, async |page| {
        page.sign_in(&world, Role::Administrator).await;
        for path in pages.iter().map(String::as_str).chain(["/", "/runs", "/deliveries", "/tasks"]) {
            page.goto(path).await;
            page.until("document.readyState === 'complete'").await;
            assert_eq!(
                page.js("document.querySelectorAll('main img, main script, main [onerror]').length").await,
                0,
                "{path}"
            );
            if path != "/tasks" {
                let shown = format!("document.querySelector('main').textContent.includes({})", json!(EVIL));
                page.until(&shown).await;
            }
        }
        page.goto(&pages[0]).await;
        page.until("document.querySelectorAll('.row').length === 2").await;
        page.shows("document.querySelector('.row').textContent", format!("1{EVIL}")).await;
        // What a carriage return overwrote is gone, and so is every sequence that is no colour.
        page.shows("document.querySelectorAll('.row')[1].textContent", "2underdone\u{202e}").await;
        page.shows("document.querySelector('.row .a4').textContent", "under").await;
        assert_eq!(page.js("document.querySelectorAll('.rows a:not([href^=\"#L\"])').length").await, 0);
        assert!(page.driver.get_alert_text().await.is_err(), "nothing of it ran");
    })
    .await;
}

#[tokio::test]
async fn colours_of_a_log_are_classes() {
    let world = World::new().await;
    let path = world.submit().await;
    let leased = world.lease().await;
    world
        .log(
            &leased,
            0,
            b"\x1b[31mred\x1b[0m \x1b[1;38;5;46mgreen\x1b[22m\x1b[48;2;200;20;20mback\x1b[m plain\n",
        )
        .await;
    in_browser(&world.address, async |page| {
        page.sign_in(&world, Role::Reader).await;
        page.goto(path.strip_prefix("/v1").unwrap()).await;
        page.until("document.querySelector('.row')").await;
        let looks = "[...document.querySelectorAll('.row span span')].map(s => `${s.textContent}:${s.className}`).join('|')";
        page.shows(looks, "red:f1| :|green:a1 f10|back:f10 b1| plain:").await;
        assert_eq!(page.js("document.querySelectorAll('.row [style]').length").await, 0);
    })
    .await;
}
