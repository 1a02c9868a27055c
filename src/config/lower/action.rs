//! `check` and `on_change` of a file target.

use std::path::{Path, PathBuf};

use super::Lowering;
use super::scalar::duration;
use crate::config::problems::Problem;
use crate::config::tree::{Table, Value};
use crate::config::{Action, Argv, OnChange, STAGED, Signal, SignalTo};
use crate::names::UnitName;

/// The unit that we are shipped as.
const OURSELVES: &str = "secretsyncd.service";

/// A program with its arguments.
fn command(cx: &Lowering<'_>, value: Value<'_>) -> Option<Argv> {
    let (name, at, problems) = (value.name, value.at, value.problems());
    let argv = value.strings()?;
    if let Some(argument) = argv.iter().find(|it| it.value.contains('\0')) {
        problems.error(
            argument.at,
            format!("`{name}` cannot have a zero byte in it"),
        );
        return None;
    }
    let mut texts = argv.iter().map(|it| it.value);
    if let Some(program) = texts.next().filter(|program| program.starts_with('/')) {
        cx.check_program(Path::new(program), at);
        return Some(Argv {
            program: PathBuf::from(program),
            arguments: texts.map(str::to_owned).collect(),
        });
    }
    problems.push(
        Problem::error(
            at,
            format!("`{name}` must begin with the absolute path of a program"),
        )
        .help("no shell is involved: [\"/usr/bin/program\", \"argument\"]"),
    );
    None
}

/// A program that looks at the file before it is in place, so it has to be told which.
pub(super) fn check(cx: &Lowering<'_>, value: Value<'_>) -> Option<Argv> {
    let (at, problems) = (value.at, value.problems());
    let argv = command(cx, value)?;
    if argv.arguments.iter().any(|it| it.contains(STAGED)) {
        return Some(argv);
    }
    problems.push(
        Problem::error(at, "`check` needs `{path}` among its arguments")
            .help("it stands for the new file, which is not in its place yet"),
    );
    None
}

pub(super) fn on_change(cx: &Lowering<'_>, value: Value<'_>) -> Option<OnChange> {
    let mut table = value.table()?;
    let kinds = ["reload_unit", "restart_unit", "signal", "command"];
    let one = kinds.iter().filter(|key| table.has(key)).count() == 1;
    if !one {
        cx.problems.push(Problem::absence(
            table.at,
            "`on_change` needs exactly one of `reload_unit`, `restart_unit`, `signal`, `command`",
        ));
    }
    let reload = table.take("reload_unit").and_then(|it| unit(cx, it));
    let restart = table.take("restart_unit").and_then(|it| restart(cx, it));
    let signal = table.table("signal").and_then(|it| signal(cx, it));
    let command = table.take("command").and_then(|it| command(cx, it));
    let timeout = table.take("timeout").map(duration);
    let debounce = table.take("debounce").map(duration);
    let log_output = table.boolean("log_output").is_some_and(|it| it.value);
    table.finish();
    let action = reload
        .map(Action::ReloadUnit)
        .or(restart.map(Action::RestartUnit))
        .or(signal)
        .or(command.map(Action::Command));
    Some(OnChange {
        action: action.filter(|_| one)?,
        timeout: timeout.map_or(Some(OnChange::TIMEOUT), |it| it.map(|it| it.value))?,
        debounce: debounce.map_or(Some(OnChange::DEBOUNCE), |it| it.map(|it| it.value))?,
        log_output,
    })
}

/// As `systemctl` reads it: a name without a type is that of a service.
fn unit(cx: &Lowering<'_>, value: Value<'_>) -> Option<UnitName> {
    let name = value.name;
    let text = value.string()?;
    let service = format!("{}.service", text.value);
    if !UnitName::has_type(text.value)
        && let Ok(unit) = UnitName::new(service)
    {
        return Some(unit);
    }
    let unit = cx.name(&format!("`{name}`"), text, UnitName::new)?;
    Some(unit.value)
}

/// What it would restart must not be what waits for it: it would begin again with every start.
fn restart(cx: &Lowering<'_>, value: Value<'_>) -> Option<UnitName> {
    let at = value.at;
    let unit = unit(cx, value)?;
    if unit.as_str() != OURSELVES {
        return Some(unit);
    }
    cx.problems.error(
        at,
        "`restart_unit` would end secretsyncd before it knows that the action was done, again and again",
    );
    None
}

fn signal(cx: &Lowering<'_>, mut table: Table<'_>) -> Option<Action> {
    let one = table.has("unit") != table.has("pid_file");
    if !one {
        cx.problems.push(Problem::absence(
            table.at,
            "`signal` needs either `unit` or `pid_file`",
        ));
    }
    let unit = table.take("unit").and_then(|it| unit(cx, it));
    let pid_file = table.take("pid_file").and_then(|it| cx.path(it));
    let signal = table.need("signal").and_then(Value::string);
    table.finish();
    let to = unit
        .map(SignalTo::Unit)
        .or(pid_file.map(|path| SignalTo::PidFile(path.value)));
    let text = signal?;
    let signal = Signal::parse(text.value);
    if signal.is_none() {
        let names: Vec<_> = Signal::ALL.iter().map(|(name, _)| *name).collect();
        cx.problems.push(
            Problem::error(text.at, "`signal` must be the name of a signal")
                .help(format!("one of {}", names.join(", "))),
        );
    }
    Some(Action::Signal(to.filter(|_| one)?, signal?))
}
