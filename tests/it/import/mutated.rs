//! Manifests with small changes, as hands and tools make them: whatever they are then, the promises of the fuzz target hold.

use std::fs;
use std::panic;

use secretsyncd::import::run_text;

use super::manifests;
use crate::corpus::targets;

/// The fuzzer goes on where this ends; so does this with `SECRETSYNCD_TEST_MUTATIONS`.
const ROUNDS: usize = 600;

/// What means something to YAML, to templates or to a mapping.
const PIECES: [&str; 40] = [
    "\n",
    "  ",
    "- ",
    ": ",
    "{",
    "}",
    "[",
    "]",
    "\"",
    "'",
    "|-\n",
    "---\n",
    "&a ",
    "*a",
    "!!str ",
    "# ",
    "\t",
    "~",
    "null",
    "true",
    "0",
    "on",
    "{{",
    "}}",
    "{{ .a | b64dec }}",
    "<%= data.a %>",
    "${a}",
    "spec:",
    "data:",
    "dataFrom:",
    "template:",
    "target:",
    "property: a.b",
    "key: \"a b\"",
    "kind: List\nitems:\n",
    "namespace: A",
    "creationPolicy: Merge",
    "\u{202e}",
    "\u{0}",
    "é",
];

/// A piece somewhere in a line, or soon after one of these.
fn insert(line: &mut String, after: &[&str], random: &mut fastrand::Rng) {
    let begin = after
        .iter()
        .find_map(|it| line.find(it))
        .unwrap_or_default();
    let ends = line[begin..].char_indices().map(|(at, _)| begin + at);
    let ends: Vec<usize> = ends
        .take(if after.is_empty() { usize::MAX } else { 16 })
        .collect();
    let at = random.choice(ends).unwrap_or_default();
    line.insert_str(at, random.choice(PIECES).unwrap());
}

/// Lines of the one, changed, with lines of another.
fn changed(text: &str, other: &str, random: &mut fastrand::Rng) -> String {
    const TEMPLATES: [&str; 3] = ["{{", "<%", "${"];
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let others: Vec<&str> = other.lines().collect();
    for _ in 0..random.usize(1..4) {
        if lines.is_empty() {
            break;
        }
        let mut at = random.usize(..lines.len());
        match random.u8(..10) {
            0 => drop(lines.remove(at)),
            1 => lines.insert(at, lines[random.usize(..lines.len())].clone()),
            2 => lines.insert(at, others[random.usize(..others.len())].to_owned()),
            3 => lines[at].insert(0, ' '),
            4 => lines.truncate(at),
            5 => {
                let with = lines[random.usize(..lines.len())].clone();
                let (key, _) = lines[at].split_once(':').unwrap_or((&*lines[at], ""));
                let (_, value) = with.split_once(':').unwrap_or(("", &*with));
                lines[at] = format!("{key}:{value}");
            }
            6 | 7 => insert(&mut lines[at], &[], random),
            _ => {
                let is_template = |line: &&String| TEMPLATES.iter().any(|it| line.contains(it));
                let all = 0..lines.len();
                let templates = all.filter(|at| is_template(&&lines[*at]));
                at = random.choice(templates.collect::<Vec<_>>()).unwrap_or(at);
                insert(&mut lines[at], &TEMPLATES, random);
            }
        }
    }
    lines.join("\n") + "\n"
}

#[test]
fn no_small_change_to_a_manifest_breaks_a_promise() {
    let texts = manifests()
        .into_iter()
        .map(|path| fs::read_to_string(path).unwrap());
    let texts: Vec<String> = texts.filter(|text| text.len() < 4096).collect();
    let mut random = fastrand::Rng::with_seed(1);
    let mut broken = Vec::new();
    let mut converted = 0;
    let rounds = std::env::var("SECRETSYNCD_TEST_MUTATIONS");
    let rounds = rounds.map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    for _ in 0..rounds {
        let pick = |random: &mut fastrand::Rng| &texts[random.usize(..texts.len())];
        let text = changed(pick(&mut random), pick(&mut random), &mut random);
        if panic::catch_unwind(|| targets::import::target(text.as_bytes())).is_err() {
            broken.push(text.clone());
        }
        let (output, _) = run_text("m.yaml", text, targets::import::options());
        converted += usize::from(!output.is_empty());
    }
    assert!(broken.is_empty(), "{}", broken.join("\n=====\n"));
    // Enough of what is changed can still be converted.
    assert!(converted * 10 > rounds, "{converted} of {rounds}");
}
