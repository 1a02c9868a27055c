//! What `check` says of the drafts, asked before anything is printed: what it refuses is refused here, by the object that
//! it comes from.

use std::collections::{BTreeMap, BTreeSet};

use super::context::{Context, Known, LITERALS};
use super::draft::{Auth, Entry, Service, Store};
use super::object::Place;
use super::output::{Output, Part};
use super::report::Report;
use super::rounds::Drafts;
use super::write;
use crate::config::{self, Severity, Surroundings};

/// So many bytes of entries are judged, and written, at once: a file of a configuration may have 1 MiB.
const PORTION: usize = 800 << 10;

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
    let entries = distinct(entries, report);
    let (mut stores, rows): (Vec<_>, Vec<_>) = stores.into_values().unzip();
    let header = header(&stores, cx);
    let mut sound = Vec::new();
    for portion in portions(entries, cx) {
        sound.extend(sound_entries(portion, &header, report));
    }
    // A store that KES objects need is there only as long as one of them is.
    let needed: BTreeSet<&str> = sound.iter().flat_map(|it| used(&it.entry)).collect();
    let keep: Vec<bool> = stores
        .iter()
        .zip(rows)
        .map(|(store, row)| row.is_some() || needed.contains(store.name.as_str()))
        .collect();
    let mut keep = keep.into_iter();
    stores.retain(|_| keep.next().unwrap_or(true));
    let written = if stores.is_empty() && sound.is_empty() {
        String::new()
    } else {
        let values = cx.options.literals.as_deref();
        written(&stores, cx, values.filter(|_| needed.contains(LITERALS)))
    };
    output(sound, written)
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
        let text = written(std::slice::from_ref(&store), cx, None);
        match problem(text) {
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

/// As many entries as fit into a file each.
fn portions(entries: Vec<(Entry, usize)>, cx: &Context) -> Vec<Vec<Ready>> {
    let mut portions: Vec<Vec<Ready>> = Vec::new();
    let mut size = usize::MAX;
    for (entry, row) in entries {
        let mut text = String::new();
        write::entry(&mut text, &entry, cx.cluster());
        if size.saturating_add(text.len()) > PORTION {
            portions.push(Vec::new());
            size = 0;
        }
        size += text.len();
        if let Some(portion) = portions.last_mut() {
            portion.push(Ready { entry, row, text });
        }
    }
    portions
}

fn sound_entries(portion: Vec<Ready>, header: &str, report: &mut Report) -> Vec<Ready> {
    let all = |portion: &[Ready]| {
        let texts: String = portion.iter().map(|it| it.text.as_str()).collect();
        problem(header.to_owned() + &texts)
    };
    if all(&portion).is_none() {
        return portion;
    }
    let mut sound = Vec::new();
    for ready in portion {
        match problem(header.to_owned() + &ready.text) {
            None => sound.push(ready),
            Some(why) => report.rows[ready.row].refuse(format!("`check` refuses it: {why}")),
        }
    }
    // Each by itself is right; together they may not be.
    while let Some(why) = all(&sound) {
        let Some(ready) = sound.pop() else {
            break;
        };
        report.rows[ready.row].refuse(format!("beside the others `check` refuses it: {why}"));
    }
    sound
}

/// The first thing that `check` has against a configuration.
fn problem(text: String) -> Option<String> {
    // Whoever runs it: only what stands there counts.
    let surroundings = Surroundings {
        root: true,
        ..Surroundings::default()
    };
    let diagnostics = config::judge(text, &surroundings);
    let mut errors = diagnostics
        .iter()
        .filter(|it| it.severity == Severity::Error);
    errors.next().map(|error| error.message.clone())
}

/// Everything beside the entries, for `check`: with the stores that exist elsewhere.
fn header(stores: &[Store], cx: &Context) -> String {
    let mut text = written(stores, cx, cx.options.literals.as_deref());
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
        write::store(&mut text, &stub, cx.cluster());
    }
    text
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

/// `literals`: where the values of the input are.
fn written(stores: &[Store], cx: &Context, literals: Option<&str>) -> String {
    let mut out = String::new();
    for store in stores {
        write::store(&mut out, store, cx.cluster());
    }
    if let Some(path) = literals {
        write::literals(&mut out, LITERALS, path);
    }
    write::cluster(&mut out, cx.cluster());
    out
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
