//! Properties, which KES looks up as lodash's paths and we in gjson's syntax.

use super::super::lodash::is_inherited;

/// Ours for theirs, or why there is none.
pub(super) fn convert(text: &str) -> Result<String, &'static str> {
    if text.is_empty() {
        return Err("KES finds nothing at an empty property");
    }
    let steps = steps(text).ok_or("this path has a bracket without an end, or an empty step")?;
    if steps.iter().any(|step| is_inherited(step)) {
        return Err(
            "in KES this is what every object or list of JavaScript has, no key of the value",
        );
    }
    let escaped: Vec<String> = steps.iter().map(|step| escaped(step)).collect();
    Ok(escaped.join("."))
}

/// `a.b[0]["c.d"]`
fn steps(text: &str) -> Option<Vec<String>> {
    let mut steps = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let (step, after) = bracket(inner)?;
            steps.push(step);
            rest = after.strip_prefix('.').unwrap_or(after);
            if rest.is_empty() && after.starts_with('.') {
                return None;
            }
            continue;
        }
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let (step, after) = rest.split_at(end);
        if step.is_empty() {
            return None;
        }
        steps.push(step.to_owned());
        rest = match after.strip_prefix('.') {
            Some("") => return None,
            Some(more) => more,
            None => after,
        };
    }
    Some(steps)
}

fn bracket(inner: &str) -> Option<(String, &str)> {
    let quote = inner.chars().next().filter(|c| *c == '"' || *c == '\'');
    let (step, rest) = match quote {
        Some(quote) => {
            let (step, rest) = inner[1..].split_once(quote)?;
            (step, rest.strip_prefix(']')?)
        }
        None => inner.split_once(']')?,
    };
    let legal = !step.is_empty() && !step.contains('\\');
    let index = quote.is_some() || step.bytes().all(|b| b.is_ascii_digit());
    (legal && index).then(|| (step.to_owned(), rest))
}

/// A key for gjson, of which nothing means more than itself.
fn escaped(step: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-:/ ".contains(c) || !c.is_ascii();
    let mut out = String::new();
    for c in step.chars() {
        if !plain(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assemble::select::Property;

    #[test]
    fn paths_of_lodash_become_those_of_gjson() {
        for (theirs, ours) in [
            ("password", "password"),
            ("a.b", "a.b"),
            ("arr[1].k", "arr.1.k"),
            ("arr.1.k", "arr.1.k"),
            ("[\"a.b\"]", "a\\.b"),
            ("obj['x']", "obj.x"),
            ("db*", "db\\*"),
            ("a|b#c@d", "a\\|b\\#c\\@d"),
            ("user-name_1", "user-name_1"),
        ] {
            assert_eq!(convert(theirs).as_deref(), Ok(ours), "{theirs}");
            assert!(Property::new(ours).is_ok(), "{ours}");
        }
        for bad in [
            "",
            "length",
            "a.constructor",
            "a[",
            "a[x]",
            "a..b",
            ".a",
            "a.",
            "[\"\"]",
        ] {
            assert!(convert(bad).is_err(), "{bad}");
        }
    }
}
