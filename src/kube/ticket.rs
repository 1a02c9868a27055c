//! Credentials that are handed out for a while: asked for when they are needed, kept until shortly before their end, and
//! asked for again when the server refuses them, at most so often.
//!
//! While they are renewed ahead of their end, the present ones serve. One is asked for at a time, and who came while that
//! ran takes what it found.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::HeaderValue;
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::Instant;

use super::access::{Access, Identity};
use super::exec::Instructed;
use super::session::{Door, Session, bearer};
use crate::aws::EksSigner;
use crate::clock;
use crate::failure::{Failure, Reason};

/// What did not work, or was refused, is not tried again sooner.
const AGAIN: Duration = Duration::from_secs(10);

/// Renewed so long before the end, or a fifth of the lifetime if that is less.
const AHEAD: Duration = Duration::from_mins(1);

/// What was handed out.
pub(super) struct Ticket {
    pub(super) authorization: Option<HeaderValue>,
    pub(super) identity: Option<Identity>,
    /// Absent: good until it is refused.
    pub(super) expires: Option<Timestamp>,
}

pub(super) enum Issuer {
    Plugin(Instructed),
    Eks(EksSigner),
}

pub(super) struct Tickets {
    issuer: Issuer,
    access: Arc<Access>,
    /// To the same server, without credentials.
    bare: Session,
    state: Mutex<State<Admitted>>,
    /// Held by whoever asks.
    flight: AsyncMutex<()>,
}

/// A session that a ticket opens.
#[derive(Clone)]
struct Admitted {
    session: Session,
    identity: Option<Arc<Identity>>,
}

#[derive(Debug)]
struct State<T> {
    held: Option<Held<T>>,
    failure: Option<Failure>,
    asked: Option<Instant>,
    /// How often somebody asked.
    times: u64,
}

#[derive(Debug)]
struct Held<T> {
    what: T,
    expires: Option<Timestamp>,
    renew_at: Option<Timestamp>,
}

/// What there is to do for a request.
#[derive(Debug, PartialEq, Eq)]
enum Plan<T> {
    Use(T),
    /// Ask for another one, unless somebody does; this one is still good.
    Renew(T),
    Ask,
    Fail(Failure),
}

impl Tickets {
    pub(super) fn new(issuer: Issuer, access: Arc<Access>, bare: Session) -> Self {
        Self {
            issuer,
            access,
            bare,
            state: Mutex::new(State::default()),
            flight: AsyncMutex::default(),
        }
    }

    /// A session with credentials. `refused`: the server did not take the present ones.
    pub(super) async fn session(self: &Arc<Self>, refused: bool) -> Result<Session, Failure> {
        let times = self.state().times;
        let plan = self.plan(refused);
        let spare = match plan {
            Plan::Use(admitted) => return Ok(admitted.session),
            Plan::Fail(failure) => return Err(failure),
            Plan::Renew(admitted) => Some(admitted),
            Plan::Ask => None,
        };
        let _flight = match (self.flight.try_lock(), spare) {
            (Ok(flight), _) => flight,
            (Err(_), Some(admitted)) => return Ok(admitted.session),
            (Err(_), None) => self.flight.lock().await,
        };
        // Somebody may have asked meanwhile: what was refused is then not what there is now.
        let refused = refused && self.state().times == times;
        match self.plan(refused) {
            Plan::Use(admitted) => Ok(admitted.session),
            Plan::Fail(failure) => Err(failure),
            Plan::Renew(admitted) => match self.ask(refused).await {
                Ok(session) => Ok(session),
                Err(_) => Ok(admitted.session),
            },
            Plan::Ask => self.ask(refused).await,
        }
    }

    /// To be called by the holder of `flight`.
    async fn ask(self: &Arc<Self>, refused: bool) -> Result<Session, Failure> {
        let found = match self.issue(refused).await {
            Ok(ticket) => self.admit(ticket).await,
            Err(failure) => Err(failure),
        };
        let session = match &found {
            Ok((admitted, _)) => Ok(admitted.session.clone()),
            Err(failure) => Err(failure.clone()),
        };
        let now = (Instant::now(), clock::now());
        self.state().settle(found, refused, now);
        session
    }

    async fn issue(&self, refused: bool) -> Result<Ticket, Failure> {
        match &self.issuer {
            Issuer::Plugin(plugin) => plugin.ask().await,
            Issuer::Eks(signer) => {
                if refused {
                    signer.refused().await;
                }
                let token = signer.sign().await?;
                Ok(Ticket {
                    authorization: Some(bearer(&token.text)?),
                    identity: None,
                    expires: Some(token.expires),
                })
            }
        }
    }

    /// Connections last as long as the certificate that they were made with.
    async fn admit(
        self: &Arc<Self>,
        ticket: Ticket,
    ) -> Result<(Admitted, Option<Timestamp>), Failure> {
        let mut admitted = match ticket.identity {
            None => Admitted {
                session: self.bare.clone(),
                identity: None,
            },
            Some(identity) => self.with_certificate(identity).await?,
        };
        admitted.session.authorization = ticket.authorization;
        Ok((admitted, ticket.expires))
    }

    async fn with_certificate(self: &Arc<Self>, identity: Identity) -> Result<Admitted, Failure> {
        let identity = Arc::new(identity);
        let same = |held: &Held<Admitted>| {
            let present = held.what.identity.as_deref() == Some(&*identity);
            present.then(|| held.what.clone())
        };
        if let Some(admitted) = self.state().held.as_ref().and_then(same) {
            return Ok(admitted);
        }
        let (tickets, new) = (Arc::clone(self), Arc::clone(&identity));
        // Certificate authorities may be read from files.
        let open = move || Session::open(Door::with_certificate(&tickets.access, &new));
        let session = tokio::task::spawn_blocking(open).await.unwrap_or_else(|_| {
            Err(Failure::new(
                Reason::Panic,
                "taking the client certificate of a credential plugin broke off",
            ))
        });
        Ok(Admitted {
            session: session?,
            identity: Some(identity),
        })
    }

    fn plan(&self, refused: bool) -> Plan<Admitted> {
        let now = (Instant::now(), clock::now());
        self.state().plan(refused, now)
    }

    fn state(&self) -> MutexGuard<'_, State<Admitted>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Default for State<T> {
    fn default() -> Self {
        Self {
            held: None,
            failure: None,
            asked: None,
            times: 0,
        }
    }
}

impl<T: Clone> State<T> {
    fn plan(&self, refused: bool, (now, time): (Instant, Timestamp)) -> Plan<T> {
        let recently = self.asked.is_some_and(|at| now.duration_since(at) < AGAIN);
        let good = |held: &&Held<T>| held.expires.is_none_or(|end| time < end);
        let Some(held) = self.held.as_ref().filter(good) else {
            return match &self.failure {
                Some(failure) if recently => Plan::Fail(failure.clone()),
                Some(_) | None => Plan::Ask,
            };
        };
        if recently {
            Plan::Use(held.what.clone())
        } else if refused {
            Plan::Ask
        } else if held.renew_at.is_some_and(|at| time >= at) {
            Plan::Renew(held.what.clone())
        } else {
            Plan::Use(held.what.clone())
        }
    }

    fn settle(
        &mut self,
        found: Result<(T, Option<Timestamp>), Failure>,
        refused: bool,
        (now, time): (Instant, Timestamp),
    ) {
        self.asked = Some(now);
        self.times += 1;
        match found {
            Ok((what, expires)) => {
                let renew_at = expires.map(|end| {
                    let lifetime = Duration::try_from(end.duration_since(time));
                    end - AHEAD.min(lifetime.unwrap_or_default() / 5)
                });
                self.failure = None;
                self.held = Some(Held {
                    what,
                    expires,
                    renew_at,
                });
            }
            Err(failure) => {
                self.failure = Some(failure);
                if refused {
                    self.held = None;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The clocks of a test, moved by hand.
    struct Clocks(Instant, Timestamp);

    impl Clocks {
        fn new() -> Self {
            Self(Instant::now(), clock::now())
        }

        fn after(&self, seconds: u64) -> (Instant, Timestamp) {
            let passed = Duration::from_secs(seconds);
            (self.0 + passed, self.1 + passed)
        }

        fn end(&self, seconds: u64) -> Timestamp {
            self.after(seconds).1
        }
    }

    fn failure() -> Failure {
        Failure::new(Reason::Credentials, "none")
    }

    #[test]
    fn what_was_handed_out_serves_until_shortly_before_its_end() {
        let clocks = Clocks::new();
        let mut state = State::default();
        assert_eq!(state.plan(false, clocks.after(0)), Plan::Ask);
        for (end, ahead) in [(3600, 60), (100, 20)] {
            state.settle(Ok(("one", Some(clocks.end(end)))), false, clocks.after(0));
            assert_eq!(
                state.plan(false, clocks.after(end - ahead - 1)),
                Plan::Use("one")
            );
            assert_eq!(
                state.plan(false, clocks.after(end - ahead)),
                Plan::Renew("one")
            );
            assert_eq!(state.plan(false, clocks.after(end - 1)), Plan::Renew("one"));
            assert_eq!(state.plan(false, clocks.after(end)), Plan::Ask);
        }
        state.settle(Ok(("two", None)), false, clocks.after(0));
        assert_eq!(state.plan(false, clocks.after(1 << 30)), Plan::Use("two"));
    }

    #[test]
    fn what_cannot_be_renewed_serves_to_its_end_and_is_not_asked_for_at_every_request() {
        let clocks = Clocks::new();
        let mut state = State::default();
        state.settle(Ok(("one", Some(clocks.end(100)))), false, clocks.after(0));
        state.settle(Err(failure()), false, clocks.after(85));
        assert_eq!(state.plan(false, clocks.after(94)), Plan::Use("one"));
        assert_eq!(state.plan(false, clocks.after(95)), Plan::Renew("one"));
        state.settle(Err(failure()), false, clocks.after(95));
        assert_eq!(state.plan(false, clocks.after(100)), Plan::Fail(failure()));
        assert_eq!(state.plan(false, clocks.after(105)), Plan::Ask);
    }

    #[test]
    fn what_was_refused_is_asked_for_again_at_most_so_often() {
        let clocks = Clocks::new();
        let mut state = State::default();
        state.settle(Ok(("one", None)), false, clocks.after(0));
        assert_eq!(state.plan(true, clocks.after(9)), Plan::Use("one"));
        assert_eq!(state.plan(true, clocks.after(10)), Plan::Ask);
        state.settle(Ok(("two", None)), true, clocks.after(10));
        assert_eq!(state.plan(true, clocks.after(11)), Plan::Use("two"));
        // What was refused and has no successor is not used again.
        state.settle(Err(failure()), true, clocks.after(20));
        assert_eq!(state.plan(false, clocks.after(29)), Plan::Fail(failure()));
        assert_eq!(state.plan(false, clocks.after(30)), Plan::Ask);
    }
}
