use std::collections::{BTreeMap, btree_map};
use std::{fmt, iter, mem, option};

/// A map in the order of its keys: one pair lies in place, more of them are a tree.
#[derive(Clone)]
pub struct Map<K, V>(Held<K, V>);

#[derive(Clone)]
#[expect(
    clippy::box_collection,
    reason = "a tree in place would make each map a word larger, and hardly any is one"
)]
enum Held<K, V> {
    One(K, V),
    /// Of at least two.
    Tree(Option<Box<BTreeMap<K, V>>>),
}

impl<K, V> Map<K, V> {
    pub const fn new() -> Self {
        Self(Held::Tree(None))
    }

    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let (one, tree) = match &self.0 {
            Held::One(key, value) => (Some((key, value)), None),
            Held::Tree(tree) => (None, tree.as_deref()),
        };
        one.into_iter().chain(tree.into_iter().flatten())
    }

    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    pub fn len(&self) -> usize {
        match &self.0 {
            Held::One(..) => 1,
            Held::Tree(tree) => tree.as_ref().map_or(0, |tree| tree.len()),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn clear(&mut self) {
        *self = Self::new();
    }
}

impl<K: Ord, V> Map<K, V> {
    pub fn get(&self, key: &K) -> Option<&V> {
        match &self.0 {
            Held::One(own, value) => (own == key).then_some(value),
            Held::Tree(tree) => tree.as_ref()?.get(key),
        }
    }

    pub fn contains_key(&self, key: &K) -> bool {
        self.get(key).is_some()
    }

    /// Returns what was there under that key.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match &mut self.0 {
            Held::One(own, held) if *own == key => Some(mem::replace(held, value)),
            Held::Tree(Some(tree)) => tree.insert(key, value),
            Held::Tree(None) => {
                self.0 = Held::One(key, value);
                None
            }
            Held::One(..) => {
                let mut both: BTreeMap<K, V> = mem::take(self).into_iter().collect();
                both.insert(key, value);
                *self = both.into();
                None
            }
        }
    }

    pub fn remove(&mut self, key: &K) -> Option<V> {
        match &mut self.0 {
            Held::One(own, _) if own == key => mem::take(self).into_iter().next().map(|it| it.1),
            Held::One(..) => None,
            Held::Tree(tree) => {
                let tree = tree.as_mut()?;
                let removed = tree.remove(key);
                if tree.len() < 2 {
                    *self = mem::take(&mut **tree).into();
                }
                removed
            }
        }
    }

    pub fn retain(&mut self, mut keep: impl FnMut(&K, &V) -> bool) {
        let all = mem::take(self).into_iter();
        *self = all.filter(|(key, value)| keep(key, value)).collect();
    }
}

impl<K, V> Default for Map<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Ord, V> From<BTreeMap<K, V>> for Map<K, V> {
    fn from(mut tree: BTreeMap<K, V>) -> Self {
        if tree.len() > 1 {
            return Self(Held::Tree(Some(Box::new(tree))));
        }
        match tree.pop_first() {
            Some((key, value)) => Self(Held::One(key, value)),
            None => Self::new(),
        }
    }
}

impl<K: Ord, V, const N: usize> From<[(K, V); N]> for Map<K, V> {
    fn from(pairs: [(K, V); N]) -> Self {
        pairs.into_iter().collect()
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for Map<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let mut map = Self::new();
        map.extend(pairs);
        map
    }
}

impl<K: Ord, V> Extend<(K, V)> for Map<K, V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, pairs: I) {
        for (key, value) in pairs {
            self.insert(key, value);
        }
    }
}

impl<K, V> IntoIterator for Map<K, V> {
    type Item = (K, V);
    type IntoIter = iter::Chain<option::IntoIter<(K, V)>, btree_map::IntoIter<K, V>>;

    fn into_iter(self) -> Self::IntoIter {
        let (one, tree) = match self.0 {
            Held::One(key, value) => (Some((key, value)), BTreeMap::new()),
            Held::Tree(tree) => (None, tree.map_or_else(BTreeMap::new, |tree| *tree)),
        };
        one.into_iter().chain(tree)
    }
}

impl<K: PartialEq, V: PartialEq> PartialEq for Map<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<K: Eq, V: Eq> Eq for Map<K, V> {}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for Map<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
