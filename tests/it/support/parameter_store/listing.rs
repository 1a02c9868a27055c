//! Listings by path and by tag, in pages, and the tags of one parameter.

use std::ops::Bound::{Excluded, Unbounded};

use serde_json::{Value, json};

use super::super::aws::{Refusal, page_size, strings};
use super::answer::{decrypts, spoilt};
use super::state::{Parameter, State};

/// One of its values has to match.
struct Filter<'a> {
    field: Field<'a>,
    values: Vec<&'a str>,
}

enum Field<'a> {
    Tag(&'a str),
    Path { recursive: bool },
}

pub fn by_path(state: &mut State, body: &Value) -> Result<Value, Refusal> {
    let size = page_size(body, 10)?;
    let path = body["Path"].as_str().unwrap_or_default();
    if !path.starts_with('/') || !body["ParameterFilters"].is_null() {
        let text = "The parameter path must begin with a slash; the stand-in knows no filters.";
        return Err((400, "ValidationException", text.to_owned()));
    }
    let recursive = body["Recursive"] == true;
    let decrypt = decrypts(body);
    listing(
        state,
        body,
        size,
        |parameter| is_below(&parameter.name, path, recursive),
        |parameter| parameter.read(parameter.latest(), decrypt),
    )
}

pub fn described(state: &mut State, body: &Value) -> Result<Value, Refusal> {
    let size = page_size(body, 50)?;
    let list = body["ParameterFilters"].as_array();
    let filters = list.into_iter().flatten().map(filter);
    let filters = filters.collect::<Result<Vec<Filter<'_>>, Refusal>>()?;
    listing(
        state,
        body,
        size,
        |parameter| filters.iter().all(|filter| filter.matches(parameter)),
        |parameter| parameter.described(parameter.latest()),
    )
}

pub fn tags(state: &State, body: &Value) -> Result<Value, Refusal> {
    let name = body["ResourceId"].as_str().unwrap_or_default();
    let parameter = state.parameters.get(name);
    let Some(parameter) = parameter.filter(|_| body["ResourceType"] == "Parameter") else {
        return Err((400, "InvalidResourceId", String::new()));
    };
    let tags = parameter.tags.iter();
    let tags: Value = tags
        .map(|(key, value)| json!({"Key": key, "Value": value}))
        .collect();
    Ok(json!({ "TagList": tags }))
}

fn listing(
    state: &mut State,
    body: &Value,
    size: usize,
    shown: impl Fn(&Parameter) -> bool,
    item: impl Fn(&Parameter) -> Value,
) -> Result<Value, Refusal> {
    let State {
        parameters, pages, ..
    } = state;
    let page = pages.page(body, size, |after| {
        let rest = parameters.range((Excluded(after), Unbounded));
        rest.filter(|(_, parameter)| shown(parameter))
            .map(|(key, parameter)| (key.as_str(), parameter))
    });
    let Some(page) = page else {
        let text = "The specified token isn't valid.".to_owned();
        return Err((400, "InvalidNextToken", text));
    };
    let faults = (&state.faults, state.fault_of_all);
    let items = page.items.iter().flat_map(|parameter| {
        let fault = faults.0.get(&parameter.name).copied().or(faults.1);
        spoilt(fault, item(parameter))
    });
    let mut answer = json!({ "Parameters": items.collect::<Vec<Value>>() });
    if let Some(next) = page.next {
        answer["NextToken"] = json!(next);
    }
    Ok(answer)
}

fn is_below(name: &str, path: &str, recursive: bool) -> bool {
    let below = name.strip_prefix(path.trim_end_matches('/'));
    let below = below.and_then(|rest| rest.strip_prefix('/'));
    below.is_some_and(|rest| recursive || !rest.contains('/'))
}

fn filter(filter: &Value) -> Result<Filter<'_>, Refusal> {
    let key = filter["Key"].as_str().unwrap_or_default();
    let option = filter["Option"].as_str();
    let field = match (key.strip_prefix("tag:"), key, option) {
        (Some(tag), _, None | Some("Equals")) => Field::Tag(tag),
        (None, "Path", Some("Recursive")) => Field::Path { recursive: true },
        (None, "Path", Some("OneLevel")) => Field::Path { recursive: false },
        _ => {
            let text = format!("the stand-in does not know the filter {key} {option:?}");
            return Err((400, "InvalidFilterKey", text));
        }
    };
    let values = strings(&filter["Values"]).collect();
    Ok(Filter { field, values })
}

impl Filter<'_> {
    fn matches(&self, parameter: &Parameter) -> bool {
        self.values.iter().any(|value| match self.field {
            Field::Tag(tag) => parameter.tags.get(tag).is_some_and(|own| own == value),
            Field::Path { recursive } => is_below(&parameter.name, value, recursive),
        })
    }
}
