//! The characters of a JSON string, and the halves of surrogate pairs that an escape may leave alone.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Point {
    Char(char),
    /// `\ud800` to `\udfff`, its other half not beside it.
    Half(u16),
}

/// Of the inside of a string, which is right.
pub(super) struct Points<'t>(&'t str);

impl<'t> Points<'t> {
    pub(super) fn of(inside: &'t str) -> Self {
        Self(inside)
    }
}

impl Iterator for Points<'_> {
    type Item = Point;

    fn next(&mut self) -> Option<Point> {
        let mut rest = self.0.chars();
        let first = rest.next()?;
        let point = if first == '\\' {
            match rest.next()? {
                'b' => Point::Char('\u{8}'),
                'f' => Point::Char('\u{c}'),
                'n' => Point::Char('\n'),
                'r' => Point::Char('\r'),
                't' => Point::Char('\t'),
                'u' => {
                    let (point, behind) = unicode(rest.as_str())?;
                    self.0 = behind;
                    return Some(point);
                }
                itself => Point::Char(itself),
            }
        } else {
            Point::Char(first)
        };
        self.0 = rest.as_str();
        Some(point)
    }
}

/// What stands behind `\u`, and what stands behind that.
fn unicode(text: &str) -> Option<(Point, &str)> {
    let (first, behind) = unit(text)?;
    if let Some(character) = char::from_u32(first.into()) {
        return Some((Point::Char(character), behind));
    }
    let second = behind.strip_prefix("\\u").and_then(unit);
    let pair = second.and_then(|(second, behind)| {
        let character = char::decode_utf16([first, second]).next()?.ok()?;
        Some((Point::Char(character), behind))
    });
    Some(pair.unwrap_or((Point::Half(first), behind)))
}

fn unit(text: &str) -> Option<(u16, &str)> {
    let (digits, behind) = text.split_at_checked(4)?;
    Some((u16::from_str_radix(digits, 16).ok()?, behind))
}
