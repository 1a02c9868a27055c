//! A comparison for people: one line per key, label and annotation, never a value.

use std::path::Path;
use std::process::ExitCode;

use crate::cli::SecretPlace;
use crate::command::table::{GREEN, Paint, RED, YELLOW};
use crate::command::{FAILED, USAGE, WOULD_CHANGE, load_with, print, show};
use crate::daemon::{self, Beside, Pair, Unchosen};
use crate::decide::kubernetes::against::{Compared, Part, Standing};
use crate::failure::Failure;
use crate::names::EntryName;
use crate::sync::plan::against::Comparison;
use crate::sync::{self, Selected};

/// What the command line asks for.
#[derive(Debug)]
pub(in crate::command) struct Wish {
    pub against: SecretPlace,
    /// Which Secret of the entry.
    pub target: Option<String>,
}

pub(super) async fn run(path: &Path, names: &[EntryName], wish: &Wish, detailed: bool) -> ExitCode {
    let [entry] = names else {
        show(
            "error: `--against` compares one entry\n  help: name it: `secretsyncd plan NAME --against NAMESPACE/NAME`",
        );
        return ExitCode::from(USAGE);
    };
    let config = match load_with(path, names) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let pair = Pair {
        entry,
        target: wish.target.as_deref(),
        cluster: wish.against.cluster.as_ref(),
        namespace: &wish.against.namespace,
        name: &wish.against.name,
    };
    let beside = match Box::pin(daemon::compare(config, pair)).await {
        Ok(Ok(beside)) => beside,
        Ok(Err(unchosen)) => {
            show(&no_choice(entry, &wish.against, &unchosen));
            return ExitCode::from(match unchosen {
                // Nothing is wrong with what was asked for.
                Unchosen::Nowhere(_) => FAILED,
                Unchosen::None
                | Unchosen::Several(_)
                | Unchosen::NoSuch(_)
                | Unchosen::Apart(_) => USAGE,
            });
        }
        Err(stopped) => {
            show(&format!("error: {stopped}"));
            return ExitCode::from(FAILED);
        }
    };
    let Beside {
        target,
        comparison,
        unknown,
    } = beside;
    if let Some(unknown) = unknown {
        show(&format!("warning: {unknown}\n  help: {}", unknown.help()));
    }
    match comparison {
        Ok(comparison) => {
            show(&said("note", entry, &comparison.notes));
            let compared = &comparison.compared;
            let differs = compared.iter().any(|it| it.standing != Standing::Equal);
            let code = if detailed && differs { WOULD_CHANGE } else { 0 };
            let places = (&*target, &*wish.against.to_string());
            print(&text(&comparison, places, Paint::for_stdout()), code)
        }
        Err(failures) => {
            show(&said("error", entry, &failures));
            ExitCode::from(FAILED)
        }
    }
}

fn no_choice(entry: &EntryName, against: &SecretPlace, unchosen: &Unchosen) -> String {
    let (fact, targets) = match unchosen {
        Unchosen::None => {
            return format!(
                "error: entry `{entry}` delivers to no Secret\n  help: `--against` needs a target in Kubernetes, which says the cluster"
            );
        }
        Unchosen::Nowhere(selected) => return nowhere(entry, selected),
        Unchosen::Apart(target) => {
            let SecretPlace {
                namespace, name, ..
            } = against;
            return format!(
                "error: entry `{entry}` delivers to `{target}`, and `{against}` is in another cluster\n  help: name a Secret of \
                 the same cluster: `--against {namespace}/{name}`"
            );
        }
        Unchosen::Several(targets) => ("delivers to several Secrets", targets),
        Unchosen::NoSuch(targets) => ("does not deliver to that Secret", targets),
    };
    format!(
        "error: entry `{entry}` {fact}\n  help: choose one by `--target`: {}",
        targets.join(", ")
    )
}

/// Why a selector gives no Secret to compare, one by one.
fn nowhere(entry: &EntryName, selected: &[Selected]) -> String {
    let reasons = selected.iter().map(|it| match &it.standing {
        sync::Standing::Failing { failure, .. } => format!(
            "error: {entry}: which namespaces {it} is for is not known: {failure} ({})\n  help: {}\n",
            failure.reason,
            failure.help()
        ),
        sync::Standing::Unknown => format!(
            "error: {entry}: which namespaces {it} is for is not known yet\n  help: try again\n"
        ),
        sync::Standing::Found(_) => format!(
            "error: {entry}: no namespace of cluster {} matches {{{}}}\n  help: label one, or correct `namespace_selector`\n",
            it.cluster, it.selector
        ),
    });
    reasons.collect()
}

fn said(what: &str, entry: &EntryName, failures: &[Failure]) -> String {
    let failures = failures.iter().map(|failure| {
        let reason = failure.reason;
        format!(
            "{what}: {entry}: {failure} ({reason})\n  help: {}\n",
            failure.help()
        )
    });
    failures.collect()
}

fn text(comparison: &Comparison, (here, there): (&str, &str), paint: Paint) -> String {
    let mut lines = Vec::new();
    for Compared {
        part,
        name,
        standing,
    } in &comparison.compared
    {
        let (word, colour) = word(standing);
        let word = paint.word(&format!("{word:10}"), colour);
        let kind = match part {
            Part::Key => "key",
            Part::Type => "type",
            Part::Label => "label",
            Part::Annotation => "annotation",
        };
        let name = name.escape_debug();
        let more = match (part, standing) {
            (Part::Type, _) => format!(", there {}", comparison.live_type.escape_debug()),
            (_, Standing::SameJson) => {
                "  the same JSON, written differently: see `json_format`".to_owned()
            }
            (
                Part::Key | Part::Label | Part::Annotation,
                Standing::Equal | Standing::Different | Standing::OnlyHere | Standing::OnlyThere,
            ) => String::new(),
        };
        lines.push(format!("{word}  {kind:10}  {name}{more}\n"));
    }
    lines.push(summary(comparison, (here, there)));
    lines.concat()
}

fn word(standing: &Standing) -> (&'static str, Option<u8>) {
    match standing {
        Standing::Equal => ("equal", None),
        Standing::Different | Standing::SameJson => ("different", Some(RED)),
        Standing::OnlyHere => ("only here", Some(GREEN)),
        Standing::OnlyThere => ("only there", Some(YELLOW)),
    }
}

/// `main/app/db against app/db-old: keys: 2 equal, 1 different`.
fn summary(comparison: &Comparison, (here, there): (&str, &str)) -> String {
    let keys: Vec<&str> = comparison
        .compared
        .iter()
        .filter(|it| it.part == Part::Key)
        .map(|it| word(&it.standing).0)
        .collect();
    let words = ["equal", "different", "only here", "only there"];
    let counts = words.into_iter().filter_map(|word| {
        let count = keys.iter().filter(|it| **it == word).count();
        (count > 0).then(|| format!("{count} {word}"))
    });
    let counts: Vec<String> = counts.collect();
    format!("{here} against {there}: keys: {}\n", counts.join(", "))
}

#[cfg(test)]
mod tests;
