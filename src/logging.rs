//! Logs on stderr: ours at the level asked for, those of libraries not at all.
//!
//! Libraries quote what they carry even at `warn`: the SDK prints whole HTTP bodies of credential services and lines of
//! credential files (measured). What matters of theirs comes back as an error and is said in our words. The panic hook
//! names the place and never the payload, which may hold a value.

use std::io::IsTerminal as _;

use clap::ValueEnum;
use rustix::fs::fstat;
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, fmt};

/// Of events that say what was done to a target, and why. They are written whatever the level.
pub const AUDIT: &str = "audit";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl From<Level> for LevelFilter {
    fn from(level: Level) -> Self {
        match level {
            Level::Error => Self::ERROR,
            Level::Warn => Self::WARN,
            Level::Info => Self::INFO,
            Level::Debug => Self::DEBUG,
            Level::Trace => Self::TRACE,
        }
    }
}

type Lines = Box<dyn Layer<Registry> + Send + Sync>;

/// Installs the subscriber and the panic hook. To be called once. Without a format, fields go to the journal where stderr
/// goes there, else text.
pub fn init(format: Option<Format>, level: Level) {
    let ours = Targets::new()
        .with_default(LevelFilter::OFF)
        .with_target("secretsyncd", LevelFilter::from(level));
    let audit = Targets::new()
        .with_default(LevelFilter::OFF)
        .with_target(AUDIT, LevelFilter::INFO);
    let lines: Vec<Lines> = match format {
        Some(Format::Text) => text(ours, audit),
        Some(Format::Json) => json(ours, audit),
        None => journal(&ours).map_or_else(|| text(ours, audit), |layer| vec![layer]),
    };
    tracing_subscriber::registry().with(lines).init();
    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        tracing::error!("panic at {place}");
    }));
}

/// Of ordinary lines the target is a place in this program, and says nothing; that of the audit tells it from the rest.
fn text(ours: Targets, audit: Targets) -> Vec<Lines> {
    let colour = std::io::stderr().is_terminal();
    let layer = || fmt::layer().with_writer(std::io::stderr).with_ansi(colour);
    vec![
        layer().with_target(false).with_filter(ours).boxed(),
        layer().with_target(true).with_filter(audit).boxed(),
    ]
}

fn json(ours: Targets, audit: Targets) -> Vec<Lines> {
    let layer = || {
        let layer = fmt::layer().with_writer(std::io::stderr).json();
        layer.flatten_event(true)
    };
    vec![
        layer().with_target(false).with_filter(ours).boxed(),
        layer().with_target(true).with_filter(audit).boxed(),
    ]
}

/// Fields as the journal has them, where stderr is its stream and it can be reached: `SECRETSYNCD_ENTRY=...`, and
/// `TARGET=audit`.
fn journal(ours: &Targets) -> Option<Lines> {
    let stream = std::env::var("JOURNAL_STREAM").ok()?;
    let stderr = fstat(std::io::stderr()).ok()?;
    if stream != format!("{}:{}", stderr.st_dev, stderr.st_ino) {
        return None;
    }
    let layer = tracing_journald::layer().ok()?;
    let layer = layer
        .with_field_prefix(Some("SECRETSYNCD".to_owned()))
        .with_priority_mappings(PriorityMappings {
            error: Priority::Error,
            warn: Priority::Warning,
            info: Priority::Informational,
            debug: Priority::Debug,
            trace: Priority::Debug,
        });
    let filter = ours.clone().with_target(AUDIT, LevelFilter::INFO);
    Some(layer.with_filter(filter).boxed())
}
