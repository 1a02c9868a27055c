//! `data_from`: the keys of an entry that are found when it runs.

use std::collections::BTreeSet;

use super::data::DefaultStore;
use super::defaults::on_missing;
use super::keys::Keys;
use super::remote_ref::{self, RemoteRef, decoding_strategy};
use super::{Lowering, References, StoreFacts, find, rewrite};
use crate::assemble::bulk::Shape;
use crate::assemble::convert::Conversion;
use crate::assemble::decode::Decoding;
use crate::assemble::rewrite::Step;
use crate::config::problems::{At, Place, Problem};
use crate::config::tree::{Table, Value};
use crate::config::{BulkSource, DataFrom, Find, OnMissing};

/// What `data_from` gives, as far as it could be read.
#[derive(Debug)]
pub(super) struct Lowered {
    pub items: Vec<DataFrom>,
    pub keys: Keys,
    /// What each item does when its source is gone, and where that is said.
    pub on_missing: Vec<At<OnMissing>>,
}

#[derive(Clone, Copy)]
enum Kind {
    Extract,
    Find,
}

/// What stands in `extract` or `find`.
struct Asked {
    bulk: Option<BulkSource>,
    keys: Option<BTreeSet<String>>,
    at: Place,
    decoding: Decoding,
    on_missing: Option<At<OnMissing>>,
}

pub(super) fn lower(
    cx: &Lowering<'_>,
    value: Value<'_>,
    around: (&DefaultStore, Option<At<OnMissing>>),
    references: &References,
) -> Lowered {
    let mut lowered = Lowered {
        items: Vec::new(),
        keys: Keys {
            all: Vec::new(),
            complete: true,
        },
        on_missing: Vec::new(),
    };
    let at = value.key_at;
    let Some(tables) = value.tables() else {
        lowered.keys.complete = false;
        return lowered;
    };
    if tables.is_empty() {
        cx.problems
            .push(Problem::absence(at, "`data_from` must not be empty"));
    }
    for table in tables {
        item(cx, table, (around, references), &mut lowered);
    }
    lowered
}

type Around<'a> = ((&'a DefaultStore, Option<At<OnMissing>>), &'a References);

fn item(
    cx: &Lowering<'_>,
    mut table: Table<'_>,
    ((default, entrys), references): Around<'_>,
    lowered: &mut Lowered,
) {
    let store = default.or_own(cx, &mut table, references);
    if table.has("extract") == table.has("find") {
        cx.problems.push(Problem::absence(
            table.at,
            "an item of `data_from` needs either `extract` or `find`",
        ));
    }
    let facts = references.facts(store.as_ref());
    let extract = table
        .take("extract")
        .and_then(|v| asked(cx, v, facts, Kind::Extract));
    let find = table
        .take("find")
        .and_then(|v| asked(cx, v, facts, Kind::Find));
    let (rewrite, conversion) = names(cx, &mut table);
    table.finish();
    let Some(asked) = extract.or(find) else {
        lowered.keys.complete = false;
        return;
    };
    let shape = Shape {
        keys: asked.keys,
        rewrite,
        conversion,
        decoding: asked.decoding,
    };
    match shape.all_keys() {
        Some(keys) => {
            let at = asked.at;
            let keys = keys.into_iter().map(|value| At { value, at });
            lowered.keys.all.extend(keys);
        }
        None => lowered.keys.complete = false,
    }
    let on_missing = asked.on_missing.or(entrys);
    if let Some(on_missing) = on_missing {
        tells_keys(cx, (&shape, asked.bulk.as_ref()), on_missing);
        lowered.on_missing.push(on_missing);
    }
    match (store, asked.bulk) {
        (Some(store), Some(bulk)) => lowered.items.push(DataFrom {
            store,
            bulk,
            shape,
            on_missing: on_missing.map_or(OnMissing::Fail, |on_missing| on_missing.value),
        }),
        (_, _) => lowered.keys.complete = false,
    }
}

/// What becomes of names.
fn names(cx: &Lowering<'_>, table: &mut Table<'_>) -> (Vec<Step>, Conversion) {
    let conversions = [
        ("default", Conversion::Default),
        ("unicode", Conversion::Unicode),
    ];
    let conversion = table.choice("conversion_strategy", &conversions);
    let rewrite = table.take("rewrite").map(|v| rewrite::lower(cx, v));
    if let (Some(conversion), Some(_)) = (conversion, &rewrite) {
        cx.problems.push(
            Problem::warning(
                conversion.at,
                "`conversion_strategy` has no meaning beside `rewrite`",
            )
            .help("names are taken as `rewrite` leaves them"),
        );
    }
    (
        rewrite.unwrap_or_default(),
        conversion.map_or(Conversion::Default, |conversion| conversion.value),
    )
}

/// What to keep the last values of must be known without the secret that is gone.
fn tells_keys(
    cx: &Lowering<'_>,
    (shape, bulk): (&Shape, Option<&BulkSource>),
    on_missing: At<OnMissing>,
) {
    if on_missing.value != OnMissing::KeepLast {
        return;
    }
    let (told, help) = match bulk {
        Some(BulkSource::Extract { .. }) => (
            shape.all_keys().is_some(),
            "list the `keys` of the `extract`, and let no `merge` rewrite them",
        ),
        Some(BulkSource::Find(_)) => (
            !shape.needs_values(),
            "let no `merge` rewrite what is found",
        ),
        None => return,
    };
    if !told {
        cx.problems.push(
            Problem::error(
                on_missing.at,
                "`keep_last` cannot know which keys came from a secret that is gone",
            )
            .help(help),
        );
    }
}

/// Discreet: a value may stand where only its name belongs.
fn asked(cx: &Lowering<'_>, value: Value<'_>, facts: &StoreFacts, kind: Kind) -> Option<Asked> {
    let at = value.key_at;
    let mut table = value.table()?.discreetly();
    let (bulk, decoding) = match kind {
        Kind::Extract => match remote_ref::read(cx, &mut table, facts) {
            Some(RemoteRef {
                source,
                property,
                decoding,
            }) => (Some(BulkSource::Extract { source, property }), decoding),
            None => (None, Decoding::None),
        },
        Kind::Find => {
            let find = find::read(cx, &mut table, at, facts);
            (
                Some(BulkSource::Find(find)),
                decoding_strategy(cx, &mut table),
            )
        }
    };
    let on_missing = on_missing(&mut table);
    let keys = table.take("keys").and_then(|value| only(cx, value));
    table.finish();
    let bulk = match bulk {
        Some(BulkSource::Find(find)) => Some(BulkSource::Find(Find {
            keys: keys.clone(),
            ..find
        })),
        bulk => bulk,
    };
    Some(Asked {
        bulk,
        keys,
        at,
        decoding,
        on_missing,
    })
}

/// The names that are taken of all that are there.
fn only(cx: &Lowering<'_>, value: Value<'_>) -> Option<BTreeSet<String>> {
    let at = value.key_at;
    let names = value.strings()?;
    if names.is_empty() {
        cx.problems.push(
            Problem::error(at, "`keys` must not be empty").help("leave it out for all of them"),
        );
        return None;
    }
    Some(
        names
            .into_iter()
            .map(|name| name.value.to_owned())
            .collect(),
    )
}
