//! Listings in pages, as AWS's services give them: a token says nothing, and only its own question can go on with it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::aws::uuid;

#[derive(Default)]
pub struct Pages {
    given: BTreeMap<String, Cursor>,
    /// Whether an empty page comes in front of each page.
    pub empty: bool,
}

/// Where a listing goes on.
struct Cursor {
    question: Value,
    after: String,
    empty: bool,
}

pub struct Page<T> {
    pub items: Vec<T>,
    pub next: Option<String>,
}

impl Pages {
    /// The page that the body asks for, out of `items` behind a key. `None`: the token was not given for this question.
    pub fn page<'a, T, I>(
        &mut self,
        body: &Value,
        size: usize,
        items: impl FnOnce(String) -> I,
    ) -> Option<Page<T>>
    where
        I: Iterator<Item = (&'a str, T)>,
    {
        let question = question(body);
        let (after, empty) = match body["NextToken"].as_str() {
            None => (String::new(), self.empty),
            Some(token) => {
                let cursor = self.given.get(token);
                let cursor = cursor.filter(|cursor| cursor.question == question)?;
                (cursor.after.clone(), cursor.empty)
            }
        };
        if empty {
            let next = Some(self.give(question, after, false));
            let items = Vec::new();
            return Some(Page { items, next });
        }
        let mut found: Vec<(&str, T)> = items(after).take(size + 1).collect();
        let more = found.len() > size;
        found.truncate(size);
        let last = found.last().filter(|_| more).map(|(key, _)| *key);
        Some(Page {
            next: last.map(|key| self.give(question, key.to_owned(), self.empty)),
            items: found.into_iter().map(|(_, item)| item).collect(),
        })
    }

    fn give(&mut self, question: Value, after: String, empty: bool) -> String {
        let token = uuid();
        let cursor = Cursor {
            question,
            after,
            empty,
        };
        self.given.insert(token.clone(), cursor);
        token
    }
}

/// What is asked, whatever the page.
fn question(body: &Value) -> Value {
    let mut question = body.clone();
    if let Some(entries) = question.as_object_mut() {
        entries.retain(|key, _| !["NextToken", "MaxResults"].contains(&key.as_str()));
    }
    question
}
