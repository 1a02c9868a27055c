//! The daemon's end: who asks, what for, and the answer.
//!
//! Whoever is slow, talks nonsense or connects too often holds up nobody but themselves: a connection has little time
//! for its request, and those beyond a fixed number are sent away at once.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::geteuid;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::net::unix::UCred;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, timeout};
use tokio_util::sync::CancellationToken;

use super::door::{Door, Looked, Others};
use super::protocol::{
    Answer, LONGEST_REPLY, LONGEST_REQUEST, Prune, Question, Refusal, Reply, Which, line,
    read_request,
};
use crate::daemon::{self, Ask, Progress, Unknown, Wanted};
use crate::names::EntryName;
use crate::status::EntryStatus;

/// Connections at a time.
const CONNECTIONS: usize = 16;

/// How long a request may take to arrive, and a peer to take each piece of its reply.
const PATIENCE: Duration = Duration::from_secs(5);

/// How much of a reply is one piece.
const PIECE: usize = 64 << 10;

/// How often a peer hears of progress.
const TELL: Duration = Duration::from_millis(100);

/// How often it is seen to that others find the socket.
const LOOK: Duration = Duration::from_secs(5);

/// After `accept` failed for want of descriptors or memory.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);

/// Serves until `stop`. Returns its own name, for whoever reports that it ended.
pub async fn serve(
    mut door: Door,
    asks: mpsc::Sender<Ask>,
    stop: CancellationToken,
) -> &'static str {
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut looking = Looking::default();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            _ = look.tick(), if looking.0.is_none() => {
                looking.0 = Some(door.look());
                continue;
            }
            looked = looking.end() => {
                // A look that panicked has said so itself.
                if let Some(looked) = looked {
                    door.saw(looked);
                }
                continue;
            }
            accepted = door.listener.accept() => accepted,
        };
        let Ok((mut stream, _)) = accepted else {
            tokio::time::sleep(ACCEPT_AGAIN).await;
            continue;
        };
        let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else {
            // So short a line fits into an empty socket, or nobody wants it.
            let _ = stream.try_write(&line(&Reply::new(Refusal::Busy.answer())));
            continue;
        };
        let (asks, others) = (asks.clone(), door.others);
        connections.spawn(async move {
            let _permit = permit;
            // Whoever asked has gone, or was too slow.
            let _ = converse(&mut stream, &asks, others).await;
        });
    }
    "the control socket"
}

/// The one look at the socket's place that is under way.
#[derive(Default)]
struct Looking(Option<JoinHandle<Looked>>);

impl Looking {
    /// Never, as long as there is none.
    async fn end(&mut self) -> Option<Looked> {
        let Some(look) = &mut self.0 else {
            return pending().await;
        };
        let looked = look.await;
        self.0 = None;
        looked.ok()
    }
}

/// The peer is gone or too slow.
struct Gone;

async fn converse(
    stream: &mut UnixStream,
    asks: &mpsc::Sender<Ask>,
    others: Others,
) -> Result<(), Gone> {
    let peer = stream.peer_cred().map_err(|_| Gone)?;
    let request = timeout(PATIENCE, receive(stream)).await.map_err(|_| Gone)?;
    let question = if may_ask(&peer, others) {
        request?.and_then(|line| read_request(&line))
    } else {
        Err(Refusal::NotAllowed)
    };
    let answer = match question {
        Ok(Question::Status) => {
            one(asks, Ask::Status, |status| Answer::Status(Box::new(status))).await
        }
        Ok(Question::Prune(what)) => {
            let what = to_prune(what);
            note_prune(&peer, &what);
            let ask = |reply| Ask::Prune(what, reply);
            one(asks, ask, Answer::Pruned).await
        }
        Ok(Question::Adopt(names)) => {
            note_named(&peer, "adopt", &names);
            let ask = |reply| Ask::Adopt(names, reply);
            one(asks, ask, Answer::Adopted).await
        }
        Ok(Question::Sync(which)) => match wanted(which) {
            Some(which) => {
                note(&peer, &which);
                sync(stream, asks, which).await?
            }
            None => Refusal::NotUnderstood.answer(),
        },
        Err(refusal) => refusal.answer(),
    };
    send(stream, answer).await
}

fn may_ask(peer: &UCred, others: Others) -> bool {
    others == Others::ByMode || peer.uid() == 0 || peer.uid() == geteuid().as_raw()
}

/// The line that the peer sends, without its end.
async fn receive(stream: &mut UnixStream) -> Result<Result<Vec<u8>, Refusal>, Gone> {
    let mut line = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let read = stream.read(&mut piece).await.map_err(|_| Gone)?;
        if read == 0 {
            return Err(Gone);
        }
        let piece = &piece[..read];
        if let Some(end) = piece.iter().position(|byte| *byte == b'\n') {
            line.extend_from_slice(&piece[..end]);
            return Ok(Ok(line));
        }
        line.extend_from_slice(piece);
        if line.len() > LONGEST_REQUEST {
            return Ok(Err(Refusal::TooLong));
        }
    }
}

async fn one<T>(
    asks: &mpsc::Sender<Ask>,
    ask: impl FnOnce(oneshot::Sender<T>) -> Ask,
    answer: impl FnOnce(T) -> Answer,
) -> Answer {
    let (reply, said) = oneshot::channel();
    // Without an engine it is dropped, and with it `reply`.
    let _ = asks.send(ask(reply)).await;
    said.await
        .map_or_else(|_| Refusal::Stopping.answer(), answer)
}

fn wanted(which: Which) -> Option<Wanted> {
    Some(match which {
        Which::All => Wanted::All,
        Which::Failing => Wanted::Failing,
        Which::Names(names) => {
            let names: Result<Vec<_>, _> = names.into_iter().map(EntryName::new).collect();
            Wanted::Names(names.ok()?)
        }
    })
}

fn to_prune(what: Prune) -> daemon::Prune {
    match what {
        Prune::List => daemon::Prune::List,
        Prune::All => daemon::Prune::All,
        Prune::Named(names) => daemon::Prune::Named(names),
    }
}

fn note_prune(peer: &UCred, what: &daemon::Prune) {
    match what {
        daemon::Prune::List => {}
        daemon::Prune::All => note_named(peer, "prune", &[]),
        daemon::Prune::Named(names) => note_named(peer, "prune", names),
    }
}

/// Without names it is all of them.
fn note_named(peer: &UCred, action: &str, names: &[String]) {
    let names = if names.is_empty() {
        "all".to_owned()
    } else {
        names.join(", ")
    };
    let names: String = names.chars().filter(|c| !c.is_control()).collect();
    tracing::info!(
        target: "audit",
        { caller.uid = peer.uid(), caller.pid = peer.pid(), action, entries = names },
        "asked for over the control socket"
    );
}

/// Who asks for a change is written down before it is made.
fn note(peer: &UCred, which: &Wanted) {
    let entries = match which {
        Wanted::All => "all".to_owned(),
        Wanted::Failing => "failing".to_owned(),
        Wanted::Names(names) => {
            let names: Vec<&str> = names.iter().map(EntryName::as_str).collect();
            names.join(", ")
        }
    };
    tracing::info!(
        target: "audit",
        { caller.uid = peer.uid(), caller.pid = peer.pid(), action = "sync", entries },
        "asked for over the control socket"
    );
}

/// Tells how far it has come until it is over. The peer has nothing more to say: what it sends, or its end, ends this.
async fn sync(
    stream: &mut UnixStream,
    asks: &mpsc::Sender<Ask>,
    which: Wanted,
) -> Result<Answer, Gone> {
    let (progress, mut seen) = watch::channel(Progress::default());
    let (done, mut over) = oneshot::channel();
    let ask = Ask::Sync {
        which,
        progress,
        done,
    };
    // Without an engine it is dropped, and with it `done`.
    let _ = asks.send(ask).await;
    let mut tell = tokio::time::interval_at(Instant::now() + TELL, TELL);
    tell.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut more = [0];
    loop {
        tokio::select! {
            said = &mut over => return Ok(said.map_or_else(|_| Refusal::Stopping.answer(), synced)),
            _ = stream.read(&mut more) => return Err(Gone),
            _ = tell.tick(), if seen.has_changed().unwrap_or(false) => {
                let Progress { done, all } = *seen.borrow_and_update();
                send(stream, Answer::Progress { done, all }).await?;
            }
        }
    }
}

fn synced(said: Result<Vec<EntryStatus>, Unknown>) -> Answer {
    match said {
        Ok(entries) => Answer::Synced(entries),
        Err(Unknown { name, near }) => Answer::Unknown {
            name: name.to_string(),
            near: near.map(|near| near.to_string()),
        },
    }
}

async fn send(stream: &mut UnixStream, answer: Answer) -> Result<(), Gone> {
    let mut bytes = line(&Reply::new(answer));
    if bytes.len() > LONGEST_REPLY {
        bytes = line(&Reply::new(Refusal::TooLong.answer()));
    }
    for piece in bytes.chunks(PIECE) {
        let written = timeout(PATIENCE, stream.write_all(piece)).await;
        written.map_err(|_| Gone)?.map_err(|_| Gone)?;
    }
    Ok(())
}
