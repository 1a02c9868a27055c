//! The names of modifiers, and what may stand behind their `:`.

use super::part::{Part, closing};
use super::{Context, inner};
use crate::assemble::select::path::{Modifier, Pretty};
use crate::assemble::select::refused::Refused;
use crate::assemble::select::text;

/// A modifier before its argument is known.
#[derive(Clone, Copy)]
pub(super) enum Named {
    This,
    Valid,
    Pretty,
    Ugly,
    Reverse,
    Flatten,
    Join,
    Keys,
    Values,
    ToStr,
    FromStr,
    Group,
    Dig,
}

pub(super) fn named(name: &str) -> Option<Named> {
    Some(match name {
        "this" => Named::This,
        "valid" => Named::Valid,
        "pretty" => Named::Pretty,
        "ugly" => Named::Ugly,
        "reverse" => Named::Reverse,
        "flatten" => Named::Flatten,
        "join" => Named::Join,
        "keys" => Named::Keys,
        "values" => Named::Values,
        "tostr" => Named::ToStr,
        "fromstr" => Named::FromStr,
        "group" => Named::Group,
        "dig" => Named::Dig,
        _ => return None,
    })
}

/// How much of `part` is an argument: one JSON value, else all before the next `|`.
pub(super) fn length(part: Part<'_>) -> Result<usize, Refused> {
    let bytes = part.text().as_bytes();
    if matches!(bytes.first(), Some(b'{' | b'[' | b'"')) {
        return closing(part);
    }
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'|' => break,
            b'{' | b'[' | b'"' | b'(' => at += closing(part.from(at))?,
            _ => at += 1,
        }
    }
    Ok(at)
}

/// The modifier with its argument, which is empty where there is none.
pub(super) fn taken(
    named: Named,
    argument: Part<'_>,
    context: Context,
) -> Result<Modifier, Refused> {
    Ok(match named {
        Named::This => Modifier::This,
        Named::Valid => Modifier::Valid,
        Named::Ugly => Modifier::Ugly,
        Named::Reverse => Modifier::Reverse,
        Named::Keys => Modifier::Keys,
        Named::Values => Modifier::Values,
        Named::ToStr => Modifier::ToStr,
        Named::FromStr => Modifier::FromStr,
        Named::Group => Modifier::Group,
        Named::Pretty => Modifier::Pretty(pretty(argument)?),
        Named::Flatten => Modifier::Flatten {
            deep: truth(argument, "deep")?,
        },
        Named::Join => Modifier::Join {
            preserve: truth(argument, "preserve")?,
        },
        Named::Dig => Modifier::Dig(inner(argument, context)?),
    })
}

/// The options of an argument: names, and JSON. Of equal names the last counts.
fn options(argument: Part<'_>) -> Result<Vec<(String, &str)>, Refused> {
    if argument.text().is_empty() {
        return Ok(Vec::new());
    }
    let members = text::members(argument.text());
    let members = members.ok_or(Refused::Argument {
        at: argument.place(),
    })?;
    Ok(members
        .into_iter()
        .map(|(name, value)| (text::content(name).to_string(), value))
        .collect())
}

fn truth(argument: Part<'_>, option: &str) -> Result<bool, Refused> {
    let options = options(argument)?;
    let last = options.iter().rev().find(|(name, _)| name == option);
    Ok(last.is_some_and(|(_, value)| text::Scalar::of(value).is_trueish()))
}

fn pretty(argument: Part<'_>) -> Result<Pretty, Refused> {
    let mut pretty = Pretty::default();
    for (name, value) in options(argument)? {
        let blanks = || {
            let mut blanks = text::content(value).to_string();
            blanks.retain(|c| matches!(c, ' ' | '\t' | '\n' | '\r'));
            blanks
        };
        match name.as_str() {
            "sortKeys" => pretty.sort_keys = text::Scalar::of(value).is_trueish(),
            "indent" => pretty.indent = blanks(),
            "prefix" => pretty.prefix = blanks(),
            "width" => {
                pretty.width = value.parse().map_err(|_| Refused::Argument {
                    at: argument.place(),
                })?;
            }
            _ => {}
        }
    }
    Ok(pretty)
}
