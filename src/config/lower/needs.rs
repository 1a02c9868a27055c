//! Who needs whom first: a store whose keys are in a cluster, a cluster whose tokens are signed as a store. In a
//! circle nobody could begin.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::{self, Write};

use crate::config::problems::{Place, Problem, Problems};
use crate::names::{ClusterName, StoreName};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Party {
    Store(StoreName),
    Cluster(ClusterName),
}

#[derive(Debug)]
struct Need {
    who: Party,
    whom: Party,
    at: Place,
}

#[derive(Debug, Default)]
pub(super) struct Needs(RefCell<Vec<Need>>);

impl Needs {
    /// Notes a need; of several of the same, the first.
    pub(super) fn add(&self, who: Party, whom: Party, at: Place) {
        let mut needs = self.0.borrow_mut();
        if !needs.iter().any(|n| n.who == who && n.whom == whom) {
            needs.push(Need { who, whom, at });
        }
    }

    /// Reports each circle once, where its first store says what it needs.
    pub(super) fn check(&self, problems: &Problems) {
        let needs = self.0.borrow();
        let mut of: BTreeMap<&Party, Vec<usize>> = BTreeMap::new();
        for (index, need) in needs.iter().enumerate() {
            of.entry(&need.who).or_default().push(index);
        }
        let mut reported = BTreeSet::new();
        for (index, need) in needs.iter().enumerate() {
            if reported.contains(&index) {
                continue;
            }
            if let Some(way) = way(&needs, &of, need) {
                problems.push(circle(&needs, need, &way));
                reported.extend(way);
            }
        }
    }
}

/// The needs that lead from whom somebody needs back to them, as few as possible.
fn way(needs: &[Need], of: &BTreeMap<&Party, Vec<usize>>, first: &Need) -> Option<Vec<usize>> {
    let mut seen = BTreeSet::from([&first.whom]);
    let mut ways = VecDeque::from([(&first.whom, Vec::new())]);
    while let Some((party, way)) = ways.pop_front() {
        if *party == first.who {
            return Some(way);
        }
        for index in of.get(party).into_iter().flatten() {
            let next = &needs[*index].whom;
            if seen.insert(next) {
                let way = way.iter().chain([index]).copied().collect();
                ways.push_back((next, way));
            }
        }
    }
    None
}

fn circle(needs: &[Need], first: &Need, way: &[usize]) -> Problem {
    let mut message = format!("{} needs {} first", first.who, first.whom);
    for index in way {
        let whom = &needs[*index].whom;
        write!(message, ", which needs {whom} first").expect("a String takes everything");
    }
    let problem = Problem::error(first.at, message).help(
        "take the keys from a file or the environment, or let another store sign for the cluster",
    );
    match way.last() {
        Some(last) => problem.other(needs[*last].at, "the circle closes here"),
        None => problem,
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(name) => write!(f, "store `{name}`"),
            Self::Cluster(name) => write!(f, "cluster `{name}`"),
        }
    }
}
