//! YAML text to trees, under limits. A file that is not read as a whole is not read at all: half a manifest may say
//! something else.
//!
//! Aliases are refused rather than followed, so that nothing grows; the library's own text, which may quote the file,
//! is never used.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};

use granit_parser::{Event, Parser, ScalarStyle, Tag};

use super::tree::{Field, Node, Shape};

/// Mappings and lists within one another.
const DEEPEST: usize = 100;

/// Of more keys than these their hashes are kept: a mapping of hundreds of thousands would take minutes, were each compared
/// with each.
const FEW: usize = 32;

/// Why a text is no YAML that can be converted, and where: both counted from 1.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken {
    /// Of the documents.
    pub document: u32,
    pub line: u32,
    pub column: u32,
    pub fact: &'static str,
}

/// One document of a file, counted from 1.
#[derive(Debug)]
pub(super) struct Document {
    pub number: u32,
    pub root: Node,
}

const TAG: &str = "this tag is not known; write the value without it";

/// What is begun and not yet ended.
enum Open {
    List(u32, Vec<Node>),
    Map {
        line: u32,
        fields: Vec<Field>,
        key: Option<(Box<str>, u32)>,
        /// Hashes of the keys, once they are many.
        seen: HashSet<u64>,
    },
}

struct Builder<'s> {
    source: &'s str,
    open: Vec<Open>,
    done: Option<Node>,
    /// So many more values may come.
    left: usize,
    hashes: RandomState,
}

/// All documents, with `left` less by what they hold.
pub(super) fn documents(source: &str, left: &mut usize) -> Result<Vec<Document>, Broken> {
    let options = granit_parser::options! {
        emit_comments: false,
        disallow_directives: true,
        flow_nesting_limit: DEEPEST,
        block_nesting_limit: DEEPEST,
    };
    let mut builder = Builder {
        source,
        open: Vec::new(),
        done: None,
        left: *left,
        hashes: RandomState::new(),
    };
    let mut documents = Vec::new();
    let mut number: u32 = 0;
    for event in Parser::new_from_str_with_options(source, options) {
        let (event, span) = event.map_err(|error| {
            let at = error.marker();
            let (line, column) = (place(at.line()), place(at.col() + 1));
            Broken {
                document: number + 1,
                ..unreadable(source, line, column)
            }
        })?;
        let at = (place(span.start.line()), place(span.start.col() + 1));
        if matches!(event, Event::DocumentEnd) {
            number += 1;
            let root = builder.done.take();
            documents.extend(root.map(|root| Document { number, root }));
        } else {
            builder.take(event, at).map_err(|broken| Broken {
                document: number + 1,
                ..broken
            })?;
        }
    }
    *left = builder.left;
    Ok(documents)
}

fn is_there<'k>(
    mut keys: impl ExactSizeIterator<Item = &'k str> + Clone,
    (seen, hashes): (&mut HashSet<u64>, &RandomState),
    key: &str,
) -> bool {
    if keys.len() < FEW {
        return keys.any(|it| it == key);
    }
    if seen.is_empty() {
        seen.extend(keys.clone().map(|it| hashes.hash_one(it)));
    }
    !seen.insert(hashes.hash_one(key)) && keys.any(|it| it == key)
}

fn place(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// What probably is wrong, from the line where reading ended.
fn unreadable(source: &str, line: u32, column: u32) -> Broken {
    let index = usize::try_from(line)
        .unwrap_or(usize::MAX)
        .saturating_sub(1);
    let text = source.lines().nth(index).unwrap_or_default();
    let indent: &str = &text[..text.len() - text.trim_start().len()];
    let fact = if text.contains("{{") {
        "this looks like a Helm template; render it first with `helm template`"
    } else if indent.contains('\t') {
        "a tab stands where YAML takes spaces only"
    } else {
        "this is not well-formed YAML, or nests too deep"
    };
    Broken {
        document: 1,
        line,
        column,
        fact,
    }
}

type At = (u32, u32);

fn broken<T>((line, column): At, fact: &'static str) -> Result<T, Broken> {
    Err(Broken {
        document: 1,
        line,
        column,
        fact,
    })
}

impl Builder<'_> {
    /// What is no node has no say in the data.
    fn take(&mut self, event: Event<'_>, at: At) -> Result<(), Broken> {
        if event.is_alias() {
            return broken(
                at,
                "aliases (`*`) are not followed; write out what it stands for",
            );
        }
        if let Event::Scalar(text, style, _, tag) = event {
            let plain = style == ScalarStyle::Plain && tag.is_none();
            if tag.is_some_and(|tag| !is_core(&tag, &["str"])) {
                return broken(at, TAG);
            }
            self.scalar(&text, plain, at)
        } else if let Event::SequenceStart(_, _, tag) = event {
            let list = Open::List(at.0, Vec::new());
            self.begin(list, (at, tag.as_deref(), "seq"))
        } else if let Event::MappingStart(_, _, tag) = event {
            let map = Open::Map {
                line: at.0,
                fields: Vec::new(),
                key: None,
                seen: HashSet::new(),
            };
            self.begin(map, (at, tag.as_deref(), "map"))
        } else if matches!(event, Event::SequenceEnd | Event::MappingEnd) {
            self.end(at)
        } else {
            Ok(())
        }
    }

    fn scalar(&mut self, text: &str, plain: bool, at: At) -> Result<(), Broken> {
        if let Some(Open::Map {
            fields, key, seen, ..
        }) = self.open.last_mut()
            && key.is_none()
        {
            let lower = text.to_ascii_lowercase();
            if plain
                && matches!(
                    &*lower,
                    "on" | "off" | "yes" | "no" | "true" | "false" | "null" | "~" | ""
                )
            {
                return broken(at, "Kubernetes takes this key for no text: it needs quotes");
            }
            let keys = fields.iter().map(|field| &*field.key);
            if is_there(keys, (seen, &self.hashes), text) {
                let fact = if self.is_template(at) {
                    "this looks like a Helm template; render it first with `helm template`"
                } else {
                    "this key is written twice"
                };
                return broken(at, fact);
            }
            *key = Some((text.into(), at.0));
            return Ok(());
        }
        let shape = if plain && matches!(text, "" | "~" | "null" | "Null" | "NULL") {
            Shape::Null
        } else {
            Shape::Scalar {
                text: text.into(),
                plain,
            }
        };
        self.put(Node { line: at.0, shape }, at)
    }

    fn begin(
        &mut self,
        open: Open,
        (at, tag, known): (At, Option<&Tag>, &str),
    ) -> Result<(), Broken> {
        if tag.is_some_and(|tag| !is_core(tag, &[known])) {
            return broken(at, TAG);
        }
        if let Some(Open::Map { key: None, .. }) = self.open.last() {
            let fact = if self.is_template(at) {
                "this looks like a Helm template; render it first with `helm template`"
            } else {
                "a key must be a text"
            };
            return broken(at, fact);
        }
        self.open.push(open);
        Ok(())
    }

    fn end(&mut self, at: At) -> Result<(), Broken> {
        let node = match self.open.pop() {
            Some(Open::List(line, mut items)) => {
                items.shrink_to_fit();
                Node {
                    line,
                    shape: Shape::List(items),
                }
            }
            Some(Open::Map {
                line, mut fields, ..
            }) => {
                fields.shrink_to_fit();
                Node {
                    line,
                    shape: Shape::Map(fields),
                }
            }
            None => return Ok(()),
        };
        self.put(node, at)
    }

    fn put(&mut self, node: Node, at: At) -> Result<(), Broken> {
        let Some(left) = self.left.checked_sub(1) else {
            return broken(
                at,
                "the files hold more values than are converted at once; convert them in portions",
            );
        };
        self.left = left;
        match self.open.last_mut() {
            Some(Open::List(_, items)) => items.push(node),
            Some(Open::Map { fields, key, .. }) => {
                if let Some((key, line)) = key.take() {
                    fields.push(Field::new(key, line, node));
                }
            }
            None => self.done = Some(node),
        }
        Ok(())
    }

    fn is_template(&self, (line, _): At) -> bool {
        let index = usize::try_from(line)
            .unwrap_or(usize::MAX)
            .saturating_sub(1);
        let line = self.source.lines().nth(index);
        line.is_some_and(|line| line.contains("{{"))
    }
}

fn is_core(tag: &Tag, names: &[&str]) -> bool {
    names.iter().any(|name| tag.is_yaml_core_schema_tag(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> Broken {
        documents(text, &mut 1000).unwrap_err()
    }

    #[test]
    fn what_is_refused_has_a_place() {
        for (text, line, fact) in [
            ("a: 1\nb: 2\na: 3\n", 3, "written twice"),
            ("a:\n\tb: 1\n", 2, "a tab"),
            ("a: &x [1]\nb: *x\n", 2, "aliases"),
            ("a: 1\n{{- if .Values.x }}\nb: 2\n", 2, "Helm"),
            ("a: {{ .Values.x }}\n", 1, "Helm"),
            ("a: !!binary aGk=\n", 1, "tag"),
            ("a: [1, 2\n", 1, "well-formed"),
            ("? [a]\n: b\n", 1, "a key must be a text"),
            ("on: 1\n", 1, "quotes"),
            ("%YAML 1.1\n---\na: 1\n", 1, "well-formed"),
        ] {
            let broken = refused(text);
            assert!(broken.fact.contains(fact), "{text:?}: {broken:?}");
            assert_eq!(broken.line, line, "{text:?}: {broken:?}");
        }
    }

    #[test]
    fn bombs_do_not_go_off() {
        let nested = "[".repeat(100_000);
        assert!(refused(&nested).fact.contains("nests too deep"));
        let nested = (0..1000).map(|depth| format!("{}a:\n", " ".repeat(depth)));
        assert!(
            refused(&nested.collect::<String>())
                .fact
                .contains("nests too deep")
        );
        let laughs = "a: &a [x,x]\nb: &b [*a,*a]\n";
        assert!(refused(laughs).fact.contains("aliases"));
        assert!(refused(&"- x\n".repeat(1001)).fact.contains("portions"));
    }

    #[test]
    fn keys_of_a_large_mapping_are_not_compared_each_with_each() {
        let all: Vec<String> = (0..10_000).map(|n| format!("key{n}")).collect();
        let looked_at = std::cell::Cell::new(0_usize);
        let (mut seen, hashes) = (HashSet::new(), RandomState::new());
        let mut is_among = |known: usize, key: &str| {
            let keys = all[..known].iter().map(|it| {
                looked_at.set(looked_at.get() + 1);
                it.as_str()
            });
            is_there(keys, (&mut seen, &hashes), key)
        };
        for (n, key) in all.iter().enumerate() {
            assert!(!is_among(n, key), "{key}");
        }
        assert!(looked_at.get() <= FEW * FEW, "{}", looked_at.get());
        assert!(is_among(all.len(), "key7777"));
    }

    #[test]
    fn documents_are_counted_with_the_empty_ones() {
        let text = "# only a comment\n---\na: 1\n---\n---\n- \"on\"\n";
        let all = documents(text, &mut 1000).unwrap();
        let numbers: Vec<u32> = all.iter().map(|it| it.number).collect();
        assert_eq!(numbers.len(), 3, "{all:?}");
        assert_eq!(all[0].root.as_map().unwrap().fields()[0].line, 3);
    }
}
