//! `rewrite`: what becomes of the names of an item of `data_from`, step by step.

use super::Lowering;
use crate::assemble::rewrite::{
    ConflictPolicy, Merge, MergeOptions, MergeStrategy, PriorityPolicy, Regexp, Step,
};
use crate::assemble::template::Template;
use crate::config::problems::Problem;
use crate::config::tree::{Table, Value};

pub(super) fn lower(cx: &Lowering<'_>, value: Value<'_>) -> Vec<Step> {
    let tables = value.tables().into_iter().flatten();
    tables.filter_map(|table| step(cx, table)).collect()
}

fn step(cx: &Lowering<'_>, mut table: Table<'_>) -> Option<Step> {
    let at = table.at;
    let steps = ["regexp", "transform", "merge"];
    if steps.iter().filter(|key| table.has(key)).count() != 1 {
        cx.problems.push(Problem::absence(
            at,
            "a step of `rewrite` needs exactly one of `regexp`, `transform`, `merge`",
        ));
    }
    let regexp = table.table("regexp").map(|table| regexp(cx, table));
    let transform = table.table("transform").map(|table| transform(cx, table));
    let merge = table.table("merge").map(|table| merge(cx, table));
    table.finish();
    regexp.or(transform).or(merge).flatten()
}

fn regexp(cx: &Lowering<'_>, mut table: Table<'_>) -> Option<Step> {
    let source = table.need("source").and_then(Value::string);
    let target = table.need("target").and_then(Value::string);
    table.finish();
    let (source, target) = (source?, target?);
    match Regexp::new(source.value, target.value) {
        Ok(regexp) => Some(Step::Regexp(regexp)),
        Err(bad) => {
            let at = if bad.is_about_target() {
                target.at
            } else {
                source.at
            };
            cx.problems.error(at, bad.to_string());
            None
        }
    }
}

fn transform(cx: &Lowering<'_>, mut table: Table<'_>) -> Option<Step> {
    let text = table.need("template").and_then(Value::string);
    table.finish();
    let text = text?;
    match Template::new("rewrite.transform", text.value) {
        Ok(template) => {
            let others: Vec<_> = template.mentions();
            if template.takes_all() || others.iter().any(|name| name != "value") {
                cx.problems.push(
                    Problem::error(text.at, "`rewrite.transform` knows nothing but `value`")
                        .help("`value` is the name as it stands; a value cannot name its own key"),
                );
                return None;
            }
            Some(Step::Transform(template))
        }
        Err(broken) => {
            let message = format!("`rewrite.transform`, line {}: {}", broken.line, broken.fact);
            cx.problems.error(text.at, message);
            None
        }
    }
}

fn merge(cx: &Lowering<'_>, mut table: Table<'_>) -> Option<Step> {
    let at = table.at;
    let into = table.string("into").map(|into| into.value.to_owned());
    let strategies = [
        ("extract", MergeStrategy::Extract),
        ("json", MergeStrategy::Json),
    ];
    let strategy = table.choice("strategy", &strategies);
    let policies = [
        ("error", ConflictPolicy::Error),
        ("ignore", ConflictPolicy::Ignore),
    ];
    let conflict_policy = table.choice("conflict_policy", &policies);
    let priority = table.strings("priority").unwrap_or_default();
    let policies = [
        ("strict", PriorityPolicy::Strict),
        ("ignore_not_found", PriorityPolicy::IgnoreNotFound),
    ];
    let priority_policy = table.choice("priority_policy", &policies);
    table.finish();
    let options = MergeOptions {
        into,
        strategy: strategy.map_or_else(Default::default, |it| it.value),
        conflict_policy: conflict_policy.map_or_else(Default::default, |it| it.value),
        priority: priority
            .into_iter()
            .map(|name| name.value.to_owned())
            .collect(),
        priority_policy: priority_policy.map_or_else(Default::default, |it| it.value),
    };
    match Merge::new(options) {
        Ok(merge) => Some(Step::Merge(merge)),
        Err(bad) => {
            cx.problems.error(at, bad.to_string());
            None
        }
    }
}
