//! As much of JSON Schema as ours uses. A word that is not known here stops the test: it would be held to nothing.

use regex::Regex;
use serde_json::{Map, Value};

const SILENT: &[&str] = &[
    "$schema",
    "$defs",
    "title",
    "description",
    "default",
    "examples",
];

pub(super) struct Schema(pub Value);

impl Schema {
    pub(super) fn at(&self, pointer: &str) -> &Value {
        let found = self.0.pointer(pointer);
        found.unwrap_or_else(|| panic!("the schema has no {pointer}"))
    }

    /// What a part of the schema refers to.
    pub(super) fn referred(&self, part: &Value) -> Option<&Value> {
        let reference = part["$ref"].as_str()?;
        Some(self.at(reference.strip_prefix('#').unwrap()))
    }

    /// What a part of the schema, or what it refers to, is.
    pub(super) fn resolved<'a>(&'a self, part: &'a Value) -> &'a Value {
        let steps = std::iter::successors(Some(part), |part| self.referred(part));
        steps.last().unwrap_or(part)
    }

    /// What is wrong with a document, each with its place.
    pub(super) fn problems(&self, document: &Value) -> Vec<String> {
        self.check(&self.0, document, "")
    }

    fn check(&self, schema: &Value, value: &Value, place: &str) -> Vec<String> {
        let Some(words) = schema.as_object() else {
            let forbidden = (*schema == Value::Bool(false)).then(|| format!("{place}: unknown"));
            return forbidden.into_iter().collect();
        };
        let mut problems = Vec::new();
        for (word, said) in words {
            let good = match word.as_str() {
                word if SILENT.contains(&word) => true,
                "$ref" => {
                    let referred = self.referred(schema).unwrap();
                    problems.extend(self.check(referred, value, place));
                    true
                }
                "properties" | "additionalProperties" | "propertyNames" | "items" => {
                    problems.extend(self.within(word, words, value, place));
                    true
                }
                "oneOf" => self.fitting(said, value, place) == 1,
                "anyOf" => self.fitting(said, value, place) > 0,
                "allOf" => self.fitting(said, value, place) == said.as_array().unwrap().len(),
                word => fits(word, said, value),
            };
            if !good {
                problems.push(format!("{place}: {word}"));
            }
        }
        problems
    }

    fn fitting(&self, schemas: &Value, value: &Value, place: &str) -> usize {
        let schemas = schemas.as_array().unwrap().iter();
        let fitting = schemas.filter(|schema| self.check(schema, value, place).is_empty());
        fitting.count()
    }

    /// What a word says about the parts of a value.
    fn within(
        &self,
        word: &str,
        words: &Map<String, Value>,
        value: &Value,
        place: &str,
    ) -> Vec<String> {
        let known = |key: &str| {
            let properties = words.get("properties");
            properties.is_some_and(|it| it.get(key).is_some())
        };
        let said = &words[word];
        let mut problems = Vec::new();
        if word == "items" {
            for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                problems.extend(self.check(said, item, &format!("{place}/{index}")));
            }
        }
        for (key, value) in value.as_object().into_iter().flatten() {
            let place = format!("{place}/{key}");
            let schema = match word {
                "properties" if known(key) => &said[key],
                "additionalProperties" if !known(key) => said,
                "propertyNames" => {
                    problems.extend(self.check(said, &Value::from(key.as_str()), &place));
                    continue;
                }
                _ => continue,
            };
            problems.extend(self.check(schema, value, &place));
        }
        problems
    }
}

/// What a word says about a value as a whole; of another type it says nothing.
fn fits(word: &str, said: &Value, value: &Value) -> bool {
    let count = || usize::try_from(said.as_u64().unwrap()).unwrap();
    let object = value.as_object();
    match word {
        "type" => match said.as_str().unwrap() {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_i64() || value.is_u64(),
            other => panic!("unknown type {other}"),
        },
        "enum" => said.as_array().unwrap().contains(value),
        "required" => object.is_none_or(|object| {
            let keys = said.as_array().unwrap();
            keys.iter()
                .all(|key| object.contains_key(key.as_str().unwrap()))
        }),
        "pattern" => {
            let pattern = Regex::new(said.as_str().unwrap()).unwrap();
            value.as_str().is_none_or(|text| pattern.is_match(text))
        }
        "minLength" => value
            .as_str()
            .is_none_or(|it| it.chars().count() >= count()),
        "maxLength" => value
            .as_str()
            .is_none_or(|it| it.chars().count() <= count()),
        "minItems" => value.as_array().is_none_or(|it| it.len() >= count()),
        "maxItems" => value.as_array().is_none_or(|it| it.len() <= count()),
        "minProperties" => object.is_none_or(|it| it.len() >= count()),
        "maxProperties" => object.is_none_or(|it| it.len() <= count()),
        "minimum" => value.as_i64().is_none_or(|it| it >= said.as_i64().unwrap()),
        "maximum" => value.as_i64().is_none_or(|it| it <= said.as_i64().unwrap()),
        other => panic!("the validator does not know `{other}`"),
    }
}
