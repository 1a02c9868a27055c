use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::ops::Deref;

/// What hardly any entry has: one word where it is nothing. It reads as what it is of; who changes it says so.
#[derive(Clone, Debug)]
pub struct Seldom<T>(Option<Box<T>>);

/// What reads as nothing.
pub trait Nothing: Default + 'static {
    fn nothing() -> &'static Self;
    fn is_nothing(&self) -> bool;
}

impl<T: Nothing> Seldom<T> {
    pub const fn none() -> Self {
        Self(None)
    }

    pub const fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// Afterwards it is as small as what is left allows.
    pub fn change<R>(&mut self, change: impl FnOnce(&mut T) -> R) -> R {
        let mut whole = self.0.take().unwrap_or_default();
        let result = change(&mut whole);
        self.0 = Some(whole).filter(|whole| !whole.is_nothing());
        result
    }

    pub fn take(&mut self) -> T {
        mem::take(self).into_inner()
    }

    pub fn into_inner(self) -> T {
        self.0.map_or_else(T::default, |whole| *whole)
    }
}

impl<T> Default for Seldom<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Nothing> From<T> for Seldom<T> {
    fn from(whole: T) -> Self {
        Self((!whole.is_nothing()).then(|| Box::new(whole)))
    }
}

impl<T: Nothing> Deref for Seldom<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.0 {
            Some(whole) => whole,
            None => T::nothing(),
        }
    }
}

impl<K: 'static, V: 'static> Nothing for BTreeMap<K, V> {
    fn nothing() -> &'static Self {
        const { &Self::new() }
    }

    fn is_nothing(&self) -> bool {
        self.is_empty()
    }
}

impl<T: 'static> Nothing for BTreeSet<T> {
    fn nothing() -> &'static Self {
        const { &Self::new() }
    }

    fn is_nothing(&self) -> bool {
        self.is_empty()
    }
}
