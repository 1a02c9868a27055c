//! What is said of Secrets that are taken over: names of keys, owners and marks, never a value.

pub(super) mod after;
mod kubectl;

use std::time::Duration;

use self::after::indented;
use self::kubectl::{Tell, tell};
use super::refusal;
use crate::command::plan::list::{self, Row, Word};
use crate::command::show;
use crate::decide::kubernetes::adoption::quiet::{Untold, spec_of_rest, told, untold};
use crate::decide::kubernetes::adoption::{Keeper, Share, Taking};
use crate::kube::{ExternalSecret, Owner, Scale};
use crate::names::EntryName;
use crate::sync::Selected;
use crate::sync::taking::{End, Hand, Hands, Insight, Pause};

/// Of a look, one line each.
pub(super) fn rows(hands: &Hands) -> Vec<Row> {
    let rows = hands.all().iter().filter_map(|hand| {
        let (word, what, failures) = match hand.end()? {
            End::Ours | End::Taken(_) => (Word::Unchanged, String::new(), Vec::new()),
            End::Suspended => (Word::Suspended, String::new(), Vec::new()),
            End::Absent(_) => (Word::Create, String::new(), Vec::new()),
            End::Refused(failure) | End::Elsewhere(failure) | End::Returned(failure) => {
                let word = list::word_for(failure);
                (word, String::new(), vec![failure.clone()])
            }
            End::Would(insight) => (Word::Adopt, what(&insight.taking), Vec::new()),
            End::Before(_) => (Word::Adopt, "ours already".to_owned(), Vec::new()),
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
        End::Absent(makers) if !makers.is_empty() => Some(block(hand, &absent(hand, makers))),
        End::Ours
        | End::Suspended
        | End::Absent(_)
        | End::Refused(_)
        | End::Elsewhere(_)
        | End::Taken(_)
        | End::Returned(_) => None,
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

fn absent(hand: &Hand, makers: &[ExternalSecret]) -> Vec<String> {
    let mut lines = vec![format!(
        "ExternalSecret {} would make it, too; `--apply` says how it may go afterwards",
        quoted_names(makers)
    )];
    lines.extend(makers.iter().flat_map(|object| told_before(hand, object)));
    lines
}

/// Of one that was told to let go.
fn told_before(hand: &Hand, object: &ExternalSecret) -> Vec<String> {
    if told(object).is_none() {
        return Vec::new();
    }
    vec![
        format!(
            "ExternalSecret `{}` was told to let go: nobody renews the Secret until `--apply` has taken it over; to take that back:",
            object.name
        ),
        indented(&tell(hand, object, Tell::AsBefore)),
    ]
}

fn quoted_names(objects: &[ExternalSecret]) -> String {
    let names: Vec<String> = objects.iter().map(|it| format!("`{}`", it.name)).collect();
    names.join(", ")
}

fn insight_lines(hand: &Hand, insight: &Insight) -> Vec<String> {
    let taking = &insight.taking;
    let mut lines = vec![format!("it loses {}", losses(taking))];
    match &taking.share {
        Share::Whole { .. } => {
            let mut marks = taking.labels.iter().chain(&taking.annotations);
            if marks.any(|mark| mark.contains("argocd.")) {
                lines.push("Argo CD is told to keep it, whatever it tracks it by".to_owned());
            }
        }
        Share::Keys { left, .. } if left.is_empty() => {}
        Share::Keys { left, .. } => lines.push(format!(
            "{} wrote keys, too, that this entry does not write; they stay, renewed only where another entry writes them: {}",
            taking.from,
            keys(left)
        )),
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
                lines.push(indented(&tell(hand, object, Tell::LetGo)));
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
    let told = insight.makers.iter();
    lines.extend(told.flat_map(|object| told_before(hand, object)));
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
    let held = match &taking.share {
        Share::Whole { .. } => None,
        Share::Keys { held, .. } if held.is_empty() => None,
        Share::Keys { held, .. } => Some(format!("the hold of {} on {}", taking.from, keys(held))),
    };
    let all = owners.chain(labels).chain(annotations).chain(held);
    all.collect::<Vec<_>>().join(", ")
}

/// Others named them.
fn keys(names: &[String]) -> String {
    let names = names.iter().map(|it| it.escape_debug().to_string());
    names.collect::<Vec<_>>().join(", ")
}

fn owner(owner: &Owner) -> String {
    format!(
        "{} `{}`",
        owner.kind.escape_debug(),
        owner.name.escape_debug()
    )
}

/// What could not even be found.
pub(super) fn unfollowed(selectors: &[(EntryName, Selected)]) -> String {
    let lines = selectors.iter().filter_map(|(entry, selected)| {
        let failure = selected.failure()?;
        let place = (&*selected.to_string(), entry.as_str());
        Some(refusal(place, (&failure.to_string(), failure.help())))
    });
    lines.collect()
}

pub(super) fn pause(pause: Pause, window: Duration) {
    let what = match pause {
        Pause::Quiescing => "waiting for the old controllers to hear that they are to let go",
        Pause::Watching => "watching whether an old controller writes",
        Pause::Verifying => "watching whether an old controller comes back",
    };
    show(&format!("{what}, for {window:?}"));
}
