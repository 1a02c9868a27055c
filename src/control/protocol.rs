//! What is said over the socket. Whoever changes the meaning of a message raises [`VERSION`].

use serde::{Deserialize, Serialize};

use crate::status::{Adoption, EntryStatus, Leftovers, Status};

pub(super) const VERSION: u32 = 1;

/// A request may have this many bytes.
pub(super) const LONGEST_REQUEST: usize = 64 << 10;
/// A reply may have this many: the status of a hundred thousand entries.
pub(super) const LONGEST_REPLY: usize = 64 << 20;

/// What every message of every version begins with, so that two releases can name each other.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Envelope {
    pub version: u32,
    #[serde(default)]
    pub release: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    pub version: u32,
    pub release: String,
    pub ask: Question,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Question {
    Status,
    Sync(Which),
    Prune(Prune),
    /// What goes by these names; without names, every target.
    Adopt(Vec<String>),
}

/// What is to be done about what is left behind or held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prune {
    List,
    All,
    Named(Vec<String>),
}

/// Which entries are to be synced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    Names(Vec<String>),
    Failing,
    All,
}

/// What a later release says beyond that is passed over; a request, which may ask for more than is known here, is not.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Reply {
    pub version: u32,
    pub release: String,
    pub answer: Answer,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    Status(Box<Status>),
    /// More replies follow.
    Progress {
        done: usize,
        all: usize,
    },
    Synced(Vec<EntryStatus>),
    /// There is no such entry; beside it the one that may have been meant.
    Unknown {
        name: String,
        near: Option<String>,
    },
    Pruned(Leftovers),
    Adopted(Adoption),
    Refused {
        why: Refusal,
        message: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Refusal {
    OtherVersion,
    NotUnderstood,
    TooLong,
    NotAllowed,
    Busy,
    Stopping,
}

impl Request {
    pub(super) fn new(ask: Question) -> Self {
        Self {
            version: VERSION,
            release: release(),
            ask,
        }
    }
}

impl Reply {
    pub(super) fn new(answer: Answer) -> Self {
        Self {
            version: VERSION,
            release: release(),
            answer,
        }
    }
}

impl Refusal {
    fn sentence(self) -> &'static str {
        match self {
            Self::OtherVersion => "the request is of another version",
            Self::NotUnderstood => "the request is not understood",
            Self::TooLong => "the message is too long",
            Self::NotAllowed => "only root and the user of the daemon may ask",
            Self::Busy => "too many others are asking",
            Self::Stopping => "the daemon is stopping",
        }
    }

    pub(super) fn answer(self) -> Answer {
        let message = format!(
            "{}; this is secretsyncd {}, which speaks version {VERSION}",
            self.sentence(),
            release()
        );
        Answer::Refused { why: self, message }
    }
}

/// What a line asks for.
pub(super) fn read_request(line: &[u8]) -> Result<Question, Refusal> {
    let envelope: Envelope = serde_json::from_slice(line).map_err(|_| Refusal::NotUnderstood)?;
    if envelope.version != VERSION {
        return Err(Refusal::OtherVersion);
    }
    let request: Request = serde_json::from_slice(line).map_err(|_| Refusal::NotUnderstood)?;
    Ok(request.ask)
}

pub(super) fn release() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}

/// A message as its line.
pub(super) fn line(message: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(message)
        .expect("these structures have string keys and no floats, so JSON can hold them");
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_of_this_version_and_holds_nothing_unknown() {
        let read = |text: &str| read_request(text.as_bytes());
        for ask in [
            Question::Status,
            Question::Prune(Prune::List),
            Question::Adopt(vec!["a".to_owned()]),
            Question::Prune(Prune::Named(vec!["a".to_owned()])),
            Question::Sync(Which::Failing),
            Question::Sync(Which::Names(vec!["a".to_owned()])),
        ] {
            assert_eq!(read_request(&line(&Request::new(ask.clone()))), Ok(ask));
        }
        assert_eq!(
            read(r#"{"version":2,"release":"9.9.9","ask":"status"}"#),
            Err(Refusal::OtherVersion)
        );
        assert_eq!(
            read(r#"{"version":2,"what":"ever"}"#),
            Err(Refusal::OtherVersion)
        );
        for wrong in [
            "",
            "status",
            r#"{"ask":"status"}"#,
            r#"{"version":1,"release":"x","ask":"reboot"}"#,
            r#"{"version":1,"release":"x","ask":"status","more":1}"#,
            r#"{"version":1,"release":"x","ask":{"sync":{"names":[7]}}}"#,
        ] {
            assert_eq!(read(wrong), Err(Refusal::NotUnderstood), "{wrong}");
        }
    }

    /// What other releases must be able to read.
    #[test]
    fn messages_look_like_this() {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let release = release();
        assert_eq!(
            text(line(&Request::new(Question::Sync(Which::All)))),
            format!("{{\"version\":1,\"release\":\"{release}\",\"ask\":{{\"sync\":\"all\"}}}}\n")
        );
        assert_eq!(
            text(line(&Reply::new(Answer::Progress { done: 1, all: 2 }))),
            format!(
                "{{\"version\":1,\"release\":\"{release}\",\"answer\":{{\"progress\":{{\"done\":1,\"all\":2}}}}}}\n"
            )
        );
    }
}
