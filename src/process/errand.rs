//! Programs for a thread that waits for the disk and has no clock: whoever waits for that thread runs them meanwhile, and
//! with him goes what still runs.

use std::pin::pin;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::{Program, Trouble};

/// Hears the lines that a program writes.
pub type Say = Box<dyn FnMut(&str) + Send>;

/// One program that is to end well.
pub struct Errand {
    pub program: Program,
    pub time: Duration,
    /// Nobody, where that is absent.
    pub heard_by: Option<Say>,
}

type Asked = (Errand, oneshot::Sender<Result<(), Trouble>>);

/// What such a thread has. Where nobody waits for it, nothing runs.
#[derive(Clone, Debug, Default)]
pub struct Errands(Option<mpsc::UnboundedSender<Asked>>);

/// What whoever waits for it has.
#[derive(Debug)]
pub struct Runner(mpsc::UnboundedReceiver<Asked>);

pub fn errands() -> (Errands, Runner) {
    let (asks, asked) = mpsc::unbounded_channel();
    (Errands(Some(asks)), Runner(asked))
}

impl Errands {
    /// Blocks until it has ended.
    pub fn run(&self, errand: Errand) -> Result<(), Trouble> {
        let (tell, ended) = oneshot::channel();
        let asks = self.0.as_ref().ok_or(Trouble::Broken)?;
        asks.send((errand, tell)).map_err(|_| Trouble::Broken)?;
        ended.blocking_recv().unwrap_or(Err(Trouble::Broken))
    }
}

impl Runner {
    /// Waits for that work, and runs what it asks for meanwhile. The work cannot end while it waits for a program.
    pub async fn until<T>(mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                Some((errand, tell)) = self.0.recv() => {
                    // Whoever asked may have gone.
                    let _ = tell.send(Box::pin(errand.run()).await);
                }
            }
        }
    }
}

impl Errand {
    async fn run(self) -> Result<(), Trouble> {
        match self.heard_by {
            None => self.program.run_unheard(self.time).await,
            Some(mut say) => {
                let say = |line: &str| say(line);
                self.program.run_heard(self.time, say).await
            }
        }
    }
}
