//! What is said of Secrets that are taken over: names of keys, owners and marks, never a value; and the commands that a
//! person gives to the cluster, ready to be copied.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value;

use super::refusal;
use crate::command::plan::list::{self, Row, Word};
use crate::command::show;
use crate::decide::kubernetes::adoption::quiet::{
    Aftermath, Untold, maker, rests, spec_before, spec_of_rest, untold,
};
use crate::decide::kubernetes::adoption::{Keeper, Taking};
use crate::kube::{ExternalSecret, Owner, SPEC_BEFORE, Scale};
use crate::names::ObjectName;
use crate::sync::taking::{End, Farewell, Hand, Hands, Insight, Made, Pause};

/// Of a look, one line each.
pub(super) fn rows(hands: &Hands) -> Vec<Row> {
    let rows = hands.all().iter().filter_map(|hand| {
        let (word, what, failures) = match hand.end()? {
            End::Ours | End::Taken(_) => (Word::Unchanged, String::new(), Vec::new()),
            End::Absent(_) => (Word::Create, String::new(), Vec::new()),
            End::Refused(failure) | End::Returned(failure) => {
                let word = list::word_for(failure);
                (word, String::new(), vec![failure.clone()])
            }
            End::Would(insight) => (Word::Adopt, what(&insight.taking), Vec::new()),
            End::Before(_) => (Word::Adopt, "taken over already".to_owned(), Vec::new()),
        };
        let place = (hand.seat.id.to_string(), &hand.seat.entry);
        Some(Row::new(word, place, what, failures))
    });
    rows.filter(Row::is_of_note).collect()
}

fn what(taking: &Taking) -> String {
    let content = if taking.content.is_empty() {
        "keys as they are".to_owned()
    } else {
        format!("keys {}", list::names(&taking.content))
    };
    format!("from {}; {content}", taking.from)
}

/// Of a look, what a line has no room for.
pub(super) fn insights(hands: &Hands) -> String {
    let all = hands.all().iter().filter_map(|hand| match hand.end()? {
        End::Would(insight) => Some(block(hand, &insight_lines(hand, insight))),
        End::Before(makers) => Some(block(hand, &before(hand, makers))),
        End::Absent(makers) if !makers.is_empty() => Some(block(
            hand,
            &[format!(
                "ExternalSecret {} would make it, too, and rests; `--apply` says how it may go afterwards",
                quoted_names(makers)
            )],
        )),
        End::Ours | End::Absent(_) | End::Refused(_) | End::Taken(_) | End::Returned(_) => None,
    });
    all.collect()
}

fn block(hand: &Hand, lines: &[String]) -> String {
    let head = format!("\n{}, for {}:\n", hand.seat.id, hand.seat.entry);
    let lines = lines.iter().map(|line| format!("  {line}\n"));
    head + &lines.collect::<String>()
}

fn before(hand: &Hand, makers: &[ExternalSecret]) -> Vec<String> {
    vec![format!(
        "ExternalSecret {} is still there; `secretsyncd adopt {} --apply` looks whether it may go, and says how",
        quoted_names(makers),
        hand.seat.id
    )]
}

fn quoted_names(objects: &[ExternalSecret]) -> String {
    let names: Vec<String> = objects.iter().map(|it| format!("`{}`", it.name)).collect();
    names.join(", ")
}

fn insight_lines(hand: &Hand, insight: &Insight) -> Vec<String> {
    let mut lines = vec![format!("it loses {}", losses(&insight.taking))];
    let marks = insight
        .taking
        .labels
        .iter()
        .chain(&insight.taking.annotations);
    if marks.into_iter().any(|mark| mark.contains("argocd.")) {
        lines.push("Argo CD is told to keep it, whatever it tracks it by".to_owned());
    }
    lines.extend(ties(&insight.taking.kept));
    lines.extend(runs(insight));
    for object in &insight.restless {
        let keeper = Keeper::of(object.api);
        let has = format!(
            "{keeper} has a hand on it, by ExternalSecret `{}`",
            object.name
        );
        match untold(object, &insight.makers) {
            None => {
                lines.push(format!("{has}; before `--apply` (or by `--quiesce`):"));
                lines.push(letting_go(hand, object));
            }
            Some(Untold::Tracked(_)) => {
                lines.push(format!("{has}, which is kept as a repository has it; before `--apply`, there:"));
                lines.push(format!("  spec: {}", spec_of_rest(object)));
            }
            Some(Untold::Made(_)) => lines.push(format!(
                "{has}, which a controller made and would put back: scale {keeper} to 0 before `--apply`"
            )),
            Some(Untold::Shared) => lines.push(format!(
                "{has}, beside others: scale {keeper} to 0 before `--apply`"
            )),
        }
    }
    for object in insight.makers.iter().filter(|it| it.before.is_some()) {
        lines.push(format!(
            "ExternalSecret `{}` was told to let go: nobody renews the Secret until `--apply` has taken it over; to take that back:",
            object.name
        ));
        lines.push(back_to_before(hand, object));
    }
    if insight.restless.is_empty() {
        lines.push("nothing says that an old controller has a hand on it; `--apply` watches whether one writes".to_owned());
    }
    lines
}

/// How much of the controllers runs whose objects make it.
fn runs(insight: &Insight) -> Vec<String> {
    let mut lines = Vec::new();
    let concerned = |keeper: &Keeper| {
        insight
            .makers
            .iter()
            .any(|it| Keeper::of(it.api) == *keeper)
    };
    for (keeper, scale) in insight
        .scales
        .iter()
        .filter(|(keeper, _)| concerned(keeper))
    {
        lines.push(match scale {
            Ok(Scale::Down) => format!("{keeper} is scaled to 0"),
            Ok(Scale::Up { .. }) => format!("{keeper} runs"),
            Ok(Scale::Unknown) => format!(
                "whether {keeper} runs cannot be seen by the label `app.kubernetes.io/name={}`",
                keeper.app()
            ),
            Err(failure) => format!("whether {keeper} runs could not be seen: {}", failure.fact),
        });
    }
    lines
}

/// What holds it afterwards.
fn ties(kept: &[Owner]) -> impl Iterator<Item = String> {
    let kept = kept.iter().map(owner);
    kept.map(|owner| format!("it stays owned by {owner}, and goes when that goes"))
}

/// `owner ExternalSecret db, label a, annotation b`.
fn losses(taking: &Taking) -> String {
    let owners = taking
        .owners
        .iter()
        .map(|it| format!("owner {}", owner(it)));
    let labels = taking.labels.iter();
    let labels = labels.map(|it| format!("label {}", it.escape_debug()));
    let annotations = taking.annotations.iter();
    let annotations = annotations.map(|it| format!("annotation {}", it.escape_debug()));
    let all: Vec<String> = owners.chain(labels).chain(annotations).collect();
    all.join(", ")
}

fn owner(owner: &Owner) -> String {
    format!(
        "{} `{}`",
        owner.kind.escape_debug(),
        owner.name.escape_debug()
    )
}

fn change_of_spec(hand: &Hand, object: &ExternalSecret, spec: &Value) -> String {
    let metadata = serde_json::json!({ "uid": object.uid.as_str() });
    patch_of(
        hand,
        object,
        &serde_json::json!({ "metadata": metadata, "spec": spec }),
    )
}

/// As `--quiesce` does it, with what it was before.
fn letting_go(hand: &Hand, object: &ExternalSecret) -> String {
    let before = spec_before(object).to_string();
    let metadata =
        serde_json::json!({ "uid": object.uid.as_str(), "annotations": { SPEC_BEFORE: before } });
    let spec = spec_of_rest(object);
    patch_of(
        hand,
        object,
        &serde_json::json!({ "metadata": metadata, "spec": spec }),
    )
}

/// What takes back that it was told to let go.
fn back_to_before(hand: &Hand, object: &ExternalSecret) -> String {
    let metadata =
        serde_json::json!({ "uid": object.uid.as_str(), "annotations": { SPEC_BEFORE: null } });
    let spec = spec_before(object);
    patch_of(
        hand,
        object,
        &serde_json::json!({ "metadata": metadata, "spec": spec }),
    )
}

fn patch_of(hand: &Hand, object: &ExternalSecret, patch: &Value) -> String {
    format!(
        "  kubectl patch {} {} --namespace {} --type merge --patch {}",
        Keeper::of(object.api).resource(),
        object.name,
        hand.seat.id.namespace,
        quoted(patch)
    )
}

/// As a shell reads it. JSON may say every character in ASCII, so nothing of it can move a terminal's cursor.
fn quoted(patch: &Value) -> String {
    let mut text = String::new();
    for c in patch.to_string().chars() {
        if c.is_ascii() {
            text.push(c);
        } else {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                let _ = write!(text, "\\u{unit:04x}");
            }
        }
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

pub(super) fn pause(pause: Pause, window: Duration) {
    let what = match pause {
        Pause::Quiescing => "waiting for the old controllers to hear that they are to let go",
        Pause::Watching => "watching whether an old controller writes",
        Pause::Verifying => "watching whether an old controller comes back",
    };
    show(&format!("{what}, for {window:?}"));
}

pub(super) fn taken(hands: &Hands) -> String {
    let all = hands.all().iter().filter_map(|hand| match hand.end()? {
        End::Taken(made) => {
            let (id, entry) = (&hand.seat.id, &hand.seat.entry);
            Some(match made.from {
                Some(from) => format!("taken over: {id}, for {entry}, from {from}\n"),
                None => format!("taken over already: {id}, for {entry}\n"),
            })
        }
        End::Ours
        | End::Absent(_)
        | End::Refused(_)
        | End::Would(_)
        | End::Before(_)
        | End::Returned(_) => None,
    });
    all.collect()
}

pub(super) fn refused(hands: &Hands) -> String {
    let all = hands.all().iter().filter_map(|hand| match hand.end()? {
        End::Refused(failure) => Some(said(hand, (&failure.to_string(), failure.help()))),
        End::Ours
        | End::Absent(_)
        | End::Taken(_)
        | End::Would(_)
        | End::Before(_)
        | End::Returned(_) => None,
    });
    all.collect()
}

pub(super) fn returned(hands: &Hands) -> String {
    let all = hands.all().iter().filter_map(|hand| match hand.end()? {
        End::Returned(failure) => Some(said(hand, (&failure.to_string(), failure.help()))),
        End::Ours
        | End::Absent(_)
        | End::Taken(_)
        | End::Would(_)
        | End::Before(_)
        | End::Refused(_) => None,
    });
    all.collect()
}

fn said(hand: &Hand, why: (&str, &str)) -> String {
    let (target, entry) = (hand.seat.id.to_string(), hand.seat.entry.as_str());
    refusal((&target, entry), why)
}

/// Where nothing came of it, what was told to the old controller is still so. Not of what may be ours by now: an answer
/// that did not come says nothing of what was done.
pub(super) fn undo(hands: &Hands) -> String {
    let stopped = hands.all().iter().filter(|hand| {
        let is_refused = matches!(hand.end(), Some(End::Refused(_)));
        is_refused && !hand.may_be_ours() && !hand.quiesced().is_empty()
    });
    let all = stopped.map(|hand| {
        let mut lines =
            vec!["its old controller was told to let go of it; to take that back:".to_owned()];
        let told = hand.quiesced().iter();
        lines.extend(told.map(|object| back_to_before(hand, object)));
        block(hand, &lines)
    });
    all.collect()
}

/// What else would make the Secrets that were not there.
pub(super) fn made(hands: &Hands) -> String {
    let all = hands.all().iter().filter_map(|hand| match hand.end()? {
        End::Absent(makers) if !makers.is_empty() => {
            let mut lines = vec![format!(
                "it was not there, and the next delivery makes it; once `secretsyncd status` calls `{}` fresh:",
                hand.seat.entry
            )];
            lines.extend(makers.iter().flat_map(|object| of_object(hand, object, "then")));
            Some(block(hand, &lines))
        }
        End::Ours
        | End::Absent(_)
        | End::Refused(_)
        | End::Taken(_)
        | End::Would(_)
        | End::Before(_)
        | End::Returned(_) => None,
    });
    all.collect()
}

/// What is to be done with what is left.
pub(super) fn farewell(hand: &Hand, farewell: &Farewell) -> String {
    let Some(End::Taken(made)) = hand.end() else {
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
    let (resource, name, namespace) = (keeper.resource(), &object.name, &hand.seat.id.namespace);
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
    // In one line: where the object is another one, or the cluster, the patch fails and nothing is deleted. A Secret that it
    // still owned would go with it by its own policy.
    let spec = match keeper {
        Keeper::Eso => serde_json::json!({ "target": { "deletionPolicy": "Retain" } }),
        Keeper::Kes => spec_of_rest(object),
    };
    lines.push(format!(
        "{} && kubectl delete {resource} {name} --namespace {namespace} --cascade=orphan --wait=false",
        change_of_spec(hand, object, &spec)
    ));
    if !rests(object) {
        lines.push(format!(
            "do not scale {keeper} up before: it would take back every Secret whose ExternalSecret is still there"
        ));
    }
    lines
}

/// Without that very owner, the garbage collector would take the Secret along.
fn way_back(hand: &Hand, made: &Made, farewell: &Farewell) -> Vec<String> {
    let makers = farewell.makers.as_deref().unwrap_or_default();
    let owners = made.owners();
    let is_there = |uid: &String| makers.iter().any(|it| it.uid.as_str() == uid);
    if owners.is_empty() || !owners.iter().all(is_there) {
        return Vec::new();
    }
    // The objects first: where one is another by now, or the cluster is, nothing is done to the Secret.
    let told = hand.quiesced();
    let objects = makers.iter().filter(|it| {
        owners.contains(&it.uid.to_string()) || told.iter().any(|told| told.uid == it.uid)
    });
    let mut commands: Vec<String> = objects
        .map(|object| {
            let told = told.iter().find(|told| told.uid == object.uid);
            match told {
                Some(told) => back_to_before(hand, told),
                None => patch_of(
                    hand,
                    object,
                    &serde_json::json!({ "metadata": { "uid": object.uid.as_str() } }),
                ),
            }
        })
        .map(|command| command.trim_start().to_owned())
        .collect();
    commands.push(format!(
        "kubectl patch secret {} --namespace {} --type merge --patch {}",
        hand.seat.id.name,
        hand.seat.id.namespace,
        quoted(&made.way_back)
    ));
    vec![
        "the way back, only as long as its ExternalSecret is there, and once the daemon runs without the entry:".to_owned(),
        format!("  {}", commands.join(" && ")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_is_one_word_of_a_shell_and_moves_no_cursor() {
        let patch = serde_json::json!({ "a": "it's \u{9b}2J\u{1f600}" });
        assert_eq!(quoted(&patch), r#"'{"a":"it'\''s \u009b2J\ud83d\ude00"}'"#);
    }
}
