//! The order of one run: read, judge the change, assemble, render every target, then write each.
//!
//! Nothing is written before everything was read and assembled and every target's content rendered. After that the
//! targets go their own ways: one that fails or hangs holds back no other.

mod absent;
pub mod adopt;
mod deliver;
mod entry;
mod heard;
pub mod orphan;
mod pace;
pub mod plan;
mod rollout;
mod selected;
pub mod taking;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::absent::{Absences, Plan};
pub use self::absent::{Proving, matches_no_longer, proof_of, proofs_of_lost};
use self::deliver::Work;
pub use self::deliver::{Checked, Delivery, Handled, check};
pub use self::entry::{Entry, Item, read_of};
pub use self::heard::{Heard, Proofs, Said};
pub use self::pace::{Impatient, Job, Part};
pub use self::rollout::{restart, strike};
pub use self::selected::{Selected, Standing};
use crate::assemble::Content;
use crate::config::RefreshPolicy;
use crate::decide::change::{Change, Version, change};
use crate::decide::missing::Gone;
use crate::failure::{Failure, Reason};
use crate::few;
use crate::kube::Tenure;
use crate::report::{Fact, Reporter, Stage};
use crate::secret::SecretBytes;
use crate::state::{FoundId, State};
use crate::store::desk::{Desk, Seen};
use crate::store::{self, Identity, Match, Read};
use crate::target::Target;

/// Everything one run needs; nothing of it is shared with another entry's run but the ledger and the desk.
#[derive(Debug)]
pub struct Run {
    pub entry: Arc<Entry>,
    pub desk: Desk,
    pub state: Arc<State>,
    pub reporter: Reporter,
    /// The answer that woke this run.
    pub handed: Option<(Read, Seen)>,
    /// The newest version delivered to any target, per read.
    pub delivered: few::Map<Read, Version>,
    /// Older versions that a second read has confirmed.
    pub confirmed: BTreeMap<Read, Identity>,
    /// What has answered before, and whether it can be proven of that answer that it is gone.
    pub known: BTreeMap<Read, Proving>,
    /// What was missing when this configuration of the entry was last delivered.
    pub without: BTreeSet<Read>,
    /// What direct reads have said about those that are gone or list less.
    pub proofs: BTreeMap<Read, Proofs>,
    /// Targets that are away because all that they were made of is.
    pub away: BTreeSet<usize>,
    /// Targets that may go so, as far as the brake is concerned.
    pub may_go: BTreeSet<usize>,
    pub which: Which,
    /// Targets that somebody else keeps changing: what was put there is not put back now.
    pub contested: BTreeSet<usize>,
    /// The targets that this machine writes.
    pub ours: Vec<usize>,
    /// Under which clusters are written.
    pub tenure: Tenure,
    /// Said once the entry is away, is another one, or rests: nothing is deleted for it any more.
    pub dismissed: CancellationToken,
    /// Who does not wait for the slowest of its targets.
    pub impatient: Option<Impatient>,
}

impl Run {
    fn is_only_for_new_targets(&self) -> bool {
        let once = self.entry.refresh_policy == RefreshPolicy::CreatedOnce;
        once && matches!(self.which, Which::New(_))
    }
}

/// Which targets a run is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    All,
    /// Only these, which were never tried; they are asked nothing before.
    New(Vec<usize>),
    /// Only these failed last time; they are asked without a value before anything is read.
    Retry(Vec<usize>),
}

/// How a run ended.
#[derive(Debug)]
pub enum End {
    /// A read failed, and said so to everybody who uses it; nothing was written.
    NotRead,
    /// These reads answered with a version older than the delivered one; nothing was written.
    Unconfirmed(Vec<(Read, Version)>),
    /// The answers do not make content; nothing was written.
    NotAssembled {
        stage: Stage,
        heard: Vec<(Read, Heard)>,
        failure: Failure,
    },
    /// The targets that were to be retried are still out of reach; nothing was read.
    NotReachable(Vec<(usize, Failure)>),
    Delivered {
        seen: Vec<(Read, SeenVersion)>,
        heard: Vec<(Read, Heard)>,
        /// Why the last value of something was kept.
        kept: Option<Failure>,
        targets: Vec<(usize, Delivery)>,
        /// Targets whose policy says to leave them as they are while something is gone, and why.
        stays: Vec<(usize, Failure)>,
        /// Every target was to be written, without everything that is gone.
        everywhere: bool,
    },
    /// The same of the targets that were not done when the run was told of as [`Part`].
    Rest {
        seen: Vec<(Read, SeenVersion)>,
        targets: Vec<(usize, Delivery)>,
    },
}

/// A version as a run used it.
#[derive(Clone, Debug)]
pub struct SeenVersion {
    pub version: Version,
    pub before: Option<jiff::Timestamp>,
}

#[derive(Debug)]
pub struct Report {
    pub end: End,
    pub took: Duration,
}

/// Runs an entry once.
pub async fn run(run: Run) -> Report {
    let started = Instant::now();
    let end = steps(run, started).await;
    Report {
        end,
        took: started.elapsed(),
    }
}

/// Thousands of runs may wait for their reads, and then for their turns: what a later step takes is not made before.
async fn steps(run: Run, started: Instant) -> End {
    let (which, unreachable) = meant(&run).await;
    if which.is_empty() && !unreachable.is_empty() {
        return End::NotReachable(unreachable);
    }
    let answers = match staged(&run.reporter, Stage::Fetch, read_all(&run)).await {
        Ok(answers) => answers,
        Err(NotRead { .. }) => return End::NotRead,
    };
    Box::pin(after_reads(&run, (which, unreachable), answers, started)).await
}

async fn after_reads(
    run: &Run,
    (mut which, mut unreachable): (Vec<usize>, Vec<(usize, Failure)>),
    answers: Answers,
    started: Instant,
) -> End {
    let heard = answers.heard(run);
    match judged(run, &answers) {
        Ok(Verdict::AsDelivered) => {}
        // To those that were delivered once, that is over.
        Ok(Verdict::New) if run.is_only_for_new_targets() => {}
        Ok(Verdict::New) => {
            which.clone_from(&run.ours);
            unreachable.clear();
        }
        Err(unconfirmed) => return End::Unconfirmed(unconfirmed),
    }
    let (answers, plan, contents) = match Box::pin(content(run, answers)).await {
        Ok(content) => content,
        Err((stage, failure)) => {
            // Where nothing was attempted, the next answer tries again.
            let heard = if stage == Stage::Apply {
                Vec::new()
            } else {
                heard
            };
            return End::NotAssembled {
                stage,
                heard,
                failure,
            };
        }
    };
    let used = answers.seen.iter().map(|(read, seen)| {
        let (version, before) = (version_of(seen), seen.before);
        (read.clone(), SeenVersion { version, before })
    });
    let seen = used.collect();
    // Values are let go before the writes, which may have to wait.
    drop(answers);
    let unreachable = unreachable.into_iter().map(Delivery::not_tried);
    let delivery = Underway {
        work: work(&which, &plan, &contents),
        seen,
        heard,
        unreachable: unreachable.collect(),
        plan: &plan,
    };
    staged(&run.reporter, Stage::Apply, delivery.end(run, started)).await
}

/// A delivery to targets, and all that is told when it has ended.
struct Underway<'a> {
    work: Vec<(usize, Work<'a>)>,
    plan: &'a Plan,
    seen: Vec<(Read, SeenVersion)>,
    heard: Vec<(Read, Heard)>,
    unreachable: Vec<(usize, Delivery)>,
}

impl Underway<'_> {
    /// Delivers. Whoever is impatient hears of what is done, where a few targets keep it waiting.
    async fn end(self, run: &Run, started: Instant) -> End {
        let Self {
            work,
            plan,
            seen,
            heard,
            unreachable,
        } = self;
        let all: BTreeSet<usize> = work.iter().map(|(index, _)| *index).collect();
        let delivered = |targets: Vec<(usize, Delivery)>, everywhere| End::Delivered {
            seen: seen.clone(),
            heard: heard.clone(),
            kept: plan.why().cloned(),
            targets,
            everywhere,
            stays: plan.stays.clone(),
        };
        let mut unreachable = Some(unreachable);
        let tell = run.impatient.as_ref().map(|impatient| {
            |done: Vec<(usize, Delivery)>| {
                let is_done = |index: &usize| done.iter().any(|(done, _)| done == index);
                let waits = all.into_iter().filter(|index| !is_done(index)).collect();
                let others = unreachable.take().into_iter().flatten();
                let targets = done.into_iter().chain(others).collect();
                let end = delivered(targets, false);
                let took = started.elapsed();
                impatient.tell(Report { end, took }, waits);
            }
        });
        let rest = deliver::all(run, work, tell).await;
        match unreachable {
            None => End::Rest {
                seen: seen.clone(),
                targets: rest,
            },
            Some(unreachable) => {
                let targets = rest.into_iter().chain(unreachable).collect();
                delivered(targets, plan.writes_all(run))
            }
        }
    }
}

/// The targets that it is for, and those among them that are still out of reach.
async fn meant(run: &Run) -> (Vec<usize>, Vec<(usize, Failure)>) {
    match &run.which {
        Which::All => (run.ours.clone(), Vec::new()),
        Which::New(new) => {
            let new = new.iter().filter(|target| run.ours.contains(target));
            (new.copied().collect(), Vec::new())
        }
        Which::Retry(failed) => Box::pin(probe(run, failed)).await,
    }
}

/// What is done to each of these targets.
fn work<'a>(which: &[usize], plan: &Plan, contents: &'a [Content]) -> Vec<(usize, Work<'a>)> {
    let writes = plan.writes.iter().zip(contents);
    let writes = writes.flat_map(|((_, targets), content)| {
        let targets = targets.iter();
        targets.map(move |target| (*target, Work::Write(content)))
    });
    let goes = plan.goes.iter().map(|target| (*target, Work::Remove));
    let away = plan.away.iter().map(|target| (*target, Work::StayAway));
    let all = writes.chain(goes).chain(away);
    all.filter(|(target, _)| which.contains(target)).collect()
}

/// What the reads of a run gave.
#[derive(Debug, Default)]
struct Answers {
    seen: BTreeMap<Read, Seen>,
    /// Those that are gone, which the entry may do without.
    missing: BTreeMap<Read, Failure>,
}

impl Answers {
    /// What a `find` matches.
    fn matches(&self, find: &Read) -> &[Match] {
        match self.seen.get(find).map(|seen| &seen.answer.content) {
            Some(store::Content::Matches(found)) => found,
            Some(store::Content::Value(_)) | None => &[],
        }
    }

    /// The value that a read answered with.
    fn value(&self, read: &Read) -> Option<&SecretBytes> {
        match self.seen.get(read).map(|seen| &seen.answer.content) {
            Some(store::Content::Value(value)) => Some(value),
            Some(store::Content::Matches(_)) | None => None,
        }
    }

    /// What each said, for the next time.
    fn heard(&self, run: &Run) -> Vec<(Read, Heard)> {
        let proofs = |read: &Read| run.proofs.get(read).cloned().unwrap_or_default();
        let seen = self.seen.iter().map(|(read, seen)| {
            let said = Said::Version(seen.answer.identity.clone());
            (read, said)
        });
        let missing = self.missing.iter().filter_map(|(read, failure)| {
            let gone = Gone::of(failure.reason, &read.source)?;
            Some((read, Said::Missing(gone)))
        });
        let heard = seen.chain(missing).map(|(read, said)| {
            let proofs = proofs(read);
            (read.clone(), Heard::new(said, proofs))
        });
        heard.collect()
    }
}

/// What the answers are, beside what was delivered.
enum Verdict {
    AsDelivered,
    New,
}

/// Whether these answers may be used; else which of them need a second read.
fn judged(run: &Run, answers: &Answers) -> Result<Verdict, Vec<(Read, Version)>> {
    let versions: BTreeMap<&Read, Version> = answers
        .seen
        .iter()
        .map(|(read, seen)| (read, version_of(seen)))
        .collect();
    let changes: BTreeMap<&Read, Change> = versions
        .iter()
        .map(|(read, version)| (*read, change(run.delivered.get(*read), version)))
        .collect();
    let unconfirmed = unconfirmed(run, &versions, &changes);
    if !unconfirmed.is_empty() {
        return Err(unconfirmed);
    }
    let is_new = changes.values().any(|change| *change != Change::Same);
    // Without something, the content may be another one.
    Ok(if is_new || !answers.missing.is_empty() {
        Verdict::New
    } else {
        Verdict::AsDelivered
    })
}

/// What becomes of the targets and what is to be delivered to them; what it was found by is on disk before.
async fn content(
    run: &Run,
    answers: Answers,
) -> Result<(Answers, Plan, Vec<Content>), (Stage, Failure)> {
    let (answers, plan, contents) = whole(run, answers).await?;
    let remembered = remember_found(run, &answers, &plan).await;
    remembered.map_err(|failure| (Stage::Apply, failure))?;
    Ok((answers, plan, contents))
}

/// The same, and nothing is remembered.
async fn whole(
    run: &Run,
    answers: Answers,
) -> Result<(Answers, Plan, Vec<Content>), (Stage, Failure)> {
    let plan = absent::judge(run, &answers).await?;
    let assembled = assembled(run, answers, plan);
    let assembled = staged(&run.reporter, Stage::Assemble, assembled).await;
    assembled.map_err(|failure| (Stage::Assemble, failure))
}

/// All that any target is to hold, before any is written.
///
/// Templates may compute for long (`htpasswd`, PKCS#12), so they are no guests of the threads
/// that everybody else's work waits for.
async fn assembled(
    run: &Run,
    answers: Answers,
    plan: Plan,
) -> Result<(Answers, Plan, Vec<Content>), Failure> {
    let entry = Arc::clone(&run.entry);
    let has_templates = entry.templates.is_some();
    let work = move || {
        let contents = plan.writes.iter();
        let contents: Result<Vec<Content>, Failure> = contents
            .map(|(absences, _): &(Absences, Vec<usize>)| {
                entry::assemble(&entry, &answers, absences)
            })
            .collect();
        let contents = contents?;
        Ok((answers, plan, contents))
    };
    if !has_templates {
        return work();
    }
    match tokio::task::spawn_blocking(work).await {
        Ok(assembled) => assembled,
        Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
        Err(_) => Err(Failure::new(Reason::Io, "secretsyncd is stopping")),
    }
}

async fn staged<T>(reporter: &Reporter, stage: Stage, work: impl Future<Output = T>) -> T {
    let started = Instant::now();
    let done = work.await;
    reporter.record(&Fact::Stage {
        stage,
        took: started.elapsed(),
    });
    done
}

fn version_of(seen: &Seen) -> Version {
    Version::new(seen.answer.identity.clone(), seen.answer.created)
}

fn unconfirmed(
    run: &Run,
    versions: &BTreeMap<&Read, Version>,
    changes: &BTreeMap<&Read, Change>,
) -> Vec<(Read, Version)> {
    let doubtful = |(read, version): &(&&Read, &Version)| {
        changes.get(*read) == Some(&Change::Older)
            && run.confirmed.get(**read) != Some(&version.identity)
    };
    let doubtful = versions.iter().filter(doubtful);
    doubtful
        .map(|(read, version)| ((*read).clone(), version.clone()))
        .collect()
}

/// What the finds match is on disk before any of it is written: else a restart would not miss what they lose later.
async fn remember_found(run: &Run, answers: &Answers, plan: &Plan) -> Result<(), Failure> {
    for (read, id) in run.entry.finds() {
        let Some(Identity::Arns(listed)) = answers.seen.get(read).map(|it| &it.answer.identity)
        else {
            continue;
        };
        // What is lost and still in a target would be missed no more, once it is forgotten.
        let mut arns = absent::missed_of(run, read, (listed, plan));
        arns.extend(listed.iter().cloned());
        if run.state.found(&id).as_ref() == Some(&arns) {
            continue;
        }
        set_found(run, id, arns).await?;
    }
    // What the entry no longer asks is missed no more: a key that goes with that is a change.
    let present: BTreeSet<FoundId> = run.entry.finds().map(|(_, id)| id).collect();
    for (id, arns) in run.state.found_by(&run.entry.name) {
        if !present.contains(&id) && !arns.is_empty() {
            set_found(run, id, BTreeSet::new()).await?;
        }
    }
    Ok(())
}

async fn set_found(run: &Run, id: FoundId, arns: BTreeSet<String>) -> Result<(), Failure> {
    let state = Arc::clone(&run.state);
    tokio::task::spawn_blocking(move || state.set_found(id, arns))
        .await
        .unwrap_or_else(|_| Err(Failure::new(Reason::Io, "the ledger could not be written")))
}

/// Reads failed. The engine knows it all already; who asks without one does not.
struct NotRead {
    failed: Vec<(Read, Failure)>,
    /// Nothing of the entry's sources is there, as far as that was seen.
    nothing_seen: bool,
}

/// Every read of the entry, and then everything that its finds match.
async fn read_all(run: &Run) -> Result<Answers, NotRead> {
    let mut answers = Answers::default();
    let reads = run.entry.reads.iter();
    let reads = reads.map(|read| (read.clone(), run.entry.tolerates(read, [])));
    read_these(run, reads.collect(), &mut answers).await?;
    let found = found(&run.entry, &answers);
    read_these(run, found, &mut answers).await?;
    Ok(answers)
}

/// All at once; the entry can do without some of them.
async fn read_these(
    run: &Run,
    reads: BTreeMap<Read, bool>,
    answers: &mut Answers,
) -> Result<(), NotRead> {
    // Asked all at once, then waited for: the waits overlap.
    let mut asked = Vec::new();
    for (read, tolerated) in reads {
        match &run.handed {
            Some((handed, answer)) if *handed == read => {
                answers.seen.insert(read, answer.clone());
            }
            Some(_) | None if answers.seen.contains_key(&read) => {}
            Some(_) | None => {
                let answer = run.desk.ask(&read);
                asked.push((read, tolerated, answer));
            }
        }
    }
    let mut failed = Vec::new();
    for (read, tolerated, answer) in asked {
        match answer.await {
            Ok(answer) => drop(answers.seen.insert(read, answer)),
            Err(failure) => {
                let gone = Gone::of(failure.reason, &read.source).filter(|_| tolerated);
                match gone {
                    Some(_) => drop(answers.missing.insert(read, failure)),
                    None => failed.push((read, failure)),
                }
            }
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    let nothing_seen = answers.seen.is_empty();
    Err(NotRead {
        failed,
        nothing_seen,
    })
}

/// What the finds of an entry match, and whether it can do without.
fn found(entry: &Entry, answers: &Answers) -> BTreeMap<Read, bool> {
    let mut reads = BTreeMap::new();
    for find in &entry.reads {
        for found in answers.matches(find) {
            let read = read_of(find, found);
            let tolerated = entry.tolerates(&read, [find]);
            *reads.entry(read).or_insert(true) &= tolerated;
        }
    }
    reads
}

/// Whether a target could be written now, without having a value.
pub async fn look(target: &Target) -> Result<(), Failure> {
    deliver::in_turn(target, target.probe()).await
}

/// Which of the failed targets could be written now.
async fn probe(run: &Run, failed: &[usize]) -> (Vec<usize>, Vec<(usize, Failure)>) {
    let probes = failed
        .iter()
        .filter(|target| run.ours.contains(target))
        .map(async |&index| {
            let target = &run.entry.targets[index];
            (
                index,
                deliver::in_turn_soon(&run.entry, target, target.probe()).await,
            )
        });
    let (mut ready, mut unreachable) = (Vec::new(), Vec::new());
    for (target, answer) in join_all(probes).await {
        match answer {
            Ok(()) => ready.push(target),
            Err(failure) => unreachable.push((target, failure)),
        }
    }
    (ready, unreachable)
}
