//! What ESO gives, row by row.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::{JsonFormat, Missing, Property, Refused, SecretBytes, property, property_as};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Golden {
    about: Vec<String>,
    differences: BTreeMap<String, String>,
    documents: BTreeMap<String, String>,
    rows: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    property: String,
    of: String,
    eso: Option<String>,
    ours: Option<Answer>,
    is: String,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(untagged)]
enum Answer {
    Value(String),
    Refused { refused: String },
    Missing { missing: String },
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("golden.json")).unwrap()
}

/// `None` where nothing is.
fn ours(text: &str, document: &str) -> Option<Answer> {
    let at = match Property::new(text) {
        Ok(property) => property,
        Err(refused) => {
            return Some(Answer::Refused {
                refused: kind(refused).into(),
            });
        }
    };
    match property(&SecretBytes::new(document.as_bytes().to_vec()), &at) {
        Ok(value) => Some(Answer::Value(
            String::from_utf8(value.expose().to_vec()).unwrap(),
        )),
        Err(Missing::Absent(of)) => {
            assert_eq!(of, text);
            None
        }
        Err(Missing::NotJson { .. }) => Some(Answer::Missing {
            missing: "NotJson".into(),
        }),
        Err(other) => panic!("{text}: {other:?}"),
    }
}

/// In the format that is made for it, nothing differs in the spelling of numbers.
#[test]
fn numbers_are_those_of_eso_in_its_format() {
    let golden = golden();
    let mut seen = 0;
    for row in golden.rows.iter().filter(|row| row.is == "number-spelling") {
        let document = SecretBytes::new(golden.documents[&row.of].as_bytes().to_vec());
        let at = Property::new(&row.property).unwrap();
        let value = property_as(&document, &at, JsonFormat::Eso).unwrap();
        let value = String::from_utf8(value.expose().to_vec()).unwrap();
        assert_eq!(Some(value), row.eso, "{} of {}", row.property, row.of);
        seen += 1;
    }
    assert!(seen > 2);
}

fn kind(refused: Refused) -> &'static str {
    match refused {
        Refused::Empty => "Empty",
        Refused::TooLong => "TooLong",
        Refused::TooDeep { .. } => "TooDeep",
        Refused::Unclosed { .. } => "Unclosed",
        Refused::Modifier { .. } => "Modifier",
        Refused::Argument { .. } => "Argument",
        Refused::Query { .. } => "Query",
        Refused::Literal { .. } => "Literal",
        Refused::Trailing { .. } => "Trailing",
    }
}

#[test]
fn every_answer_is_that_of_eso_or_differs_by_name() {
    let golden = golden();
    assert!(golden.rows.len() >= 350, "{}", golden.rows.len());
    assert!(!golden.about.is_empty());
    for row in &golden.rows {
        let Row { property, of, .. } = row;
        let ours = ours(property, &golden.documents[of]);
        let eso = row.eso.clone().map(Answer::Value);
        if row.is == "same" {
            assert_eq!(ours, eso, "{property} of {of}");
        } else {
            assert_eq!(ours, row.ours, "{property} of {of}");
            assert_ne!(ours, eso, "{property} of {of} is the same");
        }
    }
}

#[test]
fn every_difference_is_explained_and_shown() {
    let golden = golden();
    let shown: BTreeSet<_> = golden.rows.iter().map(|row| row.is.clone()).collect();
    let mut explained: BTreeSet<_> = golden.differences.into_keys().collect();
    explained.insert("same".into());
    assert_eq!(shown, explained);
}
