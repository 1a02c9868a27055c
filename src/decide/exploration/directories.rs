//! Every short way of one directory of files through deliveries, kills, other people and configurations: nothing goes that we
//! did not make, what readers are led to goes only as what we put there, and what they had before stays until a swap.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;

use super::walk::Walk;
use crate::decide::directory::removal::{Around, Data, Found, delete, orphaned};
use crate::decide::directory::{
    self, Access, Keep, Live, Modes, Observed, Reading, previous, spent,
};
use crate::decide::file::removal::Removal;
use crate::decide::file::{Content, Verdict};
use crate::decide::samples::{THEIRS, db, number_of, print};
use crate::names::SecretKey;
use crate::secret::Fingerprint;
use crate::state::{FileDelivery, FileIntent, FileRecord, Generation, Temporary, Whose};

const MODES: Modes = Modes {
    file: 0o600,
    directory: 0o700,
};
/// From here on are those that others make.
const FOREIGN: u64 = 90;

/// One set of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Made {
    number: u64,
    content: u8,
    /// We made it.
    ours: bool,
    touched: bool,
}

/// How far a write or removal comes before the process is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Until {
    Made,
    Swapped,
    Recorded,
}

const UNTIL: [Until; 3] = [Until::Made, Until::Swapped, Until::Recorded];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Deliver(u8, Until),
    Remove(Until),
    Prune(Until),
    /// Of the process.
    Start,
    /// Somebody writes through a link, makes a set of their own, leads readers elsewhere, or nowhere.
    Edited,
    Replaced(u8),
    /// To one of those that are there.
    LedBack(usize),
    Unlinked,
    /// The configuration is without the path, or has it again.
    Left,
    Back,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct World {
    there: Vec<Made>,
    live: Option<u64>,
    record: Option<FileRecord>,
    configured: bool,
    /// What our last swap replaced, while nobody else has led readers elsewhere: whoever has it open reads on.
    before: Option<u64>,
    /// The process has looked at it.
    looked: bool,
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Did {
    Nothing,
    Wrote,
    Removed,
}

fn bits<const N: usize>(of: [bool; N]) -> u16 {
    of.into_iter().fold(0, |bits, it| bits << 1 | u16::from(it))
}

fn name(number: u64) -> String {
    format!("..{number}")
}

/// Of the one key.
fn values() -> &'static BTreeMap<SecretKey, Fingerprint> {
    static VALUES: LazyLock<BTreeMap<SecretKey, Fingerprint>> =
        LazyLock::new(|| [(SecretKey::new("k").unwrap(), print(0))].into());
    &VALUES
}

fn generation(number: u64) -> Generation {
    Generation {
        name: name(number),
        inode: number,
        // What stands at the names of keys is not in question here.
        keys: BTreeSet::new(),
        given: None,
    }
}

fn delivery(content: u8, generations: Vec<Generation>) -> FileDelivery {
    FileDelivery {
        path: "/x".into(),
        entry: db(),
        fingerprint: print(content),
        mode: MODES.recorded(),
        placed: None,
        generations,
        whose: Whose::Ours,
    }
}

impl World {
    /// All that can make a difference later, but for the names of sets, which are as good as any others: first what the
    /// ledger knows, in its order, then the others.
    fn key(&self) -> Vec<u16> {
        let mut key = vec![bits([self.configured, self.looked])];
        let mut recorded = Vec::new();
        if let Some(record) = &self.record {
            let contents = [record.delivered, record.intent];
            key.extend(contents.map(|it| it.map_or(u16::MAX, |it| number_of(it).into())));
            key.extend([u16::from(record.left), record.whose as u16]);
            recorded.extend(record.generations.iter().map(|it| it.inode));
        }
        key.extend(recorded.iter().map(|number| self.place(*number)));
        key.push(u16::MAX);
        let there = self.there.iter().map(|it| it.number);
        let mut others: Vec<u64> = there.chain(self.live).chain(self.before).collect();
        others.retain(|number| !recorded.contains(number));
        others.sort_unstable();
        others.dedup();
        let mut others: Vec<u16> = others.iter().map(|number| self.place(*number)).collect();
        others.sort_unstable();
        key.append(&mut others);
        key
    }

    /// One set without its name; also one that is led to and not there.
    fn place(&self, number: u64) -> u16 {
        let (live, before) = (self.live == Some(number), self.before == Some(number));
        let made = self.there.iter().find(|it| it.number == number);
        made.map_or(bits([live, before]), |it| {
            u16::from(it.content) << 8 | bits([live, before, true, it.ours, it.touched])
        })
    }

    fn live(&self) -> Option<Made> {
        let mut there = self.there.iter();
        there.find(|it| Some(it.number) == self.live).copied()
    }

    fn change(&mut self, change: impl FnOnce(&mut Made)) {
        let live = self.live;
        if let Some(made) = self.there.iter_mut().find(|it| Some(it.number) == live) {
            change(made);
        }
    }

    fn observed(&self) -> Observed {
        let live = match self.live() {
            None => Live::Nothing,
            Some(made) => Live::Generation {
                content: Content::Of(print(made.content)),
                hard_linked: None,
            },
        };
        Observed::Directory(directory::Found {
            live,
            beside: BTreeMap::new(),
            others: false,
            modes: Some(MODES),
            access: Access::ByModes,
            reading: Reading::Open,
            linked: true,
            whose: self.live.map_or(Whose::Ours, |live| {
                directory::whose(self.record.as_ref(), (&name(live), live))
            }),
        })
    }

    /// As `sweep` does it.
    fn sweep(&mut self, keep: Keep) {
        let Some(record) = &self.record else { return };
        let live = self.live.map(name);
        let live = live.as_ref().map(AsRef::as_ref);
        let gone: Vec<u64> = spent(record, live, keep).map(|it| it.inode).collect();
        self.there.retain(|it| !gone.contains(&it.number));
        self.before = self.before.filter(|it| !gone.contains(it));
    }

    fn deliver(&mut self, content: u8, until: Until) -> Did {
        if !self.configured {
            return Did::Nothing;
        }
        let wanted = directory::Wanted {
            set: print(content),
            values: values(),
            modes: MODES,
            owner: None,
            adopt: false,
        };
        let (observed, path) = (self.observed(), Path::new("/x"));
        match directory::judge(path, &observed, self.record.as_ref(), &wanted) {
            Ok(Verdict::Write(_)) => self.write(content, until),
            // What a mend of modes does, too.
            Ok(Verdict::Unchanged | Verdict::FixMode(_)) => self.mend(content),
            Err(_) => Did::Nothing,
        }
    }

    fn write(&mut self, content: u8, until: Until) -> Did {
        self.looked = true;
        self.sweep(Keep::Previous);
        let number = self.new_number(1);
        let (old, record) = (self.live(), self.record.as_ref());
        let own = old.filter(|old| {
            let mut known = record.iter().flat_map(|it| &it.generations);
            known.any(|it| it.inode == old.number)
        });
        let mut generations: Vec<_> = own.iter().map(|it| generation(it.number)).collect();
        generations.push(generation(number));
        let before = record.zip(self.live);
        let before = before.and_then(|(record, live)| previous(record, name(live)));
        let before: Vec<_> = before.cloned().into_iter().collect();
        let delivery = delivery(content, generations);
        let intent = FileIntent {
            delivery: FileDelivery {
                generations: [&*before, &*delivery.generations].concat(),
                ..delivery.clone()
            },
            found: old.map(|old| print(old.content)),
            found_ours: own.is_some() && record.is_some_and(|record| !record.removing),
            temporary: Temporary {
                number,
                inode: number,
                born: None,
            },
            mark: None,
        };
        self.record = Some(FileRecord::intending(self.record.as_ref(), &intent));
        self.there.push(Made {
            number,
            content,
            ours: true,
            touched: false,
        });
        if until == Until::Made {
            return Did::Nothing;
        }
        (self.before, self.live) = (self.live, Some(number));
        if until == Until::Recorded {
            let spent = |it: &Made| before.iter().any(|old| old.inode == it.number);
            self.there.retain(|it| !spent(it));
            self.record = Some(FileRecord::delivered(self.record.as_ref(), &delivery));
        }
        Did::Wrote
    }

    /// One that nobody knows. A number that comes again, with our very content behind it, cannot be told from ours.
    fn new_number(&self, from: u64) -> u64 {
        let recorded = self.record.iter().flat_map(|it| &it.generations);
        let recorded: Vec<u64> = recorded.map(|it| it.inode).collect();
        let is_known = |number: &u64| {
            recorded.contains(number) || self.there.iter().any(|it| it.number == *number)
        };
        let numbers = from..=u64::MAX;
        let mut unknown = numbers.filter(|number| !is_known(number));
        unknown.next().expect("few numbers are known")
    }

    fn mend(&mut self, content: u8) -> Did {
        self.first_look();
        self.sweep(Keep::Previous);
        let Some(live) = self.live else {
            return Did::Nothing;
        };
        let record = self.record.as_ref();
        let whose = directory::whose(record, (&name(live), live));
        let before = record.and_then(|it| previous(it, name(live)));
        let mut generations: Vec<_> = before.cloned().into_iter().collect();
        generations.extend((whose == Whose::Ours).then(|| generation(live)));
        let delivery = FileDelivery {
            whose,
            ..delivery(content, generations)
        };
        self.record = Some(FileRecord::delivered(self.record.as_ref(), &delivery));
        Did::Nothing
    }

    fn first_look(&mut self) {
        if !self.looked && self.record.as_ref().is_some_and(|it| !it.left) {
            self.sweep(Keep::Nothing);
        }
        self.looked = true;
    }

    /// Another process begins.
    fn start(&mut self) {
        (self.looked, self.before) = (false, None);
        if self.configured {
            return self.first_look();
        }
        let known = self.record.iter().flat_map(|it| &it.generations);
        let live = self.live.map(name);
        if known.map(|it| &it.name).any(|it| Some(it) == live.as_ref()) {
            self.sweep(Keep::Nothing);
        }
    }

    fn remove(&mut self, pruned: bool, until: Until) -> Did {
        let text = self.live.map(name);
        let data = match (self.live(), &text) {
            (Some(made), Some(name)) => Data::Generation {
                name,
                inode: made.number,
                content: Content::Of(print(made.content)),
            },
            (_, None) => Data::Nothing,
            (None, Some(_)) => Data::Elsewhere,
        };
        let found = Found {
            path: Path::new("/x"),
            around: Around::Directory(data),
        };
        let verdict = match (pruned, &self.record) {
            (true, Some(record)) if !self.configured => orphaned(record, &found),
            (false, record) if self.configured => delete(&db(), record.as_ref(), &found),
            (true | false, _) => return Did::Nothing,
        };
        let Ok(Removal::Remove { .. }) = verdict else {
            return Did::Nothing;
        };
        // That ends the time of what readers had before, too.
        (self.live, self.before) = (None, None);
        if until != Until::Made {
            self.sweep(Keep::Nothing);
        }
        if until == Until::Recorded {
            self.record = None;
        }
        Did::Removed
    }

    fn after(&self, step: Step) -> (Self, Did) {
        let mut next = self.clone();
        let mut did = Did::Nothing;
        match step {
            Step::Deliver(content, until) => did = next.deliver(content, until),
            Step::Remove(until) => did = next.remove(false, until),
            Step::Prune(until) => did = next.remove(true, until),
            Step::Start => next.start(),
            Step::Edited => next.change(|live| (live.content, live.touched) = (THEIRS, true)),
            Step::Replaced(content) => next.replace(content),
            Step::LedBack(other) => {
                let others = next.there.iter().map(|it| it.number);
                let mut others = others.filter(|it| Some(*it) != next.live);
                (next.live, next.before) = (others.nth(other).or(next.live), None);
            }
            Step::Unlinked => (next.live, next.before) = (None, None),
            Step::Left => {
                next.configured = false;
                if let Some(record) = &mut next.record {
                    record.left = true;
                }
            }
            Step::Back => next.configured = true,
        }
        (next, did)
    }

    fn replace(&mut self, content: u8) {
        let theirs = self.there.iter().find(|it| !it.ours);
        let number = theirs.map_or_else(|| self.new_number(FOREIGN), |it| it.number);
        if theirs.is_none() {
            self.there.push(Made {
                number,
                content,
                ours: false,
                touched: false,
            });
        }
        (self.live, self.before) = (Some(number), None);
    }
}

fn steps() -> Vec<Step> {
    let mut all = vec![
        Step::Start,
        Step::Edited,
        Step::Replaced(THEIRS),
        Step::Replaced(1),
        Step::Unlinked,
        Step::Left,
        Step::Back,
    ];
    all.extend((0..4).map(Step::LedBack));
    for until in UNTIL {
        all.extend([1, 2].map(|content| Step::Deliver(content, until)));
        all.extend([Step::Remove(until), Step::Prune(until)]);
    }
    all
}

/// What is wrong with a step, without the code under test.
fn broken(before: &World, step: Step, after: &World, did: Did) -> Option<&'static str> {
    let is_there = |it: &Made| after.there.iter().any(|other| other.number == it.number);
    let gone = || before.there.iter().filter(|it| !is_there(it));
    if gone().any(|it| !it.ours) {
        return Some("what others made went");
    }
    let live = before.live();
    if let Some(live) = live.filter(|_| did == Did::Removed) {
        let known = before.record.as_ref();
        let written = known.map(|it| [it.delivered, it.intent]);
        let proven = written.is_some_and(|it| it.contains(&Some(print(live.content))));
        if live.touched || !live.ours || !proven {
            return Some("what was not proven to be ours was taken from its readers");
        }
    } else if live.is_some_and(|live| gone().any(|it| it.number == live.number)) {
        return Some("what readers are led to went");
    }
    let ends = did != Did::Nothing || step == Step::Start;
    if !ends && gone().any(|it| Some(it.number) == before.before) {
        return Some("what readers had before went without a swap");
    }
    None
}

#[test]
fn whatever_happens_to_a_directory_only_what_we_made_and_nobody_reads_goes() {
    let start = World {
        there: Vec::new(),
        live: None,
        record: None,
        configured: true,
        before: None,
        looked: true,
    };
    let (mut went, mut removed, mut most) = (0, 0, 0);
    let walk = Walk {
        steps: &steps(),
        key: World::key,
        after: World::after,
        broken: |before, step, after, did| broken(before, step, after, *did),
    };
    let worlds = walk.all(start, |before, after, did| {
        went += usize::from(after.there.len() < before.there.len());
        removed += usize::from(*did == Did::Removed && before.live.is_some());
        most = most.max(after.there.len());
    });
    // Else some could be led to that no step leads to.
    assert!(most <= 5, "{most}");
    assert!(
        worlds > 1_000 && went > 100 && removed > 100,
        "{worlds} {went} {removed}"
    );
}
