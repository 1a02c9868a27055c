//! What is long is made once for all who ask at the same time, and few copies of it are there at a time.
//!
//! Nobody gets what was begun before he asked, so nobody reads what was true before. Who reads slowly keeps the copy that
//! he reads; where copies become too many one goes whose readers stand still, and they are cut off. So what they take has
//! a bound, and one who is slow is in nobody's way.

use std::collections::VecDeque;
use std::io;
use std::iter;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::sync::Mutex as Turn;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

/// Copies that are read at a time, beside the one that is being made. Of more than that, one goes whose readers stand still.
const COPIES: usize = 3;

/// More than that are never read, however quick their readers are.
const MOST: usize = 8;

/// Who takes no part for so long stands still.
const STILL: Duration = Duration::from_secs(5);

/// What each connection holds of its copy: the copy itself is not its own.
pub(super) const CHUNK: usize = 64 << 10;

/// One kind of document.
#[derive(Debug, Default)]
pub(super) struct Press(Arc<Turn<Printed>>);

#[derive(Debug, Default)]
struct Printed {
    last: Option<Last>,
    /// Those that somebody may be reading, the oldest first.
    read: VecDeque<Weak<Copy>>,
}

#[derive(Debug)]
struct Last {
    begun: Instant,
    /// `None` where there was nothing to write.
    copy: Option<Weak<Copy>>,
}

/// What came of what was begun after somebody asked.
enum Since {
    Copy(Arc<Copy>),
    /// There was nothing to write.
    Nothing,
    /// None was begun, or nobody has it any more.
    Over,
}

#[derive(Debug)]
struct Copy {
    length: usize,
    read: Mutex<Read>,
}

#[derive(Debug)]
struct Read {
    /// `None` once whoever reads it is cut off.
    text: Option<Bytes>,
    /// When a part was last taken.
    last: Instant,
}

impl Press {
    /// Writes what `tell` says, or hands on what others asked for meanwhile. `None` where it says nothing.
    pub(super) async fn print<T: Send + 'static>(
        &self,
        tell: impl Future<Output = Option<T>>,
        write: impl FnOnce(T) -> Option<String> + Send + 'static,
    ) -> Option<Response> {
        let asked = Instant::now();
        let mut printed = Arc::clone(&self.0).lock_owned().await;
        match printed.since(asked) {
            Since::Copy(copy) => return Some(respond(copy)),
            Since::Nothing => return None,
            Since::Over => {}
        }
        let begun = Instant::now();
        let Some(told) = tell.await else {
            printed.last = Some(Last { begun, copy: None });
            return None;
        };
        // The turn goes with the work: whoever leaves meanwhile lets nobody begin beside it.
        let written = spawn_blocking(move || {
            let copy = write(told).map(|text| printed.keep(text));
            let last = copy.as_ref().map(Arc::downgrade);
            printed.last = Some(Last { begun, copy: last });
            copy
        });
        written.await.ok()?.map(respond)
    }
}

impl Printed {
    fn since(&self, asked: Instant) -> Since {
        match self.last.as_ref().filter(|last| last.begun >= asked) {
            Some(Last { copy: None, .. }) => Since::Nothing,
            Some(Last {
                copy: Some(copy), ..
            }) => copy.upgrade().map_or(Since::Over, Since::Copy),
            None => Since::Over,
        }
    }

    fn keep(&mut self, text: String) -> Arc<Copy> {
        self.read.retain(|copy| copy.strong_count() > 0);
        while self.read.len() >= COPIES {
            let still = |copy: &Weak<Copy>| copy.upgrade().is_none_or(|copy| copy.is_still());
            let goes = self.read.iter().position(still);
            let goes = goes.or_else(|| (self.read.len() >= MOST).then_some(0));
            let Some(goes) = goes.and_then(|at| self.read.remove(at)) else {
                break;
            };
            if let Some(copy) = goes.upgrade() {
                copy.cut();
            }
        }
        let copy = Arc::new(Copy::new(text.into()));
        self.read.push_back(Arc::downgrade(&copy));
        copy
    }
}

impl Copy {
    fn new(text: Bytes) -> Self {
        Self {
            length: text.len(),
            read: Mutex::new(Read {
                text: Some(text),
                last: Instant::now(),
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Read> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_still(&self) -> bool {
        self.lock().last.elapsed() >= STILL
    }

    fn cut(&self) {
        self.lock().text.take();
    }

    /// A part of its own, which keeps nothing of the rest, and whether it was the last.
    fn part(&self, from: usize) -> Option<(Bytes, bool)> {
        let mut read = self.lock();
        read.last = Instant::now();
        let text = read.text.as_ref()?;
        let to = text.len().min(from + CHUNK);
        let part = text.get(from..to)?;
        Some((Bytes::copy_from_slice(part), to == text.len()))
    }
}

/// The copy is let go with its last part: who has it all and asks again at once shares nothing with himself.
fn respond(copy: Arc<Copy>) -> Response {
    let length = HeaderValue::from(copy.length);
    let mut reading = Some((copy, 0));
    let parts = iter::from_fn(move || {
        let (copy, from) = reading.take()?;
        let Some((part, is_last)) = copy.part(from) else {
            return Some(Err(io::Error::from(io::ErrorKind::TimedOut)));
        };
        reading = (!is_last).then(|| (copy, from + part.len()));
        Some(Ok(part))
    });
    let headers = [(header::CONTENT_LENGTH, length)];
    (headers, Body::from_stream(stream::iter(parts))).into_response()
}

#[cfg(test)]
mod tests;
