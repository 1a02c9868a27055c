//! Lines out of a stream of bytes, each of a bounded length.

use zeroize::Zeroizing;

use crate::kube::wire::Malformed;

/// The longest line: the metadata of one object, its annotations and managed fields included, is far shorter.
const LINE_MAX: usize = 1 << 20;

/// What has come and was not taken yet.
#[derive(Default)]
pub(super) struct Lines {
    buffer: Zeroizing<Vec<u8>>,
    /// Up to here it was taken.
    taken: usize,
    /// Up to here no line ends.
    searched: usize,
}

impl Lines {
    /// Refuses what would make a line too long.
    pub(super) fn extend(&mut self, chunk: &[u8]) -> Result<(), Malformed> {
        let begun = self.buffer.len() - self.taken;
        if begun + chunk.len() > LINE_MAX {
            let ends = chunk.iter().position(|byte| *byte == b'\n');
            let rest = chunk.rsplit(|byte| *byte == b'\n').next();
            let longest = ends.map_or(chunk.len(), |end| end.max(rest.map_or(0, <[u8]>::len)));
            if begun + longest > LINE_MAX {
                return Err(Malformed("tells of a change in more than 1 MiB"));
            }
        }
        if self.taken > 0 {
            self.buffer.drain(..self.taken);
            self.searched -= self.taken;
            self.taken = 0;
        }
        self.buffer.extend_from_slice(chunk);
        Ok(())
    }

    /// The next whole line, without its end. Empty ones are passed over.
    pub(super) fn next(&mut self) -> Option<Zeroizing<Vec<u8>>> {
        loop {
            let from = self.searched.max(self.taken);
            let end = self.buffer[from..].iter().position(|b| *b == b'\n');
            let Some(end) = end.map(|end| from + end) else {
                self.searched = self.buffer.len();
                return None;
            };
            let line = Zeroizing::new(self.buffer[self.taken..end].to_vec());
            self.taken = end + 1;
            self.searched = self.taken;
            if !line.trim_ascii().is_empty() {
                return Some(line);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(lines: &mut Lines) -> Vec<String> {
        std::iter::from_fn(|| lines.next())
            .map(|line| String::from_utf8(line.to_vec()).unwrap())
            .collect()
    }

    #[test]
    fn lines_come_whole_however_they_were_cut() {
        let text = b"one\n\ntwo\r\nthree\nfo";
        for size in 1..=text.len() {
            let (mut lines, mut seen) = (Lines::default(), Vec::new());
            for chunk in text.chunks(size) {
                lines.extend(chunk).unwrap();
                seen.extend(all(&mut lines));
            }
            assert_eq!(seen, ["one", "two\r", "three"], "{size}");
            lines.extend(b"ur\n").unwrap();
            assert_eq!(all(&mut lines), ["four"]);
        }
    }

    #[test]
    fn a_line_without_an_end_is_refused_and_many_short_ones_are_not() {
        let mut lines = Lines::default();
        let chunk = vec![b'x'; 1 << 16];
        for _ in 0..16 {
            lines.extend(&chunk).unwrap();
            assert!(lines.next().is_none());
        }
        assert!(lines.extend(b"x").is_err());
        assert!(Lines::default().extend(&vec![b'\n'; 2 << 20]).is_ok());
        let mut last = vec![b'\n'; 10];
        last.extend(vec![b'x'; LINE_MAX + 1]);
        assert!(Lines::default().extend(&last).is_err());
    }
}
