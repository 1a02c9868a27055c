//! Keys, indexes, `#` and queries.

use super::budget::{Budget, Piece, Stop};
use super::eval::{Next, Outcome, get};
use super::path::{Element, End, Key, Path, Query, Steps};
use super::query::holds;
use super::{pattern, text};

/// A walk down the keys. Where a key leads nowhere, the next of the same name or pattern is tried.
struct Walk<'s, 'b> {
    keys: &'s [Key],
    end: &'s End,
    budget: &'b mut Budget,
    next: Next,
    /// All matches of a query. gjson looks on behind it, and takes it where nothing else is found.
    matched: Option<Piece<'static>>,
}

/// The place where the walk ends; nothing may be there.
type Hit<'a> = Option<Piece<'a>>;

pub(super) fn steps<'a>(
    json: &'a str,
    steps: &Steps,
    budget: &mut Budget,
) -> Result<Outcome<'a>, Stop> {
    let mut walk = Walk {
        keys: &steps.keys,
        end: &steps.end,
        budget,
        next: Next::Ends,
        matched: None,
    };
    let hit = if steps.lines && !json.trim().is_empty() {
        walk.array(vec![json.trim()], 0)?
    } else {
        walk.down(json, 0)?
    };
    let (next, matched) = (walk.next, walk.matched);
    Ok(Outcome {
        value: hit.unwrap_or(matched),
        next,
    })
}

impl Walk<'_, '_> {
    fn down<'a>(&mut self, json: &'a str, at: usize) -> Result<Option<Hit<'a>>, Stop> {
        if text::begins_with(json, b'{') {
            self.budget.spend(json.len())?;
            self.object(&text::members(json).unwrap_or_default(), at)
        } else if text::begins_with(json, b'[') {
            self.budget.spend(json.len())?;
            self.array(text::elements(json).unwrap_or_default(), at)
        } else {
            Ok(None)
        }
    }

    fn object<'a>(
        &mut self,
        members: &[(&'a str, &'a str)],
        at: usize,
    ) -> Result<Option<Hit<'a>>, Stop> {
        let Some(key) = self.keys.get(at) else {
            if let End::Query(query) = self.end
                && query.more.is_none()
            {
                self.next = Next::Goes;
            }
            return Ok(None);
        };
        self.arrive(at);
        for (name, value) in members {
            let name = text::name(name);
            let matches = if key.wild {
                pattern::matches(&name, &key.text, self.budget)?
            } else {
                name == key.text
            };
            if matches && let Some(hit) = self.member(value, at)? {
                return Ok(Some(hit));
            }
        }
        Ok(None)
    }

    fn array<'a>(&mut self, elements: Vec<&'a str>, at: usize) -> Result<Option<Hit<'a>>, Stop> {
        let Some(key) = self.keys.get(at) else {
            return match self.end {
                End::Key => Ok(None),
                End::Each(path) => self.each(&elements, path).map(|all| Some(Some(all))),
                End::Query(query) => self.query(elements, query),
            };
        };
        if key.element != Element::Cut {
            self.arrive(at);
        }
        match key.element {
            Element::At(index) => match elements.get(index) {
                Some(element) => self.member(element, at),
                None => Ok(None),
            },
            Element::Count if self.is_last(at) => {
                Ok(Some(Some(Piece::made(&elements.len().to_string()))))
            }
            Element::Count | Element::Nothing | Element::Cut => Ok(None),
        }
    }

    /// A value that the key at `at` leads to.
    fn member<'a>(&mut self, value: &'a str, at: usize) -> Result<Option<Hit<'a>>, Stop> {
        if self.is_last(at) {
            Ok(Some(Some(Piece::Part(value))))
        } else {
            self.down(value, at + 1)
        }
    }

    fn is_last(&self, at: usize) -> bool {
        matches!(self.end, End::Key) && at + 1 == self.keys.len()
    }

    fn arrive(&mut self, at: usize) {
        if self.is_last(at) {
            self.next = Next::Goes;
        }
    }

    fn each<'a>(&mut self, elements: &[&str], path: &Path) -> Result<Piece<'a>, Stop> {
        self.next = Next::Goes;
        let mut found = Vec::new();
        for element in elements {
            found.extend(get(element, path, self.budget)?);
        }
        let all = self
            .budget
            .joined(["[", "]"], found.iter().map(|piece| &**piece))?;
        Ok(Piece::Made(all))
    }

    fn query<'a>(
        &mut self,
        elements: Vec<&'a str>,
        query: &Query,
    ) -> Result<Option<Hit<'a>>, Stop> {
        if query.more.is_none() {
            self.next = Next::Goes;
        }
        let mut found = Vec::new();
        for element in elements {
            if !holds(query, element, self.budget)? {
                continue;
            }
            self.next = Next::Goes;
            let value = match &query.more {
                Some(more) => get(element, more, self.budget)?,
                None => Some(Piece::Part(element)),
            };
            if !query.all {
                return Ok(Some(value));
            }
            found.extend(value);
        }
        if query.all && self.matched.is_none() {
            let all = self
                .budget
                .joined(["[", "]"], found.iter().map(|piece| &**piece))?;
            self.matched = Some(Piece::Made(all));
        }
        Ok(None)
    }
}
