//! The integration tests: the real binary against stand-ins over HTTP, against moto, and against a real cluster.
//!
//! One file per theme; what they share is under `support`. Nothing here but `corpus` uses the library: what is tested is
//! what is installed.

#![expect(
    unreachable_pub,
    reason = "in a binary `pub` says what a module offers to its neighbours"
)]
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::wildcard_enum_match_arm,
    reason = "a test stops at the first surprise, runs on the clock and threads of its own process, and speaks of a few faults at a time"
)]

mod cli;
mod content;
mod control;
mod corpus;
mod credentials;
mod delivery;
mod failures;
mod fanout;
mod find;
mod isolation;
mod kill;
mod kubernetes;
mod kubernetes_real;
mod leader;
mod leak;
mod liveness;
mod logs;
mod memory;
mod moto;
mod notify;
mod online;
mod outages;
mod parameter_store;
mod plan;
mod rbac;
mod reach;
mod reload;
mod removals;
mod restart;
mod retries;
mod roles;
mod schedule;
mod server;
mod sso;
mod support;
mod systemd;
mod tls_pair;
mod traffic;
mod troubles;
mod watching;
