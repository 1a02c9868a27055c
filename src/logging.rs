//! Logs on stderr: ours at the level asked for, those of libraries not at all.
//!
//! Libraries quote what they carry even at `warn`: the SDK prints whole HTTP bodies of credential services and lines of
//! credential files (measured). What matters of theirs comes back as an error and is said in our words. The panic hook
//! names the place and never the payload, which may hold a value.

use std::io::IsTerminal as _;

use clap::ValueEnum;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

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

/// Installs the subscriber and the panic hook. To be called once.
pub fn init(format: Format, level: Level) {
    let filter = Targets::new()
        .with_default(LevelFilter::OFF)
        .with_target("secretsyncd", LevelFilter::from(level));
    let registry = tracing_subscriber::registry().with(filter);
    let layer = fmt::layer().with_writer(std::io::stderr);
    match format {
        Format::Text => {
            let colour = std::io::stderr().is_terminal();
            registry
                .with(layer.with_ansi(colour).with_target(false))
                .init();
        }
        Format::Json => {
            // Fields are flat, and one of them may be called `target`.
            let layer = layer.json().flatten_event(true).with_target(false);
            registry.with(layer).init();
        }
    }
    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        tracing::error!("panic at {place}");
    }));
}
