//! What is written, and what is done when it was.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use super::told::{Table, Told};
use crate::account::Account;
use crate::config::{
    Action, Argv, Check, CreationPolicy, DeletionPolicy, Dialect, DriftPolicy, FileFormat,
    FileTarget, KubernetesTarget, OnChange, Selection, Signal, SignalTo, Target,
};

pub(super) fn target(target: &Target) -> Told {
    match target {
        Target::Kubernetes(it) => {
            let namespace = Told::text(it.namespace.as_str());
            let table = Table::default().with("namespace", namespace);
            Table::default()
                .with("kubernetes", secret(table, it))
                .told()
        }
        Target::File(it) => Table::default().with("file", file(it)).told(),
    }
}

pub(super) fn selection(selection: &Selection) -> Told {
    let selector = Told::text(selection.selector.to_string());
    // Its namespace means nothing.
    let table = Table::default().with("selector", selector);
    secret(table, selection.like())
}

fn secret(table: Table, secret: &KubernetesTarget) -> Told {
    let KubernetesTarget {
        cluster,
        namespace: _,
        name,
        secret_type,
        labels,
        annotations,
        creation_policy,
        deletion_policy,
        immutable,
        adopt,
        drift,
        restart,
    } = secret;
    let secret_type = Some(secret_type).filter(|it| &***it != "Opaque");
    let creation = match creation_policy {
        CreationPolicy::Owner => None,
        CreationPolicy::Orphan => Some("orphan"),
        CreationPolicy::Merge => Some("merge"),
        CreationPolicy::CreateOrMerge => Some("create_or_merge"),
    };
    let drift = match drift {
        DriftPolicy::Refresh => None,
        DriftPolicy::Watch => Some("watch"),
    };
    let restart = restart.iter().map(|it| Told::text(it.to_string()));
    table
        .with("cluster", Told::text(cluster.as_str()))
        .with("name", Told::text(name.as_str()))
        .may("type", secret_type.map(|it| Told::text(&**it)))
        .some("labels", metadata(labels))
        .some("annotations", metadata(annotations))
        .may("creation_policy", creation.map(Told::word))
        .may("deletion_policy", deletion(*deletion_policy))
        .flag("immutable", *immutable)
        .flag("adopt", *adopt)
        .may("drift", drift.map(Told::word))
        .some("restart", Told::list(restart))
        .told()
}

fn metadata<K: Borrow<str>, V: Borrow<str>>(all: &BTreeMap<K, V>) -> Told {
    let all = all.iter();
    Told::map(all.map(|(key, it)| (Told::text(key.borrow()), Told::text(it.borrow()))))
}

fn deletion(policy: DeletionPolicy) -> Option<Told> {
    let word = match policy {
        DeletionPolicy::Retain => None,
        DeletionPolicy::Merge => Some("merge"),
        DeletionPolicy::Delete => Some("delete"),
    };
    word.map(Told::word)
}

fn file(file: &FileTarget) -> Told {
    let FileTarget {
        path,
        format,
        mode,
        dir_mode,
        owner,
        group,
        adopt,
        deletion_policy,
        check,
        on_change,
    } = file;
    let mode = Some(*mode).filter(|mode| *mode != 0o600);
    let dir_mode = Some(*dir_mode).filter(|mode| *mode != 0o700);
    Table::default()
        .with("path", Told::path(path))
        .with("format", self::format(format))
        .may("mode", mode.map(Told::number))
        .may("dir_mode", dir_mode.map(Told::number))
        .may("owner", owner.as_ref().map(account))
        .may("group", group.as_ref().map(account))
        .flag("adopt", *adopt)
        .may("deletion_policy", deletion(*deletion_policy))
        .may("check", check.as_ref().map(self::check))
        .may("on_change", on_change.as_ref().map(self::on_change))
        .told()
}

fn format(format: &FileFormat) -> Told {
    match format {
        FileFormat::Raw { key } => Table::default()
            .with("raw", Told::text(key.as_str()))
            .told(),
        FileFormat::Dotenv(Dialect::Shell) => Told::word("dotenv"),
        FileFormat::Dotenv(Dialect::Docker) => Told::word("docker"),
        FileFormat::Json => Told::word("json"),
        FileFormat::Yaml => Told::word("yaml"),
        FileFormat::Properties => Told::word("properties"),
        FileFormat::Directory => Told::word("directory"),
    }
}

fn account(account: &Account) -> Told {
    match account {
        Account::Number(number) => Told::number(*number),
        Account::Name(name) => Told::text(&**name),
    }
}

fn argv(argv: &Argv) -> Told {
    let Argv { program, arguments } = argv;
    let arguments = arguments.iter().map(Told::text);
    Told::list([Told::path(program)].into_iter().chain(arguments))
}

fn check(check: &Check) -> Told {
    let Check {
        argv: command,
        log_output,
    } = check;
    Table::default()
        .with("argv", argv(command))
        .flag("log_output", *log_output)
        .told()
}

fn on_change(on_change: &OnChange) -> Told {
    let OnChange {
        action,
        timeout,
        debounce,
        log_output,
    } = on_change;
    let timeout = Some(timeout.as_nanos()).filter(|it| *it != 30_000_000_000);
    let debounce = Some(debounce.as_nanos()).filter(|it| *it != 2_000_000_000);
    let table = Table::default();
    match action {
        Action::ReloadUnit(unit) => table.with("reload_unit", Told::text(unit.as_str())),
        Action::RestartUnit(unit) => table.with("restart_unit", Told::text(unit.as_str())),
        Action::Signal(to, signal) => table.with("signal", self::signal(to, *signal)),
        Action::Command(command) => table.with("command", argv(command)),
    }
    .may("timeout", timeout.map(Told::number))
    .may("debounce", debounce.map(Told::number))
    .flag("log_output", *log_output)
    .told()
}

fn signal(to: &SignalTo, signal: Signal) -> Told {
    let table = Table::default();
    match to {
        SignalTo::Unit(unit) => table.with("unit", Told::text(unit.as_str())),
        SignalTo::PidFile(path) => table.with("pid_file", Told::path(path)),
    }
    .with("signal", Told::word(signal.as_str()))
    .told()
}
