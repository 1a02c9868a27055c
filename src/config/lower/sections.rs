//! The top level of all files together: which tables there are, and that none is there twice.

use std::collections::BTreeMap;

use super::Lowering;
use crate::config::problems::{At, Place, Problem};
use crate::config::tree::Table;

/// One `[stores.NAME]`, `[clusters.NAME]` or `[secrets.NAME]`.
pub(super) struct Named<'t> {
    pub name: At<&'t str>,
    pub table: Table<'t>,
}

#[derive(Default)]
pub(super) struct Sections<'t> {
    pub daemon: Option<Table<'t>>,
    pub defaults: Option<Table<'t>>,
    pub stores: Vec<Named<'t>>,
    pub clusters: Vec<Named<'t>>,
    pub secrets: Vec<Named<'t>>,
}

impl<'t> Sections<'t> {
    pub(super) fn collect(documents: Vec<Table<'t>>, cx: &Lowering<'_>) -> Self {
        let mut sections = Self::default();
        let mut seen = BTreeMap::new();
        for (index, mut document) in documents.into_iter().enumerate() {
            if index == 0 {
                // Its patterns were read before.
                let _ = document.take("include");
                sections.daemon = document.table("daemon");
                sections.defaults = document.table("defaults");
            } else {
                for key in ["include", "daemon", "defaults"] {
                    if let Some(value) = document.take(key) {
                        cx.problems
                            .error(value.key_at, format!("`{key}` belongs in the main file"));
                    }
                }
            }
            for (key, what, named) in [
                ("stores", "a store", &mut sections.stores),
                ("clusters", "a cluster", &mut sections.clusters),
                ("secrets", "an entry", &mut sections.secrets),
            ] {
                if let Some(table) = document.table(key) {
                    add(named, (key, what), &table, (&mut seen, cx));
                }
            }
            document.finish();
        }
        sections
    }
}

type Seen<'t> = BTreeMap<(&'static str, &'t str), Place>;

fn add<'t>(
    named: &mut Vec<Named<'t>>,
    (key, what): (&'static str, &'static str),
    table: &Table<'t>,
    (seen, cx): (&mut Seen<'t>, &Lowering<'_>),
) {
    for (name, value) in table.all(what) {
        if let Some(first) = seen.get(&(key, name.value)) {
            cx.problems.push(
                Problem::error(name.at, format!("{what} of this name is already there"))
                    .other(*first, "it is defined here"),
            );
            continue;
        }
        seen.insert((key, name.value), name.at);
        named.extend(value.table().map(|table| Named { name, table }));
    }
}
