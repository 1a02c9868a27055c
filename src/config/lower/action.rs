//! `check` and `on_change` of a file target: checked as far as their shape goes; they have no effect yet.

use super::Lowering;
use super::scalar::duration;
use crate::config::problems::Problem;
use crate::config::tree::Value;

/// A program with its arguments.
pub(super) fn command(value: Value<'_>) -> Option<()> {
    let (name, at, problems) = (value.name, value.at, value.problems());
    let argv = value.strings()?;
    if argv
        .first()
        .is_some_and(|program| program.value.starts_with('/'))
    {
        return Some(());
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

pub(super) fn on_change(cx: &Lowering<'_>, value: Value<'_>) -> Option<()> {
    let mut table = value.table()?;
    let kinds = ["reload_unit", "restart_unit", "signal", "command"];
    if kinds.iter().filter(|key| table.has(key)).count() != 1 {
        cx.problems.push(Problem::absence(
            table.at,
            "`on_change` needs exactly one of `reload_unit`, `restart_unit`, `signal`, `command`",
        ));
    }
    let _ = table.string("reload_unit");
    let _ = table.string("restart_unit");
    if let Some(mut signal) = table.table("signal") {
        if signal.has("unit") == signal.has("pid_file") {
            cx.problems.push(Problem::absence(
                signal.at,
                "`signal` needs either `unit` or `pid_file`",
            ));
        }
        let _ = signal.string("unit");
        let _ = signal.take("pid_file").and_then(|v| cx.path(v));
        let _ = signal.need("signal").and_then(Value::string);
        signal.finish();
    }
    let _ = table.take("command").and_then(command);
    let _ = table.take("timeout").and_then(duration);
    let _ = table.take("debounce").and_then(duration);
    let _ = table.boolean("log_output");
    table.finish();
    Some(())
}
