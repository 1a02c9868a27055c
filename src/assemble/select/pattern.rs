//! `*` and `?`.

use super::budget::{Budget, Stop};

/// Whether all of `text` matches: `*` is any run of characters, `?` one of them, and `\` takes the meaning of the next.
pub(super) fn matches(text: &str, pattern: &str, budget: &mut Budget) -> Result<bool, Stop> {
    let mut text = text;
    let mut pattern = pattern;
    // Behind the last `*`, and where the run it stands for may end next.
    let mut again: Option<(&str, &str)> = None;
    loop {
        budget.spend(1)?;
        if let Some(behind) = pattern.strip_prefix('*') {
            pattern = behind;
            again = Some((behind, text));
            continue;
        }
        if text.is_empty() && pattern.is_empty() {
            return Ok(true);
        }
        if let Some(rests) = one(text, pattern) {
            (text, pattern) = rests;
            continue;
        }
        let Some((behind, run)) = again else {
            return Ok(false);
        };
        let mut run = run.chars();
        if run.next().is_none() {
            return Ok(false);
        }
        (pattern, text) = (behind, run.as_str());
        again = Some((behind, text));
    }
}

/// What is left of both when their first characters match.
fn one<'a, 'b>(text: &'a str, pattern: &'b str) -> Option<(&'a str, &'b str)> {
    let mut characters = pattern.chars();
    let mut wanted = Some(characters.next()?);
    if wanted == Some('?') {
        wanted = None;
    } else if wanted == Some('\\') {
        wanted = Some(characters.next()?);
    }
    let mut text = text.chars();
    let found = text.next()?;
    (wanted.is_none() || wanted == Some(found)).then_some((text.as_str(), characters.as_str()))
}
