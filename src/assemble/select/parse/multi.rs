//! `[a,b]` and `{a,"b":c}`.

use super::part::Part;
use super::{Context, Read, after, inner};
use crate::assemble::select::path::Stage;
use crate::assemble::select::refused::Refused;
use crate::assemble::select::text;

/// One of the paths, with its name where it has one.
struct Member<'t> {
    name: Option<Part<'t>>,
    path: Part<'t>,
}

pub(super) fn multi(part: Part<'_>, context: Context) -> Result<Read<'_>, Refused> {
    let (members, length) = members(part)?;
    let rest = after(part.from(length))?;
    let paths = members
        .iter()
        .map(|member| Ok((name(member), inner(member.path, context)?)));
    let stage = if part.text().starts_with('{') {
        Stage::Record(paths.collect::<Result<_, _>>()?)
    } else {
        Stage::List(
            paths
                .map(|it| it.map(|(_, path)| path))
                .collect::<Result<_, _>>()?,
        )
    };
    Ok((stage, rest))
}

fn members(part: Part<'_>) -> Result<(Vec<Member<'_>>, usize), Refused> {
    let bytes = part.text().as_bytes();
    let mut members = Vec::new();
    let mut depth = 1_usize;
    let mut start = 1;
    let mut colon = None;
    // The argument of a modifier has colons of its own.
    let mut modifier = false;
    let mut at = 1;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 1,
            b'@' if matches!(bytes[at - 1], b'.' | b'|') => modifier = true,
            b':' if depth == 1 && !modifier && colon.is_none() => colon = Some(at),
            b'"' => at += quoted(&bytes[at + 1..]),
            b'[' | b'(' | b'{' => depth += 1,
            b']' | b')' | b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 || (depth == 1 && byte == b',') {
            members.push(Member {
                name: colon.map(|colon| part.range(start, colon)),
                path: part.range(colon.map_or(start, |colon| colon + 1), at),
            });
            (start, colon, modifier) = (at + 1, None, false);
        }
        at += 1;
        if depth == 0 {
            return Ok((members, at));
        }
    }
    Err(Refused::Unclosed { at: part.place() })
}

/// The length of the rest of a string, with its closing quote.
fn quoted(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 1,
            b'"' => return at + 1,
            _ => {}
        }
        at += 1;
    }
    at
}

/// The name of a member, as a JSON string. Without one of its own, it is that of the last key of its path.
fn name(member: &Member<'_>) -> String {
    let own = member.name.map(Part::text).filter(|name| !name.is_empty());
    if let Some(name) = own {
        return if name.starts_with('"') && text::is_json(name) {
            name.to_owned()
        } else {
            text::quoted(name)
        };
    }
    let path = member.path.text();
    let last = path
        .char_indices()
        .rev()
        .find(|&(at, c)| matches!(c, '|' | '.') && !path[..at].ends_with('\\'))
        .map_or(path, |(at, _)| &path[at + 1..]);
    let plain = !last.contains(|c: char| c < ' ' || "[]{}()#|!".contains(c));
    text::quoted(if plain { last } else { "_" })
}
