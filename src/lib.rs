//! `secretsyncd` keeps copies of secrets fresh: it polls stores, and writes Kubernetes Secrets and files.
//!
//! # The path of a secret
//!
//! ```text
//! TOML -> config -> schedule -> store.read -> [changed?] -> assemble -> decide -> target.apply -> report
//!                                                ^ state (what was delivered, intent before a write) ^
//!                                                report -> metrics, status, log
//! ```
//!
//! Reads are polled; entries react. What is scheduled is the *read*, a distinct (store, key, version), at the shortest
//! interval of its entries. An entry runs when a read answers something else than it last delivered, at first sight,
//! and on a wake-up.
//!
//! # The house
//!
//! | room | what lives there | what it must not know |
//! |---|---|---|
//! | [`cli`], [`command`] | the command line; one file per subcommand | |
//! | [`config`] | text to checked [`config::Config`]; every problem at once | makes no call |
//! | [`names`], [`selector`], [`secret`], [`failure`] | checked newtypes; kubectl's selectors; wiped bytes; reasons and their sentences | |
//! | [`aws`] | region, credentials, HTTP, and telling AWS's errors apart | stores, clusters |
//! | [`store`] | one read, one answer or one classified failure; coalescing | entries, targets |
//! | [`assemble`] | which bytes of which answer become which key | I/O, time, stores, targets |
//! | [`decide`] | the only judge: what may be done | I/O, time |
//! | [`target`], [`kube`] | rendering, observing, applying | stores |
//! | [`sync`] | the order of one run | when it runs |
//! | [`action`] | what has to run when something was written, when, and how | what it is made of |
//! | [`schedule`] | due times over opaque ids; backoff; rhythm | what a secret is |
//! | [`state`] | what survives a restart | values |
//! | [`watch`] | the one watcher of files, for what is read and what is delivered: which paths may have changed | what the paths are for |
//! | [`daemon`] | builds everything, owns every task, stops in order | |
//! | [`reload`] | whether another configuration may take the place of the present one | how it is read |
//! | [`leader`] | which of several machines leads, by a Lease's record and a clock | I/O, what is written |
//! | [`few`] | collections that nearly always hold one thing, or none | what they hold |
//! | [`import`] | manifests of KES and ESO to the text of a configuration | how they are delivered |
//! | [`account`] | users and groups of this machine, by number or name | what they own |
//! | [`memory`] | keeps what is in memory from others | |
//! | [`process`] | runs a program under limits | what it is run for |
//! | [`control`] | the socket over which commands ask a running daemon | what an entry is made of |
//! | [`report`], [`metrics`], [`status`], [`server`], [`logging`], [`systemd`] | what the program says about itself | values |
//!
//! # Invariants
//!
//! - Stores, assemble and targets never see one another.
//! - `schedule` does not know what a secret is; `decide` and `assemble` do no I/O and are not async.
//! - Only `daemon` owns tasks; only `main` ends the process.
//! - Only `metrics` names a metric, and it learns everything from [`report::Fact`]s.
//! - Raw TOML types stay inside `config`.
//! - A [`failure::Failure`] is made where it arises, in our own words; no foreign text enters one.
//! - There is no `cfg(test)` in a production path.

pub mod cli;
pub mod command;

pub mod config;
pub mod import;
pub mod names;
pub mod selector;

pub mod account;
pub mod clock;
pub mod failure;
pub mod few;
pub mod secret;

pub mod aws;
pub mod kube;
pub mod store;

pub mod action;
pub mod assemble;
pub mod decide;
pub mod target;

pub mod daemon;
pub mod schedule;
pub mod state;
pub mod sync;
pub mod watch;

pub mod control;
pub mod leader;
pub mod logging;
pub mod memory;
pub mod metrics;
pub mod process;
pub mod reload;
pub mod report;
pub mod server;
pub mod status;
pub mod systemd;
