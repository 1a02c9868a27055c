//! `namespace`, `namespaces` and `namespace_selector`: all that they name together.

use super::Lowering;
use super::kubernetes::distinct;
use crate::config::problems::Problem;
use crate::config::tree::{Table, Value};
use crate::names::Namespace;
use crate::selector::Selector;

pub(super) const KEYS: [&str; 3] = ["namespace", "namespaces", "namespace_selector"];

/// Of one table.
#[derive(Clone, Debug, Default)]
pub(super) struct Namespaces {
    /// Each once; none where one of them is wrong.
    pub listed: Vec<Namespace>,
    pub selector: Option<Selector>,
}

pub(super) fn lower(cx: &Lowering<'_>, table: &mut Table<'_>) -> Namespaces {
    let listed = listed(cx, table).unwrap_or_default();
    let selector = table.take("namespace_selector");
    let selector = selector.and_then(|value| selected(cx, value));
    Namespaces { listed, selector }
}

/// Those of `namespace` and `namespaces`.
fn listed(cx: &Lowering<'_>, table: &mut Table<'_>) -> Option<Vec<Namespace>> {
    let one = table.take("namespace").map(|value| {
        let text = value.string()?;
        Some(cx.name("`namespace`", text, Namespace::new)?.value)
    });
    let listed = table.take("namespaces").map(|value| {
        let at = value.at;
        let names = value.strings()?.into_iter();
        let names: Vec<_> = names
            .map(|text| cx.name("a namespace", text, Namespace::new))
            .collect();
        distinct(cx, names, ("namespaces", at))
    });
    let mut all = listed.unwrap_or(Some(Vec::new()))?;
    if let Some(one) = one {
        let one = one?;
        if !all.contains(&one) {
            all.push(one);
        }
    }
    Some(all)
}

fn selected(cx: &Lowering<'_>, value: Value<'_>) -> Option<Selector> {
    let text = value.string()?;
    let selector = match Selector::parse(text.value) {
        Ok(selector) => selector,
        Err(mistake) => {
            let message = format!("`namespace_selector` is no label selector: {mistake}");
            let help = if mistake.is_nothing() {
                "say what to select: \"kubernetes.io/metadata.name\" selects every namespace"
            } else {
                "as kubectl has them: \"team=payments,tier in (web, api),!legacy\""
            };
            cx.problems
                .push(Problem::error(text.at, message).help(help));
            return None;
        }
    };
    if !selector.may_match() {
        let message = "`namespace_selector` asks for what cannot be together";
        let problem = Problem::warning(text.at, message);
        cx.problems
            .push(problem.help("no namespace ever matches it"));
    }
    Some(selector)
}
