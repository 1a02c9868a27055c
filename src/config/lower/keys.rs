//! The keys that an entry delivers, as far as the configuration tells.

use crate::config::problems::At;
use crate::names::SecretKey;

#[derive(Clone, Debug, Default)]
pub(super) struct Keys {
    pub all: Vec<At<SecretKey>>,
    /// There are no others.
    pub complete: bool,
}

impl Keys {
    pub(super) fn has(&self, key: &str) -> bool {
        self.all.iter().any(|known| known.value.as_str() == key)
    }

    /// Every name, for what was meant.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.all.iter().map(|key| key.value.as_str())
    }

    /// Both together.
    pub(super) fn and(mut self, others: Self) -> Self {
        self.complete &= others.complete;
        self.all.extend(others.all);
        self
    }
}
