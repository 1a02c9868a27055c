//! Every way of one file through deliveries, kills, other people and configurations: nothing goes that we did not put
//! there, and nothing of it that somebody changed since.

use std::path::Path;

use super::walk::Walk;
use crate::decide::file::removal::{Found, Removal, delete, orphaned};
use crate::decide::file::{
    Access, Content, Observed, Verdict, Wanted, judge, was_carried_out, whose,
};
use crate::decide::samples::{THEIRS, blank, db, number_of, placed, print};
use crate::state::{FileId, FileRecord, Temporary, Whose};

/// Who made the file in place, and whether others touched it since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Author {
    We,
    Others,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct File {
    inode: u64,
    content: u8,
    linked: bool,
    author: Author,
}

/// How far a write or removal comes before the process is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Until {
    Intent,
    Done,
    Recorded,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Deliver(u8, Until),
    Adopt,
    Remove(Until),
    Prune(Until),
    /// Somebody writes into the file, replaces it, copies it over itself, links it, removes it.
    Edited,
    Replaced(u8),
    CopiedBack,
    Linked,
    Deleted,
    /// The configuration is without the path, or has it again.
    Left,
    Back,
}

const UNTIL: [Until; 3] = [Until::Intent, Until::Done, Until::Recorded];

#[derive(Clone, Debug, PartialEq, Eq)]
struct World {
    file: Option<File>,
    record: Option<FileRecord>,
    configured: bool,
}

fn id(inode: u64) -> FileId {
    FileId { inode, born: None }
}

impl World {
    fn key(&self) -> String {
        // A fingerprint does not show what it is of.
        let record = self.record.as_ref();
        let prints = record.map(|it| [it.delivered, it.intent, it.adopted]);
        let contents = prints.map(|all| all.map(|it| it.map(number_of)));
        format!("{self:?} {contents:?}")
    }

    fn observed(&self) -> Observed {
        let Some(file) = self.file else {
            return Observed::Absent;
        };
        Observed::Regular {
            content: Content::Of(print(file.content)),
            mode: 0o600,
            acl: false,
            owner: 0,
            group: 0,
            links: if file.linked { 2 } else { 1 },
            id: id(file.inode),
            readable: true,
        }
    }

    /// One that nobody knows. A number that comes again, with our very content behind it, cannot be told from ours.
    fn new_inode(&self) -> u64 {
        let record = self.record.as_ref();
        let known = [
            self.file.map(|file| file.inode),
            record.and_then(|record| record.inode),
            record.and_then(|record| record.temporary.map(|it| it.inode)),
        ];
        let mut numbers = 1..;
        let free = numbers.find(|number| !known.contains(&Some(*number)));
        free.unwrap_or(0)
    }

    fn put(&mut self, content: u8, author: Author) -> u64 {
        let inode = self.new_inode();
        self.file = Some(File {
            inode,
            content,
            linked: false,
            author,
        });
        inode
    }

    /// As a run does it.
    fn deliver(&mut self, content: u8, until: Until) {
        if !self.configured {
            return;
        }
        let wanted = Wanted {
            fingerprint: print(content),
            access: Access {
                mode: 0o600,
                owner: None,
                group: None,
            },
            adopt: false,
        };
        let observed = self.observed();
        match judge(Path::new("/x"), &observed, self.record.as_ref(), &wanted) {
            Ok(Verdict::Write(_)) => self.write(content, until),
            Ok(Verdict::Unchanged | Verdict::FixMode(_)) => self.settle(content),
            Err(_) => {}
        }
    }

    fn write(&mut self, content: u8, until: Until) {
        let found = self.file.map(|file| print(file.content));
        let old = self.file;
        let inode = self.new_inode();
        // Another name for the very file that we delivered keeps what it held.
        let ours = self.record.as_ref().map(|record| {
            let staged = record.temporary.map(|it| it.inode);
            [record.inode, staged]
        });
        let ours = ours.unwrap_or_default();
        let temporary = Temporary {
            number: 1,
            inode,
            born: None,
        };
        let delivery = crate::state::FileDelivery {
            path: "/x".into(),
            entry: db(),
            fingerprint: print(content),
            mode: 0o600,
            placed: Some(placed(id(inode))),
            generations: Vec::new(),
            whose: Whose::Ours,
        };
        let intent = crate::state::FileIntent {
            delivery: delivery.clone(),
            found,
            found_ours: old.is_some_and(|old| was_carried_out(self.record.as_ref(), id(old.inode))),
            temporary,
            mark: None,
        };
        self.record = Some(FileRecord::intending(self.record.as_ref(), &intent));
        if until == Until::Intent {
            return;
        }
        // What is there may be somebody's, whom the judge has to have asked.
        assert!(
            old.is_none_or(|old| !old.linked || ours.contains(&Some(old.inode))),
            "{self:?}"
        );
        self.file = Some(File {
            inode,
            content,
            linked: false,
            author: Author::We,
        });
        if until == Until::Recorded {
            self.record = Some(FileRecord::delivered(self.record.as_ref(), &delivery));
        }
    }

    /// What is right already stays whose it is, unless a person gave us just that content.
    fn settle(&mut self, content: u8) {
        let Some(file) = &mut self.file else { return };
        let given = self.record.as_ref().and_then(|record| record.adopted);
        if given == Some(print(content)) {
            file.author = Author::We;
        }
        let found = (id(file.inode), Content::Of(print(content)));
        let whose = whose(self.record.as_ref(), found, false);
        let delivery = crate::state::FileDelivery {
            path: "/x".into(),
            entry: db(),
            fingerprint: print(content),
            mode: 0o600,
            placed: Some(placed(id(file.inode))),
            generations: Vec::new(),
            whose,
        };
        self.record = Some(FileRecord::delivered(self.record.as_ref(), &delivery));
    }

    fn adopt(&mut self) {
        let Some(file) = self.file.as_mut().filter(|_| self.configured) else {
            return;
        };
        // Whose it was does not count any more.
        file.author = Author::We;
        let before = self.record.clone().unwrap_or_else(blank);
        self.record = Some(FileRecord {
            adopted: Some(print(file.content)),
            ..before
        });
    }

    /// Returns what went.
    fn take(&mut self, verdict: Option<Removal>, until: Until) -> Option<File> {
        match verdict? {
            Removal::Gone => {
                self.record = None;
                None
            }
            Removal::Remove { inode } => {
                let aside = Temporary {
                    number: 2,
                    inode,
                    born: None,
                };
                self.record = self.record.as_ref().map(|it| it.removing(aside));
                if until == Until::Intent {
                    return None;
                }
                let went = self.file.take();
                if until == Until::Recorded {
                    self.record = None;
                }
                went
            }
        }
    }

    fn remove(&mut self, pruned: bool, until: Until) -> Option<File> {
        let observed = self.observed();
        let found = Found {
            path: Path::new("/x"),
            observed: &observed,
            inode: self.file.map(|file| file.inode),
        };
        let record = self.record.as_ref();
        let verdict = match (pruned, record) {
            // Of what was adopted and never written, nothing is left behind.
            (true, Some(record)) if !self.configured && record.was_written() => {
                orphaned(record, found)
            }
            (false, record) if self.configured => delete(&db(), record, found),
            (true | false, _) => return None,
        };
        self.take(verdict.ok(), until)
    }

    fn changed(&mut self, change: impl FnOnce(&mut File)) {
        if let Some(file) = &mut self.file {
            file.author = Author::Others;
            change(file);
        }
    }

    fn after(&self, step: Step) -> (Self, Option<File>) {
        let mut next = self.clone();
        let mut went = None;
        match step {
            Step::Deliver(content, until) => next.deliver(content, until),
            Step::Adopt => next.adopt(),
            Step::Remove(until) => went = next.remove(false, until),
            Step::Prune(until) => went = next.remove(true, until),
            Step::Edited => next.changed(|file| file.content = THEIRS),
            Step::Replaced(content) => drop(next.put(content, Author::Others)),
            Step::CopiedBack => {
                if let Some(File { content, .. }) = next.file {
                    next.put(content, Author::Others);
                }
            }
            Step::Linked => {
                if let Some(file) = &mut next.file {
                    file.linked = true;
                }
            }
            Step::Deleted => next.file = None,
            Step::Left => {
                next.configured = false;
                if let Some(record) = &mut next.record {
                    record.left = true;
                }
            }
            Step::Back => next.configured = true,
        }
        (next, went)
    }
}

fn steps() -> Vec<Step> {
    let mut all = vec![
        Step::Adopt,
        Step::Edited,
        Step::Replaced(THEIRS),
        Step::Replaced(1),
        Step::CopiedBack,
        Step::Linked,
        Step::Deleted,
        Step::Left,
        Step::Back,
    ];
    for until in UNTIL {
        all.extend([1, 2].map(|content| Step::Deliver(content, until)));
        all.extend([Step::Remove(until), Step::Prune(until)]);
    }
    all
}

#[test]
fn whatever_happens_to_a_file_only_what_we_put_there_and_nobody_touched_goes() {
    let start = World {
        file: None,
        record: None,
        configured: true,
    };
    let mut went = 0;
    let walk = Walk {
        steps: &steps(),
        key: World::key,
        after: World::after,
        broken: |_, _, _, gone| {
            let is_ours = |file: File| file.author == Author::We && !file.linked;
            let broken = gone.is_some_and(|file| !is_ours(file));
            broken.then_some("what others made or touched went")
        },
    };
    let worlds = walk.all(start, |_, _, gone| went += usize::from(gone.is_some()));
    assert!(worlds > 1_000 && went > 100, "{worlds} {went}");
}
