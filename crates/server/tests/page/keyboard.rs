//! What a person does without a mouse, and without script.

use model::Role;
use thirtyfour::prelude::*;

use crate::browser::in_browser;
use crate::furnish::furnish;
use crate::world::{World, json_of, token};

#[tokio::test]
async fn a_person_signs_in_finds_a_run_reads_it_and_cancels_it_with_the_keyboard_alone() {
    let world = World::new().await;
    let there = furnish(&world).await;
    let id = there.run.rsplit('/').next().unwrap().to_owned();
    world.db.execute(&format!("UPDATE slipway.runs SET cause = '{{\"type\":\"manual\",\"by\":\"ann\"}}', spec = jsonb_set(spec, '{{source,ref}}', '\"feature/basket\"') WHERE id = '{id}'")).await;
    let text = token(&world.db, Role::Submitter, None).await;
    in_browser(&world.address, async |page| {
        page.goto("/runs?status=started").await;
        page.until("location.pathname === '/login'").await;
        page.keys("sw_wrong").await;
        page.enter().await;
        page.until("document.querySelector('[role=alert]')?.textContent.includes('not known')").await;
        page.keys(&*text).await;
        page.enter().await;
        page.until("location.pathname + location.search === '/runs?status=started'").await;

        page.goto("/runs").await;
        page.keys(Key::Tab).await;
        page.shows("document.activeElement.textContent", "Skip to the content").await;
        page.enter().await;
        page.shows("document.activeElement.id", "content").await;
        page.keys("/").await;
        page.keys("feature/basket").await;
        page.enter().await;
        page.until("location.search.includes('branch=feature%2Fbasket')").await;
        page.shows("document.querySelectorAll('.runs li').length", 1).await;
        page.tab_to(".runs .what a").await;
        page.enter().await;
        page.until(&format!("location.pathname === '{}'", there.run)).await;

        page.until("document.querySelectorAll('.row').length >= 18").await;
        page.keys("/").await;
        page.keys("compiling").await;
        page.enter().await;
        page.until("document.querySelector('.count').textContent === '1 of 3'").await;
        page.enter().await;
        page.until("document.querySelector('.count').textContent === '2 of 3'").await;
        // The rows are drawn after the count.
        page.until("document.querySelector('.row.found a')?.textContent === '12'").await;
        page.tab_to(".goto").await;
        page.keys("3-5").await;
        page.enter().await;
        page.until("location.hash === '#L3-L5' && document.querySelectorAll('.row.chosen').length === 3")
            .await;

        page.goto(&there.run).await;
        page.tab_to("#cancel").await;
        page.enter().await;
        page.until("document.body.textContent.includes('It is being cancelled')").await;
    })
    .await;
    let run = json_of(world.get(&format!("/v1{}", there.run))).await;
    assert_eq!(run["cancel_requested"], true);
}

#[tokio::test]
async fn without_script_lists_logs_and_buttons_work() {
    let world = World::new().await;
    let there = furnish(&world).await;
    let text = token(&world.db, Role::Contributor, None).await;
    in_browser(&world.address, async |page| {
        page.without_script().await;
        page.goto("/").await;
        page.find("#token").await.send_keys(&*text).await.unwrap();
        page.follow("form.card button").await;
        page.says("#live-under-way", "team/app:1").await;
        page.goto("/runs").await;
        page.find("select[name=status] option[value=started]").await.click().await.unwrap();
        page.follow("form.filter button").await;
        page.follow(".runs .what a").await;
        // Without escapes.
        page.says("#plain-log", "#5 6.310    Compiling shop v0.9.4").await;
        assert!(!page.find("#viewer").await.is_displayed().await.unwrap());
        assert!(page.text(".moment").await.ends_with("UTC"));
        page.says(".waterfall", "RUN npm ci --no-audit").await;
        page.follow("#cancel").await;
        page.says("#live-run", "It is being cancelled").await;
        page.goto(&there.delivery).await;
        page.says("#live-delivery", "no path matched").await;
        page.follow("#replay").await;
        page.find("#live-delivery h1").await;
        page.goto(&there.task).await;
        page.follow(".head button").await;
        page.says("#live-run", "queued").await;
        page.says("#live-run", "asked for by contributor-all").await;
        page.follow(".who button").await;
        page.find("#token").await;
    })
    .await;
}
