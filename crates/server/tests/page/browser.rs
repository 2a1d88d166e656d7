//! A headless Chromium of Debian's, driven by its chromedriver over WebDriver. Each story has a browser with a
//! profile of its own; it ends with the story, whatever becomes of that.

use std::process::Stdio;
use std::time::{Duration, Instant};

use model::Role;
use serde_json::{Value, json};
use thirtyfour::common::capabilities::chromium::ChromiumLikeCapabilities;
use thirtyfour::prelude::*;
use thirtyfour::{ChromeCapabilities, LoggingPrefsLogLevel};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;

use crate::world::{World, token};

/// Longest that anything on a page may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longest that one look at a page waits: whoever looks at a page that goes away waits in vain.
const GLANCE: Duration = Duration::from_secs(1);
/// Browsers at the same time: each is several processes.
static PLACES: Semaphore = Semaphore::const_new(2);

/// A page in a browser.
#[derive(Clone)]
pub(crate) struct Page {
    pub(crate) driver: WebDriver,
    address: String,
}

/// Runs a story in a browser of its own.
pub(crate) async fn in_browser<F: Future<Output = ()>>(address: &str, story: impl FnOnce(Page) -> F) {
    let _place = PLACES.acquire().await.unwrap();
    let profile = tempfile::tempdir().unwrap();
    let mut chromedriver = Command::new("chromedriver");
    chromedriver.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut chromedriver =
        chromedriver.spawn().expect("chromedriver is installed: `scripts/setup test` brings it");
    let port = port_of(&mut chromedriver).await;
    let driver = WebDriver::builder(format!("http://127.0.0.1:{port}"), capabilities(profile.path()))
        .client(reqwest::Client::builder().no_proxy().timeout(PATIENCE * 4).build().unwrap());
    let driver = driver.await.expect("Chromium starts");
    driver.set_script_timeout(GLANCE * 2).await.unwrap();
    let page = |driver| Page { driver, address: address.to_owned() };
    driver
        .run_and_quit(|driver| async move {
            let page = page(driver);
            story(page.clone()).await;
            page.check_console().await;
            Ok::<_, WebDriverError>(())
        })
        .await
        .expect("Chromium ends");
    chromedriver.kill().await.unwrap();
}

/// It says where it listens.
async fn port_of(chromedriver: &mut Child) -> u16 {
    let mut lines = BufReader::new(chromedriver.stdout.take().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        if let Some((_, port)) = line.split_once("started successfully on port ") {
            // The pipe is read to its end, or a full one would stop it.
            tokio::spawn(async move { while lines.next_line().await.is_ok_and(|line| line.is_some()) {} });
            return port.trim_end_matches('.').parse().unwrap();
        }
    }
    panic!("chromedriver ended before it listened");
}

fn capabilities(profile: &std::path::Path) -> ChromeCapabilities {
    let mut wanted = DesiredCapabilities::chrome();
    for argument in [
        "--headless",
        // Root may not use Chromium's sandbox; the pages are the test's own.
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-proxy-server",
        "--window-size=1280,900",
        "--lang=en-GB",
        &format!("--user-data-dir={}", profile.display()),
    ] {
        wanted.add_arg(argument).unwrap();
    }
    wanted.set_browser_log_level(LoggingPrefsLogLevel::All).unwrap();
    wanted
}

impl Page {
    pub(crate) async fn goto(&self, path: &str) {
        self.driver.goto(format!("{}{path}", self.address)).await.unwrap();
    }

    /// Signs in as a new token of that role, at the form.
    pub(crate) async fn sign_in(&self, world: &World, role: Role) {
        let text = token(&world.db, role, None).await;
        self.goto("/login").await;
        self.keys(&text).await;
        self.enter().await;
        self.until("location.pathname === '/'").await;
    }

    /// To whatever has the focus.
    pub(crate) async fn keys(&self, keys: impl Into<TypingData>) {
        self.driver.action_chain().send_keys(keys).perform().await.unwrap();
    }

    /// Enter. It may lead away before it is told that it was pressed.
    pub(crate) async fn enter(&self) {
        let _answer = self.driver.action_chain().send_keys(Key::Enter + "").perform().await;
    }

    /// Enter, on a link. It leads away when the key goes down; the character that WebDriver sends behind that could
    /// be typed into the field that has the focus on the page that comes, and would send its form.
    pub(crate) async fn enter_link(&self) {
        for kind in ["rawKeyDown", "keyUp"] {
            let key = json!({ "type": kind, "key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13 });
            let _answer = self.driver.cdp().send_raw("Input.dispatchKeyEvent", key).await;
        }
    }

    pub(crate) async fn find(&self, selector: &str) -> WebElement {
        let found =
            self.driver.query(By::Css(selector)).wait(PATIENCE, Duration::from_millis(50)).first().await;
        found.unwrap_or_else(|error| panic!("{selector}: {error}"))
    }

    /// Clicks on what leads away, and returns when the page is gone: what is looked for next is of the one
    /// that came.
    pub(crate) async fn follow(&self, selector: &str) {
        let old = self.find("html").await;
        self.find(selector).await.click().await.unwrap();
        let end = Instant::now() + PATIENCE;
        while old.tag_name().await.is_ok() {
            assert!(Instant::now() < end, "{selector} leads nowhere");
        }
    }

    /// Also of a page that another one takes the place of meanwhile.
    pub(crate) async fn text(&self, selector: &str) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.find(selector).await.text().await {
                Ok(text) => return text,
                Err(error) => assert!(Instant::now() < end, "{selector}: {error}"),
            }
        }
    }

    /// Returns when the text there has that part.
    pub(crate) async fn says(&self, selector: &str, part: &str) {
        let end = Instant::now() + PATIENCE;
        loop {
            let text = self.text(selector).await;
            if text.contains(part) {
                return;
            }
            assert!(Instant::now() < end, "{selector} does not say {part:?}: {text}");
        }
    }

    /// What an expression is in the page.
    pub(crate) async fn js(&self, expression: &str) -> Value {
        let answer = self.driver.execute(format!("return ({expression})"), Vec::new()).await;
        answer.unwrap_or_else(|error| panic!("{expression}: {error}")).json().clone()
    }

    /// Returns when an expression is that in the page: what is drawn comes a moment after its cause.
    pub(crate) async fn shows(&self, expression: &str, expected: impl Into<Value>) {
        let expected = expected.into();
        let end = Instant::now() + PATIENCE;
        loop {
            let seen = self.driver.execute(format!("return ({expression})"), Vec::new()).await;
            if seen.as_ref().is_ok_and(|answer| *answer.json() == expected) {
                return;
            }
            assert!(Instant::now() < end, "{expression} does not become {expected}: {seen:?}");
        }
    }

    /// Returns when an expression is true in the page; also of another page that comes meanwhile.
    pub(crate) async fn until(&self, expression: &str) {
        let script = format!(
            "const done = arguments[arguments.length - 1], end = performance.now() + {};
             const look = () => {{
                 if ({expression}) done(true);
                 else if (performance.now() > end) done(false);
                 else setTimeout(look, 15);
             }};
             look();",
            GLANCE.as_millis()
        );
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            let seen = self.driver.execute_async(&*script, Vec::new()).await;
            if seen.is_ok_and(|answer| *answer.json() == true) {
                return;
            }
        }
        panic!("it does not become true: {expression}\n{}", self.driver.source().await.unwrap());
    }

    /// Presses Tab until the focus is on what the selector names. It is seen to be there.
    pub(crate) async fn tab_to(&self, selector: &str) {
        for _ in 0..60 {
            self.keys(Key::Tab).await;
            let there = self.js(&format!("document.activeElement.matches({})", json!(selector))).await;
            if there == true {
                let outline = self.js("getComputedStyle(document.activeElement).outlineStyle").await;
                assert_ne!(outline, "none", "the focus on {selector} is not seen");
                return;
            }
        }
        panic!("Tab does not lead to {selector}");
    }

    /// A window of that width, as a phone or a desktop has it, in a colour scheme.
    pub(crate) async fn resize(&self, width: u32, height: u32, scheme: &str) {
        let metrics =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 700 });
        let cdp = self.driver.cdp();
        cdp.send_raw("Emulation.setDeviceMetricsOverride", metrics).await.unwrap();
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        cdp.send_raw("Emulation.setEmulatedMedia", media).await.unwrap();
    }

    pub(crate) async fn without_script(&self) {
        let off = json!({ "value": true });
        self.driver.cdp().send_raw("Emulation.setScriptExecutionDisabled", off).await.unwrap();
    }

    /// Nothing broke, and nothing tried what the Content-Security-Policy forbids.
    async fn check_console(&self) {
        for entry in self.driver.browser_log().await.unwrap() {
            // An answer that the story asked for, or a server that the story took away.
            let expected = entry.message.contains("Failed to load resource");
            assert!(expected || entry.level != "SEVERE", "{}: {}", entry.level, entry.message);
            assert!(!entry.message.contains("Content Security Policy"), "{}", entry.message);
        }
    }
}
