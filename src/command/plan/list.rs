//! A plan for people: one line per target, what changes by names, and what is wrong.

use crate::command::table::{GREEN, Paint, RED, YELLOW};
use crate::daemon::Planned;
use crate::decide::changes::{Became, Changes, Delta, Other};
use crate::failure::{Failure, Reason};
use crate::names::EntryName;
use crate::sync::plan::{Doing, Step};
use crate::sync::{Selected, Standing};

/// The word that a line begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::command) enum Word {
    Create,
    Update,
    Adopt,
    Delete,
    Unchanged,
    Suspended,
    Conflict,
    Error,
}

impl Word {
    const ALL: [Self; 8] = [
        Self::Create,
        Self::Update,
        Self::Adopt,
        Self::Delete,
        Self::Unchanged,
        Self::Suspended,
        Self::Conflict,
        Self::Error,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Adopt => "adopt",
            Self::Delete => "delete",
            Self::Unchanged => "unchanged",
            Self::Suspended => "suspended",
            Self::Conflict => "conflict",
            Self::Error => "error",
        }
    }

    fn colour(self) -> Option<u8> {
        match self {
            Self::Create => Some(GREEN),
            Self::Update | Self::Adopt => Some(YELLOW),
            Self::Delete | Self::Conflict | Self::Error => Some(RED),
            Self::Unchanged | Self::Suspended => None,
        }
    }
}

/// One target.
#[derive(Debug)]
pub(in crate::command) struct Row {
    word: Word,
    target: String,
    entry: String,
    /// What changes, in words.
    what: String,
    /// What is to be said below.
    failures: Vec<Failure>,
}

impl Row {
    pub(in crate::command) fn new(
        word: Word,
        (target, entry): (String, &EntryName),
        what: String,
        failures: Vec<Failure>,
    ) -> Self {
        Self {
            word,
            target,
            entry: entry.to_string(),
            what,
            failures,
        }
    }

    pub(in crate::command) fn is_bad(&self) -> bool {
        match self.word {
            Word::Conflict | Word::Error => true,
            Word::Create
            | Word::Update
            | Word::Adopt
            | Word::Delete
            | Word::Unchanged
            | Word::Suspended => false,
        }
    }

    pub(in crate::command) fn is_suspended(&self) -> bool {
        matches!(self.word, Word::Suspended)
    }

    /// Whether there is something to say of it.
    pub(in crate::command) fn is_of_note(&self) -> bool {
        !matches!(self.word, Word::Unchanged)
    }

    pub(super) fn is_change(&self) -> bool {
        match self.word {
            Word::Create | Word::Update | Word::Adopt | Word::Delete => true,
            Word::Unchanged | Word::Suspended | Word::Conflict | Word::Error => false,
        }
    }
}

/// By entry, and then as the configuration has its targets.
pub(in crate::command) fn rows(entries: &[Planned]) -> Vec<Row> {
    entries.iter().flat_map(of_entry).collect()
}

fn of_entry(planned: &Planned) -> Vec<Row> {
    let row = |target: &String, word, what| Row {
        word,
        target: target.clone(),
        entry: planned.name.to_string(),
        what,
        failures: Vec::new(),
    };
    let Some(outlook) = &planned.outlook else {
        let selected = planned.selected.iter().map(ToString::to_string);
        let targets = planned.targets.iter().cloned().chain(selected);
        return targets
            .map(|target| row(&target, Word::Suspended, String::new()))
            .collect();
    };
    let looked = planned.targets.iter().zip(&outlook.targets);
    let mut rows: Vec<Row> = Vec::new();
    for (target, looked) in looked {
        let own = match looked {
            Ok(step) => row(target, word_of(step), what(step)),
            Err(failure) => {
                let mut row = row(target, word_for(failure), String::new());
                // What is wrong with the whole entry is said once, below its last target.
                if !outlook.failures.contains(failure) {
                    row.failures.push(failure.clone());
                }
                row
            }
        };
        rows.push(own);
    }
    // Below the last that it is wrong with.
    let last = rows.iter().rposition(Row::is_bad);
    let last = last.or(rows.len().checked_sub(1));
    if let Some(last) = last.and_then(|last| rows.get_mut(last)) {
        last.failures.extend(outlook.failures.iter().cloned());
    }
    let selected = planned.selected.iter();
    rows.extend(selected.filter_map(|it| of_selector(&(planned.name.clone(), it.clone()))));
    rows
}

/// What a selector finds is among the targets; it has a row where it finds nothing.
pub(in crate::command) fn of_selector((entry, selected): &(EntryName, Selected)) -> Option<Row> {
    let (word, what, failures) = match &selected.standing {
        Standing::Found(0) => (
            Word::Unchanged,
            "no namespace matches".to_owned(),
            Vec::new(),
        ),
        Standing::Found(_) => return None,
        // Whoever lists says why it failed.
        Standing::Unknown => (Word::Error, String::new(), Vec::new()),
        Standing::Failing { failure, .. } => (Word::Error, String::new(), vec![failure.clone()]),
    };
    Some(Row {
        word,
        target: selected.to_string(),
        entry: entry.to_string(),
        what,
        failures,
    })
}

fn word_of(step: &Step) -> Word {
    match step.doing {
        Doing::Create => Word::Create,
        Doing::Update => Word::Update,
        Doing::Adopt => Word::Adopt,
        Doing::Delete => Word::Delete,
        Doing::Unchanged => Word::Unchanged,
    }
}

pub(in crate::command) fn word_for(failure: &Failure) -> Word {
    if failure.reason == Reason::Conflict {
        Word::Conflict
    } else {
        Word::Error
    }
}

fn what(step: &Step) -> String {
    if step.doing == Doing::Delete {
        return "once two reads have said that all its sources are gone".to_owned();
    }
    let Changes {
        keys,
        labels,
        annotations,
        mode,
        owner,
        other,
    } = &step.changes;
    let named = [
        ("keys", keys),
        ("labels", labels),
        ("annotations", annotations),
    ];
    let named = named.into_iter().filter(|(_, delta)| !delta.is_empty());
    let named = named.map(|(kind, delta)| format!("{kind} {}", names(delta)));
    let other = other.map(|other| {
        let text = match other {
            Other::Content => "content",
            Other::Mode => "permissions",
            Other::Ownership => "field ownership",
            Other::Keeper => "nothing but whose it is: from then on it goes where ours go",
        };
        text.to_owned()
    });
    let mode = mode.map(|Became { from, to }| format!("mode {from:04o} to {to:04o}"));
    let owner = owner.map(|Became { from, to }| format!("owner {from} to {to}"));
    let restarts: Vec<String> = step.restarts.iter().map(ToString::to_string).collect();
    let restarts = (!restarts.is_empty()).then(|| format!("restarts {}", restarts.join(" ")));
    named
        .chain(other)
        .chain(mode)
        .chain(owner)
        .chain(restarts)
        .collect::<Vec<_>>()
        .join("; ")
}

/// `+added ~changed -removed`.
pub(in crate::command) fn names(delta: &Delta) -> String {
    let signed = |sign: char, names: &[String]| -> Vec<String> {
        names.iter().map(|name| format!("{sign}{name}")).collect()
    };
    let all = [
        signed('+', &delta.added),
        signed('~', &delta.changed),
        signed('-', &delta.removed),
    ];
    all.concat().join(" ")
}

pub(in crate::command) fn text(rows: &[Row], paint: Paint) -> String {
    let width = |of: fn(&Row) -> &str| rows.iter().map(|row| of(row).chars().count()).max();
    let targets = width(|row| &row.target).unwrap_or(0);
    let entries = width(|row| &row.entry).unwrap_or(0);
    let mut lines = Vec::new();
    for row in rows {
        let word = paint.word(row.word.as_str(), row.word.colour());
        let Row {
            target,
            entry,
            what,
            ..
        } = row;
        let line = format!("{word}  {target:targets$}  {entry:entries$}  {what}");
        lines.push(line.trim_end().to_owned());
        for failure in &row.failures {
            lines.push(format!("    {}: {failure} ({})", row.entry, failure.reason));
            lines.push(format!("    help: {}", failure.help()));
        }
    }
    lines.push(summary(rows));
    lines.into_iter().map(|line| line + "\n").collect()
}

/// `12 targets: 1 create, 1 conflict, 10 unchanged`.
fn summary(rows: &[Row]) -> String {
    let all = rows.len();
    let noun = if all == 1 { "target" } else { "targets" };
    let counts = Word::ALL.iter().filter_map(|word| {
        let count = rows.iter().filter(|row| row.word == *word).count();
        (count > 0).then(|| format!("{count} {}", word.as_str()))
    });
    let counts: Vec<String> = counts.collect();
    if counts.is_empty() {
        return format!("{all} {noun}");
    }
    format!("{all} {noun}: {}", counts.join(", "))
}

#[cfg(test)]
mod tests;
