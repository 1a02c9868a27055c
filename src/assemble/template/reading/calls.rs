//! Whether what a template calls is there, and takes what it is given.

use minijinja::machinery::Span;
use minijinja::machinery::ast::{CallArg, Expr};

use super::{Parts, Read, Reader, cost};
use crate::assemble::template::words::{self, Place, Word};
use crate::assemble::template::{patterns, place, similar};

impl<'t> Reader<'t> {
    pub(super) fn filter(&self, name: &str, args: &[CallArg<'t>], span: Span) -> Read {
        let Some(word) = words::find(name, Place::Filter) else {
            let hint = similar::hint(name, words::names(Place::Filter));
            let fact = format!("there is no filter `{}`{hint}", place::quoted(name));
            return Err(self.broken(span, &fact));
        };
        match (name, constant(args, 0), constant(args, 1)) {
            ("map", Some(inner), _) => return self.filter(inner, &args[1..], span),
            ("map", None, _) if matches!(args.first(), Some(CallArg::Pos(_))) => {
                return Err(self.broken(span, "the filter's name must be written in the template"));
            }
            ("map", None, _) => return Ok(()),
            ("select" | "reject", Some(test), _) | ("selectattr" | "rejectattr", _, Some(test)) => {
                self.test(test, span)?;
            }
            _ => {}
        }
        self.called(word, args, 1, span)
    }

    pub(super) fn test(&self, name: &str, span: Span) -> Read {
        if words::TESTS.contains(&name) {
            return Ok(());
        }
        let hint = similar::hint(name, words::TESTS);
        let fact = format!("there is no test `is {}`{hint}", place::quoted(name));
        Err(self.broken(span, &fact))
    }

    pub(super) fn call(&mut self, callee: &Expr<'t>, args: &[CallArg<'t>], span: Span) -> Parts {
        let fact = match callee {
            Expr::Var(name) => {
                if let Some(word) = words::find(name.id, Place::Function) {
                    self.called(word, args, 0, span)?;
                    return Ok(cost(word) + self.arguments(args)?);
                }
                no_function(name.id)
            }
            Expr::GetAttr(get) => no_method(&get.expr, get.name),
            Expr::Const(_)
            | Expr::Slice(_)
            | Expr::UnaryOp(_)
            | Expr::BinOp(_)
            | Expr::Compare(_)
            | Expr::IfExpr(_)
            | Expr::Filter(_)
            | Expr::Test(_)
            | Expr::GetItem(_)
            | Expr::Call(_)
            | Expr::List(_)
            | Expr::Tuple(_)
            | Expr::Map(_) => "only functions can be called".to_owned(),
        };
        Err(self.broken(span, &fact))
    }

    /// Judges the arguments as far as they are counted and written here.
    fn called(&self, word: &Word, args: &[CallArg<'t>], subject: usize, span: Span) -> Read {
        let mut by_name = Vec::new();
        let mut by_place = subject;
        for arg in args {
            match arg {
                CallArg::Pos(_) => by_place += 1,
                CallArg::Kwarg(name, _) => by_name.push(*name),
                CallArg::PosSplat(_) | CallArg::KwargSplat(_) => {
                    return Err(self.broken(span, "arguments are written one by one here"));
                }
            }
        }
        if !word.fits(by_place, &by_name) {
            return Err(self.broken(span, &format!("it is called as `{}`", word.usage)));
        }
        match (word.name(), constant(args, 0)) {
            ("regex_replace" | "regex_match", Some(pattern))
                if patterns::compiled(pattern).is_none() =>
            {
                Err(self.broken(span, "this is no regular expression, or it is too large"))
            }
            ("regex_replace" | "regex_match" | "fail", None) => {
                Err(self.broken(span, "this text must be written in the template"))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn arguments(&mut self, args: &[CallArg<'t>]) -> Parts {
        self.all(args.iter().map(|arg| match arg {
            CallArg::Pos(value)
            | CallArg::Kwarg(_, value)
            | CallArg::PosSplat(value)
            | CallArg::KwargSplat(value) => value,
        }))
    }
}

/// An argument that is a text in the template.
fn constant<'a>(args: &'a [CallArg<'_>], at: usize) -> Option<&'a str> {
    let CallArg::Pos(argument) = args.get(at)? else {
        return None;
    };
    written(argument)
}

fn no_function(name: &str) -> String {
    if words::find(name, Place::Filter).is_some() {
        return format!("`{name}` is a filter: `{{{{ value | {name} }}}}`");
    }
    let hint = similar::hint(name, words::names(Place::Function));
    format!("there is no function `{}`{hint}", place::quoted(name))
}

/// Also of `loop`: `loop.cycle()` without arguments panics inside the engine.
fn no_method(of: &Expr<'_>, name: &str) -> String {
    if matches!(of, Expr::Var(of) if of.id == "loop") {
        return "`loop` is asked, not called: `loop.index`, `loop.last`".to_owned();
    }
    let filter = similar::closest(name, words::names(Place::Filter));
    let instead = filter.map_or_else(String::new, |filter| {
        format!("; use the filter: `{{{{ value | {filter} }}}}`")
    });
    let name = place::quoted(name);
    format!("values have no methods such as `{name}()`{instead}")
}

/// A text that stands in the template.
pub(super) fn written<'e>(expression: &'e Expr<'_>) -> Option<&'e str> {
    let Expr::Const(text) = expression else {
        return None;
    };
    text.value.as_str()
}
