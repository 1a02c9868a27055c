//! What a `find` lists no longer.

use std::collections::{BTreeMap, BTreeSet};

use super::standing::{Absent, Proving};
use super::{Plan, Slot};
use crate::config::{Find, OnMissing, Source};
use crate::decide::found;
use crate::decide::missing::{Gone, Standing};
use crate::failure::{Failure, Reason};
use crate::names::RemoteKey;
use crate::state::{FoundId, State};
use crate::store::{Answer, Content, Identity, Read};
use crate::sync::entry::is_akin;
use crate::sync::{Answers, Entry, Run};

/// How it is seen whether a secret that a `find` no longer lists is gone: by what is said of it, its tags included.
fn proof_of_lost(find: &Read, arn: &str) -> Option<Read> {
    Some(Read::new(
        find.store.clone(),
        Source::Metadata {
            key: RemoteKey::new(arn).ok()?,
        },
    ))
}

/// The direct reads for everything that a `find` lists no longer, where the entry can do without.
pub fn proofs_of_lost(
    entry: &Entry,
    find: &Read,
    listed: &BTreeSet<String>,
    state: &State,
) -> BTreeSet<Read> {
    if !entry.tolerates_lost(find) {
        return BTreeSet::new();
    }
    let lost = lost(entry, find, listed, state);
    lost.iter()
        .filter_map(|arn| proof_of_lost(find, arn))
        .collect()
}

/// What was delivered from a `find` and is not among these.
fn lost(entry: &Entry, find: &Read, listed: &BTreeSet<String>, state: &State) -> Vec<String> {
    let Some((_, id)) = entry.finds().find(|(read, _)| *read == find) else {
        return Vec::new();
    };
    let known = state.found(&id);
    let known = known.unwrap_or_else(|| inherited(entry, find, &id, state));
    found::lost(&known, listed)
}

/// A `find` that was changed asks another question. Of what its predecessors found, it still has to find what it asks
/// for: else an edit would let go without proof what vanished meanwhile.
fn inherited(entry: &Entry, find: &Read, id: &FoundId, state: &State) -> BTreeSet<String> {
    let Source::Find(asked) = &find.source else {
        return BTreeSet::new();
    };
    let present: BTreeSet<FoundId> = entry.finds().map(|(_, id)| id).collect();
    let before = state.found_by(&entry.name).into_iter();
    let before = before
        .filter(|(known, _)| !present.contains(known) && is_akin(&known.question, &id.question));
    let arns = before.flat_map(|(_, arns)| arns);
    arns.filter(|arn| is_asked_for(asked, found::name_of(arn)))
        .collect()
}

/// By its name. A path that is no whole level of a hierarchy is taken for one: that can only leave something out.
fn is_asked_for(find: &Find, name: &str) -> bool {
    let below = |path: &String| {
        let rest = name.strip_prefix(path.as_str());
        let hierarchical = name.starts_with('/') && !path.ends_with('/');
        rest.is_some_and(|rest| !hierarchical || rest.starts_with('/'))
    };
    find.path.as_ref().is_none_or(below) && find.names(name)
}

/// The ARNs of what a `find` lost and that is not out of every target yet.
pub(in crate::sync) fn missed_of(
    run: &Run,
    find: &Read,
    (listed, plan): (&BTreeSet<String>, &Plan),
) -> BTreeSet<String> {
    let is_missed = |arn: &String| {
        let slots = plan.missed.iter();
        let mut own =
            slots.filter(|slot| run.entry.reads[run.entry.items[slot.item].read()] == *find);
        let name = found::name_of(arn);
        own.any(|slot| slot.found.as_ref().is_some_and(|it| it.as_str() == name))
    };
    let lost = lost(&run.entry, find, listed, &run.state);
    lost.into_iter().filter(is_missed).collect()
}

/// Whether tags say that a secret is no longer what a `find` asks for.
pub fn matches_no_longer(find: &Read, tags: &Read, answer: &Answer) -> bool {
    let (Source::Find(find), Source::Metadata { .. }) = (&find.source, &tags.source) else {
        return false;
    };
    let Content::Value(value) = &answer.content else {
        return false;
    };
    // What cannot be read proves nothing.
    let tags: Option<BTreeMap<String, String>> = serde_json::from_slice(value.expose()).ok();
    tags.is_some_and(|tags| {
        find.tags
            .iter()
            .any(|(key, value)| tags.get(key) != Some(value))
    })
}

/// A list is no proof that something is gone; a direct read is.
pub(super) fn lost_of(
    run: &Run,
    answers: &Answers,
    (item, find): (usize, &Read),
    on_missing: OnMissing,
) -> Vec<Absent> {
    let Some(Identity::Arns(listed)) = answers.seen.get(find).map(|it| &it.answer.identity) else {
        return Vec::new();
    };
    let lost = lost(&run.entry, find, listed, &run.state);
    let absent = lost.into_iter().map(|arn| {
        let proof = proof_of_lost(find, &arn);
        let proofs = run.proofs.get(find);
        let said = proof.and_then(|proof| proofs?.get(&proof).copied());
        let name = found::name_of(&arn);
        let fact = match said {
            None => format!("`{}` no longer lists `{name}`, which was delivered", find.source),
            Some((Gone::NoLongerMatches, _)) => {
                format!("`{name}` no longer is what `{}` asks for", find.source)
            }
            Some(_) => format!("`{name}`, which `{}` listed, is gone", find.source),
        };
        Absent {
            slot: Slot {
                item,
                found: RemoteKey::new(name).ok(),
            },
            on_missing,
            standing: match said {
                // Nothing tells under which key it was delivered.
                Some(_) if on_missing == OnMissing::KeepLast && found::is_ambiguous(&arn) => {
                    Standing::Failed
                }
                None => Standing::Failed,
                Some((gone, proof)) => Standing::Missing { gone, proof },
            },
            failure: Failure::new(Reason::NotFound, fact).with_help(
                "everything keeps its content; put the secret or its tags back, or set `on_missing` of the `find`",
            ),
            lost: true,
            proving: Proving::Possible,
        }
    });
    absent.collect()
}
