//! `adopt`: what others wrote where entries are to deliver, and taking it over.
//!
//! A look reads sources and targets as `plan` does, and writes nothing. Files are taken over by the daemon, where one
//! runs: what it finds is recorded in its state. Secrets are taken over right here: what becomes of one is written on it.

mod files;
mod secrets;
mod words;

use std::path::Path;
use std::process::ExitCode;

use self::words::after;
use super::plan::list;
use super::table::{self, Columns, Paint, Sheet};
use super::{FAILED, USAGE, load, print, show};
use crate::cli::Adopt;
use crate::config::Config;
use crate::control::{self, Which};
use crate::daemon;
use crate::names::EntryName;
use crate::status::EntryStatus;

const NO_DAEMON: &str = "note: no daemon answers here, so nothing was delivered; the next run delivers to what is ours now";

pub(super) async fn run(path: &Path, wish: &Adopt) -> ExitCode {
    let config = match load(path) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let done = if wish.apply {
        Box::pin(apply(config, wish)).await
    } else {
        Box::pin(look(config, wish)).await
    };
    done.unwrap_or_else(|code| code)
}

/// What would be taken over.
async fn look(config: Config, wish: &Adopt) -> Result<ExitCode, ExitCode> {
    let files = files::Chosen::of(config.clone(), &wish.names);
    let mut hands = secrets::begin(config, wish).await?;
    known(&files.unknown, &hands.unknown)?;
    hands.hands.look(secrets::how(wish)).await;
    let mut rows = files::look(files).await?;
    rows.retain(list::Row::is_of_note);
    rows.extend(words::rows(&hands.hands));
    rows.extend(hands.unfollowed.iter().filter_map(list::of_selector));
    // What is suspended is not taken over: whoever named it is told so.
    let left = |row: &list::Row| row.is_bad() || (!wish.names.is_empty() && row.is_suspended());
    let code = if rows.iter().any(left) { FAILED } else { 0 };
    let text = list::text(&rows, Paint::for_stdout()) + &words::insights(&hands.hands);
    Ok(print(&text, code))
}

/// Takes it over and delivers.
async fn apply(config: Config, wish: &Adopt) -> Result<ExitCode, ExitCode> {
    let socket = config.daemon.control_socket.clone();
    let chosen = files::Chosen::of(config.clone(), &wish.names);
    let mut begun = secrets::begin(config.clone(), wish).await?;
    known(&chosen.unknown, &begun.unknown)?;
    let mut done = files::apply(&config, chosen).await;
    let files = !done.taken.is_empty();
    let hands = &mut begun.hands;
    hands
        .take(secrets::how(wish), |pause| {
            words::pause(pause, wish.quiet.watch);
        })
        .await;
    done.errors += &words::unfollowed(&begun.unfollowed);
    done.errors += &after::refused(hands);
    done.taken.extend(secrets::to_deliver(hands));
    done.taken.dedup();
    show(&done.errors);
    let nothing = done.said.is_empty() && done.errors.is_empty() && done.taken.is_empty();
    let mut well = done.errors.is_empty();
    let delivered = match &done.taken[..] {
        [] => Vec::new(),
        taken => {
            let delivered = delivered(config, &socket, (taken, files)).await;
            match delivered {
                Ok(Some(entries)) => entries,
                Ok(None) => {
                    show(NO_DAEMON);
                    Vec::new()
                }
                // What was taken over stays so, and the next run delivers it.
                Err(why) => {
                    well = false;
                    show(&format!(
                        "error: what was taken over was not delivered to: {why}\n  help: it stays ours; the next run of the \
                         daemon delivers to it"
                    ));
                    Vec::new()
                }
            }
        }
    };
    let farewells = secrets::verify(hands, wish.quiet.watch).await;
    let returned = after::returned(hands);
    show(&returned);
    well &= returned.is_empty() && table::is_well(&delivered);
    let mut told = done.said + &after::taken(hands) + &after::suspended(hands);
    if nothing && told.is_empty() {
        told.push_str("nothing is to be taken over\n");
    }
    told += &outcome(delivered, &secrets::lost(hands));
    Ok(print(&(told + &farewells), if well { 0 } else { FAILED }))
}

/// By the daemon, where one runs. Without one, only where files were taken over: Secrets are adopted from other machines,
/// too, and the entry's files would be written there.
async fn delivered(
    config: Config,
    socket: &Path,
    (taken, files): (&[EntryName], bool),
) -> Result<Option<Vec<EntryStatus>>, String> {
    let which = Which::Names(taken.iter().map(ToString::to_string).collect());
    match control::sync(socket, which, |_| {}).await {
        Ok(entries) => Ok(Some(entries)),
        Err(control::NotAsked::NoDaemon(_)) if files => {
            let done = Box::pin(daemon::once(config, taken, |_| {})).await;
            done.map(|done| Some(done.entries))
                .map_err(|stopped| stopped.to_string())
        }
        Err(control::NotAsked::NoDaemon(_)) => Ok(None),
        Err(why) => Err(why.to_string()),
    }
}

fn outcome(mut entries: Vec<EntryStatus>, lost: &[&EntryName]) -> String {
    entries.retain(|entry| lost.iter().all(|lost| lost.as_str() != entry.name.as_str()));
    if entries.is_empty() {
        return String::new();
    }
    table::worst_first(&mut entries);
    table::table(&entries, Columns::Outcome, Sheet::for_stdout())
}

/// Names that neither files nor Secrets go by.
fn known(files: &[String], secrets: &[String]) -> Result<(), ExitCode> {
    let unknown = files.iter().filter(|name| secrets.contains(name));
    let lines = unknown.map(|name| {
        format!(
            "error: there is no entry and no target `{name}`\n  help: `secretsyncd plan` lists both, each target as it is \
             named here\n"
        )
    });
    let lines = lines.collect::<Vec<_>>().concat();
    if lines.is_empty() {
        return Ok(());
    }
    show(&lines);
    Err(ExitCode::from(USAGE))
}

fn failed(why: &str) -> ExitCode {
    show(&format!("error: {why}"));
    ExitCode::from(FAILED)
}

fn refusal((target, entry): (&str, &str), (message, help): (&str, &str)) -> String {
    format!("error: {target}, for {entry}: {message}\n  help: {help}\n")
}
