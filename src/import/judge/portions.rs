//! Entries in portions, so that as many as there may be are judged in little memory: a configuration takes twenty times
//! what its text does.

use std::collections::BTreeSet;

use super::{Ready, quarrel};

/// So many bytes of entries are judged at once, unless more of them may write one Secret.
const AT_ONCE: usize = 1 << 20;

/// Those that may write the same Secret are in the same one.
pub(super) fn of(entries: Vec<Ready>) -> Vec<Vec<Ready>> {
    let wide = entries.iter().filter(|it| is_wide(it));
    let wide: BTreeSet<String> = wide.flat_map(names).map(str::to_owned).collect();
    let mut keyed: Vec<((String, String), Ready)> = entries
        .into_iter()
        .map(|ready| (key(&ready, &wide), ready))
        .collect();
    keyed.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut portions = Vec::new();
    let mut portion = Vec::new();
    let mut size = 0;
    let mut last = None;
    for (key, ready) in keyed {
        let is_apart = last.is_some_and(|last| last != key);
        size += ready.text.len();
        if is_apart && size > AT_ONCE {
            portions.push(std::mem::take(&mut portion));
            size = ready.text.len();
        }
        portion.push(ready);
        last = Some(key);
    }
    if !portion.is_empty() {
        portions.push(portion);
    }
    portions
}

/// In more namespaces than one, or who knows in which.
fn is_wide(ready: &Ready) -> bool {
    let targets = &ready.entry.targets;
    quarrel::selects(&ready.entry) || targets.iter().any(|it| it.namespaces.len() != 1)
}

fn names(ready: &Ready) -> impl Iterator<Item = &str> {
    ready.entry.targets.iter().map(|it| it.name.as_str())
}

/// The Secret; where another entry may write all of its name, the name.
fn key(ready: &Ready, wide: &BTreeSet<String>) -> (String, String) {
    // All targets of an entry have one name.
    let name = names(ready).next().unwrap_or_default().to_owned();
    let target = ready.entry.targets.first();
    let namespace = target.and_then(|it| it.namespaces.first());
    let namespace = namespace.filter(|_| !wide.contains(&name));
    let namespace = namespace.cloned().unwrap_or_default();
    (name, namespace)
}
