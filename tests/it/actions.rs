//! What runs when a file has changed, and what has to accept a file before it is in place.

mod checks;
mod durable;
mod killed;
mod signals;
mod troubles;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::daemon::{Home, PATIENCE, wait_content};
use crate::support::secrets_manager::SecretsManager;
use crate::support::wait::{stays_true, wait_until};

/// A shell script of the home; run by the shell, so that the file itself need not be executed.
fn script(home: &Home, name: &str, text: &str) -> String {
    let path = home.write(name, text);
    format!("[\"/bin/sh\", {:?}]", path.display().to_string())
}

/// An entry `name` that reads `prod/name` into `targets/name`, with more lines for the file.
fn entry(home: &Home, name: &str, more: &str) -> String {
    format!(
        "[secrets.{name}]
store = \"prod\"
refresh_interval = \"10s\"
data = [{{ secret_key = \"value\", remote_ref = {{ key = \"prod/{name}\" }} }}]
[[secrets.{name}.file]]
path = {path}
key = \"value\"
{more}
",
        path = home.quoted(&format!("targets/{name}")),
    )
}

/// An action that adds a line to `ran`, whatever it runs for.
fn counting(home: &Home, more: &str) -> String {
    let ran = home.path("ran").display().to_string();
    let argv = script(home, "count.sh", &format!("echo run >> {ran}\n"));
    format!("on_change = {{ command = {argv}, debounce = \"200ms\"{more} }}")
}

/// The processes that wrote their numbers to a file, which nobody would end otherwise.
struct Strays<'a>(&'a Home, &'static str);

impl Drop for Strays<'_> {
    fn drop(&mut self) {
        let numbers = self.0.read_text(self.1).unwrap_or_default();
        let numbers = numbers.split_whitespace();
        for pid in numbers.filter_map(|it| Pid::from_raw(it.parse().ok()?)) {
            // It may have ended.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

fn runs(home: &Home) -> usize {
    home.read_text("ran").unwrap_or_default().lines().count()
}

fn wait_runs(home: &Home, count: usize) {
    wait_until(PATIENCE, "the action", || runs(home) >= count);
    assert_eq!(runs(home), count);
}

/// Of this family, of commands.
fn counted(metrics: &crate::support::prometheus::Metrics, name: &str, result: &str) -> f64 {
    metrics.value(name, &[("kind", "command"), ("result", result)])
}

#[test]
fn a_command_runs_once_after_a_change_with_its_environment_and_nothing_else() {
    let (aws, mut home) = (SecretsManager::start(), Home::new());
    home.set_env("PATH", "/usr/bin:/bin");
    aws.put("prod/app", "MARKER-value");
    let said = home.path("said").display().to_string();
    let argv = script(
        &home,
        "say.sh",
        &format!(
            "{{ env; for it in /proc/$$/fd/*; do readlink $it; done; pwd; cat {}; }} > {said}.new && mv {said}.new {said}\necho run >> {said}.count\n",
            home.path("targets/app").display()
        ),
    );
    let more = format!("on_change = {{ command = {argv}, debounce = \"100ms\" }}");
    home.configure(&(aws.store("prod") + &entry(&home, "app", &more)));
    let daemon = home.start_ready();
    wait_until(PATIENCE, "the action", || home.read("said").is_some());
    let text = home.read_text("said").unwrap();
    let path = home.path("targets/app").display().to_string();
    for line in [
        "SECRETSYNCD_ENTRY=app".to_owned(),
        format!("SECRETSYNCD_TARGET={path}"),
        format!("SECRETSYNCD_PATH={path}"),
        "LANG=C.UTF-8".to_owned(),
    ] {
        assert!(text.lines().any(|it| it == line), "{line}: {text}");
    }
    let known = ["HOME", "PATH", "LANG", "PWD", "OLDPWD", "SHLVL", "_"];
    let names = text
        .lines()
        .filter_map(|line| Some(line.split_once('=')?.0));
    for name in names.filter(|name| !name.starts_with("SECRETSYNCD_")) {
        assert!(known.contains(&name), "{name}: {text}");
    }
    let lines: Vec<&str> = text.lines().collect();
    let ours = ["socket:", "anon_inode:", "/state/"];
    let leaked = |line: &&&str| ours.iter().any(|it| line.contains(it));
    assert_eq!(lines.iter().find(leaked), None, "a descriptor: {text}");
    assert!(lines.contains(&"/dev/null"), "{text}");
    assert!(lines.contains(&"/"), "{text}");
    assert_eq!(
        lines.last(),
        Some(&"MARKER-value"),
        "it is in place by then"
    );
    assert_eq!(text.matches("MARKER").count(), 1, "{text}");
    let once = || home.read_text("said.count").unwrap_or_default() == "run\n";
    stays_true(Duration::from_secs(1), "it ran once", once);
    assert!(
        (counted(&daemon.metrics(), "secretsyncd_actions_total", "succeeded") - 1.0).abs() < 0.1
    );
    daemon.stop();
}

#[test]
fn forty_entries_make_one_run_that_knows_them_all() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    let said = home.path("said").display().to_string();
    let argv = script(
        &home,
        "say.sh",
        &format!(
            "printf '%s\\n' \"$SECRETSYNCD_ENTRY\" > {said}; printf '%s\\n' \"$SECRETSYNCD_PATH\" > {said}.paths; echo run >> {}\n",
            home.path("ran").display()
        ),
    );
    let more = format!("on_change = {{ command = {argv}, debounce = \"1s\" }}");
    let entries = (0..40).map(|n| {
        aws.put(&format!("prod/e{n}"), "one");
        entry(&home, &format!("e{n}"), &more)
    });
    home.configure(&(aws.store("prod") + &entries.collect::<String>()));
    let daemon = home.start_ready();
    wait_runs(&home, 1);
    let names = home.read_text("said").unwrap();
    assert_eq!(names.lines().count(), 40, "{names}");
    let paths = home.read_text("said.paths").unwrap();
    for (name, path) in names.lines().zip(paths.lines()) {
        assert!(
            path.ends_with(&format!("/targets/{name}")),
            "{name}: {path}"
        );
    }
    for n in 0..40 {
        aws.put(&format!("prod/e{n}"), "two");
    }
    let synced = home.finish(&["sync", "--all"]);
    assert_eq!(synced.code, Some(0), "{}", synced.stderr);
    wait_runs(&home, 2);
    stays_true(Duration::from_secs(2), "one for all", || runs(&home) == 2);
    let audit = daemon.output();
    let lines = audit
        .lines()
        .filter(|line| line.contains("audit") && line.contains("/bin/sh"));
    assert_eq!(lines.count(), 2, "{audit}");
    daemon.stop();
}

#[test]
fn what_changes_no_byte_runs_nothing_and_a_repair_runs_it() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    aws.put("prod/app", "one");
    home.configure(&(aws.store("prod") + &entry(&home, "app", &counting(&home, ""))));
    let daemon = home.start_ready();
    wait_runs(&home, 1);
    daemon.stop();
    // Another mode, and a plain restart.
    let more = counting(&home, "") + "\nmode = \"0640\"";
    home.configure(&(aws.store("prod") + &entry(&home, "app", &more)));
    let daemon = home.start_ready();
    stays_true(Duration::from_secs(2), "nothing ran", || runs(&home) == 1);
    daemon.stop();
    // A fresh file with the same bytes: the old one has a second name.
    fs::hard_link(home.path("targets/app"), home.path("second")).unwrap();
    let daemon = home.start_ready();
    let links = || fs::metadata(home.path("targets/app")).unwrap().nlink();
    wait_until(PATIENCE, "a file with one name", || links() == 1);
    stays_true(Duration::from_secs(1), "nothing ran", || runs(&home) == 1);
    daemon.stop();
    fs::write(home.path("targets/app"), "somebody else's").unwrap();
    let daemon = home.start_ready();
    wait_content(&home, "targets/app", "one");
    wait_runs(&home, 2);
    daemon.stop();
    let daemon = home.start_ready();
    stays_true(Duration::from_secs(2), "nothing ran", || runs(&home) == 2);
    daemon.stop();
}

#[test]
fn once_runs_what_is_due_and_its_exit_code_tells() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    aws.put("prod/app", "one");
    let configure = |more: &str| {
        home.configure(&(aws.store("prod") + &entry(&home, "app", more)));
    };
    configure("on_change = { command = [\"/bin/false\"] }");
    let failed = home.once(&[]);
    assert_eq!(failed.code, Some(1), "{}", failed.stdout);
    assert!(
        failed
            .stdout
            .contains("command /bin/false ended with exit code 1 (action)"),
        "{}",
        failed.stdout
    );
    assert_eq!(home.read_text("targets/app").unwrap(), "one");
    // What failed is not forgotten, though nothing changed since.
    configure(&counting(&home, ""));
    assert_eq!(home.once(&[]).code, Some(0));
    assert_eq!(runs(&home), 1);
    assert_eq!(home.once(&[]).code, Some(0));
    assert_eq!(runs(&home), 1);
}
