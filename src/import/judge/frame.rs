//! What stands beside entries wherever they are judged or written: stores, and the cluster.

use std::collections::{BTreeMap, BTreeSet};

use super::place::{Wrong, errors};
use super::{Ready, Stores, used};
use crate::import::context::{Context, Known};
use crate::import::draft::{Auth, Service, Store};
use crate::import::write;

/// Everything beside the entries.
pub(super) struct Frame<'c> {
    pub stores: Vec<Framed>,
    cx: &'c Context,
}

/// A store and its text.
pub(super) struct Framed {
    name: String,
    text: String,
    pub kept: Kept,
}

#[derive(Clone, Copy)]
pub(super) enum Kept {
    /// The object of this row becomes it.
    Always(usize),
    /// KES objects need it: it is there only as long as one of them is.
    WhereUsed,
    /// It is not written; `check` is to know that it exists.
    Elsewhere,
}

impl<'c> Frame<'c> {
    pub(super) fn new(stores: &Stores, cx: &'c Context) -> Self {
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
    pub(super) fn elsewhere(&self) -> String {
        let all = self.stores.iter();
        all.filter(|it| matches!(it.kept, Kept::Elsewhere))
            .map(|it| it.text.as_str())
            .collect()
    }

    /// The names of those that these entries need.
    pub(super) fn needed_elsewhere(&self, entries: &[Ready]) -> BTreeSet<String> {
        let needed = needed(entries);
        let all = self.stores.iter();
        all.filter(|it| matches!(it.kept, Kept::Elsewhere) && needed.contains(it.name.as_str()))
            .map(|it| it.name.clone())
            .collect()
    }

    /// What is written beside these entries; nothing where there is nothing.
    pub(super) fn written(&self, entries: &[Ready]) -> String {
        let needed = needed(entries);
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

    /// These entries with everything that they need, and the line in which the first of them begins.
    pub(super) fn around<'r>(
        &self,
        entries: impl IntoIterator<Item = &'r Ready> + Clone,
    ) -> (String, usize) {
        let needed = needed(entries.clone());
        let mut text = self.text(&needed, |store| needed.contains(store.name.as_str()));
        let begin = text.matches('\n').count() + 1;
        text.extend(entries.into_iter().map(|it| it.text.as_str()));
        (text, begin)
    }

    /// The first thing that `check` has against these entries, were there no others; its place as one in the first.
    pub(super) fn problem(&self, entries: &[&Ready]) -> Option<Wrong> {
        let (text, begin) = self.around(entries.iter().copied());
        let first = errors(text).into_iter().next()?;
        let lines = entries[0].text.matches('\n').count();
        let at = first.within(begin).filter(|(line, _)| *line <= lines);
        Some(Wrong { at, ..first })
    }

    fn text(&self, needed: &BTreeSet<&str>, is_in: impl Fn(&Framed) -> bool) -> String {
        let mut out = String::new();
        for store in &self.stores {
            if is_in(store) {
                out.push_str(&store.text);
            }
        }
        let name = self.cx.literals_store();
        let values = self.cx.options.literals.as_deref();
        if let Some(path) = values.filter(|_| needed.contains(&*name)) {
            write::literals(&mut out, &name, path);
        }
        write::cluster(&mut out, self.cx.cluster());
        out
    }
}

fn needed<'r>(entries: impl IntoIterator<Item = &'r Ready>) -> BTreeSet<&'r str> {
    let entries = entries.into_iter();
    entries.flat_map(|it| used(&it.entry)).collect()
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
