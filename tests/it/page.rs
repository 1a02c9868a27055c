//! The page at `/`, in a real browser: what it shows, how it is operated, and that nothing on it is more than text.
//!
//! With `SECRETSYNCD_SCREENSHOTS=DIRECTORY` each test leaves pictures there.

mod empty;
mod many;
mod refresh;
mod trouble;
mod world;

use crate::support::browser::{Browser, DESK, PHONE, Screen, Scripts};
use crate::support::daemon::Daemon;
use crate::support::suite;

/// A browser; `None`, said out loud, where the machine has none.
fn browser(scripts: Scripts) -> Option<Browser> {
    match Browser::start(scripts) {
        Ok(browser) => Some(browser),
        Err(why) => {
            suite::not_run("page", 1, &why);
            assert!(
                !suite::in_ci(),
                "the page must be looked at under CI=true: {why}"
            );
            None
        }
    }
}

/// Opens the page, at both widths and by day and night; goes on at the first.
fn look(browser: &Browser, daemon: &Daemon<'_>, name: &str) {
    browser.open(&daemon.url("/"));
    for (screen, kind) in [(PHONE, "phone"), (DESK, "desk")] {
        for dark in [true, false] {
            browser.screen(Screen { dark, ..screen });
            let wide = browser.number("return document.documentElement.scrollWidth - innerWidth");
            assert!(wide <= 0.0, "{name} on a {kind} is {wide} too wide");
            assert_eq!(pale(browser), "", "{name} on a {kind}, dark: {dark}");
            browser.screenshot(&format!("{name}-{kind}{}", if dark { "-dark" } else { "" }));
        }
    }
}

/// Nobody complained, and nothing went anywhere else.
fn assert_quiet(browser: &Browser, daemon: &Daemon<'_>) {
    assert_eq!(browser.console(), [""; 0]);
    let (own, requests) = (daemon.url("/"), browser.requests());
    assert!(requests.contains(&own), "{requests:?}");
    for url in requests {
        assert!(
            url == own || url.starts_with("data:") || url == "about:blank",
            "{url}"
        );
    }
}

/// The names of the entries that show, in their order.
fn shown(browser: &Browser) -> Vec<String> {
    let names = "return [...document.querySelectorAll('#rows tr')].filter((tr) => !tr.hidden).map((tr) => tr.id.slice(2))";
    let names = browser.run(names);
    let names = names.as_array().unwrap().iter();
    names
        .map(|name| name.as_str().unwrap().to_owned())
        .collect()
}

/// So many show, the worst first, and some are in each state.
fn every_state_is_there(browser: &Browser, all: usize) {
    assert_eq!(shown(browser).len(), all);
    let states = browser.run("return [...new Set([...document.querySelectorAll('#rows .s')].map((it) => it.textContent))]");
    let worst_first = [
        "contested",
        "stale",
        "failing",
        "partial",
        "pending",
        "fresh",
        "suspended",
    ];
    assert_eq!(states, serde_json::json!(worst_first));
    let counted = "return [...document.querySelectorAll('#counts b')].reduce((sum, it) => sum + Number(it.textContent.replace(',', '')), 0)";
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let all = all as f64;
    assert!((browser.number(counted) - all).abs() < f64::EPSILON);
}

/// Text whose contrast is less than 4.5 : 1 (WCAG AA) in what shows.
fn pale(browser: &Browser) -> String {
    browser.text(PALE)
}

const PALE: &str = "
const parse = (colour) => (colour.match(/[\\d.]+/g) || []).map(Number);
const light = ([r, g, b]) => [r, g, b].map((part) => part / 255)
  .map((part) => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
  .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
const behind = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const colour = parse(getComputedStyle(at).backgroundColor);
    if (colour.length === 3 || colour[3] === 1) return colour;
  }
  return [255, 255, 255];
};
const pale = [];
for (const element of [...document.body.querySelectorAll('*')].slice(0, 1500)) {
  const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  if (!own || ['SCRIPT', 'STYLE'].includes(element.tagName) || !element.checkVisibility()) continue;
  const [one, other] = [parse(getComputedStyle(element).color), behind(element)].map(light).sort((a, b) => b - a);
  if ((one + 0.05) / (other + 0.05) < 4.5) pale.push(`${element.tagName}.${element.className} ${element.textContent.slice(0, 40)}`);
}
return pale.join('; ');
";
