//! The engine as templates get it: our words and nothing else, strict, without escaping, and on a budget.

use std::error::Error as _;
use std::io;
use std::sync::{Arc, LazyLock};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Rest, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value};

use super::given::{Given, Refusal, kind_of, text_of};
use super::values::{Blob, Ledger, Spelled};
use super::words::{self, Body, Word};
use crate::secret::SecretBytes;

/// Loops within loops, and the like.
const MAX_RECURSION: usize = 64;

/// Jinja's own delimiters; nothing is trimmed, so that a file's last newline stays.
pub(super) fn syntax() -> SyntaxConfig {
    SyntaxConfig::builder()
        .keep_trailing_newline(true)
        .build()
        .expect("the default delimiters are valid")
}

/// The engine without a template.
pub(super) fn environment() -> Environment<'static> {
    static BASE: LazyLock<Environment<'static>> = LazyLock::new(build);
    BASE.clone()
}

fn build() -> Environment<'static> {
    let mut engine = Environment::empty();
    engine.set_debug(false);
    engine.set_undefined_behavior(UndefinedBehavior::Strict);
    engine.set_recursion_limit(MAX_RECURSION);
    engine.set_syntax(syntax());
    engine.set_formatter(|out, state, value| put_out(out, state, value).map_err(error_of));
    for word in words::ALL.iter() {
        let call = move |state: &mut State<'_, '_>, args: Rest<ValueOrKwargs>| {
            let args: Vec<Value> = args.0.into_iter().map(Value::from).collect();
            call(word, state, &args)
        };
        if word.place.is_filter() {
            engine.add_filter(word.name(), call);
        }
        if word.place.is_function() {
            engine.add_function(word.name(), call);
        }
    }
    words::add_tests(&mut engine);
    engine
}

fn call(word: &'static Word, state: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
    match &word.body {
        Body::Engine(value) => value().call(state, args).map_err(|error| {
            let says_nothing = error.source().is_none()
                && matches!(
                    error.kind(),
                    ErrorKind::InvalidOperation
                        | ErrorKind::MissingArgument
                        | ErrorKind::TooManyArguments
                );
            if says_nothing {
                let fact = format!("`{}` cannot take what it is given", word.usage);
                return error_of(Refusal::new(fact));
            }
            error
        }),
        Body::Ours(ours) => {
            let ledger = Ledger::of(state).map_err(error_of)?;
            let bound = bind(word, args).map_err(error_of)?;
            let given = Given {
                state,
                bound: &bound.named,
                rest: &bound.rest,
                names: word.names(),
                ledger: &ledger,
            };
            let paid = args
                .iter()
                .filter_map(Value::as_str)
                .map(str::len)
                .sum::<usize>()
                / 64;
            let answer = given
                .charge(1 + paid as u64)
                .and_then(|()| ours(&given))
                .map_err(error_of)?;
            Ok(given.answered(answer))
        }
    }
}

struct Bound {
    named: Vec<Option<Value>>,
    rest: Vec<Value>,
}

/// Puts each argument where its parameter is.
fn bind(word: &Word, args: &[Value]) -> Result<Bound, Refusal> {
    let names = word.names();
    let mut bound = Bound {
        named: vec![None; names.len()],
        rest: Vec::new(),
    };
    let wrong = || Refusal::new(format!("it is called as `{}`", word.usage));
    let mut next = 0;
    for arg in args {
        if let Some(kwargs) = arg
            .is_kwargs()
            .then(|| Kwargs::try_from(arg.clone()).ok())
            .flatten()
        {
            for name in kwargs.args() {
                let at = names
                    .iter()
                    .position(|known| *known == name)
                    .ok_or_else(wrong)?;
                if bound.named[at].is_some() {
                    return Err(wrong());
                }
                bound.named[at] = kwargs.peek(name).ok();
            }
        } else if let Some(place) = bound.named.get_mut(next) {
            *place = Some(arg.clone());
            next += 1;
        } else if word.collects() {
            bound.rest.push(arg.clone());
        } else {
            return Err(wrong());
        }
    }
    if bound.named[..word.required()].iter().any(Option::is_none) {
        return Err(wrong());
    }
    Ok(bound)
}

/// Writes one value. A list, a map and null have no text: whoever wants one says which.
fn put_out(out: &mut Output<'_>, state: &State<'_, '_>, value: &Value) -> Result<(), Refusal> {
    let ledger = Ledger::of(state)?;
    // A word before may have made text of bytes.
    ledger.check()?;
    if let Some(blob) = value.downcast_object_ref::<Blob>() {
        return ledger.put_out(blob);
    }
    let has_text = matches!(
        value.kind(),
        ValueKind::String | ValueKind::Number | ValueKind::Bool
    );
    if has_text || value.downcast_object_ref::<Spelled>().is_some() {
        return write(out, value);
    }
    if value.is_undefined() {
        return Err(Refusal::Undefined);
    }
    Err(if value.is_none() {
        Refusal::new("it is null; use `default(\"...\", true)` or `to_json`")
    } else {
        Refusal::new(format!(
            "it is {}, which has no text of its own; use `to_json`, `to_yaml` or `join`",
            kind_of(value)
        ))
    })
}

fn write(out: &mut Output<'_>, value: &Value) -> Result<(), Refusal> {
    // Only the budget stops it.
    out.write_str(&text_of(value, "it")?)
        .map_err(|_| Refusal::OutOfFuel)
}

pub(super) fn error_of(refusal: Refusal) -> Error {
    match refusal {
        Refusal::Undefined => Error::from(ErrorKind::UndefinedError),
        Refusal::OutOfFuel => Error::from(ErrorKind::OutOfFuel),
        Refusal::Because(_) => Error::from(ErrorKind::InvalidOperation).with_source(refusal),
    }
}

/// Text that stops growing.
struct Sheet {
    text: Vec<u8>,
    most: usize,
}

impl io::Write for Sheet {
    fn write(&mut self, more: &[u8]) -> io::Result<usize> {
        if more.len() > self.most - self.text.len() {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.text.extend_from_slice(more);
        Ok(more.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The template `name` of `engine` over `context`.
pub(super) fn render(
    engine: &Environment<'_>,
    name: &str,
    context: Value,
    ledger: &Arc<Ledger>,
    most: usize,
) -> Result<SecretBytes, Error> {
    let mut sheet = Sheet {
        text: Vec::new(),
        most,
    };
    let rendered = engine
        .get_template(name)
        .and_then(|template| template.render_captured_to(context, &mut sheet).map(drop));
    let text = SecretBytes::new(sheet.text);
    rendered?;
    ledger.settle(text).map_err(error_of)
}
