//! `#(path op value)`, `#(path op value)#`.

use super::part::Part;
use super::{Context, inner};
use crate::assemble::select::path::{Comparison, Like, Operand, Query, Test};
use crate::assemble::select::refused::Refused;
use crate::assemble::select::text;

/// Where the parts of a query are; offsets from its `#`.
struct Extent {
    /// Of the first byte that compares.
    operator: Option<usize>,
    /// Of the closing bracket.
    close: usize,
}

pub(super) fn query(
    part: Part<'_>,
    context: Context,
) -> Result<(Query, Option<Part<'_>>), Refused> {
    let extent = extent(part)?;
    let path = part
        .range(2, extent.operator.unwrap_or(extent.close))
        .trimmed();
    let path = (!path.text().is_empty())
        .then(|| inner(path, context))
        .transpose()?;
    let test = match extent.operator {
        None => Test::Exists,
        Some(operator) => comparison(part.range(operator, extent.close).trimmed())?,
    };
    let mut rest = part.from(extent.close + 1);
    let all = rest.text().starts_with('#');
    if all {
        rest = rest.from(1);
    }
    let (more, rest) = match rest.text().bytes().next() {
        None => (None, None),
        Some(b'|') => (None, Some(rest.from(1))),
        Some(b'.') => {
            let (more, rest) = rest.from(1).split_at_pipe();
            (Some(inner(more, context)?), rest)
        }
        Some(_) => return Err(Refused::Trailing { at: rest.place() }),
    };
    Ok((
        Query {
            path,
            test,
            all,
            more,
        },
        rest,
    ))
}

fn extent(part: Part<'_>) -> Result<Extent, Refused> {
    let mut operator = None;
    let mut depth = 1_usize;
    let mut quoted = false;
    let mut bytes = part.text().bytes().enumerate().skip(2);
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' => {
                bytes.next();
            }
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'!' | b'=' | b'<' | b'>' | b'%' if depth == 1 && operator.is_none() => {
                operator = Some(at);
            }
            b'[' | b'(' => depth += 1,
            b']' | b')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Ok(Extent {
                operator,
                close: at,
            });
        }
    }
    Err(Refused::Unclosed { at: part.place() })
}

fn comparison(part: Part<'_>) -> Result<Test, Refused> {
    let text = part.text();
    let known = [
        ("!=", Comparison::Unequal),
        ("!%", Comparison::Differs),
        ("<=", Comparison::LessOrEqual),
        (">=", Comparison::MoreOrEqual),
        ("==", Comparison::Equal),
        ("<", Comparison::Less),
        (">", Comparison::More),
        ("=", Comparison::Equal),
        ("%", Comparison::Matches),
    ];
    let (operator, how) = known
        .into_iter()
        .find(|(operator, _)| text.starts_with(operator))
        .ok_or(Refused::Query { at: part.place() })?;
    let with = operand(part.from(operator.len()).trimmed())?;
    Ok(Test::Compare { how, with })
}

fn operand(part: Part<'_>) -> Result<Operand, Refused> {
    let written = part.text();
    let inside = written
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let operand = match inside {
        Some(inside) if inside.contains('\\') => {
            text::unescaped(inside).ok_or(Refused::Query { at: part.place() })?
        }
        Some(inside) => inside.to_owned(),
        None => written.to_owned(),
    };
    match operand.strip_prefix('~') {
        None => Ok(Operand::Text(operand)),
        Some("true") => Ok(Operand::Like(Like::True)),
        Some("false") => Ok(Operand::Like(Like::False)),
        Some("null") => Ok(Operand::Like(Like::Null)),
        Some("*") => Ok(Operand::Like(Like::Anything)),
        Some(_) => Err(Refused::Query { at: part.place() }),
    }
}
