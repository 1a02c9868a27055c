//! The page keeps up, and takes nothing away from whoever reads it.

use super::world::World;
use super::{browser, shown};
use crate::support::browser::{Browser, Scripts};
use crate::support::daemon::{PATIENCE, wait_content};
use crate::support::wait::wait_until;

/// As when the window comes back into sight.
fn now(browser: &Browser) {
    browser.run("document.dispatchEvent(new Event('visibilitychange'))");
}

#[test]
fn a_refresh_shows_what_is_new_and_keeps_filter_sort_focus_and_place() {
    let Some(browser) = browser(Scripts::Run) else {
        return;
    };
    let world = World::new();
    let daemon = world.home.start_ready();
    wait_content(&world.home, "targets/stale", "value");
    daemon.wait_state("old/stale", "fresh");
    wait_until(PATIENCE, "what is paused is on top already", || {
        let status = daemon.status();
        ["paused_stores", "paused_clusters"]
            .iter()
            .all(|it| status.0[it][0].is_object())
    });
    browser.open(&daemon.url("/"));
    browser.click("thead .n button");
    browser.click("#rows summary");
    browser.click("#q");
    browser.press("targets/");
    let before = shown(&browser);
    assert!(before.len() > 1 && before.len() < 20, "{before:?}");
    browser.run("scrollTo(0, 120); window.same = document.getElementById('e:billing/db')");
    let place = browser.number("return scrollY");

    world.aws.delete("old/stale");
    assert_ne!(world.home.finish(&["sync", "old/stale"]).code, Some(0));
    now(&browser);
    browser.wait_true(
        "what is new",
        "return document.getElementById('e:old/stale').className === 'failing'",
    );
    assert_eq!(shown(&browser), before);
    assert_eq!(
        browser.text("return document.activeElement.id + document.activeElement.value"),
        "qtargets/"
    );
    assert_eq!(
        browser.run("return document.querySelector('#rows details').open"),
        true
    );
    assert!((browser.number("return scrollY") - place).abs() < 1.0);
    let same = "return window.same === document.getElementById('e:billing/db')";
    assert_eq!(
        browser.run(same),
        true,
        "what has not changed is left alone"
    );
    assert_eq!(browser.console(), [""; 0]);

    it_rests_while_nobody_looks(&browser);
    assert_eq!(daemon.stop(), Some(0));
    silence_is_told(&browser, &world, &before);
}

/// Of a daemon that was stopped.
fn silence_is_told(browser: &Browser, world: &World, before: &[String]) {
    now(browser);
    browser.wait_true(
        "it is told",
        "return !document.getElementById('lost').hidden",
    );
    let told = browser.text("return document.getElementById('lost').textContent");
    assert!(told.contains("does not answer"), "{told}");
    assert_eq!(shown(browser), before, "what was known stays");
    browser.screenshot("lost-desk");
    let daemon = world.home.start_ready();
    now(browser);
    browser.wait_true(
        "all is well again",
        "return document.getElementById('lost').hidden",
    );
    drop(daemon);
}

fn it_rests_while_nobody_looks(browser: &Browser) {
    browser.run(
        "window.asked = 0;
        const ask = window.fetch;
        window.fetch = (...all) => { window.asked += 1; return ask(...all); };
        Object.defineProperty(document, 'hidden', { value: true, configurable: true });",
    );
    now(browser);
    assert_eq!(browser.run("return window.asked"), 0);
    browser.run("Object.defineProperty(document, 'hidden', { value: false })");
    now(browser);
    browser.wait_true("it asks again", "return window.asked > 0");
    // What somebody is about to copy stays; who points at text leaves the filter.
    browser.run("document.activeElement.blur(); getSelection().selectAllChildren(document.getElementById('e:hostile/source'))");
    now(browser);
    browser.wait_true(
        "that it waits",
        "return document.getElementById('beat').textContent.startsWith('waits')",
    );
    browser.run("getSelection().removeAllRanges()");
}
