//! What a program says, line by line, for a log: as plain text, each line and all of them bounded.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time::{Instant, sleep_until};

use super::{Group, Trouble, judge};

/// In bytes; the rest of a line is left out.
const LONGEST: usize = 1000;
/// The rest is left out.
const MOST: usize = 200;
/// In bytes. Whoever writes more than this does nothing else.
const FLOOD: usize = 16 << 20;
/// What was written is in the pipe when the program has ended. What it has left running may hold the pipe open for ever.
const LINGER: Duration = Duration::from_millis(100);

/// The lines of one stream.
#[derive(Debug, Default)]
struct Lines {
    line: Vec<u8>,
    begun: bool,
}

impl Lines {
    fn take(&mut self, bytes: &[u8], say: &mut impl FnMut(&[u8])) {
        for byte in bytes {
            if *byte == b'\n' {
                self.end(say);
                continue;
            }
            self.begun = true;
            if self.line.len() < LONGEST {
                self.line.push(*byte);
            }
        }
    }

    fn end(&mut self, say: &mut impl FnMut(&[u8])) {
        if std::mem::take(&mut self.begun) {
            say(&self.line);
        }
        self.line.clear();
    }
}

/// Says a line of anybody's as plain text, and after too many that there are more.
struct Speaker<'a, S> {
    said: usize,
    say: &'a mut S,
}

impl<S: FnMut(&str)> Speaker<'_, S> {
    fn say(&mut self, line: &[u8]) {
        self.said += 1;
        if self.said <= MOST {
            let text = String::from_utf8_lossy(line);
            let plain = text.trim_end().chars().map(|it| {
                // Whoever looks at the log must not be fooled, nor the terminal it is looked at with.
                if it == '\t' {
                    ' '
                } else if it.is_control() {
                    char::REPLACEMENT_CHARACTER
                } else {
                    it
                }
            });
            (self.say)(&plain.collect::<String>());
        } else if self.said == MOST + 1 {
            (self.say)("(more is left out)");
        }
    }
}

/// Reads on while there is something; `None`: no more comes.
async fn next(
    stream: &mut Option<impl AsyncRead + Unpin>,
    buffer: &mut [u8],
) -> Result<usize, Trouble> {
    match stream {
        Some(open) => open.read(buffer).await.map_err(|_| Trouble::Broken),
        None => std::future::pending().await,
    }
}

impl Group {
    /// Until it has ended well. What it has started may go on, and is heard no more.
    pub(super) async fn lines(mut self, say: &mut impl FnMut(&str)) -> Result<(), Trouble> {
        let (mut output, mut errors) = (self.child.stdout.take(), self.child.stderr.take());
        let (mut out, mut err) = (Lines::default(), Lines::default());
        let (mut buffer, mut other) = ([0; 2048], [0; 2048]);
        let mut speaker = Speaker { said: 0, say };
        let mut all = 0;
        let mut ended = None;
        while ended.is_none() || output.is_some() || errors.is_some() {
            let end = ended.map(|(_, at): (_, Instant)| at + LINGER);
            tokio::select! {
                read = next(&mut output, &mut buffer) => {
                    let read = read?;
                    all += read;
                    out.take(&buffer[..read], &mut |line| speaker.say(line));
                    output = output.filter(|_| read > 0);
                }
                read = next(&mut errors, &mut other) => {
                    let read = read?;
                    all += read;
                    err.take(&other[..read], &mut |line| speaker.say(line));
                    errors = errors.filter(|_| read > 0);
                }
                status = self.child.wait(), if ended.is_none() => {
                    ended = Some((status.map_err(|_| Trouble::Broken)?, Instant::now()));
                }
                () = sleep_until(end.unwrap_or_else(Instant::now)), if end.is_some() => break,
            }
            if all > FLOOD {
                return Err(Trouble::TooMuch(FLOOD));
            }
        }
        out.end(&mut |line| speaker.say(line));
        err.end(&mut |line| speaker.say(line));
        ended.map_or(Err(Trouble::Broken), |(status, _)| judge(status))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(bytes: &[u8]) -> Vec<String> {
        let mut all = Vec::new();
        let mut say = |line: &str| all.push(line.to_owned());
        let mut speaker = Speaker {
            said: 0,
            say: &mut say,
        };
        let mut lines = Lines::default();
        for part in bytes.chunks(7) {
            lines.take(part, &mut |line| speaker.say(line));
        }
        lines.end(&mut |line| speaker.say(line));
        all
    }

    #[test]
    fn lines_are_plain_text_whatever_was_written() {
        assert_eq!(
            said(b"one\n\n two\r\nthree\x1b[31m\x07\xff\tx"),
            ["one", " two", "three\u{fffd}[31m\u{fffd}\u{fffd} x"]
        );
    }

    #[test]
    fn a_line_and_all_of_them_have_an_end() {
        let long = said(&[b'x'; 5000]);
        assert_eq!(long, ["x".repeat(LONGEST)]);
        let many = said(&b"y\n".repeat(5000));
        assert_eq!(many.len(), MOST + 1);
        assert_eq!(many[MOST], "(more is left out)");
    }
}
