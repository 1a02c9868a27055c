//! Scenarios that need something the machine may not have, counted out loud.
//!
//! libtest cannot skip and hides what passing tests print, so each such suite is one test that writes one line
//! past libtest's capture: how many of its scenarios ran and how many did not, and why.

use std::io::{Write, stderr};
use std::panic::{AssertUnwindSafe, catch_unwind};

pub type Scenario<T> = (&'static str, fn(&T));

/// Runs every scenario, a failed one not stopping the rest, and fails at the end if any did.
pub fn run<T: ?Sized>(suite: &str, scenarios: &[Scenario<T>], subject: &T) {
    let failed: Vec<&str> = scenarios
        .iter()
        .filter(|(_, scenario)| catch_unwind(AssertUnwindSafe(|| scenario(subject))).is_err())
        .map(|(name, _)| *name)
        .collect();
    say(&format!("{suite}: {} run, 0 not run", scenarios.len()));
    assert!(failed.is_empty(), "{suite}: failed: {failed:?}");
}

/// Says that nothing ran.
pub fn not_run(suite: &str, scenarios: usize, why: &str) {
    say(&format!("{suite}: 0 run, {scenarios} not run: {why}"));
}

/// Under `CI=true` tests take their full time and nothing may be left out.
pub fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}

fn say(line: &str) {
    let _ = writeln!(stderr(), "\n{line}");
}
