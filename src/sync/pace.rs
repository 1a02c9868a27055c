//! Targets at their own pace: a run tells what it has done when a few keep it waiting, and goes on at those alone.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::Report;
use crate::names::EntryName;

/// How long a run waits for all of its targets.
const PATIENCE: Duration = Duration::from_secs(2);

/// One run of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    pub entry: EntryName,
    /// Of which of the entries that had this name.
    pub generation: u64,
    pub number: u64,
}

/// What a run has done so far, and the targets that it is still at.
#[derive(Debug)]
pub struct Part {
    pub job: Job,
    pub report: Report,
    pub waits: BTreeSet<usize>,
}

/// Who goes on without a run that is kept waiting.
#[derive(Clone, Debug)]
pub struct Impatient {
    pub job: Job,
    pub tell: mpsc::UnboundedSender<Part>,
}

impl Impatient {
    pub(super) fn tell(&self, report: Report, waits: BTreeSet<usize>) {
        let job = self.job.clone();
        // Where nobody goes on any more, nobody has to know.
        drop(self.tell.send(Part { job, report, waits }));
    }
}

/// Does all of the work at once. When only `most` or fewer are not done after a while, what is done is told, once, and
/// what is returned is the rest.
pub(super) async fn each<T, F>(
    work: impl IntoIterator<Item = F>,
    most: usize,
    tell: Option<impl FnOnce(Vec<(usize, T)>)>,
) -> Vec<(usize, T)>
where
    F: Future<Output = (usize, T)>,
{
    let mut waits: FuturesUnordered<F> = work.into_iter().collect();
    let mut done = Vec::new();
    let mut tell = tell;
    let mut patience = std::pin::pin!(sleep(PATIENCE));
    let mut is_over = false;
    loop {
        if is_over
            && waits.len() <= most
            && !waits.is_empty()
            && let Some(tell) = tell.take()
        {
            tell(sorted(std::mem::take(&mut done)));
        }
        tokio::select! {
            biased;
            ended = waits.next() => match ended {
                Some(one) => done.push(one),
                None => return sorted(done),
            },
            () = &mut patience, if !is_over => is_over = true,
        }
    }
}

fn sorted<T>(mut done: Vec<(usize, T)>) -> Vec<(usize, T)> {
    done.sort_by_key(|(index, _)| *index);
    done
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    async fn after(index: usize, seconds: u64) -> (usize, u64) {
        sleep(Duration::from_secs(seconds)).await;
        (index, seconds)
    }

    /// What was told after how many targets were waited for, and the rest.
    async fn paced(seconds: &[u64], most: usize) -> (Option<Vec<(usize, u64)>>, Vec<(usize, u64)>) {
        let told = RefCell::new(None);
        let tell = |done| *told.borrow_mut() = Some(done);
        let work = seconds.iter().enumerate();
        let work = work.map(|(index, seconds)| after(index, *seconds));
        let rest = each(work, most, Some(tell)).await;
        (told.into_inner(), rest)
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_done_in_time_is_told_once_and_the_rest_comes_later() {
        let (told, rest) = paced(&[9, 0, 5, 1], 3).await;
        assert_eq!(told, Some(vec![(1, 0), (3, 1)]));
        assert_eq!(rest, [(0, 9), (2, 5)]);
    }

    #[tokio::test(start_paused = true)]
    async fn where_nobody_keeps_it_waiting_nothing_is_told() {
        let (told, rest) = paced(&[1, 0], 1).await;
        assert_eq!((told, rest), (None, vec![(0, 1), (1, 0)]));
    }

    #[tokio::test(start_paused = true)]
    async fn while_nothing_could_go_on_nothing_is_told() {
        let (told, rest) = paced(&[9, 5], 1).await;
        assert_eq!((told, rest), (Some(vec![(1, 5)]), vec![(0, 9)]));
        let (told, rest) = paced(&[9], 0).await;
        assert_eq!((told, rest), (None, vec![(0, 9)]));
    }
}
