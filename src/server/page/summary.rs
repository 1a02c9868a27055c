//! The whole in one sentence, and how many there are of each state.

use super::html::Html;
use crate::report::Condition;
use crate::status::{EntryStatus, Status};

/// What the page looks like from afar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mood {
    Good,
    /// Something was not tried yet, or nothing is to be tried.
    Waiting,
    Bad,
}

macro_rules! icon {
    ($colour:literal) => {
        concat!(
            "<link id=\"icon\" rel=\"icon\" href=\"data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' \
             viewBox='0 0 16 16'%3E%3Ccircle cx='8' cy='8' r='7' fill='%23",
            $colour,
            "'/%3E%3C/svg%3E\">\n"
        )
    };
}

impl Mood {
    fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Waiting => "waiting",
            Self::Bad => "bad",
        }
    }

    pub(super) fn icon(self) -> &'static str {
        match self {
            Self::Good => icon!("1f7a4d"),
            Self::Waiting => icon!("3a62a8"),
            Self::Bad => icon!("c0362c"),
        }
    }
}

/// How many entries stand how.
#[derive(Default)]
struct Standing {
    /// Somebody has to look after them.
    bad: usize,
    /// They wait for their first try.
    waiting: usize,
    fresh: usize,
    suspended: usize,
    /// It is not this machine's turn, or there is no namespace for them yet.
    elsewhere: usize,
}

impl Standing {
    fn of(status: &Status) -> Self {
        let mut all = Self::default();
        for entry in &status.entries {
            let kind = match entry.counted() {
                Some(
                    Condition::Contested
                    | Condition::Stale
                    | Condition::Failing
                    | Condition::Partial,
                ) => &mut all.bad,
                Some(Condition::Pending) => &mut all.waiting,
                Some(Condition::Fresh) => &mut all.fresh,
                Some(Condition::Suspended) => &mut all.suspended,
                None => &mut all.elsewhere,
            };
            *kind += 1;
        }
        all
    }
}

/// What is wrong beside the entries: it may keep them from becoming fresh, or from being what was written.
fn is_held_up(status: &Status) -> bool {
    let reload = status.reload.as_ref().is_some_and(|it| !it.successful);
    let leader = status.leader.as_ref().is_some_and(|it| it.error.is_some());
    reload
        || leader
        || !status.held.is_empty()
        || !status.paused_stores.is_empty()
        || !status.paused_clusters.is_empty()
}

pub(super) fn mood(status: &Status) -> Mood {
    let Standing {
        bad,
        waiting,
        fresh,
        ..
    } = Standing::of(status);
    if bad > 0 || is_held_up(status) {
        Mood::Bad
    } else if waiting > 0 || (fresh == 0 && !status.entries.is_empty()) {
        Mood::Waiting
    } else {
        Mood::Good
    }
}

pub(super) fn title(html: &mut Html, status: &Status) {
    match Standing::of(status) {
        Standing { bad: bad @ 1.., .. } => html.count(bad).raw(" not fresh"),
        Standing {
            waiting: waiting @ 1..,
            ..
        } => html.count(waiting).raw(" waiting"),
        Standing { fresh: 1.., .. } => html.raw("Fresh"),
        Standing { suspended: 1.., .. } => html.raw("Suspended"),
        Standing { elsewhere: 1.., .. } => html.raw("Standby"),
        _ => html.raw("Empty"),
    };
    html.raw(" · ").text(&status.instance).raw(" · secretsyncd");
}

pub(super) fn headline(html: &mut Html, status: &Status) {
    let all = status.entries.len();
    html.raw("<h1 id=\"headline\" class=\"")
        .raw(mood(status).class());
    html.raw("\">");
    let standing = Standing::of(status);
    match (standing.bad, standing.waiting) {
        (0, 0) => well(html, &standing),
        (0, 1) => {
            html.raw("1 of ").count(all);
            html.raw(" entries is not tried yet");
        }
        (0, waiting) => {
            html.count(waiting).raw(" of ").count(all);
            html.raw(" entries are not tried yet");
        }
        (1, _) => {
            html.raw("1 of ").count(all);
            html.raw(" entries is not fresh");
        }
        (bad, _) => {
            html.count(bad).raw(" of ").count(all);
            html.raw(" entries are not fresh");
        }
    }
    html.raw("</h1>\n");
}

/// Of entries that nobody has to look after. What nothing happens to is not called fresh.
fn well(html: &mut Html, standing: &Standing) {
    let parts = [
        (standing.fresh, "fresh"),
        (standing.suspended, "suspended"),
        (standing.elsewhere, "on standby or without a namespace"),
    ];
    let there: Vec<_> = parts.into_iter().filter(|(count, _)| *count > 0).collect();
    match &there[..] {
        [] => {
            html.raw("No entry is configured");
        }
        [(_, state)] => {
            html.raw("Everything is ").raw(state);
        }
        several => {
            for (index, (count, state)) in several.iter().enumerate() {
                html.raw(if index == 0 { "" } else { ", " });
                html.count(*count).raw(" ").raw(state);
            }
        }
    }
}

/// One line for each state; those that are not there are hidden. The script makes a button of each.
pub(super) fn counts(html: &mut Html, entries: &[EntryStatus]) {
    let count = |state: Condition| entries.iter().filter(|it| it.state == state).count();
    html.raw("<svg id=\"bar\" aria-hidden=\"true\" preserveAspectRatio=\"none\" viewBox=\"0 0 ");
    html.text(&entries.len().max(1).to_string()).raw(" 1\">");
    let mut from = 0;
    for state in Condition::ALL {
        let wide = count(*state);
        html.raw("<rect class=\"").raw(state.as_str());
        html.raw("\" x=\"").text(&from.to_string());
        html.raw("\" width=\"").text(&wide.to_string());
        html.raw("\" height=\"1\"></rect>");
        from += wide;
    }
    html.raw("</svg>\n<ul id=\"counts\" aria-label=\"Entries by state\">");
    for state in Condition::ALL {
        let count = count(*state);
        html.raw("<li class=\"").raw(state.as_str());
        html.raw(if count == 0 { "\" hidden>" } else { "\">" });
        html.raw(state.as_str()).raw(" <b>").count(count);
        html.raw("</b></li>");
    }
    html.raw("</ul>\n");
}
