//! The page keeps up, and takes nothing away from whoever reads it.

use super::world::{self, World};
use super::{browser, shown};
use crate::support::browser::{Browser, Scripts};
use crate::support::daemon::wait_content;

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
    world::wait_paused(&daemon);
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

    a_pause_begins_at_once(&browser, &world);
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

/// What was asked for before it shows nothing either.
fn a_pause_begins_at_once(browser: &Browser, world: &World) {
    let state = "return document.getElementById('e:old/stale').className";
    browser.run(
        "window.ask = window.fetch;
        window.fetch = async (...all) => {
          await new Promise((held) => { window.release = held; });
          const { ok, text } = await window.ask(...all).then(async (it) => ({ ok: it.ok, text: await it.text() }));
          window.answered = true;
          return { ok, text: async () => text };
        };",
    );
    now(browser);
    browser.wait_true("it asks", "return 'release' in window");
    world.aws.put("old/stale", "value");
    assert_eq!(world.home.finish(&["sync", "old/stale"]).code, Some(0));
    browser.click("#pause");
    browser.run("window.release()");
    browser.wait_true("it has the answer", "return window.answered");
    assert_eq!(browser.text(state), "failing");

    browser.run("window.fetch = window.ask");
    browser.click("#pause");
    browser.wait_true(
        "it goes on",
        "return document.getElementById('e:old/stale').className === 'fresh'",
    );
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
