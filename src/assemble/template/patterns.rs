//! Regular expressions. The pattern stands in the template, never in a value.

use regex::{Regex, RegexBuilder};

use super::given::{Given, MAX_LEN, Outcome, Refusal};
use super::text::too_long;
use super::words::Entry;

const MAX_PATTERN: usize = 1000;
const MAX_COMPILED: usize = 256 * 1024;
/// What it takes to compile one, in steps of a template.
const COMPILE_FUEL: u64 = 2_000;

pub(super) const WORDS: &[Entry] = &[
    Entry::filter(
        "regex_replace(pattern, replacement)",
        "each match replaced; `${1}` is its first group",
        replace,
    ),
    Entry::filter(
        "regex_match(pattern)",
        "whether the pattern is found in it",
        |g| Ok(matcher(g)?.is_match(&g.text(0)?).into()),
    ),
];

/// The pattern, or nothing if it is none.
pub(super) fn compiled(pattern: &str) -> Option<Regex> {
    let regex = (pattern.len() <= MAX_PATTERN).then(|| {
        RegexBuilder::new(pattern)
            .size_limit(MAX_COMPILED)
            .dfa_size_limit(MAX_COMPILED)
            .build()
            .ok()
    });
    regex.flatten()
}

fn matcher(g: &Given<'_>) -> Result<Regex, Refusal> {
    g.charge(COMPILE_FUEL)?;
    compiled(&g.text(1)?).ok_or_else(|| Refusal::new("the pattern is not a regular expression"))
}

fn replace(g: &Given<'_>) -> Outcome {
    let regex = matcher(g)?;
    let (text, replacement) = (g.text(0)?, g.text(2)?);
    let groups = replacement.matches('$').count();
    let mut replaced = String::with_capacity(text.len());
    let mut end = 0;
    for found in regex.captures_iter(&text) {
        g.charge(1)?;
        let whole = found.get_match();
        // No group is longer than the match, so that this is the most it can add.
        let most = replacement.len() + groups * whole.len();
        if replaced.len() + (whole.start() - end) + most > MAX_LEN {
            return Err(too_long());
        }
        replaced.push_str(&text[end..whole.start()]);
        found.expand(&replacement, &mut replaced);
        end = whole.end();
    }
    if replaced.len() + (text.len() - end) > MAX_LEN {
        return Err(too_long());
    }
    replaced.push_str(&text[end..]);
    Ok(replaced.into())
}
