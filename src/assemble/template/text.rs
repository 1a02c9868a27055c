//! Words over text.

use minijinja::Value;

use super::given::{Answer, Given, MAX_LEN, Outcome, Refusal, text_of};
use super::words::Entry;

const MAX_INDENT: usize = 100;
/// What a template may say when it refuses.
const MAX_COMPLAINT: usize = 200;

pub(super) const WORDS: &[Entry] = &[
    Entry::filter("upper", "in capital letters", |g| {
        Ok(g.text(0)?.to_uppercase().into())
    }),
    Entry::filter("lower", "in small letters", |g| {
        Ok(g.text(0)?.to_lowercase().into())
    }),
    Entry::filter("title", "each word with a capital letter", |g| {
        Ok(title(&g.text(0)?).into())
    }),
    Entry::filter(
        "trim(chars=\" \")",
        "without white space, or those characters, at both ends",
        trim,
    ),
    Entry::filter("trim_prefix(prefix)", "without this beginning", |g| {
        let (text, prefix) = (g.text(0)?, g.text(1)?);
        Ok(text
            .strip_prefix(&*prefix)
            .unwrap_or(&text)
            .to_owned()
            .into())
    }),
    Entry::filter("trim_suffix(suffix)", "without this end", |g| {
        let (text, suffix) = (g.text(0)?, g.text(1)?);
        Ok(text
            .strip_suffix(&*suffix)
            .unwrap_or(&text)
            .to_owned()
            .into())
    }),
    Entry::filter("replace(old, new)", "each `old` replaced", replace),
    Entry::filter("startswith(prefix)", "whether it begins so", |g| {
        Ok(g.text(0)?.starts_with(&*g.text(1)?).into())
    }),
    Entry::filter("endswith(suffix)", "whether it ends so", |g| {
        Ok(g.text(0)?.ends_with(&*g.text(1)?).into())
    }),
    Entry::filter("contains(part)", "whether that is in it", |g| {
        Ok(g.text(0)?.contains(&*g.text(1)?).into())
    }),
    Entry::filter(
        "split(separator=none)",
        "the parts between separators, or the words",
        split,
    ),
    Entry::filter("lines", "the lines", |g| {
        let text = g.text(0)?;
        Ok(list(text.lines()))
    }),
    Entry::filter(
        "indent(width, first=false)",
        "lines after the first moved to the right; empty ones stay empty",
        |g| indented(&g.text(0)?, g.count(1, 0, MAX_INDENT)?, g.flag(2)?).map(Into::into),
    ),
    Entry::filter(
        "nindent(width)",
        "a line break, then all lines moved to the right",
        |g| {
            let text = indented(&g.text(0)?, g.count(1, 0, MAX_INDENT)?, true)?;
            Ok(format!("\n{text}").into())
        },
    ),
    Entry::filter("quote", "in double quotes, escaped as in JSON", |g| {
        Ok(super::json::quoted(&g.text(0)?).into())
    }),
    Entry::filter(
        "squote",
        "in single quotes, each of its own doubled, as in YAML and SQL",
        |g| Ok(format!("'{}'", g.text(0)?.replace('\'', "''")).into()),
    ),
    Entry::filter("string", "a number as text", |g| {
        Ok(g.text(0)?.into_owned().into())
    }),
    Entry::filter(
        "format(*values)",
        "the text with each `%s` and `%d` replaced by the next value",
        |g| format(&g.text(0)?, g.rest),
    ),
    Entry::function("printf(text, *values)", "as `format`", |g| {
        format(&g.text(0)?, g.rest)
    }),
    Entry::function(
        "fail(message)",
        "refuses to render; the message must be written in the template",
        |g| {
            let message: String = g.text(0)?.chars().take(MAX_COMPLAINT).collect();
            Err(Refusal::new(message.escape_debug().to_string()))
        },
    ),
];

/// The one refusal for what would be too long.
pub(super) fn too_long() -> Refusal {
    Refusal::new(format!("it would give more than {MAX_LEN} bytes"))
}

fn list<'t>(parts: impl Iterator<Item = &'t str>) -> Answer {
    Answer::Value(parts.map(Value::from).collect())
}

fn trim(g: &Given<'_>) -> Outcome {
    let text = g.text(0)?;
    if g.any(1).is_none() {
        return Ok(text.trim().to_owned().into());
    }
    let chars: Vec<char> = g.text(1)?.chars().take(64).collect();
    Ok(text.trim_matches(&chars[..]).to_owned().into())
}

fn title(text: &str) -> String {
    let mut titled = String::with_capacity(text.len());
    let mut inside = false;
    for c in text.chars() {
        if inside {
            titled.extend(c.to_lowercase());
        } else {
            titled.extend(c.to_uppercase());
        }
        inside = c.is_alphanumeric() || c == '\'';
    }
    titled
}

fn replace(g: &Given<'_>) -> Outcome {
    let (text, old, new) = (g.text(0)?, g.text(1)?, g.text(2)?);
    if old.is_empty() {
        return Err(Refusal::new("`old` is empty"));
    }
    let found = text.matches(&*old).count();
    if text.len() + found * new.len().saturating_sub(old.len()) > MAX_LEN {
        return Err(too_long());
    }
    Ok(text.replace(&*old, &new).into())
}

fn split(g: &Given<'_>) -> Outcome {
    let text = g.text(0)?;
    if g.any(1).is_none_or(Value::is_none) {
        g.charge(text.len() as u64 / 16)?;
        return Ok(list(text.split_whitespace()));
    }
    let separator = g.text(1)?;
    if separator.is_empty() {
        return Err(Refusal::new("`separator` is empty"));
    }
    g.charge(text.matches(&*separator).count() as u64)?;
    Ok(list(text.split(&*separator)))
}

fn indented(text: &str, width: usize, first: bool) -> Result<String, Refusal> {
    if text.len() + (text.matches('\n').count() + 1) * width > MAX_LEN {
        return Err(too_long());
    }
    let space = " ".repeat(width);
    let mut indented = String::with_capacity(text.len() + width);
    for (at, line) in text.split_inclusive('\n').enumerate() {
        if (at > 0 || first) && !line.trim_end_matches(['\r', '\n']).is_empty() {
            indented.push_str(&space);
        }
        indented.push_str(line);
    }
    Ok(indented)
}

fn format(text: &str, values: &[Value]) -> Outcome {
    let mut out = String::with_capacity(text.len());
    let mut values = values.iter();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let kind = after.chars().next();
        match kind {
            Some('%') => out.push('%'),
            Some('s' | 'd') => {
                let value = values
                    .next()
                    .ok_or_else(|| Refusal::new("there are fewer values than `%s` and `%d`"))?;
                let value = text_of(value, "a value")?;
                if kind == Some('d') && value.parse::<i128>().is_err() {
                    return Err(Refusal::new("`%d` takes a whole number"));
                }
                if out.len() + value.len() > MAX_LEN {
                    return Err(too_long());
                }
                out.push_str(&value);
            }
            Some(_) | None => {
                return Err(Refusal::new("after `%` only `s`, `d` and `%` are known"));
            }
        }
        rest = &after[1..];
    }
    if values.next().is_some() {
        return Err(Refusal::new("there are more values than `%s` and `%d`"));
    }
    out.push_str(rest);
    Ok(out.into())
}
