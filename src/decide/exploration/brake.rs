//! The brake by itself, asked in every order.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::decide::brake::Brake;

#[derive(Clone, Copy, Debug)]
enum Step {
    AskOne(u8),
    AskAll,
    Release(u8),
    Withdraw(u8),
}

/// The brake, and what happened to each target by our own account.
#[derive(Clone, Debug)]
struct World {
    now: u64,
    brake: Brake<u8>,
    targets: Vec<Target>,
}

/// Times are minutes since the start; those an hour ago no longer matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Target {
    removed: Option<u64>,
    /// A person had released it.
    by_person: bool,
    held: bool,
    released: Option<u64>,
}

fn recent(at: Option<u64>, now: u64) -> bool {
    at.is_some_and(|at| now - at < 60)
}

impl World {
    fn ask(&mut self, id: u8, allowed: bool, all: usize) -> Result<(), &'static str> {
        let now = self.now;
        let gone = |it: &&Target| recent(it.removed, now);
        let gone_lately = self.targets.iter().filter(gone).count();
        let is_over = |count: usize| count > 3 && count * 100 > all * 20;
        let target = &mut self.targets[usize::from(id)];
        let released = recent(target.released, now);
        let counted = recent(target.removed, now);
        let room = counted || !is_over(gone_lately + 1);
        let may = if target.held { released } else { room };
        if allowed && !may {
            return Err("more went than may, or what was held");
        }
        if !allowed && may {
            return Err("held without need");
        }
        if allowed {
            *target = Target {
                removed: Some(now),
                by_person: released || (counted && target.by_person),
                ..Target::default()
            };
        } else {
            target.held = true;
            target.released = None;
        }
        let unasked = |it: &&Target| recent(it.removed, now) && !it.by_person;
        if is_over(self.targets.iter().filter(unasked).count()) {
            return Err("over the bound");
        }
        Ok(())
    }

    fn step(&mut self, step: Step, all: usize, start: Instant) -> Result<(), &'static str> {
        let now = start + Duration::from_mins(self.now);
        let ids = 0..u8::try_from(self.targets.len()).unwrap();
        match step {
            Step::AskOne(id) => {
                let answer = self.brake.ask(all, [id], now);
                self.ask(id, answer.held.is_empty(), all)?;
            }
            Step::AskAll => {
                let answer = self.brake.ask(all, ids, now);
                // Those that are allowed are asked for first by our account too: none of the others had room.
                for id in answer.allowed {
                    self.ask(id, true, all)?;
                }
                for id in answer.held {
                    self.ask(id, false, all)?;
                }
            }
            Step::Release(id) => {
                let released = self.brake.release(|it| *it == id, now);
                let target = &mut self.targets[usize::from(id)];
                if released.is_empty() == target.held {
                    return Err("not what is held was released");
                }
                if target.held {
                    target.released = Some(self.now);
                }
            }
            Step::Withdraw(id) => {
                self.brake.withdraw(&id);
                let target = &mut self.targets[usize::from(id)];
                target.held = false;
                target.released = None;
            }
        }
        let ours = self.targets.iter().zip(0..);
        let ours = ours.filter(|(it, _)| it.held && !recent(it.released, self.now));
        let ours: Vec<u8> = ours.map(|(_, id)| id).collect();
        if !self.brake.held(now).copied().eq(ours) {
            return Err("what is shown as held is not what is held");
        }
        Ok(())
    }

    fn key(&self) -> Vec<Target> {
        let age = |at: Option<u64>| at.filter(|_| recent(at, self.now)).map(|at| self.now - at);
        let targets = self.targets.iter();
        targets
            .map(|target| Target {
                removed: age(target.removed),
                by_person: target.by_person && recent(target.removed, self.now),
                held: target.held,
                released: age(target.released),
            })
            .collect()
    }
}

/// Walks everything; how many worlds there are.
fn explore(targets: u8, all: usize) -> usize {
    let start = Instant::now();
    let ids = 0..targets;
    let mut steps = vec![Step::AskAll];
    for id in ids.clone() {
        steps.extend([Step::AskOne(id), Step::Release(id), Step::Withdraw(id)]);
    }
    let first = World {
        now: 0,
        brake: Brake::new(),
        targets: ids.map(|_| Target::default()).collect(),
    };
    let mut known = HashSet::from([first.key()]);
    let mut queue = VecDeque::from([first]);
    while let Some(before) = queue.pop_front() {
        for minutes in [0, 30] {
            for step in &steps {
                let mut after = before.clone();
                after.now += minutes;
                if let Err(broken) = after.step(*step, all, start) {
                    panic!("{broken}\n{step:?}\n{before:?}\n{after:?}");
                }
                if known.insert(after.key()) {
                    queue.push_back(after);
                }
            }
        }
    }
    known.len()
}

#[test]
fn in_whatever_order_it_is_asked_the_bound_holds() {
    // Three of four may go, then four of five.
    assert!(explore(4, 4) > 100);
    assert!(explore(5, 20) > 100);
}
