//! Go templates, as ESO has them, to ours: lookups, and pipelines of functions that we have under a name of our own.
//!
//! What a function gives has to be the same, or the difference is a warning. Everything else (conditions, loops,
//! variables, functions that we lack) is refused with its text.

mod calls;
mod read;
mod value;

use self::calls::call;
use self::read::{Operand, Reader};
use self::value::{Shape, Source, Value};
use super::jinja::{self, Converted, Draft, refused};

/// Which of ESO's two engines a template is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Engine {
    V1,
    V2,
}

/// What a template knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    /// The keys of an entry.
    Entry(Engine),
    /// The one name `.value`, in a `rewrite`.
    Name,
}

pub(super) fn convert(text: &str, of: Of) -> Result<Converted, String> {
    let mut draft = Draft::default();
    let mut warnings = Vec::new();
    let mut rest = text;
    let mut trim = false;
    loop {
        let at = rest.find("{{");
        let (before, tag) = rest.split_at(at.unwrap_or(rest.len()));
        let before = if trim {
            before.trim_start_matches(WHITE)
        } else {
            before
        };
        if tag.is_empty() {
            draft.text(before);
            break;
        }
        let length = action_length(tag).ok_or("a `{{` in it has no `}}`")?;
        let action = &tag[..length];
        let inner = &action[2..length - 2];
        let (inner, trims_before) = match inner.strip_prefix('-') {
            Some(rest) if rest.starts_with(WHITE) => (rest, true),
            Some(_) | None => (inner, false),
        };
        let (inner, trims_after) = match inner.strip_suffix('-') {
            Some(rest) if rest.ends_with(WHITE) => (rest, true),
            Some(_) | None => (inner, false),
        };
        draft.text(if trims_before {
            before.trim_end_matches(WHITE)
        } else {
            before
        });
        trim = trims_after;
        rest = &tag[length..];
        let inner = inner.trim_matches(WHITE);
        if inner.starts_with("/*") && inner.ends_with("*/") {
            continue;
        }
        action_of(inner, of, (&mut draft, &mut warnings)).map_err(|why| refused(action, &why))?;
    }
    warnings.sort_unstable();
    warnings.dedup();
    draft.finish(warnings)
}

/// What Go trims.
const WHITE: [char; 4] = [' ', '\t', '\r', '\n'];

/// Up to and with its `}}`, which may also stand in a text.
fn action_length(tag: &str) -> Option<usize> {
    if let Some(comment) = tag
        .strip_prefix("{{")
        .map(|it| it.trim_start_matches(['-', ' ', '\n', '\t', '\r']))
        && comment.starts_with("/*")
    {
        let end = tag.find("*/")?;
        return tag[end..].find("}}").map(|at| end + at + 2);
    }
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in tag.char_indices().skip(2) {
        match quote {
            _ if escaped => escaped = false,
            Some('"') if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            None if c == '"' || c == '`' => quote = Some(c),
            None if tag[at..].starts_with("}}") => return Some(at + 2),
            Some(_) | None => {}
        }
    }
    None
}

type Out<'a> = (&'a mut Draft, &'a mut Vec<&'static str>);

fn action_of(inner: &str, of: Of, (draft, warnings): Out<'_>) -> Result<(), String> {
    let mut reader = Reader::new(inner);
    let pipeline = reader.pipeline()?;
    reader.end()?;
    if let [command] = pipeline.as_slice()
        && let [Operand::Text(text)] = command.as_slice()
    {
        // How a template says two braces.
        draft.text(text);
        return Ok(());
    }
    let value = evaluate(&pipeline, of, warnings)?;
    if value.shape == Shape::Json {
        return Err("what this gives is no text".to_owned());
    }
    match value.source {
        Source::Constant => return draft.constant(&value.text),
        Source::Mixed => draft.keep_text(),
        Source::Lookup | Source::Keys => {}
    }
    draft.expression(&value.text);
    Ok(())
}

type Warnings<'a> = &'a mut Vec<&'static str>;

fn evaluate(pipeline: &[Vec<Operand>], of: Of, warnings: Warnings<'_>) -> Result<Value, String> {
    let mut piped: Option<Value> = None;
    for command in pipeline {
        let value = command_of(command, piped, of, warnings)?;
        piped = Some(value);
    }
    let value = piped.ok_or("there is nothing in it")?;
    if of == Of::Entry(Engine::V1) && value.source == Source::Lookup {
        return Err(
            "engine v1 writes bytes as numbers here: only `.key | toString` is converted"
                .to_owned(),
        );
    }
    Ok(value)
}

fn command_of(
    command: &[Operand],
    piped: Option<Value>,
    of: Of,
    warnings: Warnings<'_>,
) -> Result<Value, String> {
    let (first, rest) = command.split_first().ok_or("there is nothing in it")?;
    let Operand::Word(name) = first else {
        if piped.is_some() || !rest.is_empty() {
            return Err("only functions take values".to_owned());
        }
        return operand(first, of, warnings);
    };
    if of == Of::Entry(Engine::V1) {
        return engine_v1(name, (rest, piped), of, warnings);
    }
    if name == "index" {
        return index(rest, piped, of, warnings);
    }
    let mut arguments = Vec::new();
    for it in rest {
        arguments.push(operand(it, of, warnings)?);
    }
    arguments.extend(piped);
    call(name, &arguments, warnings)
}

/// Its values are bytes, of which only `toString` makes text.
fn engine_v1(
    name: &str,
    (rest, piped): (&[Operand], Option<Value>),
    of: Of,
    warnings: Warnings<'_>,
) -> Result<Value, String> {
    let subject = match (rest, piped) {
        ([], Some(piped)) => piped,
        ([one], None) => operand(one, of, warnings)?,
        (_, _) => return Err("only `.key | toString` is converted of engine v1".to_owned()),
    };
    if name != "toString" || subject.source != Source::Lookup {
        return Err("only `.key | toString` is converted of engine v1".to_owned());
    }
    warnings.push("`toString` of engine v1 is left out: values are text here");
    Ok(Value {
        source: Source::Keys,
        ..subject
    })
}

/// `index . "key"`, or a member of what came out of JSON.
fn index(
    rest: &[Operand],
    piped: Option<Value>,
    of: Of,
    warnings: Warnings<'_>,
) -> Result<Value, String> {
    let wrong = || "only `index . \"key\"` is converted".to_owned();
    match (rest, piped) {
        ([Operand::Dot, Operand::Text(key)], None) if of != Of::Name => Ok(looked_up(key)),
        ([it, steps @ ..], None) if !steps.is_empty() => {
            let mut value = operand(it, of, warnings)?;
            for step in steps {
                value = match step {
                    Operand::Text(key) => member(&value, &jinja::string(key))?,
                    Operand::Number(number) => member(&value, number)?,
                    Operand::Dot | Operand::Field(_) | Operand::Word(_) | Operand::Group(..) => {
                        return Err(wrong());
                    }
                };
            }
            Ok(value)
        }
        (_, _) => Err(wrong()),
    }
}

fn member(value: &Value, step: &str) -> Result<Value, String> {
    if value.shape == Shape::Text {
        return Err("only what `fromJson` gives has members".to_owned());
    }
    let text = if value.text.ends_with(']') && value.text.starts_with('(') {
        format!("{}[{step}]", value.text)
    } else {
        format!("({})[{step}]", value.text)
    };
    Ok(Value {
        shape: Shape::Member,
        ..Value::text(text, Source::of([value]))
    })
}

fn looked_up(key: &str) -> Value {
    Value::text(jinja::lookup(key), Source::Lookup)
}

fn operand(operand: &Operand, of: Of, warnings: Warnings<'_>) -> Result<Value, String> {
    match operand {
        Operand::Text(text) => Ok(Value {
            literal: Some(text.clone()),
            ..Value::text(jinja::string(text), Source::Constant)
        }),
        Operand::Number(number) => Ok(Value::text(number.clone(), Source::Constant)),
        Operand::Dot => Err("`.` as a whole is not converted".to_owned()),
        Operand::Word(name) => call(name, &[], warnings),
        Operand::Field(names) => match (names.as_slice(), of) {
            ([name], Of::Name) if name == "value" => Ok(Value::text("value", Source::Keys)),
            (_, Of::Name) => Err("a `rewrite` knows nothing but `.value`".to_owned()),
            ([name], Of::Entry(_)) => Ok(looked_up(name)),
            (_, Of::Entry(_)) => Err(
                "a key has no members; of a Helm template, render it first with `helm template`"
                    .to_owned(),
            ),
        },
        Operand::Group(pipeline, members) => {
            let mut value = evaluate(pipeline, of, warnings)?;
            for name in members {
                value = member(&value, &jinja::string(name))?;
            }
            Ok(value)
        }
    }
}

#[cfg(test)]
mod tests;
