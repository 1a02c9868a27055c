//! What a run would write to some Secrets of an entry, without looking at what is there.

use crate::assemble::Content;
use crate::decide::kubernetes::Wanted;
use crate::failure::{Failure, Reason};
use crate::sync::deliver::{self, Staged, Work};
use crate::sync::{Run, read_all, whole, work};

/// Of the targets of these numbers, which are Secrets.
#[derive(Debug)]
pub struct Prepared {
    pub wanted: Vec<(usize, Result<Wanted, Failure>)>,
    /// Why the last value of something is kept.
    pub notes: Vec<Failure>,
}

/// Fails with what is wrong with the sources.
pub async fn prepared(run: &Run, numbers: &[usize]) -> Result<Prepared, Vec<Failure>> {
    let answers = read_all(run).await;
    let answers = answers.map_err(|not_read| {
        let failed = not_read.failed.into_iter();
        failed.map(|(_, failure)| failure).collect::<Vec<_>>()
    })?;
    let (answers, plan, contents) = whole(run, answers)
        .await
        .map_err(|(_, failure)| vec![failure])?;
    drop(answers);
    let work = work(numbers, &plan, &contents);
    let mut wanted = Vec::with_capacity(numbers.len());
    for &number in numbers {
        let content = work.iter().find_map(|(at, work)| match work {
            Work::Write(content) if *at == number => Some(*content),
            Work::Write(_) | Work::Remove | Work::StayAway => None,
        });
        let made = if let Some(content) = content {
            made((run, number), content).await
        } else {
            let stays = plan.stays.iter().find(|(stays, _)| *stays == number);
            let why = stays.map(|(_, why)| why.clone());
            Err(why.or(plan.why().cloned()).unwrap_or_else(nothing))
        };
        wanted.push((number, made));
    }
    Ok(Prepared {
        wanted,
        notes: plan.why().cloned().into_iter().collect(),
    })
}

async fn made((run, number): (&Run, usize), content: &Content) -> Result<Wanted, Failure> {
    let target = &run.entry.targets[number];
    let content = deliver::resolved(&run.entry, target, content, &run.state).await?;
    match deliver::render(target, &content)? {
        Staged::Kubernetes(_, _, wanted) => Ok(*wanted),
        Staged::File(..) | Staged::Remove(..) | Staged::RemoveFile(_) | Staged::StayAway => {
            Err(nothing())
        }
    }
}

fn nothing() -> Failure {
    Failure::new(
        Reason::Invalid,
        "nothing would be written to this target now, so there is nothing to compare",
    )
}
