//! How long a page gets with thousands of entries.

use std::sync::Arc;

use super::{Metrics, Names, metrics, series};
use crate::clock;
use crate::names::EntryName;
use crate::report::{Condition, Fact};

const ENTRIES: usize = 10_000;

/// As those of a house that takes care of its names.
fn entries() -> Vec<EntryName> {
    let name = |n: usize| EntryName::new(format!("team-{:03}.application-{n:05}", n % 200));
    (0..ENTRIES).map(|n| name(n).unwrap()).collect()
}

/// Everything that is ever told of each entry, again and again.
fn tell(metrics: &Arc<Metrics>, entries: &[EntryName]) {
    let (reporter, store) = (metrics.reporter(), Names::new().store);
    let at = clock::now();
    for entry in entries {
        let mut was = None;
        for condition in Condition::ALL {
            let now = Some(*condition);
            reporter.record(&Fact::EntryCondition {
                entry,
                store: &store,
                was,
                now,
            });
            was = now;
        }
        let (created, next) = (Some(at), Some(at));
        reporter.record(&Fact::Success { entry, at });
        reporter.record(&Fact::NextSync { entry, at: next });
        reporter.record(&Fact::Undelivered { entry, created });
    }
}

fn go(metrics: &Arc<Metrics>, entries: &[EntryName]) {
    let (reporter, store) = (metrics.reporter(), Names::new().store);
    for entry in entries {
        reporter.record(&Fact::EntryCondition {
            entry,
            store: &store,
            was: Some(Condition::Suspended),
            now: None,
        });
        reporter.record(&Fact::EntryGone { entry });
    }
}

#[test]
fn ten_thousand_entries_have_four_series_each_and_none_when_they_are_gone() {
    let (metrics, entries) = (metrics(true), entries());
    let before = metrics.text().unwrap();
    tell(&metrics, &entries);
    let page = metrics.text().unwrap();
    assert_eq!(series(&page), series(&before) + 4 * ENTRIES);
    assert!(page.len() < 5 << 20, "{} bytes", page.len());
    go(&metrics, &entries);
    assert_eq!(series(&metrics.text().unwrap()), series(&before));
}

#[test]
fn without_series_of_their_own_ten_thousand_entries_leave_the_page_as_it_was() {
    let (metrics, entries) = (metrics(false), entries());
    let before = metrics.text().unwrap();
    tell(&metrics, &entries);
    let page = metrics.text().unwrap();
    assert_eq!(series(&page), series(&before));
    // Of two stores and two clusters.
    assert!(series(&page) < 1200, "{} series", series(&page));
    assert!(page.len() < 128 << 10, "{} bytes", page.len());
}
