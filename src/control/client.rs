//! A command's end: ask, and understand the answer or say why not.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

use super::protocol::{
    Answer, Envelope, LONGEST_REPLY, LONGEST_REQUEST, Prune, Question, Refusal, Reply, Request,
    VERSION, Which, line, release,
};
use crate::daemon::Progress;
use crate::status::{Adoption, EntryStatus, Leftovers, Status};

/// A daemon that is there answers what needs no work at once.
const PATIENCE: Duration = Duration::from_secs(30);

/// While too many others are asking.
const TRIES: u32 = 40;
const TRY_AGAIN: Duration = Duration::from_millis(250);

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotAsked {
    NoDaemon(PathBuf),
    Denied(PathBuf),
    /// The daemon and this command do not understand each other; its release, where it says so.
    OtherRelease(String),
    Busy,
    /// It stopped, or was stopped, before it answered.
    BrokenOff,
    TooLong,
    NotAnswered(PathBuf),
    /// There is no such entry; beside it the one that may have been meant.
    Unknown {
        name: String,
        near: Option<String>,
    },
}

pub async fn status(socket: &Path) -> Result<Status, NotAsked> {
    let answer = soon(socket, Question::Status).await?;
    if let Answer::Status(status) = answer {
        return Ok(*status);
    }
    Err(not_meant(answer))
}

/// Waits until what is to be taken away is.
pub async fn prune(socket: &Path, what: Prune) -> Result<Leftovers, NotAsked> {
    let answer = match what {
        Prune::List => soon(socket, Question::Prune(what)).await?,
        Prune::All | Prune::Named(_) => ask(socket, Question::Prune(what), |_| {}).await?,
    };
    if let Answer::Pruned(leftovers) = answer {
        return Ok(leftovers);
    }
    Err(not_meant(answer))
}

/// Waits until what others wrote is taken over.
pub async fn adopt(socket: &Path, names: Vec<String>) -> Result<Adoption, NotAsked> {
    let answer = ask(socket, Question::Adopt(names), |_| {}).await?;
    if let Answer::Adopted(adoption) = answer {
        return Ok(adoption);
    }
    Err(not_meant(answer))
}

/// Waits until everything asked for is over; `progress` hears how far it has come.
pub async fn sync(
    socket: &Path,
    which: Which,
    progress: impl FnMut(Progress),
) -> Result<Vec<EntryStatus>, NotAsked> {
    let answer = ask(socket, Question::Sync(which), progress).await?;
    if let Answer::Synced(entries) = answer {
        return Ok(entries);
    }
    Err(not_meant(answer))
}

async fn soon(socket: &Path, question: Question) -> Result<Answer, NotAsked> {
    let asking = ask(socket, question, |_| {});
    let late = |_| Err(NotAsked::NotAnswered(socket.to_owned()));
    tokio::time::timeout(PATIENCE, asking)
        .await
        .unwrap_or_else(late)
}

async fn ask(
    socket: &Path,
    question: Question,
    mut progress: impl FnMut(Progress),
) -> Result<Answer, NotAsked> {
    let request = line(&Request::new(question));
    if request.len() > LONGEST_REQUEST {
        return Err(NotAsked::TooLong);
    }
    for _ in 0..TRIES {
        match once(socket, &request, &mut progress).await {
            Err(NotAsked::Busy) => tokio::time::sleep(TRY_AGAIN).await,
            end => return end,
        }
    }
    Err(NotAsked::Busy)
}

async fn once(
    socket: &Path,
    request: &[u8],
    progress: &mut impl FnMut(Progress),
) -> Result<Answer, NotAsked> {
    let connected = UnixStream::connect(socket).await;
    let mut stream = connected.map_err(|error| not_connected(socket, &error))?;
    // A daemon that refuses may have closed its end before all was sent: its answer says why.
    let _ = stream.write_all(request).await;
    let mut replies = BufReader::new(stream);
    loop {
        let mut line = Vec::new();
        let mut bounded = (&mut replies).take(LONGEST_REPLY as u64 + 1);
        let read = bounded.read_until(b'\n', &mut line).await;
        if read.is_err() || line.pop() != Some(b'\n') {
            return Err(NotAsked::BrokenOff);
        }
        let answer = read_reply(&line)?;
        if let Answer::Progress { done, all } = answer {
            progress(Progress { done, all });
            continue;
        }
        let busy = matches!(
            &answer,
            Answer::Refused {
                why: Refusal::Busy,
                ..
            }
        );
        return if busy {
            Err(NotAsked::Busy)
        } else {
            Ok(answer)
        };
    }
}

fn not_connected(socket: &Path, error: &io::Error) -> NotAsked {
    let socket = socket.to_owned();
    if error.kind() == io::ErrorKind::PermissionDenied {
        NotAsked::Denied(socket)
    } else if error.kind() == io::ErrorKind::WouldBlock {
        NotAsked::Busy
    } else {
        NotAsked::NoDaemon(socket)
    }
}

fn read_reply(line: &[u8]) -> Result<Answer, NotAsked> {
    let strange = || NotAsked::OtherRelease(String::new());
    let envelope: Envelope = serde_json::from_slice(line).map_err(|_| strange())?;
    let other = || NotAsked::OtherRelease(envelope.release.clone());
    if envelope.version != VERSION {
        return Err(other());
    }
    let reply: Reply = serde_json::from_slice(line).map_err(|_| other())?;
    let misunderstood = matches!(
        &reply.answer,
        Answer::Refused {
            why: Refusal::OtherVersion | Refusal::NotUnderstood,
            ..
        }
    );
    if misunderstood {
        return Err(other());
    }
    Ok(reply.answer)
}

/// What an answer means that is not to the question.
fn not_meant(answer: Answer) -> NotAsked {
    match answer {
        Answer::Unknown { name, near } => NotAsked::Unknown { name, near },
        Answer::Refused { why, .. } => match why {
            Refusal::Stopping => NotAsked::BrokenOff,
            Refusal::NotAllowed => NotAsked::Denied(PathBuf::new()),
            Refusal::TooLong => NotAsked::TooLong,
            Refusal::Busy => NotAsked::Busy,
            Refusal::OtherVersion | Refusal::NotUnderstood => NotAsked::OtherRelease(String::new()),
        },
        Answer::Status(_)
        | Answer::Progress { .. }
        | Answer::Synced(_)
        | Answer::Pruned(_)
        | Answer::Adopted(_) => NotAsked::OtherRelease(String::new()),
    }
}

impl fmt::Display for NotAsked {
    /// The fact, and on a line of its own the next step.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDaemon(socket) => write!(
                f,
                "no daemon answers at {}\n  help: start it (`secretsyncd run`, or its unit); where it runs, let its \
                 configuration and this one name the same `control_socket` in [daemon]",
                socket.display()
            ),
            Self::Denied(socket) => write!(
                f,
                "this user may not ask the daemon{}\n  help: ask as root or as the user of the daemon, or become a \
                 member of its `control_group`",
                at(socket)
            ),
            Self::OtherRelease(theirs) => {
                let theirs = if theirs.is_empty() {
                    "of another release".to_owned()
                } else {
                    format!("secretsyncd {}", plain(theirs))
                };
                write!(
                    f,
                    "the daemon is {theirs} and this command is secretsyncd {}: they do not understand each other\n  \
                     help: restart the daemon after an upgrade, or use the command that belongs to it",
                    release()
                )
            }
            Self::Busy => f.write_str(
                "the daemon is busy with too many others that ask\n  help: try again when they are done",
            ),
            Self::BrokenOff => f.write_str(
                "the daemon stopped before it answered\n  help: look at its log, and try again when it runs",
            ),
            Self::TooLong => f.write_str(
                "this is too much for one request or one answer\n  help: name fewer entries, or use `--all`",
            ),
            Self::NotAnswered(socket) => write!(
                f,
                "the daemon does not answer{}\n  help: look at `/healthz` and at its log",
                at(socket)
            ),
            Self::Unknown { name, near } => {
                write!(f, "the daemon has no entry `{}`\n  help: ", plain(name))?;
                match near {
                    Some(near) => write!(f, "did you mean `{}`?", plain(near)),
                    None => f.write_str(
                        "`secretsyncd status` lists its entries; where it was just added, see there whether the reload failed",
                    ),
                }
            }
        }
    }
}

fn at(socket: &Path) -> String {
    if socket.as_os_str().is_empty() {
        String::new()
    } else {
        format!(" at {}", socket.display())
    }
}

/// What another process says, for a sentence about it.
fn plain(text: &str) -> String {
    let plain = text.chars().filter(|c| !c.is_control());
    plain.take(253).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_release_is_named_and_never_guessed() {
        let other = |text: &str| match read_reply(text.as_bytes()) {
            Err(NotAsked::OtherRelease(release)) => release,
            end => panic!("{end:?}"),
        };
        assert_eq!(
            other(r#"{"version":2,"release":"9.9.9","news":1}"#),
            "9.9.9"
        );
        assert_eq!(
            other(r#"{"version":1,"release":"9.9.9","answer":{"weather":"fine"}}"#),
            "9.9.9"
        );
        assert_eq!(other("hello"), "");
        let said = NotAsked::OtherRelease("9.9.9".to_owned()).to_string();
        assert!(said.contains("9.9.9") && said.contains(env!("CARGO_PKG_VERSION")));
    }
}
