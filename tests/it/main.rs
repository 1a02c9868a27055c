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

mod actions;
mod adopt;
mod booted;
mod cli;
mod content;
mod control;
mod corpus;
mod credentials;
mod delivery;
mod directory;
mod failures;
mod fanout;
mod faults;
mod find;
mod formats;
mod import;
mod isolation;
mod kill;
mod kubernetes;
mod kubernetes_real;
mod leader;
mod leak;
mod liveness;
mod logs;
mod many;
mod memory;
mod metrics;
mod moto;
mod notify;
mod online;
mod outages;
mod owners;
mod page;
mod parameter_store;
mod plan;
mod rbac;
mod reach;
mod reload;
mod removals;
mod restart;
mod restarts;
mod retries;
mod roles;
mod rotations;
mod rules;
mod schedule;
mod seen;
mod server;
mod slow_cluster;
mod sso;
mod standing;
mod support;
mod systemd;
mod taking;
mod tls_pair;
mod traced;
mod traffic;
mod troubles;
mod undone;
mod watching;
mod yardstick;
