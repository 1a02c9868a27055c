//! What a template says before it is rendered: which keys it asks for, and whether every word it uses is there, also in
//! branches that no render takes.

mod calls;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use minijinja::machinery::Span;
use minijinja::machinery::ast::{
    BinOpKind, Compare, CompareOpKind, Expr, Filter, Slice, Stmt, Test,
};

use self::calls::written;
use super::words::{self, Body, Place, Word};
use super::{Broken, place};

const MAX_STEP: i64 = 1000;
/// How many parts a value may be built of by `{% set x = [x, x] %}` and the like. The engine pays for each list once,
/// but walks it as often as it is part of another, and recurses as deep as they are nested.
const MAX_PARTS: u64 = 2000;
/// What counts for a list, and for whatever may make one that reads another when it is read.
const LEVEL: u64 = 20;
/// For everything else that is called.
const STEP: u64 = 2;
/// What `*` counts as, where it is not known how often it repeats.
const REPEATED: u64 = 30;

/// A key of the entry, or a part of something else, that a template asks for.
#[derive(Debug)]
pub(super) struct Reference {
    pub(super) name: String,
    pub(super) range: Range<usize>,
    pub(super) of: Of,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    /// The entry: it must be there.
    Entry,
    /// The entry, with `default`.
    Guarded,
    /// Another map, such as one from JSON.
    Other,
}

#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) references: Vec<Reference>,
    /// Keys that some `is defined` asks about.
    pub(super) tested: BTreeSet<String>,
    /// Whether `data` is used as a whole, so that it may ask for any key.
    pub(super) takes_all: bool,
    /// Whether output is kept for later: by `{% set x %}...{% endset %}` or `{% filter %}`.
    pub(super) keeps_output: bool,
}

pub(super) struct Reader<'t> {
    text: &'t str,
    tags: &'t [Range<usize>],
    /// Names that the template binds itself, innermost last, and of how many parts they are.
    bound: Vec<BTreeMap<&'t str, u64>>,
    reading: Reading,
}

type Read = Result<(), Broken>;
/// Of how many parts an expression's value may be.
type Parts = Result<u64, Broken>;

/// Reads the whole template.
pub(super) fn read(
    text: &str,
    tags: &[Range<usize>],
    template: &Stmt<'_>,
) -> Result<Reading, Broken> {
    let mut reader = Reader {
        text,
        tags,
        bound: vec![BTreeMap::new()],
        reading: Reading::default(),
    };
    reader.statement(template)?;
    Ok(reader.reading)
}

fn range(span: Span) -> Range<usize> {
    span.start_offset as usize..span.end_offset as usize
}

impl<'t> Reader<'t> {
    fn broken(&self, span: Span, fact: &str) -> Broken {
        place::broken(self.text, self.tags, range(span), fact)
    }

    fn bound(&self, name: &str) -> Option<u64> {
        self.bound
            .iter()
            .rev()
            .find_map(|names| names.get(name).copied())
    }

    fn statements(&mut self, statements: &[Stmt<'t>]) -> Read {
        statements
            .iter()
            .try_for_each(|statement| self.statement(statement))
    }

    fn scope(&mut self, statements: &[Stmt<'t>]) -> Read {
        self.bound.push(BTreeMap::new());
        self.statements(statements)?;
        self.bound.pop();
        Ok(())
    }

    fn statement(&mut self, statement: &Stmt<'t>) -> Read {
        match statement {
            Stmt::Template(template) => self.statements(&template.children),
            Stmt::EmitRaw(_) => Ok(()),
            Stmt::EmitExpr(emit) => self.expression(&emit.expr).map(drop),
            Stmt::ForLoop(each) => {
                if each.recursive {
                    return Err(self.broken(each.span(), "there are no recursive loops"));
                }
                let parts = self.expression(&each.iter)?;
                self.bound.push(BTreeMap::from([("loop", 1)]));
                self.bind(&each.target, parts)?;
                if let Some(filter) = &each.filter_expr {
                    self.expression(filter)?;
                }
                self.statements(&each.body)?;
                self.bound.pop();
                self.scope(&each.else_body)
            }
            Stmt::IfCond(choice) => {
                self.expression(&choice.expr)?;
                self.statements(&choice.true_body)?;
                self.statements(&choice.false_body)
            }
            Stmt::WithBlock(with) => {
                self.bound.push(BTreeMap::new());
                for (target, value) in &with.assignments {
                    let parts = self.expression(value)?;
                    self.bind(target, parts)?;
                }
                self.statements(&with.body)?;
                self.bound.pop();
                Ok(())
            }
            Stmt::Set(set) => {
                let parts = self.expression(&set.expr)?;
                self.bind(&set.target, parts)
            }
            Stmt::SetBlock(set) => {
                self.reading.keeps_output = true;
                self.scope(&set.body)?;
                if let Some(filter) = &set.filter {
                    self.expression(filter)?;
                }
                self.bind(&set.target, 1)
            }
            Stmt::FilterBlock(block) => {
                self.reading.keeps_output = true;
                self.scope(&block.body)?;
                self.expression(&block.filter).map(drop)
            }
            Stmt::AutoEscape(block) => Err(self.broken(block.span(), "nothing is ever escaped")),
            Stmt::Do(call) => Err(self.broken(call.span(), "nothing that is called has an effect")),
        }
    }

    fn bind(&mut self, target: &Expr<'t>, parts: u64) -> Read {
        if let Expr::List(list) = target {
            return list
                .items
                .iter()
                .try_for_each(|item| self.bind(item, parts));
        }
        let Expr::Var(name) = target else {
            return Err(self.broken(target.span(), "only a name can be set"));
        };
        let fact = if name.id == "data" {
            "`data` is what the entry holds"
        } else if words::find(name.id, Place::Function).is_some() {
            "a function has this name"
        } else {
            if let Some(names) = self.bound.last_mut() {
                names.insert(name.id, parts);
            }
            return Ok(());
        };
        Err(self.broken(target.span(), fact))
    }

    /// The parts of all of them together.
    fn all<'e>(&mut self, expressions: impl IntoIterator<Item = &'e Expr<'t>>) -> Parts
    where
        't: 'e,
    {
        expressions.into_iter().try_fold(0, |parts, expression| {
            Ok(parts + self.expression(expression)?)
        })
    }

    fn expression(&mut self, expression: &Expr<'t>) -> Parts {
        let parts = self.parts(expression)?;
        if parts > MAX_PARTS {
            let fact = format!("it is built of more than {MAX_PARTS} parts");
            return Err(self.broken(expression.span(), &fact));
        }
        Ok(parts.max(1))
    }

    fn parts(&mut self, expression: &Expr<'t>) -> Parts {
        if let Some((name, of)) = self.key(expression) {
            self.refer(name, of, expression.span());
            return Ok(1);
        }
        match expression {
            Expr::Var(name) => {
                if name.id == "data" {
                    self.reading.takes_all = true;
                    return Ok(1);
                }
                self.bound(name.id)
                    .ok_or_else(|| self.broken(name.span(), "a function must be called, with `()`"))
            }
            Expr::Const(_) => Ok(1),
            Expr::Slice(slice) => self.slice(slice, slice.span()),
            Expr::UnaryOp(op) => self.expression(&op.expr),
            Expr::BinOp(op) => {
                if matches!(op.op, BinOpKind::In) {
                    self.contained(&op.left, &op.right);
                }
                let parts = self.all([&op.left, &op.right])?;
                let repeats = matches!(op.op, BinOpKind::Mul);
                let joins = matches!(op.op, BinOpKind::Add);
                Ok(if repeats {
                    parts * REPEATED
                } else if joins {
                    parts + LEVEL / 2
                } else {
                    parts
                })
            }
            Expr::Compare(compare) => self.compare(compare),
            Expr::IfExpr(choice) => {
                let parts = self.all([&choice.test_expr, &choice.true_expr])?;
                Ok(parts + self.all(&choice.false_expr)?)
            }
            Expr::Filter(filter) => self.filtered(filter, filter.span()),
            Expr::Test(test) => self.tested(test, test.span()),
            Expr::GetAttr(get) => {
                self.refer(get.name, Of::Other, get.span());
                self.expression(&get.expr)
            }
            Expr::GetItem(get) => {
                if let Some(name) = written(&get.subscript_expr) {
                    self.refer(name, Of::Other, get.span());
                }
                self.all([&get.expr, &get.subscript_expr])
            }
            Expr::Call(call) => self.call(&call.expr, &call.args, call.span()),
            Expr::List(list) => Ok(LEVEL + self.all(&list.items)?),
            Expr::Tuple(list) => Ok(LEVEL + self.all(&list.items)?),
            Expr::Map(map) => Ok(LEVEL + self.all(map.keys.iter().chain(&map.values))?),
        }
    }

    fn slice(&mut self, slice: &Slice<'t>, span: Span) -> Parts {
        if let Some(step) = &slice.step {
            // The engine negates it unchecked.
            let step = step.as_const().and_then(|step| step.as_i64());
            if !step.is_some_and(|step| step != 0 && (-MAX_STEP..=MAX_STEP).contains(&step)) {
                let fact = "the step must be a small number, written here";
                return Err(self.broken(span, fact));
            }
        }
        let bounds = [&slice.start, &slice.stop].into_iter().flatten();
        Ok(LEVEL + self.expression(&slice.expr)? + self.all(bounds)?)
    }

    fn compare(&mut self, compare: &Compare<'t>) -> Parts {
        for part in &compare.ops {
            if matches!(part.op, CompareOpKind::In | CompareOpKind::NotIn) {
                self.contained(&compare.expr, &part.expr);
            }
        }
        let parts = self.expression(&compare.expr)?;
        Ok(parts + self.all(compare.ops.iter().map(|part| &part.expr))?)
    }

    fn filtered(&mut self, filter: &Filter<'t>, span: Span) -> Parts {
        self.filter(filter.name, &filter.args, span)?;
        let parts = match &filter.expr {
            Some(subject) if matches!(filter.name, "default" | "d") => self.guarded(subject)?,
            subject => self.all(subject)?,
        };
        let word = words::find(filter.name, Place::Filter);
        Ok(word.map_or(LEVEL, cost) + parts + self.arguments(&filter.args)?)
    }

    fn tested(&mut self, test: &Test<'t>, span: Span) -> Parts {
        self.test(test.name, span)?;
        if matches!(test.name, "defined" | "undefined") {
            if let Some((name, _)) = self.key(&test.expr) {
                self.reading.tested.insert(name.to_owned());
            }
            self.guarded(&test.expr)?;
        } else {
            self.expression(&test.expr)?;
        }
        self.arguments(&test.args)?;
        Ok(1)
    }

    /// The key that an expression is: `name`, `data.name` or `data["name"]`.
    fn key<'e>(&self, expression: &'e Expr<'t>) -> Option<(&'e str, Of)> {
        let is_data = |of: &Expr<'_>| matches!(of, Expr::Var(name) if name.id == "data");
        let name = if let Expr::Var(name) = expression {
            let other = name.id == "data"
                || self.bound(name.id).is_some()
                || words::find(name.id, Place::Function).is_some();
            (!other).then_some(name.id)
        } else if let Expr::GetAttr(get) = expression {
            is_data(&get.expr).then_some(get.name)
        } else if let Expr::GetItem(get) = expression {
            written(&get.subscript_expr).filter(|_| is_data(&get.expr))
        } else {
            None
        };
        name.map(|name| (name, Of::Entry))
    }

    fn refer(&mut self, name: &str, of: Of, span: Span) {
        self.reading.references.push(Reference {
            name: name.to_owned(),
            range: range(span),
            of,
        });
    }

    /// What may be missing.
    fn guarded(&mut self, subject: &Expr<'t>) -> Parts {
        if let Some((name, _)) = self.key(subject) {
            self.refer(name, Of::Guarded, subject.span());
            return Ok(1);
        }
        self.expression(subject)
    }

    /// `"name" in data` asks about a key.
    fn contained(&mut self, name: &Expr<'t>, of: &Expr<'t>) {
        if let Expr::Var(of) = of
            && of.id == "data"
            && let Some(name) = written(name)
        {
            self.reading.tested.insert(name.to_owned());
        }
    }
}

/// The engine's own words may answer a list that reads another when it is read.
fn cost(word: &Word) -> u64 {
    match word.body {
        Body::Engine(_) => LEVEL,
        Body::Ours(_) => STEP,
    }
}
