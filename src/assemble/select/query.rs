//! Whether a query holds for an element.

use super::budget::{Budget, Stop};
use super::eval::get;
use super::path::{Comparison, Like, Operand, Query, Test};
use super::pattern;
use super::text::Scalar;

pub(super) fn holds(query: &Query, element: &str, budget: &mut Budget) -> Result<bool, Stop> {
    let element_is = Scalar::of(element);
    let found = match (&query.path, &element_is) {
        (Some(path), Scalar::Nested) => get(element, path, budget)?.map(|piece| Scalar::of(&piece)),
        // The key of no name, which is what an empty path is.
        (None, Scalar::Nested) => unnamed(element, budget)?,
        (Some(_), _) => return Ok(false),
        (None, _) => Some(element_is),
    };
    match &query.test {
        Test::Exists => Ok(found.is_some()),
        Test::Compare { how, with } => match with {
            Operand::Like(like) => Ok(compared_to_true(*how, is_like(*like, found.as_ref()))),
            Operand::Text(text) => match found {
                Some(found) => compared(&found, *how, text, budget),
                None => Ok(false),
            },
        },
    }
}

fn unnamed(element: &str, budget: &mut Budget) -> Result<Option<Scalar>, Stop> {
    budget.spend(element.len())?;
    let members = super::text::members(element).unwrap_or_default();
    let unnamed = members.iter().find(|(name, _)| *name == "\"\"");
    Ok(unnamed.map(|(_, value)| Scalar::of(value)))
}

fn is_like(like: Like, found: Option<&Scalar>) -> bool {
    match like {
        Like::Anything => found.is_some(),
        Like::Null => matches!(found, None | Some(Scalar::Null)),
        Like::True => found.is_some_and(Scalar::is_trueish),
        Like::False => found.is_none_or(Scalar::is_falseish),
    }
}

/// False is less than true.
fn compared_to_true(how: Comparison, is: bool) -> bool {
    match how {
        Comparison::Equal | Comparison::MoreOrEqual => is,
        Comparison::Unequal | Comparison::Less | Comparison::LessOrEqual => !is,
        Comparison::More | Comparison::Matches | Comparison::Differs => false,
    }
}

fn compared(
    found: &Scalar,
    how: Comparison,
    with: &str,
    budget: &mut Budget,
) -> Result<bool, Stop> {
    Ok(match found {
        Scalar::Null | Scalar::Nested => false,
        Scalar::True => match how {
            Comparison::Equal => with == "true",
            Comparison::Unequal => with != "true",
            Comparison::More => with == "false",
            Comparison::MoreOrEqual => true,
            Comparison::Less
            | Comparison::LessOrEqual
            | Comparison::Matches
            | Comparison::Differs => false,
        },
        Scalar::False => match how {
            Comparison::Equal => with == "false",
            Comparison::Unequal => with != "false",
            Comparison::Less => with == "true",
            Comparison::LessOrEqual => true,
            Comparison::More
            | Comparison::MoreOrEqual
            | Comparison::Matches
            | Comparison::Differs => false,
        },
        // What is no number counts as 0.
        Scalar::Number(number) => ordered(number, how, &with.parse().unwrap_or(0.0)),
        Scalar::Text(text) => match how {
            Comparison::Matches => pattern::matches(text, with, budget)?,
            Comparison::Differs => !pattern::matches(text, with, budget)?,
            Comparison::Equal
            | Comparison::Unequal
            | Comparison::Less
            | Comparison::LessOrEqual
            | Comparison::More
            | Comparison::MoreOrEqual => ordered(text.as_str(), how, with),
        },
    })
}

fn ordered<T: PartialOrd + ?Sized>(found: &T, how: Comparison, with: &T) -> bool {
    match how {
        Comparison::Equal => found == with,
        Comparison::Unequal => found != with,
        Comparison::Less => found < with,
        Comparison::LessOrEqual => found <= with,
        Comparison::More => found > with,
        Comparison::MoreOrEqual => found >= with,
        Comparison::Matches | Comparison::Differs => false,
    }
}
