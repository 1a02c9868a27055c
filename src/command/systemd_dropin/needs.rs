//! What a configuration reads, writes and asks of the system, and which directive allows it.

use std::path::Path;

use super::accounts;
use super::paths::{CONFIGURATION, inputs, keys, outermost, outputs, programs, units};
use super::place::{self, Place};
use super::text::{self, UNWRITABLE};
use super::{Directive, DropIn, unit};
use crate::config::{AwsBase, Config, Store, ValueSource};

pub(super) fn add(drop_in: &mut DropIn, config: &Config, exists: impl Fn(&Path) -> bool) {
    main_file(drop_in, config);
    state(drop_in, config);
    for (path, whose) in inputs(config) {
        read(drop_in, &path, &whose);
    }
    for (path, whose) in programs(config) {
        run(drop_in, &path, &whose);
    }
    for (directory, whose) in outermost(&outputs(config)) {
        for whose in &whose {
            write(drop_in, directory, whose);
        }
        if place::of(directory) == Place::ReadOnly && !exists(directory) {
            let group = accounts::group_of(config, directory);
            missing(drop_in, directory, group, &whose);
        }
    }
    for (unit, verb, whose) in units(config) {
        drop_in.unit(&unit, verb, &whose);
    }
    accounts::add(drop_in, config);
    environments(drop_in, config);
    stop(drop_in, config);
}

fn main_file(drop_in: &mut DropIn, config: &Config) {
    let Some(path) = config.files.first() else {
        return;
    };
    drop_in.config = text::shown(path);
    if path == Path::new(unit::CONFIG) {
        return;
    }
    match text::word("SECRETSYNCD_CONFIG=", path) {
        Some(word) => {
            let why = format!("not {}, which the unit reads", unit::CONFIG);
            drop_in.set(Directive::Environment, &word, &why, CONFIGURATION);
        }
        None => unwritable(drop_in, CONFIGURATION),
    }
}

/// systemd makes it where it is below /var/lib, and gives it to the service.
fn state(drop_in: &mut DropIn, config: &Config) {
    let directory = &config.daemon.state_dir;
    if place::of(directory) == Place::Granted {
        return;
    }
    let below = directory.strip_prefix("/var/lib").ok();
    let simple =
        |path: &&str| !path.is_empty() && path.split('/').all(|part| text::name(part).is_some());
    match below.and_then(Path::to_str).filter(simple) {
        Some(name) if text::word("", directory).is_some() => {
            let why = "systemd makes it and gives it to the service";
            drop_in.set(Directive::StateDirectory, name, why, "`state_dir`");
        }
        Some(_) | None => write(drop_in, directory, "`state_dir`"),
    }
}

fn write(drop_in: &mut DropIn, directory: &Path, whose: &str) {
    let here = text::shown(directory);
    let instead = format!(
        "write below {} or into a directory of its own",
        unit::RUNTIME_DIRECTORY
    );
    match place::of(directory) {
        Place::Granted => {}
        Place::ReadOnly => match text::word("-", directory) {
            Some(word) => drop_in.set(Directive::ReadWritePaths, &word, "writes there", whose),
            None => unwritable(drop_in, whose),
        },
        Place::PrivateTmp => drop_in.problem(
            format!("{here} is written in a /tmp that only the service sees and that goes when it stops (PrivateTmp=yes)"),
            &instead,
            whose,
        ),
        Place::Home => {
            bind(drop_in, Directive::BindPaths, directory, "writes there", whose);
            drop_in.problem(
                format!("{here} is not there for the service (ProtectHome=yes); the lines below show it this directory alone"),
                &format!("{instead}; else the whole way there must belong to root or {}", unit::USER),
                whose,
            );
        }
        Place::WholeHome => drop_in.problem(
            format!("{here} is not there for the service (ProtectHome=yes), and is too much to open to it"),
            &instead,
            whose,
        ),
        Place::Kernel => drop_in.problem(format!("{here} is no place for files"), &instead, whose),
        Place::Root => drop_in.problem(
            "a file directly in / would need everything to be writable".to_owned(),
            &instead,
            whose,
        ),
    }
}

fn missing(drop_in: &mut DropIn, directory: &Path, group: Option<&str>, whose: &[&str]) {
    let (here, user) = (text::shown(directory), unit::USER);
    let group = group.unwrap_or("GROUP");
    let next_step = if directory.starts_with("/run") {
        format!(
            "make it at every boot: a line `d {here} 2750 {user} {group} -` in /etc/tmpfiles.d/, or RuntimeDirectory= of the unit that reads there; then restart secretsyncd"
        )
    } else {
        format!("make it: install -d -o {user} -m 0700 '{here}'; then restart secretsyncd")
    };
    let fact = format!("{here} is not there yet, and the service may not make it");
    for whose in whose {
        drop_in.problem(fact.clone(), &next_step, whose);
    }
}

fn read(drop_in: &mut DropIn, path: &Path, whose: &str) {
    let here = text::shown(path);
    let (user, is_secret) = (unit::USER, whose != CONFIGURATION);
    let next_step = if is_secret {
        format!("move it to /etc/secretsyncd, owned by {user} and with mode 0400")
    } else {
        format!("move it to /etc/secretsyncd, with group {user} and mode 0640")
    };
    match place::of(path) {
        Place::Granted | Place::Kernel | Place::Root | Place::ReadOnly => {}
        Place::PrivateTmp => drop_in.problem(
            format!(
                "{here} is not there for the service, which has a /tmp of its own (PrivateTmp=yes)"
            ),
            &next_step,
            whose,
        ),
        Place::Home | Place::WholeHome => {
            // The directory, because a file that is replaced is another one; but never a whole home.
            let directory = path.parent().filter(|it| place::of(it) == Place::Home);
            let why = match directory {
                Some(_) => "reads there",
                None => "reads it; when it is replaced, the new one is seen after a restart",
            };
            bind(
                drop_in,
                Directive::BindReadOnlyPaths,
                directory.unwrap_or(path),
                why,
                whose,
            );
            drop_in.problem(
                format!("{here} is not there for the service (ProtectHome=yes); the lines below show it to it, where {} may read it", unit::USER),
                &next_step,
                whose,
            );
        }
    }
}

/// A program is run where it is; what it reads and writes beside that, it needs as we do.
fn run(drop_in: &mut DropIn, program: &Path, whose: &str) {
    let here = text::shown(program);
    let next_step = "install it for everybody, as in /usr/local/bin";
    match place::of(program) {
        Place::Granted | Place::Kernel | Place::Root | Place::ReadOnly => {}
        Place::PrivateTmp => drop_in.problem(
            format!(
                "{here} is not there for the service, which has a /tmp of its own (PrivateTmp=yes)"
            ),
            next_step,
            whose,
        ),
        Place::Home | Place::WholeHome => {
            bind(
                drop_in,
                Directive::BindReadOnlyPaths,
                program,
                "runs it",
                whose,
            );
            drop_in.problem(
                format!("{here} is not there for the service (ProtectHome=yes); the lines below show it to it, and nothing that it needs beside it"),
                next_step,
                whose,
            );
        }
    }
}

fn bind(drop_in: &mut DropIn, directive: Directive, path: &Path, why: &str, whose: &str) {
    match text::bind_word(path) {
        Some(word) => {
            let home = "empty homes but for what is bound below";
            drop_in.set(Directive::ProtectHome, "tmpfs", home, whose);
            drop_in.set(directive, &word, why, whose);
        }
        None => unwritable(drop_in, whose),
    }
}

fn unwritable(drop_in: &mut DropIn, whose: &str) {
    drop_in.problem(UNWRITABLE.to_owned(), "choose a plain path", whose);
}

/// What comes from the service's environment or home, which no directive here should hold.
fn environments(drop_in: &mut DropIn, config: &Config) {
    for (name, store) in &config.stores {
        let spec = match store {
            Store::SecretsManager(spec) | Store::ParameterStore(spec) => spec,
            Store::File(_) => continue,
        };
        let whose = format!("store {name}");
        if keys(spec)
            .iter()
            .any(|it| matches!(it, ValueSource::Env(_)))
        {
            drop_in.problem(
                "a credential comes from the environment, which the service does not have".to_owned(),
                "take it from a file; or name a file of root's, mode 0600, by EnvironmentFile=, never Environment=, which every user may read",
                &whose,
            );
        }
        if matches!(spec.auth.base, AwsBase::Profile(_)) {
            drop_in.problem(
                format!(
                    "its profile is read from {}/.aws, the service's home",
                    unit::STATE_DIRECTORY
                ),
                "put it there, or name another file by Environment=AWS_CONFIG_FILE=",
                &whose,
            );
        }
    }
}

fn stop(drop_in: &mut DropIn, config: &Config) {
    let grace = config.daemon.shutdown_grace.as_secs();
    // The same distance as in the unit.
    let needed = grace.saturating_add(25);
    if needed > unit::TIMEOUT_STOP_SECONDS {
        let why = "systemd must not end what is under way before that";
        drop_in.set(
            Directive::TimeoutStopSec,
            &format!("{needed}s"),
            why,
            "`shutdown_grace`",
        );
    }
}
