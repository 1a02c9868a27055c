//! `ListSecrets`: filters with AWS's meaning, in pages.

use std::ops::Bound::{Excluded, Unbounded};

use serde_json::{Value, json};

use super::super::aws::{Refusal, page_size, strings};
use super::read::tags;
use super::state::{Secret, State};

enum Field {
    Name,
    TagKey,
    TagValue,
}

/// One of its values has to match. The two filters on tags know nothing of each other: a key and a value may be
/// found on two tags.
struct Filter<'a> {
    field: Field,
    values: Vec<&'a str>,
}

pub fn list(state: &mut State, body: &Value) -> Result<Value, Refusal> {
    if let Some(later) = state.blank_lists
        && (!later || body["NextToken"].is_string())
    {
        return Ok(json!({}));
    }
    let size = page_size(body, 100)?;
    let filters = filters(&body["Filters"])?;
    let State {
        secrets,
        unlisted,
        pages,
        ..
    } = state;
    let shown = |secret: &Secret| {
        secret.deleted.is_none()
            && !secret.is_foreign()
            && !unlisted.contains(&secret.name)
            && filters.iter().all(|filter| filter.matches(secret))
    };
    let page = pages.page(body, size, |after| {
        let rest = secrets.range((Excluded(after), Unbounded));
        rest.filter(|(_, secret)| shown(secret))
            .map(|(key, secret)| (key.as_str(), item(secret)))
    });
    let Some(page) = page else {
        let text = "The NextToken value is invalid.".to_owned();
        return Err((400, "InvalidNextTokenException", text));
    };
    let mut answer = json!({"SecretList": page.items});
    if let Some(next) = page.next {
        answer["NextToken"] = json!(next);
    }
    Ok(answer)
}

fn item(secret: &Secret) -> Value {
    json!({
        "ARN": secret.arn,
        "Name": secret.name,
        "CreatedDate": secret.created,
        "LastChangedDate": secret.changed,
        "SecretVersionsToStages": secret.stages(),
        "Tags": tags(secret),
    })
}

fn filters<'a>(list: &'a Value) -> Result<Vec<Filter<'a>>, Refusal> {
    let refused = |text: String| (400, "InvalidParameterException", text);
    let list = list.as_array().map_or(&[][..], Vec::as_slice);
    if list.len() > 10 {
        return Err(refused("Filters must have at most 10 members.".to_owned()));
    }
    let read = |filter: &'a Value| {
        let key = filter["Key"].as_str().unwrap_or_default();
        let field = match key {
            "name" => Field::Name,
            "tag-key" => Field::TagKey,
            "tag-value" => Field::TagValue,
            _ => {
                let text = format!("the stand-in does not know the filter {key}");
                return Err(refused(text));
            }
        };
        let values: Vec<&str> = strings(&filter["Values"]).collect();
        if !(1..=10).contains(&values.len()) || !values.iter().all(|value| is_legal(value)) {
            let text = format!("The values of the filter {key} are invalid.");
            return Err(refused(text));
        }
        Ok(Filter { field, values })
    };
    list.iter().map(read).collect()
}

fn is_legal(value: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || " :_@/+=.-!".contains(c);
    value.len() <= 512 && value.chars().all(legal)
}

impl Filter<'_> {
    fn matches(&self, secret: &Secret) -> bool {
        self.values
            .iter()
            .any(|value| match value.strip_prefix('!') {
                Some(unwanted) => !self.finds(secret, unwanted),
                None => self.finds(secret, value),
            })
    }

    fn finds(&self, secret: &Secret, start: &str) -> bool {
        match self.field {
            Field::Name => secret.name.starts_with(start),
            Field::TagKey => secret.tags.keys().any(|key| key.starts_with(start)),
            Field::TagValue => secret.tags.values().any(|value| value.starts_with(start)),
        }
    }
}
