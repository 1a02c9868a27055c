//! Collections of which each of thousands of entries has several, nearly all of them with one thing in it, or nothing. A
//! tree has room for eleven as soon as it has one.

mod map;
mod seldom;
mod set;

pub use self::map::Map;
pub use self::seldom::{Nothing, Seldom};
pub use self::set::Set;

#[cfg(test)]
mod tests;
