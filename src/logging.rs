//! Logs on stderr: ours at the level asked for, those of libraries not at all.
//!
//! Libraries quote what they carry even at `warn`: the SDK prints whole HTTP bodies of credential services and lines of
//! credential files (measured). What matters of theirs comes back as an error and is said in our words. The panic hook
//! names the place and never the payload, which may hold a value.
//!
//! A daemon waits for nobody to read its log (`spool`). A journal that takes fields is deliberately not part of that: it is
//! the machine's own, and reads while it runs.

mod spool;

use std::io::{IsTerminal as _, stderr};
use std::sync::Arc;

use clap::ValueEnum;
use rustix::fs::fstat;
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, fmt};

use self::spool::{Lines, Spool, Worth};

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

type AnyLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Whether whoever says something may have to wait for whoever reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// A command is its user's, and says everything.
    Waits,
    /// A daemon has other things to do.
    GoesOn,
}

/// What was said last is on its way out. To be dropped where the process ends: that waits for it, for a moment.
#[derive(Debug)]
#[must_use]
pub struct LastWords(Option<Arc<Spool>>);

impl Drop for LastWords {
    fn drop(&mut self) {
        if let Some(spool) = &self.0 {
            spool.flush();
        }
    }
}

/// Where lines are written.
type Out = Option<Arc<Spool>>;

/// Installs the subscriber and the panic hook. To be called once. Without a format, fields go to the journal where stderr
/// goes there, else text.
pub fn init(format: Option<Format>, level: Level, manner: Manner) -> LastWords {
    let ours = Targets::new()
        .with_default(LevelFilter::OFF)
        .with_target("secretsyncd", LevelFilter::from(level));
    let audit = Targets::new()
        .with_default(LevelFilter::OFF)
        .with_target(AUDIT, LevelFilter::INFO);
    let out = match manner {
        Manner::Waits => None,
        Manner::GoesOn => spool(),
    };
    let layers: Vec<AnyLayer> = match format {
        Some(Format::Text) => text(&out, ours, audit),
        Some(Format::Json) => json(&out, ours, audit),
        None => journal(&ours).map_or_else(|| text(&out, ours, audit), |layer| vec![layer]),
    };
    tracing_subscriber::registry().with(layers).init();
    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        tracing::error!("panic at {place}");
    }));
    LastWords(out)
}

/// Of a machine that has no thread to spare, lines are waited for.
fn spool() -> Out {
    let tell = |lost| {
        // Whatever the level: what is missing may have been anything.
        tracing::error!(lines = lost, "{lost} lines were lost, nobody read the log");
    };
    Spool::begin(Box::new(stderr()), stderr().is_terminal(), tell).ok()
}

fn writer(out: &Out, worth: Worth) -> BoxMakeWriter {
    match out {
        Some(spool) => BoxMakeWriter::new(Lines::of(spool, worth)),
        None => BoxMakeWriter::new(stderr),
    }
}

/// Of ordinary lines the target is a place in this program, and says nothing; that of the audit tells it from the rest.
fn text(out: &Out, ours: Targets, audit: Targets) -> Vec<AnyLayer> {
    let colour = stderr().is_terminal();
    let layer = |worth| {
        let layer = fmt::layer().with_writer(writer(out, worth));
        layer.with_ansi(colour)
    };
    let (lines, audits) = (layer(Worth::Line), layer(Worth::Audit));
    vec![
        lines.with_target(false).with_filter(ours).boxed(),
        audits.with_target(true).with_filter(audit).boxed(),
    ]
}

fn json(out: &Out, ours: Targets, audit: Targets) -> Vec<AnyLayer> {
    let layer = |worth| {
        let layer = fmt::layer().with_writer(writer(out, worth)).json();
        layer.flatten_event(true)
    };
    let (lines, audits) = (layer(Worth::Line), layer(Worth::Audit));
    vec![
        lines.with_target(false).with_filter(ours).boxed(),
        audits.with_target(true).with_filter(audit).boxed(),
    ]
}

/// Fields as the journal has them, where stderr is its stream and it can be reached: `SECRETSYNCD_ENTRY=...`, and
/// `TARGET=audit`.
fn journal(ours: &Targets) -> Option<AnyLayer> {
    let stream = std::env::var("JOURNAL_STREAM").ok()?;
    let stderr = fstat(stderr()).ok()?;
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
