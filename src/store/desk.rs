//! Where a run asks for its reads. The engine behind it coalesces, waits out backoffs, and makes the call.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};

use super::{Answer, Read};
use crate::failure::{Failure, Reason};

/// An answer, and when this read last answered with the version before it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub answer: Arc<Answer>,
    /// Our last successful read before this version was first seen; `None` when this is the first version we know.
    pub before: Option<Timestamp>,
}

/// One wish for a read.
#[derive(Debug)]
pub struct Want {
    pub read: Read,
    pub reply: oneshot::Sender<Result<Seen, Failure>>,
}

/// Handed to every run.
#[derive(Clone, Debug)]
pub struct Desk(mpsc::UnboundedSender<Want>);

impl Desk {
    pub fn new() -> (Self, mpsc::UnboundedReceiver<Want>) {
        let (wants, receiver) = mpsc::unbounded_channel();
        (Self(wants), receiver)
    }

    /// Reads once, together with everybody else who wants the same now. The wish is placed at once; the answer is
    /// waited for by the future.
    pub fn ask(&self, read: &Read) -> impl Future<Output = Result<Seen, Failure>> + use<> {
        let (reply, answer) = oneshot::channel();
        // Without an engine the want is dropped, and with it `reply`.
        let _ = self.0.send(Want {
            read: read.clone(),
            reply,
        });
        async move {
            answer
                .await
                .unwrap_or_else(|_| Err(Failure::new(Reason::Io, "secretsyncd is stopping")))
        }
    }
}
