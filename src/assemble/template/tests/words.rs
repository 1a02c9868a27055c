//! Every word is told in the README, and every word there is one.

use std::collections::BTreeSet;

use super::render;
use crate::assemble::template::words::{self, ALL, Place};

const README: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md"));

/// The rows of the table under `head`.
fn rows(head: &str) -> BTreeSet<String> {
    let table = README
        .split_once(head)
        .map(|(_, after)| after)
        .unwrap_or_default();
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    rows.map(str::to_owned).collect()
}

fn told(place: Place) -> BTreeSet<String> {
    let words = ALL.iter().filter(|word| word.place == place);
    words
        .map(|word| format!("| `{}` | {} |", word.usage, word.says))
        .collect()
}

#[test]
fn the_readme_tells_every_word_and_no_other() {
    assert_eq!(rows("| filter | gives |"), told(Place::Filter));
    assert_eq!(rows("| function | gives |"), told(Place::Function));
}

#[test]
fn the_readme_tells_every_test() {
    let told = words::TESTS.map(|test| format!("`{test}`")).join(", ");
    let readme = README.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(readme.contains(&told), "{told}");
}

#[test]
fn every_test_that_is_known_is_there() {
    for test in words::TESTS {
        let argument = match test {
            "in" => "([1])",
            "startingwith" | "endingwith" => "('1')",
            "divisibleby" | "eq" | "equalto" | "ne" | "lt" | "le" | "gt" | "ge" => "(1)",
            _ => "",
        };
        let answer = render(&format!("{{{{ 1 is {test}{argument} }}}}"), &[]);
        assert!(["true", "false"].contains(&&*answer), "{test}");
    }
}

#[test]
fn no_word_is_there_twice() {
    for word in ALL.iter() {
        let same = ALL
            .iter()
            .filter(|w| w.name() == word.name() && w.place == word.place);
        assert_eq!(same.count(), 1, "{}", word.usage);
    }
}
