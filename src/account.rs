//! Users and groups of this machine: by number, or by a name that the system looks up as it does for everybody (NSS), so
//! that those of a directory service count.
//!
//! A look-up may wait for a server that does not answer. It happens on a blocking thread, one for each name, is waited
//! for with a limit, and its answer holds for a while.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::unistd::{Group, User};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};

use crate::failure::{Failure, Reason};
use crate::names::Expected;

/// How long one look-up is waited for.
const LIMIT: Duration = Duration::from_secs(10);
/// How long its answer holds. Numbers of accounts change about never.
const FRESH: Duration = Duration::from_mins(1);
/// The number that `chown` takes for "leave it as it is".
const NOBODY_AT_ALL: u32 = u32::MAX;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Account {
    Number(u32),
    Name(Box<str>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    User,
    Group,
}

impl Account {
    /// What is all digits is a number. Names may be those of any directory: `dept\user`, `user@example.org`.
    pub fn new(text: &str) -> Result<Self, Expected> {
        const EXPECTED: Expected = Expected(
            "the name of a user or group, or its number: at most 256 characters, without white space, `:`, `/`, `,` and control characters, not beginning with `-`",
        );
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            let number = text.parse().ok().filter(|id| *id != NOBODY_AT_ALL);
            return number.map(Self::Number).ok_or(EXPECTED);
        }
        let odd = |c: char| c.is_control() || c.is_whitespace() || matches!(c, ':' | '/' | ',');
        let plain =
            (1..=256).contains(&text.len()) && !text.starts_with('-') && !text.contains(odd);
        plain.then(|| Self::Name(text.into())).ok_or(EXPECTED)
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "user",
            Self::Group => "group",
        })
    }
}

/// Asks the system, which may take its time. Nothing where it knows no such name; else the error's number.
pub fn look_up(kind: Kind, name: &str) -> Result<Option<u32>, i32> {
    let found = match kind {
        Kind::User => User::from_name(name).map(|user| user.map(|user| user.uid.as_raw())),
        Kind::Group => Group::from_name(name).map(|group| group.map(|group| group.gid.as_raw())),
    };
    found.map_err(|errno| errno as i32)
}

/// What was looked up, for a while.
#[derive(Debug)]
pub struct Accounts {
    slots: Mutex<Slots>,
    look_up: LookUp,
}

type Slots = HashMap<(Kind, Box<str>), Arc<Slot>>;

type LookUp = fn(Kind, &str) -> Result<Option<u32>, i32>;

/// One name.
#[derive(Debug, Default)]
struct Slot {
    /// Held by the look-up on its thread, also when nobody waits for it any more.
    turn: Arc<tokio::sync::Mutex<()>>,
    known: Mutex<Option<(u32, Instant)>>,
}

impl Default for Accounts {
    fn default() -> Self {
        Self::with(look_up)
    }
}

impl Accounts {
    fn with(look_up: LookUp) -> Self {
        Self {
            slots: Mutex::default(),
            look_up,
        }
    }

    /// The number of an account.
    pub async fn id(&self, kind: Kind, account: &Account) -> Result<u32, Failure> {
        let name = match account {
            Account::Number(number) => return Ok(*number),
            Account::Name(name) => name,
        };
        let slot = self.slot(kind, name);
        if let Some(id) = slot.fresh() {
            return Ok(id);
        }
        let asked = timeout(LIMIT, self.ask(&slot, kind, name)).await;
        match (asked, slot.last()) {
            (Ok(Ok(Some(id))), _) => Ok(id),
            (Ok(Ok(None)), _) => Err(unknown(kind, name)),
            // A directory service that is away gives nobody another number.
            (Ok(Err(_)) | Err(_), Some(id)) => {
                slot.remember(id);
                Ok(id)
            }
            (Ok(Err(errno)), None) => Err(unavailable(kind, name, errno)),
            (Err(_), None) => Err(too_late(kind, name)),
        }
    }

    async fn ask(&self, slot: &Arc<Slot>, kind: Kind, name: &str) -> Result<Option<u32>, i32> {
        let turn = Arc::clone(&slot.turn).lock_owned().await;
        // Somebody else may have asked meanwhile.
        if let Some(id) = slot.fresh() {
            return Ok(Some(id));
        }
        let (slot, name, look_up) = (Arc::clone(slot), name.to_owned(), self.look_up);
        let asking = spawn_blocking(move || {
            let _held = turn;
            let found = look_up(kind, &name);
            if let Ok(Some(id)) = found {
                slot.remember(id);
            }
            found
        });
        // It ends otherwise only when the runtime does.
        asking.await.unwrap_or(Err(0))
    }

    fn slot(&self, kind: Kind, name: &str) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry((kind, name.into())).or_default())
    }
}

impl Slot {
    fn remember(&self, id: u32) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Some((id, Instant::now()));
    }

    fn last(&self) -> Option<u32> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.map(|(id, _)| id)
    }

    fn fresh(&self) -> Option<u32> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .filter(|(_, at)| at.elapsed() < FRESH)
            .map(|(id, _)| id)
    }
}

fn unknown(kind: Kind, name: &str) -> Failure {
    Failure::new(
        Reason::TargetMissing,
        format!("this machine knows no {kind} `{name}`"),
    )
    .with_help(format!(
        "make the {kind}, or correct the name; `getent {database} {name}` shows what the system knows",
        database = database(kind)
    ))
}

fn unavailable(kind: Kind, name: &str, errno: i32) -> Failure {
    Failure::new(
        Reason::Io,
        format!("the {kind} `{name}` cannot be looked up (errno {errno})"),
    )
    .with_help(by_number(kind))
}

fn too_late(kind: Kind, name: &str) -> Failure {
    Failure::new(
        Reason::Timeout,
        format!(
            "the {kind} `{name}` was not found within {} s",
            LIMIT.as_secs()
        ),
    )
    .with_help(by_number(kind))
}

fn by_number(kind: Kind) -> String {
    format!(
        "check the directory service that /etc/nsswitch.conf names for `{}`, or give the {kind}'s number",
        database(kind)
    )
}

fn database(kind: Kind) -> &'static str {
    match kind {
        Kind::User => "passwd",
        Kind::Group => "group",
    }
}
