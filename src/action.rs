//! What has to run when something was written (design 7.3): `queue` says when, `run` does it.

pub mod queue;
pub mod run;

mod pid_file;
mod signal;
mod units;
