use std::collections::{BTreeMap, BTreeSet};
use std::mem::size_of;
use std::sync::Arc;

use proptest::prelude::*;

use super::{Map, Seldom, Set};

#[derive(Clone, Debug)]
enum Step {
    Insert(u8, u8),
    Remove(u8),
    RetainAbove(u8),
    Clear,
}

fn step() -> impl Strategy<Value = Step> {
    let key = || 0_u8..4;
    prop_oneof![
        4 => (key(), any::<u8>()).prop_map(|(key, value)| Step::Insert(key, value)),
        3 => key().prop_map(Step::Remove),
        1 => key().prop_map(Step::RetainAbove),
        1 => Just(Step::Clear),
    ]
}

proptest! {
    #[test]
    fn a_map_holds_what_a_tree_holds(steps in prop::collection::vec(step(), 0..30)) {
        let (mut map, mut tree) = (Map::new(), BTreeMap::new());
        for step in steps {
            match step {
                Step::Insert(key, value) => {
                    prop_assert_eq!(map.insert(key, value), tree.insert(key, value));
                }
                Step::Remove(key) => prop_assert_eq!(map.remove(&key), tree.remove(&key)),
                Step::RetainAbove(least) => {
                    map.retain(|key, _| *key > least);
                    tree.retain(|key, _| *key > least);
                }
                Step::Clear => {
                    map.clear();
                    tree.clear();
                }
            }
            prop_assert!(map.iter().eq(&tree));
            prop_assert_eq!((map.len(), map.is_empty()), (tree.len(), tree.is_empty()));
            for key in 0..4 {
                prop_assert_eq!(map.get(&key), tree.get(&key));
            }
            // However it came about, it is the same.
            prop_assert_eq!(&map, &Map::from(tree.clone()));
            prop_assert!(map.clone().into_iter().eq(tree.clone()));
        }
    }
}

#[test]
fn what_each_entry_has_takes_two_words_and_what_hardly_any_has_one() {
    type Shared = Arc<u8>;
    assert_eq!(size_of::<Map<Shared, Shared>>(), 2 * size_of::<usize>());
    assert_eq!(size_of::<Set<Arc<str>>>(), 2 * size_of::<usize>());
    assert_eq!(size_of::<Seldom<BTreeSet<u8>>>(), size_of::<usize>());
}

#[test]
fn what_is_nothing_again_takes_nothing() {
    let mut seldom: Seldom<BTreeSet<u8>> = Seldom::none();
    assert!(seldom.is_empty());
    assert!(seldom.change(|it| it.insert(1)));
    assert_eq!(*seldom, [1].into());
    assert!(seldom.change(|it| it.remove(&1)));
    assert!(seldom.is_none());
    assert!(Seldom::from(BTreeSet::<u8>::new()).is_none());
    seldom.change(|it| it.extend([2, 3]));
    assert_eq!(seldom.take(), [2, 3].into());
    assert!(seldom.is_none());
}
