//! How entries stand, as a list for people: what `once`, `status` and `sync` print on stdout.
//!
//! A terminal is spared what is well: beyond some entries, and beyond some targets of one entry, only their number is
//! said. A file or a pipe gets everything.

mod row;
mod sheet;
mod span;

use jiff::Timestamp;

use self::row::{Row, Widths};
use self::sheet::visible;
pub(super) use self::sheet::{GREEN, Paint, RED, Sheet, YELLOW};
pub(super) use self::span::age;
use crate::report::Condition;
use crate::status::{EntryStatus, TargetStatus, Trouble};

/// So many entries that are well are listed on a terminal.
const MOST_WELL: usize = 20;
/// So many targets of one entry.
const MOST_TARGETS: usize = 10;

/// What a line says of an entry beside its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Columns {
    /// How many targets it has.
    Outcome,
    /// How old its version is, when it last succeeded and when it is next due too, seen from this time.
    Standing(Timestamp),
}

/// One line per entry. Where it is not fresh: one more per target that is not, and what to do.
pub(super) fn table(entries: &[EntryStatus], columns: Columns, sheet: Sheet) -> String {
    let most = sheet.width.map_or(usize::MAX, |_| MOST_WELL);
    let mut well = 0;
    let shown = entries.iter().filter(|entry| {
        well += usize::from(is_good(entry.state));
        !is_good(entry.state) || well <= most
    });
    let rows: Vec<(Row, &EntryStatus)> = shown
        .map(|entry| (Row::new(entry, columns), entry))
        .collect();
    let widths = Widths::of(rows.iter().map(|(row, _)| row));
    let mut lines = Vec::new();
    for (row, entry) in rows {
        lines.extend(row.lines(&widths, sheet));
        lines.extend(details(entry, columns, sheet));
    }
    if let Some(more @ 1..) = well.checked_sub(most) {
        let plural = if more == 1 { "y is" } else { "ies are" };
        let more = format!("{more} more entr{plural} well; `| less` lists all");
        lines.extend(sheet.lines(0, &more));
    }
    lines.into_iter().map(|line| line + "\n").collect()
}

/// What there is to say of an entry beyond its line.
fn details(entry: &EntryStatus, columns: Columns, sheet: Sheet) -> Vec<String> {
    let mut lines = Vec::new();
    let (well, not_well): (Vec<_>, Vec<_>) = entry.targets.iter().partition(|it| is_good(it.state));
    let listed = sheet.width.map_or(usize::MAX, |_| MOST_TARGETS);
    // Where all of the entry is suspended or waits, its line has said so.
    let not_well = if is_good(entry.state) {
        Vec::new()
    } else {
        not_well
    };
    for target in not_well.iter().take(listed) {
        let state = sheet.paint.state(target.state);
        let standby = if target.waits { "  (standby)" } else { "" };
        lines.push(format!("  {state}  {}{standby}", visible(&target.target)));
        lines.extend(notes(target, columns, sheet));
        let errors = target.error.iter();
        lines.extend(errors.flat_map(|it| explained(it, sheet)));
    }
    if let Some(more @ 1..) = not_well.len().checked_sub(listed) {
        let plural = if more == 1 { " that is" } else { " that are" };
        lines.push(format!("  and {more} more{plural} not fresh"));
    }
    for target in well.into_iter().take(listed) {
        lines.extend(notes(target, columns, sheet));
    }
    lines.extend(
        undelivered(entry, columns)
            .iter()
            .flat_map(|it| sheet.lines(4, it)),
    );
    // What stops the whole entry may be newer than what once stopped a target.
    let known = |own: &Trouble| {
        let mut errors = entry.targets.iter().filter_map(|it| it.error.as_ref());
        errors.any(|error| error.message == own.message)
    };
    let own = entry.error.iter().filter(|_| !is_good(entry.state));
    let own = own.filter(|own| !known(own));
    lines.extend(own.flat_map(|it| explained(it, sheet)));
    lines
}

/// That a newer version waits.
fn undelivered(entry: &EntryStatus, columns: Columns) -> Option<String> {
    let (Columns::Standing(now), Some(at)) = (columns, entry.undelivered_version_created) else {
        return None;
    };
    let since = age(now.duration_since(at).as_secs());
    Some(format!("a version made {since} ago is not in every target"))
}

/// What has to run for a target's last change, and that it is away.
fn notes(target: &TargetStatus, columns: Columns, sheet: Sheet) -> Vec<String> {
    let Columns::Standing(now) = columns else {
        return Vec::new();
    };
    let since = |at: Timestamp| age(now.duration_since(at).as_secs());
    let removed = target.removed_since.map(|at| {
        let name = &target.target;
        format!(
            "{name}: removed {} ago, what it is made of is gone",
            since(at)
        )
    });
    let action = target.action.as_ref();
    let pending = action.map(|it| format!("{} pending for {}", it.action, since(it.pending_since)));
    let all = removed.iter().chain(&pending);
    all.flat_map(|note| sheet.lines(4, note)).collect()
}

fn is_good(state: Condition) -> bool {
    matches!(state, Condition::Fresh | Condition::Suspended)
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
        return format!("{all} {noun}");
    }
    format!("{all} {noun}: {}", counts.join(", "))
}

/// Whether everything is as it should be.
pub(super) fn is_well(entries: &[EntryStatus]) -> bool {
    let mut counted = entries.iter().filter_map(EntryStatus::counted);
    counted.all(is_good)
}

fn explained(trouble: &Trouble, sheet: Sheet) -> Vec<String> {
    let fact = format!("{} ({})", trouble.message, trouble.reason);
    let help = format!("help: {}", trouble.help);
    [sheet.lines(4, &fact), sheet.lines(4, &help)].concat()
}

#[cfg(test)]
mod tests;
