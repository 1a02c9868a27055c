//! Parse, log, run, exit code.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use secretsyncd::cli::{Cli, Command};
use secretsyncd::logging::Manner;
use secretsyncd::{command, logging, memory, process};
use tikv_jemallocator::Jemalloc;
use zeroizing_alloc::ZeroAlloc;

/// Wipes whatever is freed, and what is left behind when something grows: libraries copy values, and do not wipe them.
/// Below, jemalloc gives pages back that the system's allocator would keep for want of a few bytes in each: the start,
/// when everything is read at once, would decide for ever what the daemon takes.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<Jemalloc> = ZeroAlloc(Jemalloc);

/// After so many steps of tasks a worker that has more to do looks for what has arrived and for whose time has come. With
/// tokio's 61 an answer lay there for a third of a second on a machine without a core to spare, and was told as late as
/// that; a look costs a system call.
const EVENT_INTERVAL: u32 = 4;

/// So long a thread for blocking work waits for more. They take turns, so that with the usual ten seconds a few calls in a
/// second would keep the hundreds for good that a start makes.
const IDLE: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let exposed = memory::seclude();
    process::keep_capabilities();
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
    let manner = if matches!(cli.command, Command::Run) {
        Manner::GoesOn
    } else {
        Manner::Waits
    };
    let _last_words = logging::init(cli.log_format, cli.log_level, manner);
    exposed.tell();
    memory::bind_early();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .event_interval(EVENT_INTERVAL)
        .thread_keep_alive(IDLE)
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
