//! An entry as one row of the table, on one line of the page: the script tells by the line whether a row has changed.

use jiff::Timestamp;

use super::html::Html;
use super::when::{self, Told};
use crate::report::Condition;
use crate::status::{ActionStatus, EntryStatus, TargetStatus, Trouble};

/// Beyond so many, targets are folded.
const TARGETS: usize = 3;

/// The header of each column; by the classes the style places what is below, and the script finds what it sorts by.
pub(super) const HEADERS: &str = "<tr role=\"row\">\
<th scope=\"col\" role=\"columnheader\" class=\"n\">Entry</th>\
<th scope=\"col\" role=\"columnheader\" class=\"s\" aria-sort=\"ascending\">State</th>\
<th scope=\"col\" role=\"columnheader\" class=\"t\">Targets</th>\
<th scope=\"col\" role=\"columnheader\" class=\"v\">Version</th>\
<th scope=\"col\" role=\"columnheader\" class=\"l\">Last success</th>\
<th scope=\"col\" role=\"columnheader\" class=\"x\">Next sync</th>\
<th scope=\"col\" role=\"columnheader\" class=\"e\"><span class=\"unseen\">What is wrong</span></th></tr>\n";

pub(super) fn write(html: &mut Html, entry: &EntryStatus, now: Timestamp) {
    // No id of the page's own has a colon.
    html.raw("<tr id=\"e:").text(&entry.name);
    html.raw("\" class=\"").raw(entry.state.as_str());
    html.raw("\" role=\"row\"><th class=\"n\" scope=\"row\" role=\"rowheader\">");
    html.text(&entry.name).raw("<small>").text(&entry.store);
    html.raw("</small></th><td class=\"s\" role=\"cell\">");
    html.raw(entry.state.as_str());
    html.raw("</td><td class=\"t\" role=\"cell\">");
    targets(html, entry, now);
    html.raw("</td><td class=\"v\" role=\"cell\">");
    version(html, entry, now);
    html.raw("</td><td class=\"l\" role=\"cell\">");
    match entry.last_success {
        Some(at) => when::write(html, (at, now), Told::Past),
        None => {
            html.raw("never");
        }
    }
    html.raw("</td><td class=\"x\" role=\"cell\">");
    match entry.next_sync {
        Some(at) => when::write(html, (at, now), Told::Due),
        None => {
            html.raw("–");
        }
    }
    html.raw("</td><td class=\"e\" role=\"cell\">");
    troubles(html, entry, now);
    html.raw("</td></tr>\n");
}

fn version(html: &mut Html, entry: &EntryStatus, now: Timestamp) {
    match entry.version_created {
        Some(at) => when::write(html, (at, now), Told::Past),
        None => {
            html.raw("–");
        }
    }
    if let Some(at) = entry.undelivered_version_created {
        html.raw("<span>newer: ");
        when::write(html, (at, now), Told::Past);
        html.raw(", not delivered</span>");
    }
}

/// The worst first.
fn targets(html: &mut Html, entry: &EntryStatus, now: Timestamp) {
    let mut targets: Vec<&TargetStatus> = entry.targets.iter().collect();
    targets.sort_by_key(|target| target.state);
    if targets.is_empty() {
        html.raw(if entry.waits {
            "waits for a namespace"
        } else {
            "–"
        });
        return;
    }
    let folded = targets.len() > TARGETS;
    if folded {
        html.raw("<details><summary>").count(targets.len());
        html.raw(" targets");
        tally(html, &targets);
        html.raw("</summary>");
    }
    html.raw("<ul>");
    for each in targets {
        target(html, (each, entry.state), now);
    }
    html.raw("</ul>");
    if folded {
        html.raw("</details>");
    }
}

/// `: 2 failing, 10 fresh`, where that is more than one thing.
fn tally(html: &mut Html, targets: &[&TargetStatus]) {
    let counted = Condition::ALL.iter().filter_map(|state| {
        let count = targets.iter().filter(|it| it.state == *state).count();
        (count > 0).then_some((state, count))
    });
    for (index, (state, count)) in counted.enumerate() {
        html.raw(if index == 0 { ": " } else { ", " });
        html.count(count).raw(" ").raw(state.as_str());
    }
}

/// A fresh entry has no target of another state, so only the others' are said.
fn target(html: &mut Html, (target, state): (&TargetStatus, Condition), now: Timestamp) {
    html.raw("<li class=\"").raw(target.state.as_str());
    html.raw("\">").text(&target.target);
    if state != Condition::Fresh || target.state != Condition::Fresh {
        html.raw(" <b>").raw(target.state.as_str());
        html.raw("</b>");
    }
    if target.waits {
        html.raw(" <i>standby</i>");
    }
    if let Some(at) = target.removed_since {
        html.raw(" <i>removed ");
        when::write(html, (at, now), Told::Past);
        html.raw("</i>");
    }
    html.raw("</li>");
}

/// What is wrong, where, and what to do: the entry's own trouble, each target's, and actions that have to run.
fn troubles(html: &mut Html, entry: &EntryStatus, now: Timestamp) {
    let of_targets = entry.targets.iter().filter_map(|it| it.error.as_ref());
    let mut told: Vec<&Trouble> = Vec::new();
    for trouble in entry.error.iter().chain(of_targets) {
        // What stops the whole entry may be what stops its targets.
        if told.contains(&trouble) {
            continue;
        }
        told.push(trouble);
        html.raw("<div>");
        explained(html, trouble);
        places(html, entry, trouble);
        html.raw("</div>");
    }
    for target in &entry.targets {
        if let Some(due) = &target.action {
            action(html, (due, target), (now, &told));
        }
    }
}

pub(super) fn explained(html: &mut Html, trouble: &Trouble) {
    html.raw("<p>").prose(&trouble.message);
    html.raw(" <code>").text(&trouble.reason);
    html.raw("</code></p><p class=\"help\">")
        .prose(&trouble.help);
    html.raw("</p>");
}

/// Which targets it is about, where there are others.
fn places(html: &mut Html, entry: &EntryStatus, trouble: &Trouble) {
    let here = |target: &&TargetStatus| target.error.as_ref() == Some(trouble);
    let here: Vec<&TargetStatus> = entry.targets.iter().filter(here).collect();
    if here.is_empty() || entry.targets.len() == 1 {
        return;
    }
    html.raw("<p class=\"at\">");
    for (index, target) in here.into_iter().enumerate() {
        html.raw(if index == 0 { "" } else { ", " });
        html.text(&target.target);
    }
    html.raw("</p>");
}

fn action(
    html: &mut Html,
    (due, target): (&ActionStatus, &TargetStatus),
    (now, told): (Timestamp, &[&Trouble]),
) {
    html.raw("<div><p>").text(&due.action);
    html.raw(" <code>").text(&due.kind);
    html.raw("</code> was due ");
    when::write(html, (due.pending_since, now), Told::Past);
    html.raw("</p>");
    if let Some(error) = due.error.as_ref().filter(|error| !told.contains(error)) {
        explained(html, error);
    }
    html.raw("<p class=\"at\">").text(&target.target);
    html.raw("</p></div>");
}
