//! The words of the language: what may be called, how, and what it does.
//!
//! All of them are pure and give the same on every machine, so that unchanged secrets stay unchanged. There is no clock,
//! no randomness, no environment, file or network.

use std::sync::LazyLock;

use minijinja::value::Value;
use minijinja::{Environment, filters, functions, tests};

use super::given::{Given, Outcome};
use super::values::{Blob, Spelled};
use super::{certificates, encode, json, lists, patterns, text};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::assemble) enum Place {
    /// `{{ value | word }}`
    Filter,
    /// `{{ word() }}`
    Function,
}

impl Place {
    pub(super) fn is_filter(self) -> bool {
        self == Self::Filter
    }

    pub(super) fn is_function(self) -> bool {
        self == Self::Function
    }
}

#[derive(Clone, Copy)]
pub(in crate::assemble) enum Body {
    Ours(fn(&Given<'_>) -> Outcome),
    /// One of the engine's own, which checks its arguments itself.
    Engine(fn() -> Value),
}

/// One word as it is registered.
#[derive(Clone, Copy)]
pub(in crate::assemble) struct Entry {
    pub(in crate::assemble) place: Place,
    /// `indent(width, first=false)`: the name, then parameters; those with a default may be left out, and `*rest` takes
    /// all others. A filter's subject comes before them and is not named.
    pub(in crate::assemble) usage: &'static str,
    /// One line of the README.
    pub(in crate::assemble) says: &'static str,
    pub(in crate::assemble) body: Body,
}

impl Entry {
    pub(in crate::assemble) const fn filter(
        usage: &'static str,
        says: &'static str,
        body: fn(&Given<'_>) -> Outcome,
    ) -> Self {
        Self {
            place: Place::Filter,
            usage,
            says,
            body: Body::Ours(body),
        }
    }

    pub(in crate::assemble) const fn function(
        usage: &'static str,
        says: &'static str,
        body: fn(&Given<'_>) -> Outcome,
    ) -> Self {
        Self {
            place: Place::Function,
            usage,
            says,
            body: Body::Ours(body),
        }
    }
}

/// An [`Entry`] with its usage taken apart.
pub(super) struct Word {
    pub(super) place: Place,
    pub(super) usage: &'static str,
    /// For the README, which a test holds against it.
    #[cfg_attr(not(test), expect(dead_code, reason = "told by the README"))]
    pub(super) says: &'static str,
    pub(super) body: Body,
    name: &'static str,
    names: Vec<&'static str>,
    required: usize,
    collects: bool,
}

impl From<Entry> for Word {
    fn from(entry: Entry) -> Self {
        let (name, rest) = entry.usage.split_once('(').unwrap_or((entry.usage, ""));
        let mut word = Self {
            place: entry.place,
            usage: entry.usage,
            says: entry.says,
            body: entry.body,
            name,
            names: Vec::new(),
            required: 0,
            collects: false,
        };
        if word.place.is_filter() {
            word.names.push("value");
            word.required = 1;
        }
        let parameters = rest.trim_end_matches(')').split(", ");
        for parameter in parameters.filter(|parameter| !parameter.is_empty()) {
            match parameter.split_once('=') {
                Some((name, _)) => word.names.push(name),
                None if parameter.starts_with('*') => word.collects = true,
                None => {
                    word.names.push(parameter);
                    word.required = word.names.len();
                }
            }
        }
        word
    }
}

impl Word {
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// All parameters, a filter's subject first.
    pub(super) fn names(&self) -> &[&'static str] {
        &self.names
    }

    pub(super) fn required(&self) -> usize {
        self.required
    }

    pub(super) fn collects(&self) -> bool {
        self.collects
    }

    /// Whether it can be called with this many arguments by place, subject included, and these by name.
    pub(super) fn fits(&self, by_place: usize, by_name: &[&str]) -> bool {
        if matches!(self.body, Body::Engine(_)) {
            return true;
        }
        let free = self.names.get(by_place..).unwrap_or_default();
        let required = self.names[..self.required]
            .get(by_place..)
            .unwrap_or_default();
        (by_place <= self.names.len() || self.collects)
            && by_name.iter().all(|name| free.contains(name))
            && required.iter().all(|name| by_name.contains(name))
    }
}

pub(super) static ALL: LazyLock<Vec<Word>> = LazyLock::new(|| {
    let all = [
        text::WORDS,
        encode::WORDS,
        certificates::WORDS,
        json::WORDS,
        patterns::WORDS,
        lists::WORDS,
        ENGINE,
    ];
    all.into_iter().flatten().copied().map(Word::from).collect()
});

pub(super) fn find(name: &str, place: Place) -> Option<&'static Word> {
    ALL.iter()
        .find(|word| word.name == name && word.place == place)
}

pub(super) fn names(place: Place) -> impl Iterator<Item = &'static str> {
    ALL.iter()
        .filter(move |word| word.place == place)
        .map(|word| word.name)
}

macro_rules! engine {
    ($($place:ident $usage:literal, $says:literal, $body:expr;)*) => {
        &[$(Entry {
            place: Place::$place,
            usage: $usage,
            says: $says,
            body: Body::Engine(|| Value::from_function($body)),
        },)*]
    };
}

/// What the engine brings and may stay: it reads nothing but its arguments, and pays for what it makes.
const ENGINE: &[Entry] = engine! {
        Filter "first", "the first item", filters::first;
        Filter "last", "the last item", filters::last;
        Filter "list", "the items of a list, the keys of a map, the characters of a text", filters::list;
        Filter "reverse", "backwards", filters::reverse;
        Filter "sort(reverse=false, attribute=none)", "sorted", filters::sort;
        Filter "unique(attribute=none)", "without repetitions", filters::unique;
        Filter "items", "pairs of key and value", filters::items;
        Filter "dictsort(by=\"key\")", "pairs, sorted", filters::dictsort;
        Filter "map(filter)", "the filter over each item; or `map(attribute=\"name\")`", filters::map;
        Filter "select(test)", "the items that pass the test", filters::select;
        Filter "reject(test)", "the items that do not", filters::reject;
        Filter "selectattr(name, test)", "the items whose attribute passes the test", filters::selectattr;
        Filter "rejectattr(name, test)", "the items whose attribute does not", filters::rejectattr;
        Filter "min", "the smallest item", filters::min;
        Filter "max", "the largest item", filters::max;
        Filter "sum", "the sum of numbers", filters::sum;
        Filter "abs", "without the sign", filters::abs;
        Filter "round(precision=0)", "rounded", filters::round;
    Function "range(stop)", "numbers from 0, or `range(start, stop, step)`", functions::range;
    Function "dict(key=value)", "a map", functions::dict;
};

/// What may follow `is`.
pub(super) const TESTS: [&str; 27] = [
    "binary",
    "boolean",
    "defined",
    "divisibleby",
    "endingwith",
    "eq",
    "equalto",
    "even",
    "false",
    "float",
    "ge",
    "gt",
    "in",
    "integer",
    "iterable",
    "le",
    "lt",
    "mapping",
    "ne",
    "none",
    "number",
    "odd",
    "sequence",
    "startingwith",
    "string",
    "true",
    "undefined",
];

pub(super) fn add_tests(engine: &mut Environment<'_>) {
    let is_spelled = |value: &Value| value.downcast_object_ref::<Spelled>().is_some();
    engine.add_test("binary", |value: &Value| {
        value.downcast_object_ref::<Blob>().is_some()
    });
    engine.add_test("number", move |value: &Value| {
        value.is_number() || is_spelled(value)
    });
    engine.add_test("boolean", tests::is_boolean);
    engine.add_test("defined", tests::is_defined);
    engine.add_test("divisibleby", tests::is_divisibleby);
    engine.add_test("endingwith", tests::is_endingwith);
    engine.add_test("eq", tests::is_eq);
    engine.add_test("equalto", tests::is_eq);
    engine.add_test("even", tests::is_even);
    engine.add_test("false", tests::is_false);
    engine.add_test("float", tests::is_float);
    engine.add_test("ge", tests::is_ge);
    engine.add_test("gt", tests::is_gt);
    engine.add_test("in", tests::is_in);
    engine.add_test("integer", tests::is_integer);
    engine.add_test("iterable", tests::is_iterable);
    engine.add_test("le", tests::is_le);
    engine.add_test("lt", tests::is_lt);
    engine.add_test("mapping", tests::is_mapping);
    engine.add_test("ne", tests::is_ne);
    engine.add_test("none", tests::is_none);
    engine.add_test("odd", tests::is_odd);
    engine.add_test("sequence", tests::is_sequence);
    engine.add_test("startingwith", tests::is_startingwith);
    engine.add_test("string", tests::is_string);
    engine.add_test("true", tests::is_true);
    engine.add_test("undefined", tests::is_undefined);
}
