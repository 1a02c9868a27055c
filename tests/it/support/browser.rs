//! A browser without a window, driven by `WebDriver`: JSON over HTTP to chromedriver on loopback.
//!
//! Each has an empty profile of its own and says nothing to anybody by itself. What the page printed on the console and
//! what it requested can be asked for.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};

use super::daemon::{PATIENCE, free_port};
use super::http::block_on;
use super::wait::{wait_for, wait_until};

/// How `WebDriver` calls an element in JSON.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

pub const TAB: &str = "\u{e004}";
pub const ENTER: &str = "\u{e007}";

const SWITCHES: &[&str] = &[
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    // Nothing but loopback can be reached, whatever a page says.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
];

/// Whether pages may run scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scripts {
    Run,
    Off,
}

/// The size of the window; narrow ones are those of telephones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Screen {
    pub width: u32,
    pub height: u32,
    pub dark: bool,
}

pub const DESK: Screen = Screen {
    width: 1280,
    height: 900,
    dark: false,
};

pub const PHONE: Screen = Screen {
    width: 375,
    height: 812,
    dark: false,
};

/// Closed when dropped.
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
    profile: tempfile::TempDir,
}

impl Browser {
    /// The error says why there is none.
    pub fn start(scripts: Scripts) -> Result<Self, String> {
        let port = free_port();
        let profile = tempfile::Builder::new()
            .prefix("browser-")
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .unwrap();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .env("HOME", profile.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("chromedriver does not start: {error}"))?;
        let mut browser = Self {
            driver,
            port,
            session: String::new(),
            profile,
        };
        wait_until(PATIENCE, "chromedriver", || {
            let status = browser.call(&Method::GET, "/status", None);
            status.is_ok_and(|status| status["ready"] == true)
        });
        let made = browser.call(&Method::POST, "/session", Some(browser.wanted(scripts)));
        let made = made.map_err(|why| format!("chromium does not start: {why}"))?;
        browser.session = format!("/session/{}", made["sessionId"].as_str().unwrap());
        browser.screen(DESK);
        // What a new browser shows by itself is no page of ours.
        browser.open("about:blank");
        browser.requests();
        browser.console();
        Ok(browser)
    }

    fn wanted(&self, scripts: Scripts) -> Value {
        let data = format!(
            "--user-data-dir={}",
            self.profile.path().join("data").display()
        );
        let switches: Vec<&str> = SWITCHES.iter().copied().chain([&*data]).collect();
        let javascript = match scripts {
            Scripts::Run => 1,
            Scripts::Off => 2,
        };
        json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
            "goog:chromeOptions": {
                "args": switches,
                "prefs": { "profile.managed_default_content_settings.javascript": javascript },
            },
        } } })
    }

    fn call(&self, method: &Method, path: &str, body: Option<Value>) -> Result<Value, String> {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        block_on(async {
            let client = reqwest::Client::builder()
                .no_proxy()
                .timeout(Duration::from_mins(1))
                .build()
                .unwrap();
            let mut request = client.request(method.clone(), url);
            if let Some(body) = body {
                request = request.body(body.to_string());
            }
            let answer = request.send().await.map_err(|error| error.to_string())?;
            let text = answer.text().await.map_err(|error| error.to_string())?;
            let mut answer: Value =
                serde_json::from_str(&text).map_err(|error| error.to_string())?;
            match answer["value"].take() {
                failed if failed["error"].is_string() => Err(failed["message"].to_string()),
                value => Ok(value),
            }
        })
    }

    fn ask(&self, method: &Method, path: &str, body: Value) -> Value {
        let body = (*method != Method::GET).then_some(body);
        self.call(method, &format!("{}{path}", self.session), body)
            .unwrap_or_else(|why| panic!("{path}: {why}"))
    }

    fn devtools(&self, command: &str, parameters: &Value) -> Value {
        let body = json!({ "cmd": command, "params": parameters });
        self.ask(&Method::POST, "/goog/cdp/execute", body)
    }

    pub fn screen(&self, screen: Screen) {
        let Screen {
            width,
            height,
            dark,
        } = screen;
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            &json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 }),
        );
        let scheme = if dark { "dark" } else { "light" };
        self.devtools(
            "Emulation.setEmulatedMedia",
            &json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] }),
        );
    }

    /// Goes there, and waits until it is there as a whole.
    pub fn open(&self, url: &str) {
        self.ask(&Method::POST, "/url", json!({ "url": url }));
    }

    /// The result of `return ...` in the page.
    pub fn run(&self, script: &str) -> Value {
        let body = json!({ "script": script, "args": [] });
        self.ask(&Method::POST, "/execute/sync", body)
    }

    pub fn text(&self, script: &str) -> String {
        let value = self.run(script);
        let text = value.as_str();
        text.unwrap_or_else(|| panic!("{script}: {value}"))
            .to_owned()
    }

    pub fn number(&self, script: &str) -> f64 {
        let value = self.run(script);
        value
            .as_f64()
            .unwrap_or_else(|| panic!("{script}: {value}"))
    }

    pub fn wait_true(&self, what: &str, script: &str) {
        wait_for(PATIENCE, what, || (self.run(script) == true).then_some(()));
    }

    fn find(&self, selector: &str) -> String {
        let body = json!({ "using": "css selector", "value": selector });
        let found = self.ask(&Method::POST, "/element", body);
        found[ELEMENT].as_str().unwrap().to_owned()
    }

    pub fn click(&self, selector: &str) {
        let element = self.find(selector);
        self.ask(
            &Method::POST,
            &format!("/element/{element}/click"),
            json!({}),
        );
    }

    /// Into the element that has the focus.
    pub fn press(&self, keys: &str) {
        let strokes: Vec<Value> = keys
            .chars()
            .flat_map(|key| {
                ["keyDown", "keyUp"].map(|stroke| json!({ "type": stroke, "value": key }))
            })
            .collect();
        let body = json!({ "actions": [{ "type": "key", "id": "keys", "actions": strokes }] });
        self.ask(&Method::POST, "/actions", body);
    }

    /// How the browser tells an element to those who do not see it: its role and its name.
    pub fn spoken(&self, selector: &str) -> (String, String) {
        let element = self.find(selector);
        let said = |what: &str| {
            let said = self.ask(
                &Method::GET,
                &format!("/element/{element}/{what}"),
                Value::Null,
            );
            said.as_str().unwrap().to_owned()
        };
        (said("computedrole"), said("computedlabel"))
    }

    fn log(&self, kind: &str) -> Vec<Value> {
        let log = self.ask(&Method::POST, "/se/log", json!({ "type": kind }));
        log.as_array().unwrap().clone()
    }

    /// What was printed since the last time: errors, warnings, refusals of the policy.
    pub fn console(&self) -> Vec<String> {
        let lines = self.log("browser").into_iter();
        lines.map(|line| line["message"].to_string()).collect()
    }

    /// The URL of each request since the last time.
    pub fn requests(&self) -> Vec<String> {
        let events = self.log("performance").into_iter().filter_map(|event| {
            let event: Value = serde_json::from_str(event["message"].as_str()?).ok()?;
            let event = &event["message"];
            let is_request = event["method"] == "Network.requestWillBeSent";
            let url = event["params"]["request"]["url"].as_str()?;
            is_request.then(|| url.to_owned())
        });
        events.collect()
    }

    /// As a PNG file, where somebody asks for it by `SECRETSYNCD_SCREENSHOTS`, a directory.
    pub fn screenshot(&self, name: &str) {
        let Some(directory) = std::env::var_os("SECRETSYNCD_SCREENSHOTS") else {
            return;
        };
        let shot = self.ask(&Method::GET, "/screenshot", Value::Null);
        let bytes = STANDARD.decode(shot.as_str().unwrap()).unwrap();
        let path = std::path::Path::new(&directory).join(format!("{name}.png"));
        std::fs::write(path, bytes).unwrap();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            let _ = self.call(&Method::DELETE, &self.session, None);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
