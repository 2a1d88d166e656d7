//! What a person manages with the keyboard alone, without script, in a window of 320 pixels.

use std::time::{Duration, Instant};

use model::Role;
use serde_json::json;
use thirtyfour::prelude::*;

use crate::browser::{Page, in_browser};
use crate::world::{World, json_of, token};

const LOCAL: &str = "/registries/local";

/// To what the selector names, by Tab; and presses it.
async fn press(page: &Page, selector: &str) {
    page.find(selector).await;
    page.tab_to(selector).await;
    if page.js("document.activeElement.localName").await == "a" {
        page.enter_link().await
    } else {
        page.enter().await
    }
}

/// Tab to a field, and the text instead of what stood there.
async fn fill(page: &Page, name: &str, text: &str) {
    page.tab_to(&format!("[name='{name}']")).await;
    select_all(page).await;
    page.keys(text).await;
}

async fn signed_in(world: &World, page: &Page) {
    page.without_script().await;
    page.resize(320, 780, "light").await;
    let text = token(&world.db, Role::Administrator, None).await;
    page.goto("/login").await;
    page.keys(&*text).await;
    page.enter().await;
    page.find(".who").await;
}

async fn select_all(page: &Page) {
    let chain = page.driver.action_chain().key_down(Key::Control).send_keys("a").key_up(Key::Control);
    chain.perform().await.unwrap();
}

/// That page comes, and is not wider than the window.
async fn arrives(page: &Page, title: &str) {
    let there = format!(
        "document.readyState === 'complete' && document.querySelector('h1').textContent.includes({})",
        json!(title)
    );
    let end = Instant::now() + Duration::from_secs(30);
    // A page that goes away meanwhile answers with an error.
    let seen = async || page.driver.execute(format!("return {there}"), Vec::new()).await;
    while !seen().await.is_ok_and(|answer| *answer.json() == true) {
        assert!(Instant::now() < end, "{title} does not come: {}", page.driver.source().await.unwrap());
    }
    let wide = page.js("document.documentElement.scrollWidth").await;
    assert!(wide.as_u64().unwrap() <= 320, "{title} is {wide} wide");
}

#[tokio::test]
async fn a_task_is_made_mended_changed_and_deleted() {
    let world = World::new().await;
    in_browser(&world.address, async |page| {
        signed_in(&world, &page).await;
        page.goto("/tasks").await;
        press(&page, "a[href$='new-task']").await;
        arrives(&page, "New task in local").await;
        // The first field has the focus.
        page.keys("App").await;
        fill(&page, "build.source", "https://example.com/team/app.git#main").await;
        fill(&page, "build.images", "team/app:{{.Run.Commit}}").await;
        press(&page, "form.card button").await;

        arrives(&page, "New task in local").await;
        page.shows("document.getElementById('f-build-source').value", "https://example.com/team/app.git#main").await;
        let alert = page.text("[role=alert]").await;
        assert!(alert.starts_with("Name: `App` is not a possible name.") && alert.contains("lower-case"), "{alert}");
        page.shows("document.activeElement.name", "name").await;
        page.shows("document.getElementById(document.activeElement.getAttribute('aria-describedby')).textContent.includes('lower-case')", true).await;
        select_all(&page).await;
        page.keys("app").await;
        page.enter().await;
        arrives(&page, "app").await;
        let made = json_of(world.get("/v1/registries/local/tasks/app")).await;
        assert_eq!(made["build"]["images"][0], "team/app:{{.Run.Commit}}");

        press(&page, "a[href$='/edit']").await;
        arrives(&page, "Change the task app").await;
        // A trigger is added within what is folded.
        press(&page, "details:has([name='triggers[0].type']) > summary").await;
        page.tab_to("[name='triggers[0].type']").await;
        page.keys("a push").await;
        fill(&page, "triggers[0].branches", "main").await;
        press(&page, "form.card button").await;
        arrives(&page, "app").await;
        page.says(".facts", "push to main").await;
        press(&page, "form[action$='/disable'] button").await;
        page.find("form[action$='/enable'] button").await;
        page.says("main", "Its triggers are off").await;

        press(&page, "a[href$='/delete']").await;
        arrives(&page, "Delete the task app?").await;
        press(&page, "form.card button").await;
        arrives(&page, "Tasks").await;
    })
    .await;
    assert_eq!(world.get("/v1/registries/local/tasks/app").send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn a_hook_a_credential_a_token_and_a_registry_are_managed() {
    let world = World::new().await;
    in_browser(&world.address, async |page| {
        signed_in(&world, &page).await;
        page.goto(LOCAL).await;
        press(&page, "a[href$='/new-hook']").await;
        arrives(&page, "New hook of local").await;
        page.keys("forge").await;
        page.tab_to("[name=host]").await;
        page.keys("gitea").await;
        press(&page, "form.card button").await;
        arrives(&page, "The hook forge was made").await;
        let once = page.text(".once").await;
        assert!(once.contains("/hooks/") && once.contains("Secret"), "{once}");
        press(&page, "main a.button").await;
        arrives(&page, "local").await;
        press(&page, "a[href$='/hooks/forge/rotate']").await;
        arrives(&page, "New secret for the hook forge").await;
        press(&page, "form.card button").await;
        arrives(&page, "The hook forge has a new secret").await;
        let new = page.text(".once").await;
        assert!(new.contains("Secret") && new != once, "{new}");

        page.goto(LOCAL).await;
        press(&page, "a[href$='/new-credential']").await;
        arrives(&page, "New credential of local").await;
        page.keys("npm").await;
        page.tab_to("[name=kind]").await;
        page.keys("build").await;
        fill(&page, "secret", "not-a-real-one").await;
        press(&page, "form.card button").await;
        arrives(&page, "local").await;
        press(&page, "a[href$='/credentials/npm/delete']").await;
        arrives(&page, "Delete the credential npm?").await;
        press(&page, "form.card button").await;
        arrives(&page, "local").await;
        page.says("main", "None. slipway credential set").await;

        page.goto("/tokens").await;
        press(&page, "a[href='/new-token']").await;
        arrives(&page, "New token").await;
        page.keys("ci").await;
        page.enter().await;
        arrives(&page, "The token ci was made").await;
        assert!(page.text(".once code").await.starts_with("sw_"));

        page.goto("/registries").await;
        press(&page, "a[href='/new-registry']").await;
        arrives(&page, "New registry").await;
        page.keys("prod").await;
        fill(&page, "address", "team.example").await;
        page.enter().await;
        arrives(&page, "prod").await;
        press(&page, "a[href$='/edit']").await;
        arrives(&page, "Change the registry prod").await;
        fill(&page, "sign_in.client_id", "").await;
        page.tab_to("[name='sign_in.tenant_id']").await;
        page.enter().await;
        arrives(&page, "prod").await;
        press(&page, "a[href$='/prod/delete']").await;
        arrives(&page, "Delete the registry prod?").await;
        press(&page, "form.card button").await;
        arrives(&page, "Registries").await;
    })
    .await;
    assert_eq!(world.get("/v1/registries/prod").send().await.unwrap().status(), 404);
}
