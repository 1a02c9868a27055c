//! `run`: the daemon.

use std::path::Path;
use std::process::ExitCode;

use super::{FAILED, load, show};
use crate::daemon;

pub(super) async fn run(path: &Path) -> ExitCode {
    let config = match load(path) {
        Ok(config) => config,
        Err(code) => return code,
    };
    match daemon::run(config, path.to_owned()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(stopped) => {
            show(&format!("error: {stopped}"));
            ExitCode::from(FAILED)
        }
    }
}
