//! What a list is written on: a person's terminal, with its width and colours, or a file or a pipe, which take everything
//! on whole lines.

use std::io::IsTerminal as _;

use rustix::termios::tcgetwinsize;

use crate::report::Condition;

pub(in crate::command) const GREEN: u8 = 32;
pub(in crate::command) const YELLOW: u8 = 33;
pub(in crate::command) const RED: u8 = 31;

/// Of a terminal that does not say how wide it is.
const USUAL: usize = 80;
/// Nothing is broken into narrower pieces.
const NARROWEST: usize = 24;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::command) enum Paint {
    Plain,
    Colour,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::command) struct Sheet {
    pub paint: Paint,
    /// How many columns a terminal has; of a file or a pipe, none.
    pub width: Option<usize>,
}

impl Paint {
    pub(in crate::command) fn for_stdout() -> Self {
        if std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
            Self::Colour
        } else {
            Self::Plain
        }
    }

    /// The state, as wide as the longest.
    pub(super) fn state(self, state: Condition) -> String {
        let colour = match state {
            Condition::Contested | Condition::Stale | Condition::Failing => RED,
            Condition::Partial | Condition::Pending => YELLOW,
            Condition::Fresh | Condition::Suspended => GREEN,
        };
        self.word(state.as_str(), Some(colour))
    }

    /// A word, as wide as the longest state.
    pub(in crate::command) fn word(self, word: &str, colour: Option<u8>) -> String {
        match (self, colour) {
            (Self::Colour, Some(colour)) => format!("\x1b[{colour}m{word:9}\x1b[0m"),
            (Self::Colour, None) | (Self::Plain, _) => format!("{word:9}"),
        }
    }
}

impl Sheet {
    pub(in crate::command) fn for_stdout() -> Self {
        let stdout = std::io::stdout();
        let width = stdout.is_terminal().then(|| {
            let told = tcgetwinsize(&stdout).map_or(0, |size| usize::from(size.ws_col));
            if told == 0 {
                USUAL
            } else {
                told.max(NARROWEST)
            }
        });
        Self {
            paint: Paint::for_stdout(),
            width,
        }
    }

    /// The text behind so many blanks; where it is too wide, the next lines begin two further in. No word is broken.
    pub(in crate::command) fn lines(self, blanks: usize, text: &str) -> Vec<String> {
        let text = visible(text);
        let Some(width) = self.width else {
            return vec![format!("{:blanks$}{text}", "")];
        };
        let mut lines = Vec::new();
        let mut line = String::new();
        let mut used = 0;
        for word in text.split(' ') {
            let length = word.chars().count();
            if used > 0 && used + 1 + length > width {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            if used == 0 {
                used = blanks + if lines.is_empty() { 0 } else { 2 };
                line = " ".repeat(used);
            } else {
                line.push(' ');
                used += 1;
            }
            line.push_str(word);
            used += length;
        }
        lines.push(line);
        lines
    }
}

/// Without what could move a terminal's cursor.
pub(super) fn visible(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words_only_and_never_in_a_pipe() {
        let on = |width| Sheet {
            paint: Paint::Plain,
            width,
        };
        let text = "one two /a/path/that/is/longer three";
        assert_eq!(on(None).lines(4, text), [format!("    {text}")]);
        assert_eq!(
            on(Some(12)).lines(2, text),
            ["  one two", "    /a/path/that/is/longer", "    three"]
        );
        assert_eq!(on(None).lines(0, "a\x1b[2Jb\n"), ["a\u{fffd}[2Jb\u{fffd}"]);
    }
}
