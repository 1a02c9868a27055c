//! Looking for a value in the memory of a process: in everything that is mapped and can be read, whoever owns it.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use regex::bytes::Regex;

use super::leak::inner_base64;

const PIECE: usize = 1 << 20;
/// More than any form of a canary takes.
const OVERLAP: usize = 128;
/// What a report shows on either side of a copy.
const AROUND: usize = 32;

/// A value that nothing else in the world holds.
pub struct Canary(String);

/// One copy of it, and what stands around it.
pub struct Copy {
    pub at: usize,
    mapping: String,
    around: String,
}

impl fmt::Debug for Copy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            at,
            mapping,
            around,
        } = self;
        write!(f, "{at:#x} in {mapping}: {around}")
    }
}

impl Canary {
    pub fn new() -> Self {
        let letters = std::iter::repeat_with(fastrand::alphanumeric);
        Self(letters.take(32).collect())
    }

    pub fn text(&self) -> &str {
        &self.0
    }

    /// As it is, and inside base64 at each of the three places where it may begin.
    fn pattern(&self) -> Regex {
        let encoded = (0..3).map(|shift| inner_base64(self.0.as_bytes(), shift));
        let forms = std::iter::once(self.0.clone()).chain(encoded);
        let forms: Vec<String> = forms.map(|form| regex::escape(&form)).collect();
        Regex::new(&forms.join("|")).unwrap()
    }

    /// All of them. An error says that this process's memory may not be read.
    pub fn copies_in(&self, process: u32) -> io::Result<Vec<Copy>> {
        let pattern = self.pattern();
        let memory = File::open(format!("/proc/{process}/mem"))?;
        let mappings = fs::read_to_string(format!("/proc/{process}/maps"))?;
        let mut copies = Vec::new();
        for line in mappings.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let (from, to) = words[0].split_once('-').unwrap();
            let [from, to] = [from, to].map(|text| usize::from_str_radix(text, 16).unwrap());
            let name = words.get(5).copied().unwrap_or("nameless memory");
            // The kernel's own clock pages cannot be read so.
            if words[1].starts_with('r') && !name.starts_with("[vvar") {
                let mapping = format!("{name} ({} +{:#x})", words[1], to - from);
                search(&memory, from..to, &pattern, |at, around| {
                    let mapping = mapping.clone();
                    copies.push(Copy {
                        at,
                        mapping,
                        around,
                    });
                });
            }
        }
        copies.dedup_by_key(|copy| copy.at);
        Ok(copies)
    }
}

/// Tells each place where the pattern is.
fn search(
    memory: &File,
    range: Range<usize>,
    pattern: &Regex,
    mut found: impl FnMut(usize, String),
) {
    let mut piece = vec![0; PIECE + OVERLAP];
    for start in range.clone().step_by(PIECE) {
        let length = piece.len().min(range.end - start);
        // What is unmapped meanwhile is nobody's memory any more.
        let Ok(length) = memory.read_at(&mut piece[..length], start as u64) else {
            continue;
        };
        let bytes = &piece[..length];
        for hit in pattern.find_iter(bytes) {
            let around = |range: Range<usize>| bytes[range].escape_ascii().to_string();
            let before = around(hit.start().saturating_sub(AROUND)..hit.start());
            let after = around(hit.end()..(hit.end() + AROUND).min(length));
            let masked = pattern.replace_all(after.as_bytes(), b"<canary>".as_slice());
            let text = format!("{before}<canary>{}", String::from_utf8_lossy(&masked));
            found(start + hit.start(), text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    #[test]
    fn a_planted_copy_is_found_in_every_form() {
        let canary = Canary::new();
        let text = canary.text();
        let planted = [
            text.to_owned(),
            STANDARD.encode(text),
            STANDARD.encode(format!("a{text}")),
            STANDARD.encode(format!("ab{text}b")),
            // Over the border of two pieces.
            "x".repeat(PIECE - 16) + text + &"x".repeat(PIECE),
        ];
        let copies = canary.copies_in(std::process::id()).unwrap();
        for plant in planted {
            let from = plant.as_ptr() as usize;
            let in_it = |copy: &&Copy| (from..from + plant.len()).contains(&copy.at);
            assert_eq!(copies.iter().filter(in_it).count(), 1, "{from:#x}");
        }
        let report = format!("{copies:?}");
        assert!(report.contains("<canary>") && !report.contains(text));
    }
}
