//! What is said of Secrets that are taken over: names of keys, owners and marks, never a value; and the commands that a
//! person gives to the cluster, ready to be copied.

use std::time::Duration;

use serde_json::Value;

use super::refusal;
use crate::cli;
use crate::command::plan::list::{self, Row, Word};
use crate::command::show;
use crate::decide::kubernetes::adoption::quiet::{maker, spec_before, spec_of_rest};
use crate::decide::kubernetes::adoption::{ADOPTED_FROM, Keeper, Taking};
use crate::kube::{ExternalSecret, Owner};
use crate::sync::taking::{End, Farewell, Hand, Hands, Insight, Made, Pause};

/// Of a look, one line each.
pub(super) fn rows(hands: &Hands) -> Vec<Row> {
    let rows = hands.all().iter().filter_map(|hand| {
        let (word, what, failures) = match hand.end()? {
            End::Ours => (Word::Unchanged, String::new(), Vec::new()),
            End::Absent => (Word::Create, String::new(), Vec::new()),
            End::Refused(failure) | End::Returned(failure) => {
                let word = list::word_for(failure);
                (word, String::new(), vec![failure.clone()])
            }
            End::Would(insight) => (Word::Adopt, what(&insight.taking), Vec::new()),
            End::Taken(made) => (Word::Adopt, what(&made.taking), Vec::new()),
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
        End::Ours | End::Absent | End::Refused(_) | End::Taken(_) | End::Returned(_) => None,
    });
    all.collect()
}

fn block(hand: &Hand, lines: &[String]) -> String {
    let head = format!("\n{}, for {}:\n", hand.seat.id, hand.seat.entry);
    let lines = lines.iter().map(|line| format!("  {line}\n"));
    head + &lines.collect::<String>()
}

fn insight_lines(hand: &Hand, insight: &Insight) -> Vec<String> {
    let mut lines = vec![format!("it loses {}", losses(&insight.taking))];
    lines.extend(ties(&insight.taking));
    for (keeper, count) in &insight.pods {
        let is_concerned = insight
            .makers
            .iter()
            .any(|it| Keeper::of(it.api) == *keeper);
        if is_concerned {
            lines.push(match count {
                0 => format!("no pod of {keeper} runs, by the label of its Helm chart"),
                1 => format!("1 pod of {keeper} runs"),
                count => format!("{count} pods of {keeper} run"),
            });
        }
    }
    for object in &insight.restless {
        let keeper = Keeper::of(object.api);
        let name = &object.name;
        if maker(object).is_some() {
            lines.push(format!(
                "{keeper} still has a hand on it, by ExternalSecret `{name}`, which a controller made and would put back: \
                 scale {keeper} to 0 before `--apply`"
            ));
        } else {
            lines.push(format!(
                "{keeper} still has a hand on it, by ExternalSecret `{name}`; before `--apply` (or by `--quiesce`):"
            ));
            lines.push(change_of_spec(hand, object, &spec_of_rest(keeper)));
        }
    }
    if insight.restless.is_empty() {
        lines.push("nothing says that its old controller has a hand on it; `--apply` watches whether it writes".to_owned());
    }
    lines
}

/// `owner ExternalSecret db, label a, annotation b`.
fn losses(taking: &Taking) -> String {
    let owners = taking
        .owners
        .iter()
        .map(|it| format!("owner {}", owner(it)));
    let labels = taking
        .labels
        .iter()
        .map(|it| format!("label {}", it.escape_debug()));
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

/// What still holds it afterwards.
fn ties(taking: &Taking) -> Vec<String> {
    let mut lines = Vec::new();
    if taking.keep_from_pruning {
        lines.push(
            "Argo CD may track it by the label `app.kubernetes.io/instance`, and is told not to prune it".to_owned(),
        );
    }
    for kept in &taking.kept {
        lines.push(format!(
            "it stays owned by {}, and goes when that goes",
            owner(kept)
        ));
    }
    lines
}

fn change_of_spec(hand: &Hand, object: &ExternalSecret, spec: &Value) -> String {
    let patch = serde_json::json!({ "spec": spec });
    format!(
        "  kubectl patch {} {} --namespace {} --type merge --patch {}",
        Keeper::of(object.api).resource(),
        object.name,
        hand.seat.id.namespace,
        quoted(&patch)
    )
}

/// As a shell reads it.
fn quoted(patch: &Value) -> String {
    let word = cli::word(&patch.to_string());
    word.unwrap_or_else(|| format!("\"$PATCH\"  # as its annotation `{ADOPTED_FROM}` has it"))
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
        End::Taken(made) => Some(format!(
            "taken over: {}, for {}, from {}\n",
            hand.seat.id, hand.seat.entry, made.taking.from
        )),
        End::Ours | End::Absent | End::Refused(_) | End::Would(_) | End::Returned(_) => None,
    });
    all.collect()
}

pub(super) fn refused(hands: &Hands) -> String {
    let all = hands.all().iter().filter_map(|hand| match hand.end()? {
        End::Refused(failure) => Some(said(hand, (&failure.to_string(), failure.help()))),
        End::Ours | End::Absent | End::Taken(_) | End::Would(_) | End::Returned(_) => None,
    });
    all.collect()
}

pub(super) fn returned(hands: &Hands) -> String {
    let all = hands.all().iter().filter_map(|hand| match hand.end()? {
        End::Returned(failure) => Some(said(hand, (&failure.to_string(), failure.help()))),
        End::Ours | End::Absent | End::Taken(_) | End::Would(_) | End::Refused(_) => None,
    });
    all.collect()
}

fn said(hand: &Hand, why: (&str, &str)) -> String {
    let (target, entry) = (hand.seat.id.to_string(), hand.seat.entry.as_str());
    refusal((&target, entry), why)
}

/// Where nothing came of it, what was told to the old controller is still so.
pub(super) fn undo(hands: &Hands) -> String {
    let stopped = hands.all().iter().filter(|hand| {
        let failed = matches!(hand.end(), Some(End::Refused(_) | End::Returned(_)));
        failed && !hand.quiesced().is_empty()
    });
    let all = stopped.map(|hand| {
        let mut lines =
            vec!["its old controller was told to let go of it; to take that back:".to_owned()];
        let told = hand.quiesced().iter();
        lines.extend(told.map(|object| change_of_spec(hand, object, &spec_before(object))));
        block(hand, &lines)
    });
    all.collect()
}

/// What is to be done with what is left.
pub(super) fn farewell(hand: &Hand, farewell: &Farewell) -> String {
    let Some(End::Taken(made)) = hand.end() else {
        return String::new();
    };
    let mut lines = vec!["its old controller has left it alone".to_owned()];
    lines.extend(ties(&made.taking));
    lines.extend(removal(hand, made, farewell));
    lines.extend(way_back(hand, made));
    block(hand, &lines)
}

fn removal(hand: &Hand, made: &Made, farewell: &Farewell) -> Vec<String> {
    let namespace = &hand.seat.id.namespace;
    if made.makers.is_empty() {
        return vec!["no ExternalSecret makes it any more: there is nothing to delete".to_owned()];
    }
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
                 line has one of its uids:"
            ));
            lines.push(format!(
                "  kubectl get secrets --namespace {namespace} --output 'custom-columns=NAME:.metadata.name,OWNERS:.metadata.ownerReferences[*].uid'"
            ));
        }
    }
    for object in &made.makers {
        let (resource, name) = (Keeper::of(object.api).resource(), &object.name);
        if maker(object) == Some("ClusterExternalSecret") {
            lines.push(format!(
                "ExternalSecret `{name}` is made by a ClusterExternalSecret: adopt its Secrets in every namespace, and then \
                 delete that one with `--cascade=orphan`, and then:"
            ));
        } else {
            lines.push(format!(
                "ExternalSecret `{name}` (uid {}) may go now:",
                object.uid
            ));
        }
        lines.push(format!(
            "  kubectl delete {resource} {name} --namespace {namespace} --cascade=orphan"
        ));
    }
    lines
}

fn way_back(hand: &Hand, made: &Made) -> Vec<String> {
    let uids: Vec<&str> = made
        .taking
        .owners
        .iter()
        .map(|it| it.uid.as_str())
        .collect();
    if uids.is_empty() {
        return Vec::new();
    }
    let uids = uids.join(", ").escape_debug().to_string();
    let mut lines = vec![
        format!(
            "the way back, only as long as its owner (uid {uids}) exists, else the garbage collector deletes the Secret; take \
             the entry out of the configuration first:"
        ),
        format!(
            "  kubectl patch secret {} --namespace {} --type merge --patch {}",
            hand.seat.id.name,
            hand.seat.id.namespace,
            quoted(&made.way_back)
        ),
    ];
    let told = hand.quiesced().iter();
    lines.extend(told.map(|object| change_of_spec(hand, object, &spec_before(object))));
    lines
}
