//! Parse, log, run, exit code.

use std::process::ExitCode;

use clap::Parser as _;
use secretsyncd::cli::Cli;
use secretsyncd::{command, logging};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(problem) => {
            // Help and version are not errors; where the reader went away there is nobody to tell.
            let _ = problem.print();
            return ExitCode::from(if problem.use_stderr() {
                command::USAGE
            } else {
                0
            });
        }
    };
    logging::init(cli.log_format, cli.log_level);
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start: {}", error.kind());
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(command::execute(cli));
    // A write to a file system that hangs must not keep the process.
    runtime.shutdown_background();
    code
}
