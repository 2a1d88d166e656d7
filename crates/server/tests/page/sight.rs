//! How the pages look: none is wider than its window, in both colour schemes; words are told from their ground.
//! With `SLIPWAY_SHOTS=FOLDER` what was seen is kept there as pictures.

use std::path::Path;

use model::Role;

use crate::browser::in_browser;
use crate::furnish::furnish;
use crate::world::World;

/// The smallest contrast of a text with its ground, as WCAG counts it, and where it is.
const CONTRAST: &str = r"(() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgba = (colour) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); return canvas.getImageData(0, 0, 1, 1).data; };
  const light = ([r, g, b]) => { const [x, y, z] = [r, g, b].map((c) => (c /= 255) <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4); return .2126 * x + .7152 * y + .0722 * z; };
  let worst = [21, ''];
  for (const element of document.querySelectorAll('body *')) {
    if (![...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim()) || !element.checkVisibility() || element.closest('.unseen, .skip, svg, option')) continue;
    let ground = element;
    while (ground && rgba(getComputedStyle(ground).backgroundColor)[3] < 250) ground = ground.parentElement;
    const [one, other] = [light(rgba(getComputedStyle(element).color)), light(rgba(getComputedStyle(ground ?? document.body).backgroundColor))];
    const contrast = (Math.max(one, other) + .05) / (Math.min(one, other) + .05);
    if (contrast < worst[0]) worst = [contrast, element.outerHTML.slice(0, 200)];
  }
  return worst;
})()";

#[tokio::test]
async fn every_page_fits_a_phone_and_a_desk_by_day_and_by_night() {
    let world = World::new().await;
    let there = furnish(&world).await;
    let pages = [
        ("overview", "/"),
        ("runs", "/runs"),
        ("run", &there.run),
        ("failed", &there.failed),
        ("tasks", "/tasks"),
        ("task", &there.task),
        ("deliveries", "/deliveries"),
        ("delivery", &there.delivery),
        ("workers", "/workers"),
        ("registries", "/registries"),
        ("registry", "/registries/local"),
        ("tokens", "/tokens"),
        ("problems", "/problems"),
        ("empty", "/runs?branch=none"),
        ("refusal", "/registries/prod"),
        ("login", "/login"),
        ("new-task", "/registries/local/new-task"),
        ("edit-task", "/registries/local/tasks/shop/edit"),
        ("delete-task", "/registries/local/tasks/shop/delete"),
        ("new-hook", "/registries/local/new-hook"),
        ("rotate-hook", "/registries/local/hooks/forge/rotate"),
        ("new-credential", "/registries/local/new-credential"),
        ("edit-registry", "/registries/local/edit"),
        ("new-token", "/new-token"),
    ];
    let shots = std::env::var("SLIPWAY_SHOTS").ok();
    in_browser(&world.address, async |page| {
        page.sign_in(&world, Role::Administrator).await;
        for (name, path) in pages {
            page.goto(path).await;
            page.until("document.readyState === 'complete'").await;
            if name == "run" {
                page.until("document.querySelectorAll('.row').length >= 18").await;
            }
            for (width, scheme) in
                [(320, "light"), (360, "light"), (360, "dark"), (1280, "light"), (1280, "dark")]
            {
                let height = if width < 700 { 780 } else { 900 };
                page.resize(width, height, scheme).await;
                let wide = page.js("document.documentElement.scrollWidth").await;
                assert!(wide.as_u64().unwrap() <= u64::from(width), "{name} is {wide} wide at {width}");
                let worst = page.js(CONTRAST).await;
                assert!(worst[0].as_f64().unwrap() >= 4.5, "{name}, {scheme}: {worst}");
                if let Some(folder) = &shots {
                    let whole = page.js("document.documentElement.scrollHeight").await.as_u64().unwrap();
                    page.resize(width, u32::try_from(whole.clamp(780, 2400)).unwrap(), scheme).await;
                    let file = Path::new(folder).join(format!("{name}-{width}-{scheme}.png"));
                    page.driver.screenshot(&file).await.unwrap();
                }
            }
        }
    })
    .await;
}
