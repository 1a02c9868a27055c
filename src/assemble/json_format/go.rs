//! As Go's encoding/json writes what it read into `any`, and strconv a number.

use std::collections::BTreeMap;

use super::points::{Point, Points};
use super::tree::Node;
use super::{Unwritable, escaped, float, push_unit, shortest};

/// Whether `<`, `>` and `&` are escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Html {
    Escaped,
    AsItIs,
}

/// A number without an exponent, and without more digits than it takes.
pub(super) fn plain(number: &str) -> Result<String, Unwritable> {
    float(number).map(|float| float.to_string())
}

pub(super) fn written(node: &Node<'_>, html: Html) -> Result<String, Unwritable> {
    let mut out = String::new();
    write(node, html, &mut out)?;
    Ok(out)
}

pub(super) fn quoted(text: &str, html: Html) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    write_text(text, html, &mut out);
    out
}

fn write(node: &Node<'_>, html: Html, out: &mut String) -> Result<(), Unwritable> {
    match node {
        Node::Word(word) => out.push_str(word),
        Node::Number(number) => {
            let float = float(number)?;
            if float == 0.0 && float.is_sign_negative() {
                out.push_str("-0");
            } else {
                shortest(float, out);
            }
        }
        Node::Text(inside) => write_text(&text(inside), html, out),
        Node::Array(elements) => {
            out.push('[');
            for (number, element) in elements.iter().enumerate() {
                if number > 0 {
                    out.push(',');
                }
                write(element, html, out)?;
            }
            out.push(']');
        }
        Node::Object(members) => {
            let members = members.iter().map(|(name, value)| (text(name), value));
            let sorted: BTreeMap<String, &Node<'_>> = members.collect();
            out.push('{');
            for (number, (name, value)) in sorted.into_iter().enumerate() {
                if number > 0 {
                    out.push(',');
                }
                write_text(&name, html, out);
                out.push(':');
                write(value, html, out)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

/// What Go has of a string: half a surrogate pair becomes U+FFFD.
fn text(inside: &str) -> String {
    let points = Points::of(inside).map(|point| match point {
        Point::Char(c) => c,
        Point::Half(_) => char::REPLACEMENT_CHARACTER,
    });
    points.collect()
}

fn write_text(text: &str, html: Html, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '\u{2028}' => push_unit(0x2028, out),
            '\u{2029}' => push_unit(0x2029, out),
            '<' if html == Html::Escaped => push_unit(0x3c, out),
            '>' if html == Html::Escaped => push_unit(0x3e, out),
            '&' if html == Html::Escaped => push_unit(0x26, out),
            c => {
                if !escaped(c, out) {
                    out.push(c);
                }
            }
        }
    }
    out.push('"');
}
