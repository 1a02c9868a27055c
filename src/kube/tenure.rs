//! Until when this process may write to clusters.
//!
//! Every write is made under a tenure, which is looked at when the request is about to be sent and whenever anything
//! moves while it is under way. Time is that since the boot: unlike the clock that timers go by, it goes on while the
//! machine sleeps, as other machines' clocks do. A process that is stopped between the look and the sending may still be
//! late: against that, every write names the state of the object that it was made for.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use crate::clock;

/// The longest wait between two looks at the clock.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The right to write, for as long as it lasts. Clones last equally long.
#[derive(Clone, Debug)]
pub struct Tenure(Lasts);

#[derive(Clone, Debug)]
enum Lasts {
    Always,
    Never,
    Until(Arc<AtomicU64>),
}

/// Who holds it extends a tenure, and ends it by letting it go: then it never begins again, and what was begun under it
/// is over. One that ran out may be extended by who knows that nobody else had one since.
#[derive(Debug)]
pub struct Term(Arc<AtomicU64>);

impl Tenure {
    /// Nobody else writes in this one's place.
    pub fn always() -> Self {
        Self(Lasts::Always)
    }

    pub fn never() -> Self {
        Self(Lasts::Never)
    }

    pub(super) fn is_on(&self) -> bool {
        match &self.0 {
            Lasts::Always => true,
            Lasts::Never => false,
            Lasts::Until(end) => since_boot() < end.load(Ordering::Acquire),
        }
    }

    pub fn is_same(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Lasts::Always, Lasts::Always) | (Lasts::Never, Lasts::Never) => true,
            (Lasts::Until(one), Lasts::Until(other)) => Arc::ptr_eq(one, other),
            (Lasts::Always | Lasts::Never | Lasts::Until(_), _) => false,
        }
    }

    /// Does the work, or as much of it as there is time for. `None`: the tenure was over before the work was.
    pub(super) async fn during<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        loop {
            let wait = self.wait();
            let mut look = pin!(tokio::time::sleep(wait));
            let step = std::future::poll_fn(|context| {
                // Before the work, each time: it must not go a step further when its time is over.
                if !self.is_on() {
                    return Poll::Ready(Step::Over);
                }
                if let Poll::Ready(done) = work.as_mut().poll(context) {
                    return Poll::Ready(Step::Done(done));
                }
                look.as_mut().poll(context).map(|()| Step::Look)
            });
            match step.await {
                Step::Over => return None,
                Step::Done(done) => return Some(done),
                Step::Look => {}
            }
        }
    }

    fn wait(&self) -> Duration {
        match &self.0 {
            Lasts::Always | Lasts::Never => LOOK_EVERY,
            Lasts::Until(end) => {
                let left = end.load(Ordering::Acquire).saturating_sub(since_boot());
                Duration::from_millis(left).min(LOOK_EVERY)
            }
        }
    }
}

enum Step<T> {
    Over,
    Done(T),
    Look,
}

impl Term {
    /// `until` is a time since the boot.
    pub fn begin(until: Duration) -> Self {
        Self(Arc::new(AtomicU64::new(milliseconds(until))))
    }

    pub fn tenure(&self) -> Tenure {
        Tenure(Lasts::Until(Arc::clone(&self.0)))
    }

    pub fn extend(&self, until: Duration) {
        self.0.fetch_max(milliseconds(until), Ordering::AcqRel);
    }
}

impl Drop for Term {
    fn drop(&mut self) {
        self.0.store(0, Ordering::Release);
    }
}

fn since_boot() -> u64 {
    milliseconds(clock::since_boot())
}

fn milliseconds(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(80);

    #[tokio::test]
    async fn work_is_done_while_the_tenure_lasts_and_broken_off_at_its_end() {
        assert_eq!(Tenure::always().during(async { 1 }).await, Some(1));
        assert_eq!(Tenure::never().during(async { 1 }).await, None);
        let term = Term::begin(clock::since_boot() + SOON);
        let tenure = term.tenure();
        assert_eq!(tenure.during(async { 1 }).await, Some(1));
        let end = clock::since_boot() + LOOK_EVERY;
        assert_eq!(tenure.during(std::future::pending::<()>()).await, None);
        assert!(clock::since_boot() < end);
        let begun = std::cell::Cell::new(false);
        assert_eq!(tenure.during(async { begun.set(true) }).await, None);
        assert!(!begun.get(), "nothing begins when it is over");
    }

    #[tokio::test]
    async fn a_tenure_is_extended_for_what_is_under_way() {
        let term = Term::begin(clock::since_boot() + SOON);
        let work = async {
            term.extend(clock::since_boot() + SOON * 10);
            tokio::time::sleep(SOON * 2).await;
        };
        assert!(term.tenure().during(work).await.is_some());
        // No renewal makes it shorter: each was as good as it was.
        term.extend(Duration::ZERO);
        assert!(term.tenure().during(async {}).await.is_some());
    }

    #[tokio::test]
    async fn what_has_ended_is_over_for_whoever_held_it() {
        let term = Term::begin(Duration::MAX);
        let before = term.tenure();
        assert!(before.during(async {}).await.is_some());
        drop(term);
        let term = Term::begin(Duration::MAX);
        assert!(before.during(async {}).await.is_none());
        assert!(!before.is_same(&term.tenure()) && before.is_same(&before.clone()));
    }
}
