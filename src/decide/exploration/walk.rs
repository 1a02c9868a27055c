//! Walking small worlds, the nearest first, until no new one is left.

use std::collections::HashSet;
use std::fmt::Debug;
use std::hash::Hash;

/// A world, and the place of the one that it came from with the step between.
type Reached<W, S> = (W, Option<(usize, S)>);

/// How worlds of one kind go on.
pub(super) struct Walk<'a, W, S, K, D> {
    pub steps: &'a [S],
    /// All of it that can make a difference later.
    pub key: fn(&W) -> K,
    pub after: fn(&W, S) -> (W, D),
    /// What is wrong with a step, without the code under test.
    pub broken: fn(&W, S, &W, &D) -> Option<&'static str>,
}

impl<W: PartialEq + Debug, S: Copy + Debug, K: Eq + Hash, D> Walk<'_, W, S, K, D> {
    /// Everything that can be reached from there; `tell` hears of each step. Returns how many worlds there are.
    pub(super) fn all(&self, start: W, mut tell: impl FnMut(&W, &W, &D)) -> usize {
        let mut known: HashSet<K> = [(self.key)(&start)].into();
        let mut worlds: Vec<Reached<W, S>> = vec![(start, None)];
        let mut next = 0;
        while next < worlds.len() {
            for step in self.steps {
                let (world, _) = &worlds[next];
                let (after, did) = (self.after)(world, *step);
                if let Some(broken) = (self.broken)(world, *step, &after, &did) {
                    let way = way(&worlds, next);
                    panic!("{broken}: {way:?} {step:?}\n{world:?}\n{after:?}");
                }
                tell(world, &after, &did);
                if after == *world {
                    continue;
                }
                if known.insert((self.key)(&after)) {
                    worlds.push((after, Some((next, *step))));
                }
            }
            next += 1;
        }
        worlds.len()
    }
}

fn way<W, S: Copy>(worlds: &[Reached<W, S>], to: usize) -> Vec<S> {
    let mut way = Vec::new();
    let mut from = worlds[to].1;
    while let Some((before, step)) = from {
        way.push(step);
        from = worlds[before].1;
    }
    way.reverse();
    way
}
