use super::*;
use crate::status::samples::{entry, target};

const NOW: &str = "2026-01-02T03:00:00Z";

fn on(width: Option<usize>) -> Sheet {
    Sheet {
        paint: Paint::Plain,
        width,
    }
}

fn standing() -> Columns {
    Columns::Standing(NOW.parse().unwrap())
}

#[test]
fn the_worst_comes_first_and_all_are_counted() {
    let mut entries = [
        entry("b", Condition::Fresh),
        entry("c", Condition::Failing),
        entry("a", Condition::Fresh),
        entry("d", Condition::Partial),
    ];
    worst_first(&mut entries);
    let names: Vec<&str> = entries.iter().map(|entry| &*entry.name).collect();
    assert_eq!(names, ["c", "d", "a", "b"]);
    assert_eq!(
        summary(&entries),
        "4 entries: 1 failing, 1 partial, 2 fresh"
    );
    assert_eq!(summary(&[]), "0 entries");
}

#[test]
fn columns_are_aligned_with_and_without_colour() {
    let mut long = entry("a-long-name", Condition::Fresh);
    long.version_created = Some("2026-01-01T00:00:00Z".parse().unwrap());
    long.last_success = Some("2026-01-02T02:58:00Z".parse().unwrap());
    long.next_sync = Some("2026-01-02T04:00:00Z".parse().unwrap());
    let entries = [long, entry("b", Condition::Pending)];
    let plain = table(&entries, standing(), on(None));
    assert_eq!(
        plain,
        "a-long-name  fresh      0 targets  1d3h old  synced 2m ago  next in 1h\n\
         b            pending    0 targets            never synced\n"
    );
    assert_eq!(table(&entries, standing(), on(Some(70))), plain);
    let sheet = Sheet {
        paint: Paint::Colour,
        width: None,
    };
    let colour = table(&entries, standing(), sheet);
    assert!(colour.contains("\x1b[32mfresh    \x1b[0m"), "{colour:?}");
    let bare = colour.replace("\x1b[32m", "").replace("\x1b[33m", "");
    assert_eq!(bare.replace("\x1b[0m", ""), plain);
}

#[test]
fn a_narrow_terminal_gets_shorter_lines() {
    let mut long = entry("a-long-name", Condition::Fresh);
    long.last_success = Some("2026-01-02T02:58:00Z".parse().unwrap());
    long.next_sync = Some("2026-01-02T04:00:00Z".parse().unwrap());
    let entries = [long, entry("b", Condition::Pending)];
    let narrow = table(&entries, standing(), on(Some(40)));
    assert_eq!(
        narrow,
        "a-long-name  fresh    \n    0 targets, synced 2m ago, next in 1h\n\
         b            pending  \n    0 targets, never synced\n"
    );
    assert!(narrow.lines().all(|line| line.len() <= 40), "{narrow}");
}

#[test]
fn a_terminal_is_spared_what_is_well_and_a_pipe_is_not() {
    let mut entries: Vec<EntryStatus> = (0..5000)
        .map(|number| entry(&format!("e{number:04}"), Condition::Fresh))
        .collect();
    let mut failing = entry("bad", Condition::Failing);
    failing.targets = (0..200)
        .map(|number| target(&format!("/t/{number}"), Condition::Failing))
        .collect();
    entries.push(failing);
    worst_first(&mut entries);
    let seen = table(&entries, standing(), on(Some(100)));
    let lines: Vec<&str> = seen.lines().collect();
    assert_eq!(lines.len(), 1 + MOST_TARGETS + 1 + MOST_WELL + 1);
    assert!(lines[0].starts_with("bad") && lines[0].contains("200 of 200 not fresh"));
    assert_eq!(lines[1 + MOST_TARGETS], "  and 190 more that are not fresh");
    let last = lines.last().unwrap();
    assert!(last.starts_with("4980 more entries are well"), "{last}");
    let piped = table(&entries, standing(), on(None));
    assert_eq!(piped.lines().count(), 1 + 200 + 5000);
}

#[test]
fn only_targets_that_are_not_fresh_are_listed_and_a_waiting_version_is_said() {
    let mut partial = entry("db", Condition::Partial);
    partial.targets = vec![
        target("/t/good", Condition::Fresh),
        target("/t/bad", Condition::Failing),
    ];
    partial.undelivered_version_created = Some("2026-01-02T02:30:00Z".parse().unwrap());
    let mut away = entry("tls", Condition::Fresh);
    away.targets = vec![target("/t/away", Condition::Fresh)];
    away.targets[0].removed_since = Some("2026-01-02T02:00:00Z".parse().unwrap());
    assert_eq!(
        table(&[partial, away], standing(), on(None)),
        "db   partial    1 of 2 not fresh  never synced\n  failing    /t/bad\n    \
         a version made 30m ago is not in every target\n\
         tls  fresh      1 target          never synced\n    \
         /t/away: removed 1h ago, what it is made of is gone\n"
    );
}
