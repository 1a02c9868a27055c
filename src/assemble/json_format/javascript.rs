//! As `JSON.stringify` writes what `JSON.parse` read.

use std::collections::{BTreeMap, HashMap};

use super::points::{Point, Points};
use super::tree::Node;
use super::{Unwritable, escaped, float, push_unit, shortest};

/// The largest name that JavaScript takes for the index of an array.
const LAST_INDEX: u32 = u32::MAX - 1;

pub(super) fn written(node: &Node<'_>) -> Result<String, Unwritable> {
    let mut out = String::new();
    write(node, &mut out)?;
    Ok(out)
}

pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    write_text(text.chars().map(Point::Char), &mut out);
    out
}

fn write(node: &Node<'_>, out: &mut String) -> Result<(), Unwritable> {
    match node {
        Node::Word(word) => out.push_str(word),
        // There is no minus zero in JSON that JavaScript writes.
        Node::Number(number) => shortest(float(number)? + 0.0, out),
        Node::Text(inside) => write_text(Points::of(inside), out),
        Node::Array(elements) => {
            out.push('[');
            for (number, element) in elements.iter().enumerate() {
                if number > 0 {
                    out.push(',');
                }
                write(element, out)?;
            }
            out.push(']');
        }
        Node::Object(members) => {
            out.push('{');
            for (number, (name, value)) in ordered(members).into_iter().enumerate() {
                if number > 0 {
                    out.push(',');
                }
                out.push_str(&name);
                out.push(':');
                write(value, out)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

/// Indexes by their number, then everything else in the order in which the names came first; of each the last value.
fn ordered<'n, 't>(members: &'n [(&'t str, Node<'t>)]) -> Vec<(String, &'n Node<'t>)> {
    let mut indexes = BTreeMap::new();
    let mut others: Vec<(String, &Node<'_>)> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for (name, value) in members {
        let mut written = String::with_capacity(name.len() + 2);
        write_text(Points::of(name), &mut written);
        if let Some(index) = index(&written) {
            indexes.insert(index, (written, value));
        } else if let Some(place) = places.get(&written) {
            others[*place].1 = value;
        } else {
            places.insert(written.clone(), others.len());
            others.push((written, value));
        }
    }
    indexes.into_values().chain(others).collect()
}

fn index(written: &str) -> Option<u32> {
    let digits = written.strip_prefix('"')?.strip_suffix('"')?;
    let plain = digits == "0" || !digits.starts_with(['0', '+']);
    let index: u32 = digits.parse().ok().filter(|_| plain)?;
    (index <= LAST_INDEX).then_some(index)
}

fn write_text(points: impl Iterator<Item = Point>, out: &mut String) {
    out.push('"');
    for point in points {
        match point {
            Point::Char(c) => {
                if !escaped(c, out) {
                    out.push(c);
                }
            }
            Point::Half(unit) => push_unit(unit.into(), out),
        }
    }
    out.push('"');
}
