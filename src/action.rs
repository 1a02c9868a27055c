//! What has to run when something was written: `queue` says when, `lanes` how many at a time, `run` does it.

pub mod lanes;
pub mod queue;
pub mod run;

mod pid_file;
mod signal;
mod units;

pub use self::units::WITHOUT as WITHOUT_SYSTEMD;
