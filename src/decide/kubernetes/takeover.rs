//! What is ours by proof, and by name another manager's: what of the `managedFields` is to change before anything is
//! written, so that a field that we drop later is really removed and no name that we gave up holds on to it.
//!
//! Ours by proof is what a making of ours left unfinished, what this entry wrote under another name (its policy or the
//! instance was another), what a predecessor wrote whose name no configuration has any more, and, of a field that we
//! own and drop, the part that nobody's apply holds: what was there when we adopted it, or what the API server made up
//! when somebody had wiped the `managedFields`.

use std::collections::BTreeSet;

use crate::kube::{FieldKind, FieldManager, LiveSecret, Manager, Operation, Ownership};
use crate::names::{EntryName, LabelValue};
use crate::secret::SecretBytes;

use super::{DeliveredSecret, Gone, INSTANCE_ANNOTATION, Known, Wanted, Wrote, writer};

/// `None` where nothing is to be taken over. What it says is carried out by one request or not at all, so that a crash
/// leaves the proof or the ownership.
pub(super) fn needed(
    (wanted, live): (&Wanted, &LiveSecret),
    known: Known<'_>,
    ledger: Option<&DeliveredSecret>,
) -> Option<Ownership> {
    let before = names_before(wanted, live, known);
    let ends = |m: &Manager| {
        m.made_for(&wanted.manager)
            || (wanted.policy.is_whole() && m.is_old_attempt())
            || before.iter().any(|name| m.is(name))
    };
    let is_new = known.own.is_none_or(|own| own.uid != live.uid);
    let in_part = known.shared && is_new;
    let mut ours = own_manager(wanted);
    let mut others = Vec::new();
    let mut changes = false;
    for manager in &live.managers {
        // What was taken away from others stays beside it for the way back: that is wanted by no apply.
        if manager.took_over() && wanted.policy.is_whole() {
            let rest = divided(wanted, manager, &mut ours);
            changes |= rest != *manager;
            others.extend(Some(rest).filter(|rest| !is_empty(rest)));
            continue;
        }
        if !ends(manager) && !manager.is(&wanted.manager) {
            others.push(manager.clone());
            continue;
        }
        if in_part && before.iter().any(|name| manager.is(name)) {
            let rest = divided(wanted, manager, &mut ours);
            changes |= rest != *manager;
            others.extend(Some(rest).filter(|rest| !is_empty(rest)));
            continue;
        }
        changes |= ends(manager);
        for kind in FieldKind::ALL {
            let fields = manager.fields(kind).iter().cloned();
            ours.fields_mut(kind).extend(fields);
        }
        ours.immutable |= manager.immutable && wanted.policy.is_whole();
    }
    if let Some(ledger) = ledger {
        changes |= if live.managers.is_empty() {
            restored(wanted, live, (&ledger.wrote, &mut ours))
        } else {
            dropped(wanted, &ours, (&ledger.wrote, &mut others))
        };
    }
    others.push(ours);
    changes.then(|| Ownership {
        uid: live.uid.clone(),
        resource_version: live.resource_version.clone(),
        managers: others,
    })
}

/// Others may follow the same entry: of what it wrote, each takes over what it wants, and nobody drops the rest.
fn divided(wanted: &Wanted, manager: &Manager, ours: &mut Manager) -> Manager {
    let mut rest = manager.clone();
    let all = Wrote::all(wanted);
    for kind in FieldKind::ALL {
        let wants = names(&all, kind);
        let fields = manager.fields(kind).iter().cloned();
        let (moved, stay): (BTreeSet<_>, _) = fields.partition(|name| wants.contains(name));
        ours.fields_mut(kind).extend(moved);
        *rest.fields_mut(kind) = stay;
    }
    rest
}

fn is_empty(manager: &Manager) -> bool {
    let mut kinds = FieldKind::ALL.into_iter();
    let is_bare = kinds.all(|kind| manager.fields(kind).is_empty());
    is_bare && !manager.secret_type && !manager.immutable
}

/// Our manager of a Secret that is made as wanted. Under the merge policies it does not own the type: an apply that
/// omits an owned one would change it.
pub(crate) fn made(wanted: &Wanted) -> Manager {
    let mut ours = own_manager(wanted);
    ours.immutable = wanted.immutable;
    for kind in FieldKind::ALL {
        *ours.fields_mut(kind) = names(&Wrote::all(wanted), kind);
    }
    ours
}

fn own_manager(wanted: &Wanted) -> Manager {
    Manager {
        name: wanted.manager.as_str().to_owned(),
        operation: Operation::Apply,
        secret_type: wanted.policy.is_whole(),
        ..Manager::default()
    }
}

/// Other managers that are this entry's, or its predecessors'.
fn names_before(wanted: &Wanted, live: &LiveSecret, known: Known<'_>) -> Vec<FieldManager> {
    let own = known.own.filter(|own| own.uid == live.uid);
    let mut records: Vec<(&EntryName, &DeliveredSecret)> = Vec::new();
    if let Some(own) = own {
        records.push((&wanted.entry, own));
    } else {
        // An entry that is new to the Secret and writes what one wrote that is gone: it was renamed. One that was
        // there before, or writes other keys, takes nothing: what the gone one left stays.
        let renamed = known.gone.iter().filter(|it| is_same(wanted, live, it));
        records.extend(renamed.map(|it| (&it.entry, &it.delivered)));
    }
    let names = records.into_iter().filter_map(|(entry, record)| {
        let name = record.manager.clone();
        let name = name.unwrap_or_else(|| match record.whole {
            Some(_) => FieldManager::new(&[]),
            None => FieldManager::new(&[wanted.instance.as_str(), entry.as_str()]),
        });
        // Every entry that owns whole Secrets has that name: the annotations say whose it is here.
        let is_its = name != FieldManager::new(&[]) || claims(live, entry, record);
        (is_its && name != wanted.manager).then_some(name)
    });
    names.collect()
}

fn is_same(wanted: &Wanted, live: &LiveSecret, gone: &Gone) -> bool {
    let mut keys = gone.delivered.wrote.keys.iter();
    gone.delivered.uid == live.uid && keys.any(|key| wanted.data.get(key).is_some())
}

fn claims(live: &LiveSecret, entry: &EntryName, record: &DeliveredSecret) -> bool {
    let instance = live.annotations.get(INSTANCE_ANNOTATION);
    let says = |text: &[u8]| {
        record
            .whole
            .as_ref()
            .is_some_and(|it| it.as_str().as_bytes() == text)
    };
    instance.is_some_and(|it| says(it.expose())) && writer(live).as_ref() == Some(entry)
}

/// Somebody wiped the `managedFields`: what we wrote and still want becomes ours again, and nobody's is the rest.
/// Otherwise the next apply, whosever it is, would make everything a made-up manager's too.
fn restored(wanted: &Wanted, live: &LiveSecret, (wrote, ours): (&Wrote, &mut Manager)) -> bool {
    let mut any = false;
    for kind in FieldKind::ALL {
        let wrote = names(wrote, kind);
        let stands = |name: &String| wrote.contains(name) && is_as_wanted(wanted, live, kind, name);
        let fields = names(&Wrote::all(wanted), kind);
        *ours.fields_mut(kind) = fields.into_iter().filter(stands).collect();
        any |= !ours.fields(kind).is_empty();
    }
    ours.immutable = wanted.immutable && live.immutable;
    any
}

fn is_as_wanted(wanted: &Wanted, live: &LiveSecret, kind: FieldKind, name: &str) -> bool {
    match kind {
        FieldKind::Data => {
            let mut all = wanted.data.iter();
            all.any(|(key, value)| key.as_str() == name && live.data.get(key) == Some(value))
        }
        FieldKind::Label => {
            let wanted = wanted.labels.get(name).map(LabelValue::as_str);
            wanted.is_some() && wanted == live.labels.get(name).map(String::as_str)
        }
        FieldKind::Annotation => {
            let wanted = wanted.annotations.get(name).map(String::as_bytes);
            wanted.is_some() && wanted == live.annotations.get(name).map(SecretBytes::expose)
        }
    }
}

/// Takes from others what we own, wrote and no longer want. What an apply of theirs holds as well stays: they say that
/// they want it.
fn dropped(wanted: &Wanted, ours: &Manager, (wrote, others): (&Wrote, &mut Vec<Manager>)) -> bool {
    let mut any = false;
    for kind in FieldKind::ALL {
        let wants = names(&Wrote::all(wanted), kind);
        for name in &names(wrote, kind) {
            let mut holders = others.iter().filter(|m| m.fields(kind).contains(name));
            let is_applied = holders.any(|m| m.operation == Operation::Apply);
            if wants.contains(name) || !ours.fields(kind).contains(name) || is_applied {
                continue;
            }
            for manager in &mut *others {
                any |= manager.fields_mut(kind).remove(name);
            }
        }
    }
    any
}

fn names(wrote: &Wrote, kind: FieldKind) -> BTreeSet<String> {
    match kind {
        FieldKind::Data => wrote.keys.iter().map(ToString::to_string).collect(),
        FieldKind::Label => wrote.labels.iter().map(ToString::to_string).collect(),
        FieldKind::Annotation => wrote.annotations.iter().map(ToString::to_string).collect(),
    }
}
