//! Operations wait for their turn, and whoever waits for them does so with a limit.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::on_disk::OnDisk;
use super::seats::Turn;
use crate::failure::{Failure, Reason};
use crate::process::{Runner, errands};

/// How long one operation may take; a healthy disk needs milliseconds.
pub(super) const LIMIT: Duration = Duration::from_secs(30);

/// Work that was not waited for to its end goes on, and the next one waits for it.
pub(super) async fn on_disk<T: Send + 'static>(
    (disk, busy, seats): (&Arc<OnDisk>, &Arc<Turn>, &Arc<Semaphore>),
    work: impl FnOnce(&OnDisk) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let shown = disk.path.display();
    let (busy, seats) = (Arc::clone(busy), Arc::clone(seats));
    let waiting = timeout(LIMIT, async move {
        let turn = busy.lock_owned().await;
        // Nobody closes the semaphore, so there is always a permit in it.
        (turn, seats.acquire_owned().await.ok())
    });
    let held = waiting.await.map_err(|_| {
        let fact =
            format!("{shown} did not get its turn: other files in its directory take too long");
        Failure::new(Reason::Timeout, fact)
            .with_help("check the disk, or the server of a network file system")
    })?;
    let (there, runner) = with_errands(disk);
    let done = timeout(LIMIT, async move {
        let done = spawn_blocking(move || {
            let _held = held;
            work(&there)
        });
        match runner {
            Some(runner) => Box::pin(runner.until(done)).await,
            None => done.await,
        }
    });
    match done.await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) if error.is_panic() => resume_unwind(error.into_panic()),
        Ok(Err(_)) => Err(Failure::new(
            Reason::Io,
            format!("{shown} was not touched: secretsyncd is stopping"),
        )),
        Err(_) => Err(Failure::new(
            Reason::Timeout,
            format!(
                "the disk that holds {shown} did not answer within {} s",
                LIMIT.as_secs()
            ),
        )
        .with_help("check the disk, or the server of a network file system")),
    }
}

/// What works there has a check run by whoever waits for it.
fn with_errands(disk: &Arc<OnDisk>) -> (Arc<OnDisk>, Option<Runner>) {
    if disk.check.is_none() {
        return (Arc::clone(disk), None);
    }
    let (errands, runner) = errands();
    let there = OnDisk {
        errands,
        ..OnDisk::clone(disk)
    };
    (Arc::new(there), Some(runner))
}
