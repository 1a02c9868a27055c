//! `@pretty`: one member a line; an array on one line where it fits and holds no object.

use zeroize::Zeroizing;

use super::{array, object};
use crate::assemble::select::budget::{Budget, Stop};
use crate::assemble::select::path::Pretty;

type Made = Zeroizing<String>;

pub(super) fn pretty(json: &str, options: &Pretty, budget: &mut Budget) -> Result<Made, Stop> {
    let mut printer = Printer {
        options,
        budget,
        out: Made::default(),
        line: 0,
    };
    printer.push(&options.prefix)?;
    printer.value(json.trim(), 0)?;
    if !printer.out.is_empty() {
        printer.push("\n")?;
    }
    Ok(printer.out)
}

struct Printer<'o, 'b> {
    options: &'o Pretty,
    budget: &'b mut Budget,
    out: Made,
    /// From where columns count. Behind the blank of a comma that is the line itself, else the line break before it, as
    /// in gjson: which arrays fit on a line depends on it.
    line: usize,
}

impl Printer<'_, '_> {
    fn push(&mut self, text: &str) -> Result<(), Stop> {
        self.budget.push(&mut self.out, text)
    }

    fn value(&mut self, json: &str, tabs: usize) -> Result<(), Stop> {
        self.budget.spend(json.len())?;
        if let Some(elements) = array(json) {
            let room = self.room();
            if room > 3
                && let Some(line) = one_line(json, room, self.budget)?
            {
                return self.push(&line);
            }
            let elements = elements.into_iter().map(|element| (None, element));
            self.block(["[", "]"], elements.collect(), tabs)
        } else if let Some(mut members) = object(json) {
            if self.options.sort_keys {
                members.sort_by_key(|(name, _)| *name);
            }
            let members = members
                .into_iter()
                .map(|(name, value)| (Some(name), value))
                .collect();
            self.block(["{", "}"], members, tabs)
        } else {
            self.push(json)
        }
    }

    /// What is left of the line; nothing where arrays never stand on one.
    fn room(&self) -> usize {
        let width = usize::try_from(self.options.width).unwrap_or(0);
        width.saturating_sub(self.out.len() - self.line)
    }

    fn block(
        &mut self,
        brackets: [&str; 2],
        items: Vec<(Option<&str>, &str)>,
        tabs: usize,
    ) -> Result<(), Stop> {
        self.push(brackets[0])?;
        if items.is_empty() {
            return self.push(brackets[1]);
        }
        for (at, (name, value)) in items.into_iter().enumerate() {
            if at > 0 {
                self.push(",")?;
            }
            let blank = at > 0 && name.is_none() && self.options.width != -1;
            self.line = self.out.len() + usize::from(blank);
            self.indent(tabs + 1)?;
            if let Some(name) = name {
                self.push(name)?;
                self.push(": ")?;
            }
            self.value(value, tabs + 1)?;
        }
        self.line = self.out.len();
        self.indent(tabs)?;
        self.push(brackets[1])
    }

    fn indent(&mut self, tabs: usize) -> Result<(), Stop> {
        let options = self.options;
        self.push("\n")?;
        self.push(&options.prefix)?;
        for _ in 0..tabs {
            self.push(&options.indent)?;
        }
        Ok(())
    }
}

/// An array on one line, where that takes at most `room` and holds no object.
fn one_line(json: &str, room: usize, budget: &mut Budget) -> Result<Option<Made>, Stop> {
    budget.spend(json.len())?;
    let mut line = Made::default();
    Ok(flat(json, room, &mut line, budget)?.then_some(line))
}

fn flat(json: &str, room: usize, line: &mut Made, budget: &mut Budget) -> Result<bool, Stop> {
    if json.starts_with('{') || line.len() > room {
        return Ok(false);
    }
    let Some(elements) = array(json) else {
        budget.push(line, json)?;
        return Ok(line.len() <= room);
    };
    budget.spend(json.len())?;
    budget.push(line, "[")?;
    for (at, element) in elements.into_iter().enumerate() {
        if at > 0 {
            budget.push(line, ", ")?;
        }
        if !flat(element, room, line, budget)? {
            return Ok(false);
        }
    }
    budget.push(line, "]")?;
    Ok(line.len() <= room)
}
