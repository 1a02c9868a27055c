//! What `check` says of the drafts, asked before anything is printed: what it refuses is refused here, by the object that
//! it comes from.

mod frame;
mod place;
mod portions;
mod quarrel;
mod theirs;

use std::collections::BTreeMap;

use self::frame::{Frame, Kept};
use self::place::{Wrong, errors};
use self::quarrel::{Refusal, to_blame, told};
use super::context::Context;
use super::draft::{Entry, Store};
use super::object::Place;
use super::output::{Output, Part};
use super::report::Report;
use super::rounds::Drafts;
use super::write;

/// So many bytes of entries are in one file: a file of a configuration may have 1 MiB.
const PORTION: usize = 800 << 10;

/// After so many rounds, everything that errors are about goes, whatever the rest would have saved.
const ROUNDS: usize = 16;

pub(super) fn sound(drafts: Drafts, cx: &Context, report: &mut Report) -> Output {
    let Drafts { stores, entries } = drafts;
    let (stores, refused) = sound_stores(stores, cx, report);
    let mut entries: Vec<(Entry, usize)> = entries
        .into_iter()
        .filter(|(entry, row)| {
            let bad = used(entry).find_map(|name| refused.get(name));
            if let Some(why) = bad {
                report.rows[*row].refuse(format!("its store is refused: {why}"));
            }
            bad.is_none()
        })
        .collect();
    entries.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
    let entries = distinct(entries, report).into_iter();
    let entries: Vec<Ready> = entries
        .map(|(entry, row)| Ready::new(entry, (row, report), cx))
        .collect();
    let frame = Frame::new(&stores, cx);
    let stores = frame.elsewhere() + &frame.written(&entries);
    if let Some(first) = errors(stores).first() {
        return refuse_all(&first.message, &entries, (&frame, report));
    }
    let mut sound = Vec::new();
    for portion in portions::of(entries) {
        match together(&frame, portion, report) {
            Ok(entries) => sound.extend(entries),
            Err((first, entries)) => {
                sound.extend(entries);
                return refuse_all(&first.message, &sound, (&frame, report));
            }
        }
    }
    sound.sort_by(|a: &Ready, b: &Ready| a.entry.name.cmp(&b.entry.name));
    let mut output = Output {
        stores: frame.written(&sound),
        elsewhere: frame.needed_elsewhere(&sound),
        prefix: cx.file_prefix(),
        ..Output::default()
    };
    fill(sound, &mut output);
    output
}

/// What may not get on with each other is judged together, until `check` takes it: what is right by itself may not be
/// beside others. The error that nobody is to blame for comes with those that are left.
fn together(
    frame: &Frame<'_>,
    mut entries: Vec<Ready>,
    report: &mut Report,
) -> Result<Vec<Ready>, (Wrong, Vec<Ready>)> {
    let mut round = 0;
    loop {
        let (text, begin) = frame.around(&entries);
        let mut errors = errors(text);
        if errors.is_empty() {
            return Ok(entries);
        }
        let told = told(&errors, &entries, begin);
        if told.is_empty() {
            return Err((errors.swap_remove(0), entries));
        }
        round += 1;
        let mut refused = to_blame(&told, &entries, (frame, &*report));
        if refused.is_empty() || round > ROUNDS {
            for (index, wrong) in told {
                let refusal = || Refusal::new("beside the others `check` refuses it", &wrong);
                refused.entry(index).or_insert_with(refusal);
            }
        }
        for (index, refusal) in &refused {
            let ready = &entries[*index];
            let at = theirs::of_entry(ready, refusal.at);
            report.rows[ready.row].refuse_at(at, refusal.sentence.as_str());
        }
        let mut index = 0_usize..;
        entries.retain(|_| index.next().is_none_or(|it| !refused.contains_key(&it)));
    }
}

/// Where no entry is to blame, nothing is written.
fn refuse_all(why: &str, entries: &[Ready], (frame, report): (&Frame<'_>, &mut Report)) -> Output {
    let stores = frame.stores.iter().filter_map(|it| match it.kept {
        Kept::Always(row) => Some(row),
        Kept::WhereUsed | Kept::Elsewhere => None,
    });
    for row in stores.chain(entries.iter().map(|it| it.row)) {
        report.rows[row].refuse(format!("`check` refuses the stores together: {why}"));
    }
    Output::default()
}

/// The names of all stores that an entry reads from.
fn used(entry: &Entry) -> impl Iterator<Item = &str> {
    let items = entry.data.iter().filter_map(|it| it.store.as_deref());
    let bulks = entry.data_from.iter().filter_map(|it| it.store.as_deref());
    std::iter::once(entry.store.as_str())
        .chain(items)
        .chain(bulks)
}

type Stores = BTreeMap<String, (Store, Option<usize>)>;

/// Those that `check` takes, and why it does not take the others.
fn sound_stores(
    stores: Stores,
    cx: &Context,
    report: &mut Report,
) -> (Stores, BTreeMap<String, String>) {
    let mut refused = BTreeMap::new();
    let mut sound = Stores::new();
    for (name, (store, row)) in stores {
        let mut text = String::new();
        write::store(&mut text, &store, cx.cluster());
        write::cluster(&mut text, cx.cluster());
        match errors(text.clone()).into_iter().next() {
            None => {
                sound.insert(name, (store, row));
            }
            Some(wrong) => {
                let why = wrong.message;
                if let Some(row) = row {
                    let at = (theirs::of_store(&text, wrong.at), None);
                    report.rows[row].refuse_at(at, format!("`check` refuses it: {why}"));
                }
                refused.insert(name, why);
            }
        }
    }
    (sound, refused)
}

/// Two entries of one name, or of one Secret that one of them has as a whole: the first one stays.
fn distinct(entries: Vec<(Entry, usize)>, report: &mut Report) -> Vec<(Entry, usize)> {
    let mut names: BTreeMap<String, Place> = BTreeMap::new();
    let mut secrets: BTreeMap<(String, String), (Place, bool)> = BTreeMap::new();
    let mut kept = Vec::new();
    for (entry, row) in entries {
        let place = report.rows[row].place.clone();
        if let Some(first) = names.get(&entry.name) {
            report.rows[row].refuse(format!(
                "it becomes the entry that the object at {first} becomes"
            ));
            continue;
        }
        let written = entry.targets.iter().flat_map(|target| {
            let merges = matches!(target.creation, Some("merge" | "create_or_merge"));
            let all = target.namespaces.iter();
            all.map(move |namespace| ((namespace.clone(), target.name.clone()), merges))
        });
        let written: Vec<_> = written.collect();
        let other = written.iter().find_map(|(secret, merges)| {
            let (first, others) = secrets.get(secret)?;
            (!merges || !others).then(|| first.clone())
        });
        if let Some(first) = other {
            report.rows[row].refuse(format!("the object at {first} writes the same Secret"));
            continue;
        }
        names.insert(entry.name.clone(), place.clone());
        for (secret, merges) in written {
            secrets
                .entry(secret)
                .or_insert_with(|| (place.clone(), merges));
        }
        kept.push((entry, row));
    }
    kept
}

/// An entry and its text.
struct Ready {
    entry: Entry,
    row: usize,
    text: String,
}

impl Ready {
    fn new(entry: Entry, (row, report): (usize, &Report), cx: &Context) -> Self {
        let mut text = String::new();
        let comments = report.rows[row].comments();
        write::entry(&mut text, (&entry, &comments), cx.cluster());
        text.shrink_to_fit();
        Self { entry, row, text }
    }
}

/// Each entry into the part of its scope.
fn fill(sound: Vec<Ready>, output: &mut Output) {
    for ready in sound {
        let scope = match &ready.entry.namespace {
            Some(namespace) => format!("namespace-{namespace}"),
            None => "cluster-wide".to_owned(),
        };
        output.literals.extend(ready.entry.literals);
        let fits =
            |part: &&mut Part| part.scope == scope && part.text.len() + ready.text.len() <= PORTION;
        match output.parts.iter_mut().rev().find(fits) {
            Some(part) => part.text.push_str(&ready.text),
            None => output.parts.push(Part {
                scope,
                text: ready.text,
            }),
        }
    }
}
