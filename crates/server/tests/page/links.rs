//! Links to steps and lines, with script and without; what is said where nothing was pushed.

use model::Role;
use serde_json::json;

use crate::answers::Browser;
use crate::browser::in_browser;
use crate::furnish::furnish;
use crate::world::{World, token};

#[tokio::test]
async fn without_script_steps_and_lines_have_links_that_lead_to_them() {
    let world = World::new().await;
    let there = furnish(&world).await;
    let text = token(&world.db, Role::Reader, None).await;
    in_browser(&world.address, async |page| {
        page.without_script().await;
        page.goto("/login").await;
        page.keys(&*text).await;
        page.enter().await;
        page.find(".who").await;
        page.goto(&there.run).await;
        page.find("#vertex-1-6").await.click().await.unwrap();
        page.find("#vertex-6:target").await;
        let line = page.js("document.querySelector(':target').parentElement.textContent").await;
        assert_eq!(line, "15 #6 [assets 1/2] RUN npm ci --no-audit\n");
        page.find("a[href='#L12']").await.click().await.unwrap();
        page.says("#L12:target", "#5 2.731").await;
    })
    .await;
}

#[tokio::test]
async fn a_line_behind_the_end_of_a_log_is_said_not_to_be_there() {
    let world = World::new().await;
    let there = furnish(&world).await;
    in_browser(&world.address, async |page| {
        page.sign_in(&world, Role::Reader).await;
        page.goto(&format!("{}#L150000", there.run)).await;
        page.until("document.querySelector('.state').textContent.endsWith('line 150000 is not there yet')")
            .await;
        world.fail(&there.leased, false).await;
        page.until("document.querySelector('.state').textContent.endsWith('ended; there is no line 150000')")
            .await;
        page.js("location.hash = '#L3'").await;
        page.until("document.querySelector('.state').textContent.endsWith('ended')").await;
    })
    .await;
}

#[tokio::test]
async fn a_failure_keeps_its_lines_and_a_strangers_run_says_what_it_did_not_get() {
    let world = World::new().await;
    let there = furnish(&world).await;
    let id = there.failed.rsplit('/').next().unwrap();
    let cause = json!({ "type": "pull_request", "hook": "forge", "host": "gitea", "delivery": uuid::Uuid::nil(),
        "reason": "x", "number": 7, "source_branch": "b", "target_branch": "main", "is_fork": true });
    world
        .db
        .execute(&format!(
            "UPDATE slipway.runs SET trust = 'untrusted', cause = '{cause}',
        spec = jsonb_set(jsonb_set(spec, '{{images}}', '[]'), '{{secrets}}', '{{\"npm\":\"npm\"}}'),
        failure = jsonb_set(failure, '{{message}}', '\"git said:\\n  no such branch\"') WHERE id = '{id}'"
        ))
        .await;
    let stranger = Browser::signed_in(&world, Role::Reader, None).await.text(&there.failed).await;
    assert!(stranger.contains("Nowhere: what a stranger proposes"), "{stranger}");
    assert!(
        stranger.contains("<dd>untrusted</dd>") && stranger.contains("none of the secrets"),
        "{stranger}"
    );
    in_browser(&world.address, async |page| {
        page.sign_in(&world, Role::Reader).await;
        page.goto(&there.failed).await;
        let shown = page.js("document.querySelector('.failure strong').innerText").await;
        assert_eq!(shown, "git said:\n  no such branch");
    })
    .await;
}

#[tokio::test]
async fn as_many_runs_are_shown_as_were_asked_for() {
    let world = World::new().await;
    furnish(&world).await;
    let browser = Browser::signed_in(&world, Role::Reader, None).await;
    let page = browser.text("/runs?limit=2&status=succeeded").await;
    assert_eq!(page.matches("class=\"when\"").count(), 2);
    let older = page
        .split("href=\"")
        .map(|rest| rest.split('"').next().unwrap())
        .find(|link| link.contains("cursor="))
        .unwrap();
    let next = browser.text(&older.replace("&#38;", "&")).await;
    assert_eq!(next.matches("class=\"when\"").count(), 2);
}
