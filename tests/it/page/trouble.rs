//! Twenty entries in every state: what is said of them, filtered, sorted, by keys alone, and without the script.

use super::world::{self, HOSTILE_PATH, World, long_name};
use super::{assert_quiet, browser, every_state_is_there, look, shown};
use crate::support::browser::{Browser, ENTER, PHONE, Scripts, TAB};
use crate::support::wait::wait_until;

#[test]
fn twenty_entries_in_every_state_are_shown_and_found() {
    let Some(browser) = browser(Scripts::Run) else {
        return;
    };
    let world = World::new();
    let daemon = world.start();
    world.break_configuration(&daemon);
    look(&browser, &daemon, "twenty");
    // Rows that are made anew under the hand are what `refresh` is about.
    browser.click("#pause");
    every_state_is_there(&browser, world::ENTRIES);
    assert!(shown(&browser).contains(&long_name()));
    what_is_hostile_is_text(&browser);
    what_holds_back_many_is_on_top(&browser);
    it_is_told_to_those_who_do_not_see_it(&browser);
    it_is_filtered(&browser);
    it_is_sorted(&browser);
    keys_are_enough(&browser);
    a_link_finds_it_again(&browser, &daemon.url("/"));
    assert_quiet(&browser, &daemon);
    assert!(!daemon.page("/").contains("MARKER"));
}

#[test]
fn without_its_script_the_page_says_the_same() {
    let Some(browser) = browser(Scripts::Off) else {
        return;
    };
    let world = World::new();
    let daemon = world.home.start_ready();
    daemon.wait_state("hostile/source", "failing");
    browser.open(&daemon.url("/"));
    browser.screenshot("twenty-desk-bare");
    browser.screen(PHONE);
    browser.screenshot("twenty-phone-bare");
    assert_eq!(shown(&browser).len(), world::ENTRIES);
    // Nothing is offered that does not work.
    let offered = "return [...document.querySelectorAll('button, input, select')].filter((it) => it.checkVisibility()).length";
    assert!(browser.number(offered).abs() < f64::EPSILON);
    let row = "return document.getElementById('e:hostile/source').innerText";
    let row = browser.text(row);
    for part in ["failing", "never", "not_found", "holds no", "check the key"] {
        assert!(row.contains(part), "{part}: {row}");
    }
    assert_quiet(&browser, &daemon);
}

fn what_is_hostile_is_text(browser: &Browser) {
    let trouble = browser.text("return document.getElementById('e:hostile/source').textContent");
    assert!(
        trouble.contains("<script>window.pwned=1</script>'>\\u{202e}<img src=x"),
        "{trouble}"
    );
    assert!(trouble.contains("&amp; שלום"), "{trouble}");
    let target =
        browser.text("return document.querySelector('[id=\"e:hostile/path\"] .t').textContent");
    assert!(
        target.contains(&HOSTILE_PATH.replace('\u{202e}', "\\u{202e}")),
        "{target}"
    );
    let made = "return document.querySelectorAll('script').length + document.querySelectorAll('#rows img, #rows script, [onmouseover]').length";
    assert!(
        (browser.number(made) - 1.0).abs() < f64::EPSILON,
        "only the page's own script"
    );
    assert!(browser.run("return window.pwned").is_null());
}

fn what_holds_back_many_is_on_top(browser: &Browser) {
    let notices = browser.text("return document.getElementById('notices').innerText");
    for part in [
        "Store far is paused",
        "Cluster gone is paused",
        "next asked",
        "check that the endpoint is reachable",
        "The configuration was not reloaded",
        "secretsyncd check --config",
        "shows every error with its line",
    ] {
        assert!(notices.contains(part), "{part}: {notices}");
    }
    let order = "return document.getElementById('notices').getBoundingClientRect().top < document.getElementById('rows').getBoundingClientRect().top";
    assert_eq!(browser.run(order), true);
}

fn it_is_told_to_those_who_do_not_see_it(browser: &Browser) {
    let spoken = |selector: &str| browser.spoken(selector);
    let said = |role: &str, name: &str| (role.to_owned(), name.to_owned());
    assert_eq!(spoken("table"), said("table", "Entries"));
    assert_eq!(spoken("#rows tr").0, "row");
    assert_eq!(spoken("#rows th").0, "rowheader");
    assert_eq!(spoken("#rows td").0, "cell");
    assert_eq!(spoken("thead .l").0, "columnheader");
    assert_eq!(spoken("#q"), said("searchbox", "Filter"));
    assert_eq!(spoken("#counts .failing button").0, "button");
    assert_eq!(spoken("header").0, "banner");
    assert_eq!(spoken("main").0, "main");
    assert_eq!(spoken("#say").0, "status");
}

fn visible_text(browser: &Browser, id: &str) -> String {
    browser.text(&format!(
        "return document.getElementById('{id}').textContent"
    ))
}

fn it_is_filtered(browser: &Browser) {
    browser.click("#q");
    browser.press("HOSTILE path");
    assert_eq!(shown(browser), ["hostile/path"]);
    assert_eq!(visible_text(browser, "shown"), "1 of 20 entries");
    wait_until(
        crate::support::daemon::PATIENCE,
        "it is said once the typing ends",
        || visible_text(browser, "say") == "1 of 20 entries",
    );
    browser.press("xyz");
    assert_eq!(shown(browser), [""; 0]);
    browser.click("#clear");
    assert_eq!(shown(browser).len(), 20);
    assert_eq!(browser.text("return document.activeElement.id"), "q");

    browser.click("#counts .contested button");
    assert_eq!(shown(browser), ["two/hands"]);
    browser.click("#counts .partial button");
    assert_eq!(shown(browser), ["two/hands", "some/kept"]);
    let pressed =
        "return document.querySelector('#counts .partial button').getAttribute('aria-pressed')";
    assert_eq!(browser.text(pressed), "true");
    browser.click("#counts .partial button");
    browser.click("#counts .contested button");
    assert_eq!(shown(browser).len(), 20);
    // What an error says is found too.
    browser.click("#q");
    browser.press("not_found");
    assert_eq!(shown(browser), ["hostile/source"]);
    browser.run("document.getElementById('q').select()");
    browser.press("\u{e017}");
    assert_eq!(shown(browser).len(), 20);
}

fn it_is_sorted(browser: &Browser) {
    let sorted = |key: &str| {
        browser.run(&format!(
            "return document.querySelector('thead .{key}').getAttribute('aria-sort')"
        ))
    };
    browser.click("thead .n button");
    assert_eq!(sorted("n"), "ascending");
    assert!(sorted("s").is_null());
    let names = shown(browser);
    assert!(names.is_sorted(), "{names:?}");
    browser.click("thead .n button");
    assert_eq!(sorted("n"), "descending");
    assert!(shown(browser).into_iter().rev().is_sorted());
    browser.click("thead .l button");
    let never = browser.text("return document.querySelector('#rows .l').textContent");
    assert_eq!(never, "never", "what never succeeded is the oldest");
    browser.click("thead .s button");
    assert_eq!(shown(browser)[0], "two/hands", "the worst first");
}

/// From the top of the page, as far as the first state, with a ring around where one is.
fn keys_are_enough(browser: &Browser) {
    browser.run("document.activeElement.blur(); scrollTo(0, 0)");
    let focused = || {
        browser.text("return document.activeElement.id || document.activeElement.className || document.activeElement.parentElement.className")
    };
    // Where the next one is counts from what was last clicked: from the top then.
    browser.run("const top = document.querySelector('.skip'); top.focus()");
    assert_eq!(focused(), "skip");
    browser.press(TAB);
    assert_eq!(focused(), "pause");
    let ring = "return getComputedStyle(document.activeElement).outlineStyle";
    assert_eq!(browser.text(ring), "solid");
    browser.press(TAB);
    assert_eq!(focused(), "contested");
    browser.press(ENTER);
    assert_eq!(shown(browser), ["two/hands"]);
    browser.press(" ");
    assert_eq!(shown(browser).len(), 20);
    browser.run("document.querySelector('.skip').focus()");
    browser.press(ENTER);
    assert_eq!(focused(), "list");
    browser.press(TAB);
    assert_eq!(focused(), "n");
    browser.press(ENTER);
    assert!(shown(browser).is_sorted());
}

fn a_link_finds_it_again(browser: &Browser, url: &str) {
    let link = format!("{url}#q=shop&state=fresh&sort=-n");
    // Else only the fragment would change.
    browser.open("about:blank");
    browser.open(&link);
    assert_eq!(shown(browser), ["shop/db", "shop/cart"]);
    browser.run("location.hash = ''");
    browser.open(url);
    assert_eq!(shown(browser).len(), 20);
}
