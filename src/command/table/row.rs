//! The line of one entry: its name, its state, and what else is asked for, below each other as columns. On a terminal that
//! is too narrow for that, what is behind the state gets a line of its own.

use jiff::Timestamp;

use super::sheet::visible;
use super::{Columns, Sheet, age, is_good};
use crate::report::Condition;
use crate::status::EntryStatus;

/// Of the longest state.
const STATE: usize = 9;

pub(super) struct Row {
    name: String,
    state: Condition,
    /// The same number in each row of a list; empty where there is nothing to say.
    cells: Vec<String>,
}

/// How wide the columns are. One that is empty in each row has none.
pub(super) struct Widths {
    name: usize,
    cells: Vec<usize>,
}

impl Widths {
    pub(super) fn of<'a>(rows: impl Iterator<Item = &'a Row>) -> Self {
        let mut all = Self {
            name: 0,
            cells: Vec::new(),
        };
        for row in rows {
            all.name = all.name.max(length(&row.name));
            all.cells.resize(row.cells.len(), 0);
            for (width, cell) in all.cells.iter_mut().zip(&row.cells) {
                *width = length(cell).max(*width);
            }
        }
        all
    }

    fn whole(&self) -> usize {
        let cells = self.cells.iter().filter(|width| **width > 0);
        self.name + 2 + STATE + cells.map(|width| 2 + width).sum::<usize>()
    }
}

impl Row {
    pub(super) fn new(entry: &EntryStatus, columns: Columns) -> Self {
        let mut cells = vec![targets(entry)];
        if let Columns::Standing(now) = columns {
            let since = |at: Timestamp| age(now.duration_since(at).as_secs());
            cells.push(match entry.version_created {
                Some(at) => format!("{} old", since(at)),
                None => String::new(),
            });
            cells.push(match entry.last_success {
                Some(at) => format!("synced {} ago", since(at)),
                None => "never synced".to_owned(),
            });
            cells.push(match entry.next_sync {
                Some(at) if at > now => {
                    format!("next in {}", age(at.duration_since(now).as_secs()))
                }
                Some(_) => "next now".to_owned(),
                None => String::new(),
            });
        }
        Self {
            name: visible(&entry.name),
            state: entry.state,
            cells,
        }
    }

    pub(super) fn lines(&self, widths: &Widths, sheet: Sheet) -> Vec<String> {
        let state = sheet.paint.state(self.state);
        if let Some(room) = sheet.width.filter(|room| widths.whole() > *room) {
            let name = widths.name.min(room.saturating_sub(2 + STATE));
            let cells = self.cells.iter().map(String::as_str);
            let cells: Vec<&str> = cells.filter(|cell| !cell.is_empty()).collect();
            let mut lines = vec![format!("{:name$}  {state}", self.name)];
            lines.extend(sheet.lines(4, &cells.join(", ")));
            return lines;
        }
        let name = widths.name;
        let mut columns = vec![format!("{:name$}", self.name), state];
        let cells = self.cells.iter().zip(&widths.cells);
        let cells = cells.filter(|(_, width)| **width > 0);
        columns.extend(cells.map(|(cell, width)| format!("{cell:width$}")));
        vec![columns.join("  ").trim_end().to_owned()]
    }
}

/// How many there are, and how many of those that this machine writes are as they should be.
fn targets(entry: &EntryStatus) -> String {
    let all = entry.targets.len();
    let counted = entry.targets.iter().filter(|target| !target.waits);
    let bad = counted.filter(|target| !is_good(target.state)).count();
    let plural = if all == 1 { "" } else { "s" };
    if bad == 0 {
        format!("{all} target{plural}")
    } else {
        format!("{bad} of {all} not fresh")
    }
}

fn length(text: &str) -> usize {
    text.chars().count()
}
