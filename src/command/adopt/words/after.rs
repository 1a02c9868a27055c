//! What is said of Secrets afterwards: what came of each, what may go now, and the way back.

use super::kubectl::{Tell, delete, patch_secret, tell};
use super::{block, owner, ties};
use crate::command::adopt::refusal;
use crate::decide::kubernetes::adoption::Keeper;
use crate::decide::kubernetes::adoption::quiet::{Aftermath, maker, rests};
use crate::failure::Failure;
use crate::kube::ExternalSecret;
use crate::names::{ObjectName, Uid};
use crate::sync::taking::{End, Farewell, Hand, Hands, Made};

/// What is ours and was left alone, as far as that is known.
pub(in crate::command::adopt) fn taken(hands: &Hands) -> String {
    let all = hands.all().iter().filter_map(|hand| {
        let (id, entry) = (&hand.seat.id, &hand.seat.entry);
        Some(match (hand.end()?.made()?.from, hand.end()?.made()?) {
            (Some(from), _) => format!("taken over: {id}, for {entry}, from {from}\n"),
            (None, made) if made.was_taken_over() => {
                format!("taken over already: {id}, for {entry}\n")
            }
            (None, _) => format!("ours already: {id}, for {entry}\n"),
        })
    });
    all.collect()
}

/// What stays an old controller's, and would go with what is left of it.
pub(in crate::command::adopt) fn suspended(hands: &Hands) -> String {
    let all = hands.all().iter();
    let suspended = all.filter(|hand| matches!(hand.end(), Some(End::Suspended)));
    let lines = suspended.map(|hand| {
        let (id, entry) = (&hand.seat.id, &hand.seat.entry);
        format!("suspended: {id}, for {entry}: it stays its old controller's\n")
    });
    lines.collect()
}

pub(in crate::command::adopt) fn refused(hands: &Hands) -> String {
    let all = hands.all().iter();
    all.filter_map(|hand| Some(said(hand, hand.end()?.refusal()?)))
        .collect()
}

pub(in crate::command::adopt) fn returned(hands: &Hands) -> String {
    let all = hands.all().iter();
    all.filter_map(|hand| Some(said(hand, hand.end()?.returned()?)))
        .collect()
}

fn said(hand: &Hand, why: &Failure) -> String {
    let (target, entry) = (hand.seat.id.to_string(), hand.seat.entry.as_str());
    refusal((&target, entry), (&why.to_string(), why.help()))
}

/// Where nothing came of it, what was told to the old controller is still so. Not of what may be ours by now: an answer
/// that did not come says nothing of what was done.
pub(in crate::command::adopt) fn undo(hands: &Hands) -> String {
    let stopped = hands.all().iter().filter(|hand| {
        let is_refused = matches!(hand.end(), Some(End::Refused(_)));
        is_refused && !hand.may_be_ours() && !hand.quiesced().is_empty()
    });
    // What also made a Secret, or keys of it, that are ours now, is not let loose on them.
    let taken: Vec<&Uid> = hands
        .all()
        .iter()
        .filter(|hand| hand.end().is_some_and(|end| end.made().is_some()))
        .flat_map(|hand| hand.quiesced().iter().map(|it| &it.uid))
        .collect();
    let all = stopped.filter_map(|hand| {
        let told = hand.quiesced().iter();
        let told = told.filter(|it| !taken.contains(&&it.uid));
        let lines: Vec<String> = told
            .map(|object| indented(&tell(hand, object, Tell::AsBefore)))
            .collect();
        let first = "its old controller was told to let go of it; to take that back:".to_owned();
        (!lines.is_empty()).then(|| block(hand, &[vec![first], lines].concat()))
    });
    all.collect()
}

/// What else would make the Secrets that were not there.
pub(in crate::command::adopt) fn made(hands: &Hands) -> String {
    let all = hands.all().iter().filter_map(|hand| match hand.end()? {
        End::Absent(makers) if !makers.is_empty() => {
            let mut lines = vec![format!(
                "it was not there, and the next delivery makes it; once `secretsyncd status` calls `{}` fresh:",
                hand.seat.entry
            )];
            lines.extend(makers.iter().flat_map(|object| of_object(hand, object, "then")));
            if !hand.quiesced().is_empty() {
                lines.push("what was told to let go; to take that back instead:".to_owned());
                let told = hand.quiesced().iter();
                lines.extend(told.map(|object| indented(&tell(hand, object, Tell::AsBefore))));
            }
            Some(block(hand, &lines))
        }
        End::Ours
        | End::Suspended
        | End::Absent(_)
        | End::Refused(_)
        | End::Elsewhere(_)
        | End::Taken(_)
        | End::Would(_)
        | End::Before(_)
        | End::Returned(_) => None,
    });
    all.collect()
}

/// What is to be done with what is left.
pub(in crate::command::adopt) fn farewell(hand: &Hand, farewell: &Farewell) -> String {
    let Some(made) = hand.end().and_then(End::made) else {
        return String::new();
    };
    let again = format!("`secretsyncd adopt {} --apply`", hand.seat.id);
    let mut lines = Vec::new();
    match &farewell.aftermath {
        Err(failure) => lines.push(format!(
            "whether it was left alone could not be seen ({failure}); delete nothing, and run {again} again"
        )),
        Ok(Aftermath::Undelivered) => lines.push(format!(
            "it was left alone, and no delivery has found it yet: delete nothing; once `secretsyncd status` calls `{}` fresh, \
             {again} says what may go",
            hand.seat.entry
        )),
        Ok(Aftermath::Delivered) => {
            lines.push("it was left alone, and is delivered".to_owned());
            lines.extend(removal(hand, farewell));
        }
    }
    lines.extend(ties(&made.kept));
    lines.extend(way_back(hand, made, farewell));
    block(hand, &lines)
}

fn removal(hand: &Hand, farewell: &Farewell) -> Vec<String> {
    let namespace = &hand.seat.id.namespace;
    let makers = match &farewell.makers {
        Ok(makers) if makers.is_empty() => {
            return vec![
                "no ExternalSecret makes it any more: there is nothing to delete".to_owned(),
            ];
        }
        Ok(makers) => makers,
        Err(failure) => return vec![format!("what may go cannot be said: {failure}")],
    };
    let mut lines = Vec::new();
    match &farewell.remaining {
        Ok(remaining) if remaining.is_empty() => {}
        Ok(remaining) => {
            let names: Vec<String> = remaining
                .iter()
                .map(|it| it.escape_debug().to_string())
                .collect();
            return vec![format!(
                "do not delete its ExternalSecret yet, the garbage collector would take along: {}",
                names.join(", ")
            )];
        }
        Err(failure) => {
            lines.push(format!(
                "whether other Secrets have the same owner could not be seen ({failure}); look, and delete it only when no \
                 line has its uid:"
            ));
            lines.push(format!(
                "  kubectl get secrets --namespace {namespace} --output 'custom-columns=NAME:.metadata.name,OWNERS:.metadata.ownerReferences[*].uid'"
            ));
        }
    }
    for object in makers {
        lines.extend(of_object(hand, object, "now"));
    }
    lines
}

fn of_object(hand: &Hand, object: &ExternalSecret, when: &str) -> Vec<String> {
    let keeper = Keeper::of(object.api);
    let name = &object.name;
    if let Some(maker) = maker(object) {
        return vec![match ObjectName::new(maker.name.as_str()) {
            Ok(maker_name) if maker.kind == "ClusterExternalSecret" => format!(
                "ExternalSecret `{name}` is made by ClusterExternalSecret `{maker_name}`: adopt its Secrets in every namespace, \
                 then `kubectl delete clusterexternalsecret {maker_name} --cascade=orphan`, and run `adopt` again"
            ),
            Ok(_) | Err(_) => format!(
                "ExternalSecret `{name}` is made by {}, which is to go first, with `--cascade=orphan`",
                owner(maker)
            ),
        }];
    }
    let mut lines = vec![format!(
        "ExternalSecret `{name}` (uid {}) of cluster `{}` may go {when}{}:",
        object.uid,
        hand.seat.id.cluster,
        match object.tracker {
            Some(_) => ", once it is out of its repository",
            None => "",
        }
    )];
    lines.push(indented(&delete(hand, object)));
    if !rests(object) {
        lines.push(format!(
            "do not scale {keeper} up before: it would take back every Secret whose ExternalSecret is still there"
        ));
    }
    lines
}

/// Without that very owner, the garbage collector would take the Secret along. Where there was none, the old controller puts
/// its marks on again by itself.
fn way_back(hand: &Hand, made: &Made, farewell: &Farewell) -> Vec<String> {
    let makers = farewell.makers.as_deref().unwrap_or_default();
    let owners = made.owners();
    let is_there = |uid: &String| makers.iter().any(|it| it.uid.as_str() == uid);
    if !owners.iter().all(is_there) {
        return Vec::new();
    }
    // The objects first: where one is another by now, or the cluster is, nothing is done to the Secret.
    let told = hand.quiesced();
    let objects =
        makers.iter().filter_map(
            |object| match told.iter().find(|told| told.uid == object.uid) {
                Some(told) => Some(tell(hand, told, Tell::AsBefore)),
                None if owners.contains(&object.uid.to_string()) => {
                    Some(tell(hand, object, Tell::Nothing))
                }
                None => None,
            },
        );
    // Of keys, ESO hears only where its marks are.
    let marked = !owners.is_empty() || (made.is_of_keys() && !makers.is_empty());
    let owned = marked.then(|| patch_secret(hand, &made.way_back));
    let commands: Vec<String> = objects.chain(owned).collect();
    if commands.is_empty() {
        return commands;
    }
    vec![
        "the way back, only as long as its ExternalSecret is there, and once the daemon runs without the entry:".to_owned(),
        indented(&commands.join(" && ")),
    ]
}

pub(super) fn indented(command: &str) -> String {
    format!("  {command}")
}
