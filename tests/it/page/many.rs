//! Thousands of entries: what the page weighs, and how quick it is.

use std::ops::Range;
use std::time::Duration;

use super::world::{self, World};
use super::{assert_quiet, browser, every_state_is_there, look, shown};
use crate::support::browser::{Browser, Scripts};
use crate::support::daemon::Home;

const ENTRIES: usize = 5000;

/// Of each entry, with the document around them: what CI holds.
const BYTES: usize = 700;
const NODES: usize = 15;

/// Beside those of the world: every hundredth has no source, every fiftieth is suspended.
fn configure(home: &Home, numbers: Range<usize>) {
    let entry = |number: usize| {
        let source = if number.is_multiple_of(100) {
            "absent"
        } else {
            "value"
        };
        let suspend = if number % 50 == 7 {
            "suspend = true\n"
        } else {
            ""
        };
        let name = format!("team-{}/service-{number}", number % 40);
        let path = home.quoted(&format!("targets/{name}"));
        format!(
            "[secrets.\"{name}\"]\nstore = \"local\"\n{suspend}data = [{{ secret_key = \"v\", remote_ref = {{ key = \"{source}\" }} }}]\n[[secrets.\"{name}\".file]]\npath = {path}\nkey = \"v\"\n",
        )
    };
    home.write("store/value", "x");
    let store = format!("[stores.local.file]\npath = {}\n", home.quoted("store"));
    home.write("parts/store.toml", store);
    let numbers: Vec<usize> = numbers.collect();
    for (part, numbers) in numbers.chunks(1000).enumerate() {
        let entries: String = numbers.iter().map(|number| entry(*number)).collect();
        home.write(&format!("parts/{part}.toml"), entries);
    }
    let main = home.read_text("secretsyncd.toml").unwrap();
    home.configure_whole(&format!("include = [\"parts/*.toml\"]\n{main}"));
}

#[test]
fn five_thousand_entries_in_every_state_are_light_and_quick() {
    let Some(browser) = browser(Scripts::Run) else {
        return;
    };
    let world = World::new();
    configure(&world.home, 0..ENTRIES - world::ENTRIES);
    let daemon = world.start();
    look(&browser, &daemon, "many");
    every_state_is_there(&browser, ENTRIES);
    let bytes = daemon.page("/").len();
    let nodes = browser.number("return document.querySelectorAll('*').length");
    eprintln!("{ENTRIES} entries: {bytes} bytes, {nodes} elements");
    assert!(bytes < ENTRIES * BYTES, "{bytes}");
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let bound = (ENTRIES * NODES) as f64;
    assert!(nodes < bound, "{nodes}");

    paint(&browser, &daemon.url("/"));
    let took = |what: &str, script: &str| {
        let script = format!(
            "const from = performance.now(); {script}; document.body.offsetHeight; return performance.now() - from"
        );
        let took = Duration::from_secs_f64(browser.number(&script) / 1000.0);
        eprintln!("{what}: {took:?}");
        // Generous: this says that nothing grows with the square of what there is.
        assert!(took < Duration::from_secs(10), "{what}: {took:?}");
    };
    let typed = |text: &str| {
        format!(
            "const q = document.getElementById('q'); q.value = '{text}'; q.dispatchEvent(new Event('input'))"
        )
    };
    took("the first letter", &typed("s"));
    took("a whole word", &typed("service-77"));
    assert_eq!(shown(&browser).len(), 11);
    took("everything again", &typed(""));
    took(
        "sorting by name",
        "document.querySelector('thead .n button').click()",
    );
    assert!(shown(&browser).is_sorted());
    browser.run("performance.clearMeasures(); window.before = document.getElementById('at').dateTime; document.dispatchEvent(new Event('visibilitychange'))");
    browser.wait_true(
        "a refresh",
        "return document.getElementById('at').dateTime !== window.before",
    );
    assert!(shown(&browser).is_sorted());
    assert_quiet(&browser, &daemon);
}

/// Reported, not judged: it is the machine's as much as the page's.
fn paint(browser: &Browser, url: &str) {
    browser.open("about:blank");
    browser.open(url);
    browser.wait_true(
        "a paint",
        "return performance.getEntriesByType('paint').length > 0",
    );
    let figures = browser.text("const [page] = performance.getEntriesByType('navigation'); const paint = performance.getEntriesByName('first-contentful-paint')[0]; return `answer ${Math.round(page.responseEnd)} ms, first paint ${Math.round(paint ? paint.startTime : 0)} ms, loaded ${Math.round(page.loadEventEnd)} ms`");
    eprintln!("{ENTRIES} entries: {figures}");
}
