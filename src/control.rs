//! The control socket: how commands ask a running daemon, and how it answers.
//!
//! A Unix stream socket; who may connect is a matter of its mode. A connection carries one request, a line of JSON, and
//! its replies, a line each. The protocol has a version: commands and a daemon that do not understand each other say
//! so, and never guess.

mod client;
mod door;
mod group;
mod protocol;
mod server;
mod socket;

pub use self::client::{NotAsked, adopt, prune, status, sync};
pub use self::door::{Door, Place, open};
pub use self::protocol::{Prune, Which};
pub use self::server::serve;
