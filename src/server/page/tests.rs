use std::borrow::Cow;

use axum::http::{StatusCode, header};
use jiff::{SignedDuration, Timestamp};

use super::render;
use crate::report::Condition;
use crate::status::samples::{self, target};
use crate::status::{EntryStatus, Held, LeaderStatus, PausedStore, ReloadStatus, Status, Trouble};

const HOSTILE: &str = "\"><script>alert('1')</script>\n<tr id=\"e:a\">\u{202e}";

fn now() -> Timestamp {
    "2026-01-02T03:00:00Z".parse().unwrap()
}

fn trouble(text: &str) -> Trouble {
    Trouble {
        reason: Cow::Borrowed("io"),
        message: text.to_owned(),
        help: text.to_owned(),
    }
}

/// Delivered an hour ago to one target.
fn entry(name: &str, state: Condition) -> EntryStatus {
    let ago = |hours| Some(now() - SignedDuration::from_hours(hours));
    EntryStatus {
        version_created: ago(50),
        last_success: ago(1),
        next_sync: Some(now() + SignedDuration::from_mins(5)),
        targets: vec![target(&format!("main/payments/{name}"), state)],
        ..samples::entry(name, state)
    }
}

fn status(entries: Vec<EntryStatus>) -> Status {
    Status {
        version: crate::status::VERSION,
        at: now(),
        release: "1.2.3".to_owned(),
        instance: "default".to_owned(),
        reload: None,
        leader: None,
        paused_clusters: Vec::new(),
        paused_stores: Vec::new(),
        held: Vec::new(),
        entries,
    }
}

fn line(page: &str, name: &str) -> String {
    let start = format!("<tr id=\"e:{name}\"");
    let line = page.lines().find(|line| line.starts_with(&start));
    line.unwrap_or_else(|| panic!("no row of {name}"))
        .to_owned()
}

#[test]
fn the_whole_is_one_sentence_and_the_worst_comes_first() {
    use Condition::{Failing, Fresh, Partial, Pending, Suspended};
    let headline = |entries| {
        let page = render(status(entries));
        let (_, rest) = page.split_once("<h1 id=\"headline\" class=\"").unwrap();
        rest.split_once("</h1>").unwrap().0.to_owned()
    };
    let some = |states: &[Condition]| {
        let entries = states.iter().enumerate();
        entries
            .map(|(index, state)| entry(&format!("e{index}"), *state))
            .collect::<Vec<_>>()
    };
    assert_eq!(headline(some(&[])), "good\">No entry is configured");
    assert_eq!(headline(some(&[Fresh])), "good\">Everything is fresh");
    assert_eq!(
        headline(some(&[Fresh, Suspended, Fresh])),
        "good\">2 fresh, 1 suspended"
    );
    assert_eq!(
        headline(some(&[Suspended, Suspended])),
        "waiting\">Everything is suspended"
    );
    assert_eq!(
        headline(some(&[Fresh, Pending])),
        "waiting\">1 of 2 entries is not tried yet"
    );
    assert_eq!(
        headline(some(&[Fresh, Pending, Failing])),
        "bad\">1 of 3 entries is not fresh"
    );
    assert_eq!(
        headline(some(&[Failing, Partial])),
        "bad\">2 of 2 entries are not fresh"
    );
    // Another machine's turn is no trouble of this one.
    let mut standby = some(&[Pending]);
    standby[0].targets[0].waits = true;
    let elsewhere = "waiting\">Everything is on standby or without a namespace";
    assert_eq!(headline(standby), elsewhere);

    let page = render(status(some(&[Fresh, Failing, Pending])));
    let place = |name: &str| page.find(&format!("id=\"e:{name}\"")).unwrap();
    assert!(place("e1") < place("e2") && place("e2") < place("e0"));
}

#[test]
fn a_row_says_what_is_wrong_once_and_where() {
    let mut one = entry("db", Condition::Failing);
    one.error = Some(trouble("the disk is full"));
    one.undelivered_version_created = Some(now() - SignedDuration::from_mins(7));
    one.targets = vec![
        target("/a", Condition::Failing),
        target("/b", Condition::Fresh),
    ];
    one.targets[0].error = one.error.clone();
    let row = line(&render(status(vec![one])), "db");
    assert_eq!(row.matches("<p>the disk is full").count(), 1, "{row}");
    assert!(row.contains("<p class=\"at\">/a</p>"), "{row}");
    assert!(
        row.contains("<li class=\"fresh\">/b <b>fresh</b></li>"),
        "{row}"
    );
    assert!(
        row.contains(">2d 2h ago</time>") && row.contains(">7m ago</time>, not delivered"),
        "{row}"
    );
    assert!(
        row.contains(">1h 0m ago</time>") && row.contains(">in 5m</time>"),
        "{row}"
    );
    let row = line(&render(status(vec![entry("web", Condition::Fresh)])), "web");
    assert!(
        row.ends_with("<td class=\"e\" role=\"cell\"></td></tr>"),
        "{row}"
    );
}

#[test]
fn what_holds_back_many_is_told_with_what_to_do() {
    let mut held = status(vec![entry("db", Condition::Fresh)]);
    held.held = vec![Held {
        entry: "db".to_owned(),
        targets: vec!["main/a/db".to_owned(), "main/b/db".to_owned()],
    }];
    held.paused_stores = vec![PausedStore {
        store: "prod".to_owned(),
        since: now() - SignedDuration::from_mins(3),
        next_probe: now() + SignedDuration::from_secs(20),
        error: trouble("no route"),
    }];
    held.leader = Some(LeaderStatus {
        leads: false,
        identity: "here".to_owned(),
        lease: "main/kube-system/secretsyncd".to_owned(),
        holder: Some("there".to_owned()),
        error: None,
    });
    held.reload = Some(ReloadStatus {
        at: now() - SignedDuration::from_mins(1),
        successful: false,
        error: Some("`listen` is taken".to_owned()),
        help: Some("choose another `listen`".to_owned()),
    });
    let page = render(held);
    let place = |text: &str| page.find(text).unwrap();
    assert!(place("was not reloaded") < place("Store prod is paused"));
    for part in [
        "Store prod is paused",
        ">3m ago</time>, next asked <time class=\"due\"",
        "<p>no route <code>io</code></p><p class=\"help\">no route</p>",
        "Removals are held",
        "main/a/db, main/b/db",
        "there leads, this machine is on standby",
        "The configuration was not reloaded",
        "<p><code>listen</code> is taken</p><p class=\"help\">choose another <code>listen</code></p>",
        // Nothing of it is an entry's, and yet not all is well.
        "class=\"bad\">Everything is fresh",
    ] {
        assert!(page.contains(part), "{part}");
    }
}

#[test]
fn no_text_of_a_status_is_markup_or_ends_a_row() {
    let mut hostile = entry("a", Condition::Failing);
    hostile.store = HOSTILE.to_owned();
    hostile.error = Some(trouble(HOSTILE));
    hostile.targets = vec![target(HOSTILE, Condition::Failing); 5];
    let mut status = status(vec![hostile]);
    status.instance = HOSTILE.to_owned();
    status.held = vec![Held {
        entry: HOSTILE.to_owned(),
        targets: vec![HOSTILE.to_owned()],
    }];
    let page = render(status);
    assert_eq!(page.matches("<script>").count(), 1);
    assert_eq!(page.matches("<tr id=\"e:a\"").count(), 1);
    assert!(!page.contains('\u{202e}'));
    assert!(line(&page, "a").ends_with("</td></tr>"));
}

/// Nothing the script and the style say may end their element before its time.
#[test]
fn what_is_hashed_is_what_the_browser_hashes() {
    for text in [super::STYLE, super::SCRIPT] {
        for end in ["</s", "<!--", "\r"] {
            assert!(!text.contains(end), "{end:?}");
        }
    }
}

/// A fresh entry with one target weighs what CI holds it to.
#[test]
fn five_thousand_rows_have_few_bytes_and_elements() {
    let name = |number: usize| format!("team-{}/service-{number}", number % 40);
    let entries = (0..5000).map(|number| entry(&name(number), Condition::Fresh));
    let rows = render(status(entries.collect())).len() - render(status(Vec::new())).len();
    assert!(rows / 5000 < 700, "{rows} bytes");
    let row = line(&render(status(vec![entry("db", Condition::Fresh)])), "db");
    let elements = row.matches('<').count() - row.matches("</").count();
    assert!(elements <= 14, "{elements}: {row}");
}

#[test]
fn an_engine_that_does_not_answer_is_told_under_the_same_policy() {
    let page = super::absent();
    assert_eq!(page.status(), StatusCode::SERVICE_UNAVAILABLE);
    let policy = page.headers()[header::CONTENT_SECURITY_POLICY].to_str();
    let policy = policy.unwrap();
    for part in [
        "default-src 'none'; style-src 'sha256-",
        "; script-src 'sha256-",
        "; frame-ancestors 'none'",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
}
