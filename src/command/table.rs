//! How entries stand, as a list for people: what `once`, `status` and `sync` print on stdout.

use std::io::IsTerminal as _;

use jiff::Timestamp;

use crate::report::Condition;
use crate::status::{EntryStatus, TargetStatus, Trouble};

pub(super) const GREEN: u8 = 32;
pub(super) const YELLOW: u8 = 33;
pub(super) const RED: u8 = 31;

/// What a line says of an entry beside its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Columns {
    /// How many targets it has.
    Outcome,
    /// When it last succeeded and when it is next due too, seen from this time.
    Standing(Timestamp),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Paint {
    Plain,
    Colour,
}

impl Paint {
    pub(super) fn for_stdout() -> Self {
        if std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
            Self::Colour
        } else {
            Self::Plain
        }
    }

    /// The state, as wide as the longest.
    fn state(self, state: Condition) -> String {
        let colour = match state {
            Condition::Contested | Condition::Stale | Condition::Failing => RED,
            Condition::Partial | Condition::Pending => YELLOW,
            Condition::Fresh | Condition::Suspended => GREEN,
        };
        self.word(state.as_str(), Some(colour))
    }

    /// A word, as wide as the longest state.
    pub(super) fn word(self, word: &str, colour: Option<u8>) -> String {
        match (self, colour) {
            (Self::Colour, Some(colour)) => format!("\x1b[{colour}m{word:9}\x1b[0m"),
            (Self::Colour, None) | (Self::Plain, _) => format!("{word:9}"),
        }
    }
}

/// One line per entry. Where it is not fresh: one more per target, and what to do.
pub(super) fn table(entries: &[EntryStatus], columns: Columns, paint: Paint) -> String {
    let names = entries.iter().map(|entry| entry.name.len());
    let width = names.max().unwrap_or(0);
    let mut lines = Vec::new();
    for entry in entries {
        let state = paint.state(entry.state);
        let rest = rest(entry, columns);
        lines.push(format!("{:width$}  {state}  {rest}", entry.name));
        if matches!(entry.state, Condition::Fresh | Condition::Suspended) {
            lines.extend(entry.targets.iter().filter_map(|it| pending(it, columns)));
            continue;
        }
        for target in &entry.targets {
            let state = paint.state(target.state);
            let standby = if target.waits { "  (standby)" } else { "" };
            lines.push(format!("  {state}  {}{standby}", target.target));
            lines.extend(pending(target, columns));
            lines.extend(target.error.iter().flat_map(explained));
        }
        let own = entry.error.iter();
        // What stops the whole entry may be newer than what once stopped a target.
        let known = |own: &Trouble| {
            let mut errors = entry.targets.iter().filter_map(|it| it.error.as_ref());
            errors.any(|error| error.message == own.message)
        };
        let own = own.filter(|own| !known(own));
        lines.extend(own.flat_map(explained));
    }
    lines.into_iter().map(|line| line + "\n").collect()
}

fn rest(entry: &EntryStatus, columns: Columns) -> String {
    let targets = entry.targets.len();
    let plural = if targets == 1 { "" } else { "s" };
    let targets = format!("{targets} target{plural}");
    let Columns::Standing(now) = columns else {
        return targets;
    };
    let last = match entry.last_success {
        Some(at) => format!("synced {} ago", age(now.duration_since(at).as_secs())),
        None => "never synced".to_owned(),
    };
    match entry.next_sync {
        Some(at) if at > now => {
            let wait = age(at.duration_since(now).as_secs());
            format!("{targets:10}  {last:16}  next in {wait}")
        }
        Some(_) => format!("{targets:10}  {last:16}  next now"),
        None => format!("{targets:10}  {last}"),
    }
}

/// What has to run for a target's last change.
fn pending(target: &TargetStatus, columns: Columns) -> Option<String> {
    let (Some(action), Columns::Standing(now)) = (&target.action, columns) else {
        return None;
    };
    let since = age(now.duration_since(action.pending_since).as_secs());
    Some(format!("    {} pending for {since}", action.action))
}

/// A span by its largest unit, and the one below while that says something.
fn age(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let two = |large: i64, unit: &str, small: i64, below: &str| {
        if small == 0 {
            format!("{large}{unit}")
        } else {
            format!("{large}{unit}{small}{below}")
        }
    };
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => two(seconds / 3600, "h", seconds / 60 % 60, "m"),
        _ => two(seconds / 86_400, "d", seconds / 3600 % 24, "h"),
    }
}

/// The worst first, those that are alike by name.
pub(super) fn worst_first(entries: &mut [EntryStatus]) {
    entries.sort_by(|a, b| (a.state, &a.name).cmp(&(b.state, &b.name)));
}

/// `12 entries: 1 failing, 1 partial, 10 fresh`.
pub(super) fn summary(entries: &[EntryStatus]) -> String {
    let all = entries.len();
    let noun = if all == 1 { "entry" } else { "entries" };
    let counts = Condition::ALL.iter().filter_map(|state| {
        let count = entries.iter().filter(|entry| entry.state == *state).count();
        (count > 0).then(|| format!("{count} {state}"))
    });
    let counts: Vec<String> = counts.collect();
    if counts.is_empty() {
        return format!("{all} {noun}\n");
    }
    format!("{all} {noun}: {}\n", counts.join(", "))
}

/// Whether everything is as it should be.
pub(super) fn is_well(entries: &[EntryStatus]) -> bool {
    let good = |state: Condition| matches!(state, Condition::Fresh | Condition::Suspended);
    entries.iter().filter_map(EntryStatus::counted).all(good)
}

fn explained(trouble: &Trouble) -> [String; 2] {
    [
        format!("    {} ({})", trouble.message, trouble.reason),
        format!("    help: {}", trouble.help),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, state: Condition) -> EntryStatus {
        EntryStatus {
            name: name.to_owned(),
            store: "prod".to_owned(),
            state,
            last_success: None,
            next_sync: None,
            error: None,
            waits: false,
            targets: Vec::new(),
        }
    }

    #[test]
    fn spans_are_short_and_never_negative() {
        for (seconds, text) in [
            (-5, "0s"),
            (59, "59s"),
            (60, "1m"),
            (3599, "59m"),
            (3600, "1h"),
            (7500, "2h5m"),
            (90_000, "1d1h"),
            (864_000, "10d"),
        ] {
            assert_eq!(age(seconds), text);
        }
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
            "4 entries: 1 failing, 1 partial, 2 fresh\n"
        );
        assert_eq!(summary(&[]), "0 entries\n");
    }

    #[test]
    fn columns_are_aligned_with_and_without_colour() {
        let now: Timestamp = "2026-01-02T03:00:00Z".parse().unwrap();
        let mut long = entry("a-long-name", Condition::Fresh);
        long.last_success = Some("2026-01-02T02:58:00Z".parse().unwrap());
        long.next_sync = Some("2026-01-02T04:00:00Z".parse().unwrap());
        let entries = [long, entry("b", Condition::Pending)];
        let columns = Columns::Standing(now);
        let plain = table(&entries, columns, Paint::Plain);
        assert_eq!(
            plain,
            "a-long-name  fresh      0 targets   synced 2m ago     next in 1h\n\
             b            pending    0 targets   never synced\n"
        );
        let colour = table(&entries, columns, Paint::Colour);
        assert!(colour.contains("\x1b[32mfresh    \x1b[0m"), "{colour:?}");
        let bare = colour.replace("\x1b[32m", "").replace("\x1b[33m", "");
        assert_eq!(bare.replace("\x1b[0m", ""), plain);
    }
}
