//! Words over lists, numbers, and what may be missing.

use minijinja::Value;
use minijinja::value::ValueKind;

use super::given::{Given, MAX_LEN, Outcome, Refusal, kind_of, text_of};
use super::text::too_long;
use super::values::{Blob, Spelled};
use super::words::Entry;

pub(super) const WORDS: &[Entry] = &[
    Entry::filter(
        "default(other=\"\", falsy=false)",
        "`other` where it is missing; with `true` also where it is null, false, zero or empty",
        default,
    ),
    Entry::filter("d(other=\"\", falsy=false)", "as `default`", default),
    Entry::filter(
        "length",
        "how many characters, bytes of binary, items or keys",
        length,
    ),
    Entry::filter(
        "join(separator=\"\")",
        "the items of a list as one text",
        join,
    ),
    Entry::filter("int", "a text as a whole number", |g| {
        let text = g.text(0)?;
        let number = text.trim().parse::<i128>();
        number
            .map(|number| Value::from(number).into())
            .map_err(|_| Refusal::new("it is not a whole number"))
    }),
    Entry::filter("float", "a text as a number", |g| {
        let text = g.text(0)?;
        match text.trim().parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Value::from(number).into()),
            Ok(_) | Err(_) => Err(Refusal::new("it is not a number")),
        }
    }),
    Entry::filter("bool", "`true` or `false` from such a text", |g| {
        match g.text(0)?.trim() {
            "true" | "True" | "1" => Ok(true.into()),
            "false" | "False" | "0" | "" => Ok(false.into()),
            _ => Err(Refusal::new("it is neither `true` nor `false`")),
        }
    }),
];

fn default(g: &Given<'_>) -> Outcome {
    let falsy = g.flag(2)?;
    let given = g.any(0).filter(|value| !value.is_undefined());
    let other = || g.any(1).cloned().unwrap_or_else(|| Value::from(""));
    Ok(match given {
        Some(value) if !falsy || value.is_true() => value.clone().into(),
        Some(_) | None => other().into(),
    })
}

fn length(g: &Given<'_>) -> Outcome {
    let value = g.value(0)?;
    let length = if let Some(text) = value.as_str() {
        Some(text.chars().count())
    } else if let Some(blob) = value.downcast_object_ref::<Blob>() {
        Some(blob.bytes().len())
    } else if matches!(value.kind(), ValueKind::Iterable) {
        Some(g.items(0)?.len())
    } else if value.downcast_object_ref::<Spelled>().is_some() {
        None
    } else {
        value.len()
    };
    length
        .map(|length| Value::from(length).into())
        .ok_or_else(|| Refusal::new(format!("it is {}, which has no length", kind_of(value))))
}

fn join(g: &Given<'_>) -> Outcome {
    let separator = g.text_or(1, "")?;
    let mut joined = String::new();
    for (at, item) in g.items(0)?.iter().enumerate() {
        let item = text_of(item, "an item")?;
        if joined.len() + separator.len() + item.len() > MAX_LEN {
            return Err(too_long());
        }
        if at > 0 {
            joined.push_str(&separator);
        }
        joined.push_str(&item);
    }
    Ok(joined.into())
}
