//! What `check` says of the drafts, asked before anything is printed: what it refuses is refused here, by the object that
//! it comes from.

use std::collections::{BTreeMap, BTreeSet};

use super::context::{Context, Known, LITERALS};
use super::draft::{Auth, Entry, Service, Store, Target};
use super::object::Place;
use super::output::{Output, Part};
use super::report::Report;
use super::rounds::Drafts;
use super::write;
use crate::config::{self, Severity, Surroundings};

/// So many bytes of entries are in one file: a file of a configuration may have 1 MiB.
const PORTION: usize = 800 << 10;

/// After so many rounds, everything that errors are about goes, whatever the rest would have saved.
const ROUNDS: usize = 16;

/// So many others are tried for the one that an entry does not get on with.
const TRIES: usize = 16;

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
    let entries = entries.map(|(entry, row)| Ready::new(entry, row, cx));
    together(&Frame::new(&stores, cx), entries.collect(), report)
}

/// What is written is judged as a whole, until `check` takes it: what is right by itself may not be beside others.
fn together(frame: &Frame<'_>, mut entries: Vec<Ready>, report: &mut Report) -> Output {
    let mut round = 0;
    loop {
        let written = frame.written(&entries);
        let mut whole = frame.elsewhere() + &written;
        let begin = whole.matches('\n').count() + 1;
        whole.extend(entries.iter().map(|it| it.text.as_str()));
        let errors = errors(whole);
        let Some(first) = errors.first() else {
            return output(entries, written);
        };
        let told = told(&errors, &entries, begin);
        if told.is_empty() {
            refuse_all(&first.message, &entries, (frame, report));
            return Output::default();
        }
        round += 1;
        let mut refused = to_blame(&told, &entries, (frame, &*report));
        if refused.is_empty() || round > ROUNDS {
            for (index, why) in told {
                let sentence = || format!("beside the others `check` refuses it: {why}");
                refused.entry(index).or_insert_with(sentence);
            }
        }
        for (index, sentence) in &refused {
            report.rows[entries[*index].row].refuse(sentence.as_str());
        }
        let mut index = 0_usize..;
        entries.retain(|_| index.next().is_none_or(|it| !refused.contains_key(&it)));
    }
}

/// The entries that errors are about, each with its first one. The first entry begins in the line `begin`.
fn told(errors: &[Wrong], entries: &[Ready], begin: usize) -> BTreeMap<usize, String> {
    let mut next = begin;
    let mut begins = Vec::new();
    for ready in entries {
        begins.push(next);
        next += ready.text.matches('\n').count();
    }
    let mut told = BTreeMap::new();
    for error in errors {
        let Some(line) = error.line else {
            continue;
        };
        let upto = begins.partition_point(|begin| *begin <= line);
        if let Some(index) = upto.checked_sub(1) {
            told.entry(index).or_insert_with(|| error.message.clone());
        }
    }
    told
}

/// Those of `told` that are wrong by themselves, or beside another one that stays, each with the sentence that refuses
/// it. The rest may be right when these are gone.
fn to_blame(
    told: &BTreeMap<usize, String>,
    entries: &[Ready],
    (frame, report): (&Frame<'_>, &Report),
) -> BTreeMap<usize, String> {
    let mut refused = BTreeMap::new();
    for index in told.keys() {
        if let Some(why) = frame.problem(&[&entries[*index]]) {
            refused.insert(*index, format!("`check` refuses it: {why}"));
        }
    }
    let mut named: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
    for (index, ready) in entries.iter().enumerate() {
        for target in &ready.entry.targets {
            named.entry(&target.name).or_default().insert(index);
        }
    }
    // A selector is told of for what others name, and these may go for a reason of their own.
    let mut left: Vec<usize> = told.keys().copied().collect();
    left.retain(|index| !refused.contains_key(index));
    left.sort_by_key(|index| selects(&entries[*index].entry));
    for index in left {
        let one = &entries[index];
        let own = one.entry.targets.iter().map(|it| it.name.as_str());
        let others: BTreeSet<usize> = own
            .filter_map(|name| named.get(name))
            .flatten()
            .copied()
            .collect();
        let quarrel = others
            .into_iter()
            .filter(|other| *other != index && !refused.contains_key(other))
            .map(|other| &entries[other])
            .filter(|other| may_meet(&one.entry, &other.entry))
            .take(TRIES)
            .find_map(|other| Some((other, frame.problem(&[one, other])?)));
        if let Some((other, why)) = quarrel {
            let place = &report.rows[other.row].place;
            let sentence = format!("beside the object at {place} `check` refuses it: {why}");
            refused.insert(index, sentence);
        }
    }
    refused
}

fn selects(entry: &Entry) -> bool {
    entry.targets.iter().any(|it| it.selector.is_some())
}

/// Whether both may write a Secret in one namespace.
fn may_meet(a: &Entry, b: &Entry) -> bool {
    let meet = |a: &Target, b: &Target| {
        let selects = a.selector.is_some() || b.selector.is_some();
        a.name == b.name && (selects || a.namespaces.iter().any(|it| b.namespaces.contains(it)))
    };
    a.targets
        .iter()
        .any(|a| b.targets.iter().any(|b| meet(a, b)))
}

/// Where no entry is to blame, nothing is written.
fn refuse_all(why: &str, entries: &[Ready], (frame, report): (&Frame<'_>, &mut Report)) {
    let stores = frame.stores.iter().filter_map(|it| match it.kept {
        Kept::Always(row) => Some(row),
        Kept::WhereUsed | Kept::Elsewhere => None,
    });
    for row in stores.chain(entries.iter().map(|it| it.row)) {
        report.rows[row].refuse(format!("`check` refuses the stores together: {why}"));
    }
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
        match errors(text).into_iter().next().map(|it| it.message) {
            None => {
                sound.insert(name, (store, row));
            }
            Some(why) => {
                if let Some(row) = row {
                    report.rows[row].refuse(format!("`check` refuses it: {why}"));
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
    fn new(entry: Entry, row: usize, cx: &Context) -> Self {
        let mut text = String::new();
        write::entry(&mut text, &entry, cx.cluster());
        Self { entry, row, text }
    }
}

/// An error of `check`.
struct Wrong {
    /// Counted from 1. Absent: it is about the text as a whole.
    line: Option<usize>,
    message: String,
}

/// What `check` has against a configuration.
fn errors(text: String) -> Vec<Wrong> {
    // Whoever runs it: only what stands there counts.
    let surroundings = Surroundings {
        root: true,
        ..Surroundings::default()
    };
    let diagnostics = config::judge(text, &surroundings);
    let errors = diagnostics
        .iter()
        .filter(|it| it.severity == Severity::Error);
    let wrong = errors.map(|error| Wrong {
        line: line(&error.place()),
        message: error.message.clone(),
    });
    wrong.collect()
}

/// Of a place in a text: its name, the line and the column.
fn line(place: &str) -> Option<usize> {
    place.split(':').nth(1)?.parse().ok()
}

/// Everything beside the entries.
struct Frame<'c> {
    stores: Vec<Framed>,
    cx: &'c Context,
}

/// A store and its text.
struct Framed {
    name: String,
    text: String,
    kept: Kept,
}

#[derive(Clone, Copy)]
enum Kept {
    /// The object of this row becomes it.
    Always(usize),
    /// KES objects need it: it is there only as long as one of them is.
    WhereUsed,
    /// It is not written; `check` is to know that it exists.
    Elsewhere,
}

impl<'c> Frame<'c> {
    fn new(stores: &Stores, cx: &'c Context) -> Self {
        let framed = |store: &Store, kept: Kept| {
            let mut text = String::new();
            write::store(&mut text, store, cx.cluster());
            let name = store.name.clone();
            Framed { name, text, kept }
        };
        let ours = stores.values().map(|(store, row)| {
            let kept = row.map_or(Kept::WhereUsed, Kept::Always);
            framed(store, kept)
        });
        let mut all: Vec<Framed> = ours.collect();
        for (name, service) in elsewhere(cx) {
            let stub = Store {
                name,
                service,
                region: None,
                prefix: None,
                endpoint: None,
                auth: Auth::default(),
                comments: Vec::new(),
            };
            all.push(framed(&stub, Kept::Elsewhere));
        }
        Self { stores: all, cx }
    }

    /// The stores that exist elsewhere.
    fn elsewhere(&self) -> String {
        let all = self.stores.iter();
        all.filter(|it| matches!(it.kept, Kept::Elsewhere))
            .map(|it| it.text.as_str())
            .collect()
    }

    /// What is written beside these entries; nothing where there is nothing.
    fn written(&self, entries: &[Ready]) -> String {
        let needed: BTreeSet<&str> = entries.iter().flat_map(|it| used(&it.entry)).collect();
        let is_written = |store: &Framed| match store.kept {
            Kept::Always(_) => true,
            Kept::WhereUsed => needed.contains(store.name.as_str()),
            Kept::Elsewhere => false,
        };
        if entries.is_empty() && !self.stores.iter().any(is_written) {
            return String::new();
        }
        self.text(&needed, is_written)
    }

    /// The first thing that `check` has against these entries, were there no others.
    fn problem(&self, entries: &[&Ready]) -> Option<String> {
        let needed: BTreeSet<&str> = entries.iter().flat_map(|it| used(&it.entry)).collect();
        let mut text = self.text(&needed, |store| needed.contains(store.name.as_str()));
        text.extend(entries.iter().map(|it| it.text.as_str()));
        errors(text).into_iter().next().map(|it| it.message)
    }

    fn text(&self, needed: &BTreeSet<&str>, is_in: impl Fn(&Framed) -> bool) -> String {
        let mut out = String::new();
        for store in &self.stores {
            if is_in(store) {
                out.push_str(&store.text);
            }
        }
        let values = self.cx.options.literals.as_deref();
        if let Some(path) = values.filter(|_| needed.contains(LITERALS)) {
            write::literals(&mut out, LITERALS, path);
        }
        write::cluster(&mut out, self.cx.cluster());
        out
    }
}

/// Stores of `--store`, as far as it can be told what they are.
fn elsewhere(cx: &Context) -> BTreeMap<String, Service> {
    let names = cx.options.stores.iter();
    let mut stores: BTreeMap<String, Service> = names
        .map(|(_, ours)| (ours.clone(), Service::SecretsManager))
        .collect();
    for known in cx.stores.values() {
        if let Known::Mapped { name, service } = known {
            stores.insert(name.clone(), *service);
        }
    }
    stores
}

fn output(sound: Vec<Ready>, stores: String) -> Output {
    let mut output = Output {
        stores,
        ..Output::default()
    };
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
    output
}
