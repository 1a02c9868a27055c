//! The lines of a properties file as `Properties.load` reads them from bytes: ISO 8859-1, comments, continued lines,
//! separators and escapes. Pure.

use std::iter::Peekable;

/// Keys and values in the order of the file; nothing where an escape is no character.
pub(super) fn pairs(bytes: &[u8]) -> Option<Vec<(String, String)>> {
    let mut rest = bytes.iter().copied().map(char::from).peekable();
    let mut pairs = Vec::new();
    while let Some(line) = logical_line(&mut rest) {
        if !line.is_empty() {
            pairs.push(pair(&line)?);
        }
    }
    Some(pairs)
}

/// The next line with those that continue it, without blanks at its beginning; empty for a comment.
fn logical_line(rest: &mut Peekable<impl Iterator<Item = char>>) -> Option<Vec<char>> {
    rest.peek()?;
    skip_blanks(rest);
    if matches!(rest.peek(), Some('#' | '!')) {
        while rest.next_if(|c| !is_break(*c)).is_some() {}
        end_line(rest);
        return Some(Vec::new());
    }
    let mut line = Vec::new();
    while let Some(c) = rest.peek().copied() {
        if is_break(c) {
            end_line(rest);
            return Some(line);
        }
        rest.next();
        if c != '\\' {
            line.push(c);
            continue;
        }
        match rest.peek().copied() {
            Some(next) if is_break(next) => {
                end_line(rest);
                skip_blanks(rest);
            }
            Some(next) => {
                rest.next();
                line.extend([c, next]);
            }
            None => {}
        }
    }
    Some(line)
}

fn end_line(rest: &mut Peekable<impl Iterator<Item = char>>) {
    if rest.next() == Some('\r') {
        rest.next_if_eq(&'\n');
    }
}

fn skip_blanks(rest: &mut Peekable<impl Iterator<Item = char>>) {
    while rest.next_if(|c| is_blank(*c)).is_some() {}
}

fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\r')
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\u{c}')
}

/// The key ends at the first `=`, `:` or blank without a backslash; one `=` or `:` and blanks around it separate.
fn pair(line: &[char]) -> Option<(String, String)> {
    let mut escaped = false;
    let end = line.iter().position(|c| {
        let ends = !escaped && (matches!(c, '=' | ':') || is_blank(*c));
        escaped = !escaped && *c == '\\';
        ends
    });
    let (key, rest) = line.split_at(end.unwrap_or(line.len()));
    let mut rest = rest.iter().copied().peekable();
    skip_blanks(&mut rest);
    if rest.next_if(|c| matches!(c, '=' | ':')).is_some() {
        skip_blanks(&mut rest);
    }
    Some((unescaped(key.iter().copied())?, unescaped(rest)?))
}

fn unescaped(mut text: impl Iterator<Item = char>) -> Option<String> {
    let mut units = Vec::new();
    while let Some(c) = text.next() {
        let plain = match c {
            '\\' => match text.next() {
                None => continue,
                Some('t') => '\t',
                Some('n') => '\n',
                Some('f') => '\u{c}',
                Some('r') => '\r',
                Some('u') => {
                    let digits = [text.next()?, text.next()?, text.next()?, text.next()?];
                    let unit = digits
                        .iter()
                        .try_fold(0, |unit, digit| Some(unit * 16 + digit.to_digit(16)?))?;
                    units.push(u16::try_from(unit).ok()?);
                    continue;
                }
                Some(other) => other,
            },
            other => other,
        };
        units.extend_from_slice(plain.encode_utf16(&mut [0; 2]));
    }
    String::from_utf16(&units).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Vec<(String, String)>> {
        pairs(text.as_bytes())
    }

    /// What the documentation of `Properties.load` says, and what Java 17 does.
    #[test]
    fn what_people_write_is_read_as_java_reads_it() {
        for (text, key, value) in [
            ("Truth = Beauty", "Truth", "Beauty"),
            (" Truth:Beauty", "Truth", "Beauty"),
            ("Truth                    :Beauty", "Truth", "Beauty"),
            (
                "fruits   apple, banana, \\\n   cantaloupe, \\\r\n\tmango",
                "fruits",
                "apple, banana, cantaloupe, mango",
            ),
            ("cheeses", "cheeses", ""),
            ("a\\ b\\=c=d", "a b=c", "d"),
            ("a==b", "a", "=b"),
            ("a= b ", "a", "b "),
            ("a=\\u0041\\zb\\\\", "a", "Azb\\"),
            ("a=b\\", "a", "b"),
            ("a=\\ud83d\\udd11", "a", "\u{1f511}"),
            ("# no\n! no\n\n \t\na=#b", "a", "#b"),
            ("#no\\\na=b", "a", "b"),
        ] {
            let expected = vec![(key.to_owned(), value.to_owned())];
            assert_eq!(read(text), Some(expected), "{text}");
        }
        let latin = pairs(b"a=\xe9").unwrap();
        assert_eq!(latin, [("a".to_owned(), "é".to_owned())]);
    }

    #[test]
    fn what_is_no_character_is_no_file_of_ours() {
        for text in ["a=\\u12", "a=\\u12x4", "a=\\ud83d"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
