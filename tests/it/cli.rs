//! The commands as their users meet them: exit codes, positions of mistakes, signals, and the shipped files.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::daemon::{Home, PATIENCE, bare_command, finish, wait_content};
use crate::support::kubernetes::Kubernetes;
use crate::support::secrets_manager::{Fault, SecretsManager};
use crate::support::wait::wait_until;

const EIGHT_MISTAKES: &str = include_str!("data/eight-mistakes.toml");

/// The entry `db`: `prod/db` as it is, in `targets/db`.
fn config(aws: &SecretsManager, home: &Home) -> String {
    format!(
        "{store}[secrets.db]
store = \"prod\"
refresh_interval = \"10s\"
data = [{{ secret_key = \"value\", remote_ref = {{ key = \"prod/db\" }} }}]
[[secrets.db.file]]
path = {path}
key = \"value\"
",
        store = aws.store("prod"),
        path = home.quoted("targets/db"),
    )
}

#[test]
fn check_says_yes_or_no_and_calls_nobody() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    home.configure(&config(&aws, &home));
    let done = home.check();
    assert_eq!(done.code, Some(0), "{done:?}");
    home.configure(&config(&aws, &home).replace("store = \"prod\"", "store = \"prdo\""));
    let done = home.check();
    assert_eq!(done.code, Some(78));
    assert!(
        done.stderr.contains("did you mean `prod`"),
        "{}",
        done.stderr
    );
    assert!(aws.log().0.is_empty());
}

#[test]
fn all_of_eight_mistakes_are_reported_with_their_places() {
    let home = Home::new();
    home.configure_whole(EIGHT_MISTAKES);
    for command in ["check", "run", "once"] {
        let done = home.finish(&[command]);
        assert_eq!(done.code, Some(78), "{command}");
        for wrong in [
            "lisen", "\"1d\"", "= 5", "profil ", "= 7", "prdo", "= 300", "0999",
        ] {
            let line = EIGHT_MISTAKES
                .lines()
                .position(|line| line.contains(wrong))
                .unwrap()
                + 1;
            let place = format!("secretsyncd.toml:{line}:");
            assert!(
                done.stderr.contains(&place),
                "{command} misses {wrong} at {place}\n{}",
                done.stderr
            );
        }
        assert!(done.stderr.contains("did you mean"), "{}", done.stderr);
        if command == "check" {
            insta::assert_snapshot!("eight_mistakes", without_place(&done.stderr, &home));
        }
    }
}

/// The same text wherever the test runs.
fn without_place(text: &str, home: &Home) -> String {
    text.replace(&home.path("").display().to_string(), "HOME/")
}

#[test]
fn a_missing_configuration_is_a_bad_one() {
    let home = Home::new();
    for command in ["check", "run", "status"] {
        let done = home.finish(&[command]);
        assert_eq!(done.code, Some(78));
        assert!(
            done.stderr.contains("write the configuration there"),
            "{done:?}"
        );
    }
}

#[test]
fn usage_errors_exit_64() {
    let home = Home::new();
    for arguments in [&["no-such-command"][..], &["check", "--no-such-flag"], &[]] {
        assert_eq!(home.finish(arguments).code, Some(64), "{arguments:?}");
    }
}

#[test]
fn help_and_version_are_data() {
    for argument in ["--help", "--version"] {
        let mut command = bare_command();
        command.arg(argument);
        let done = finish(command);
        assert_eq!(
            (done.code, done.stderr.as_str()),
            (Some(0), ""),
            "{argument}"
        );
        if argument == "--help" {
            insta::assert_snapshot!("help", done.stdout);
        } else {
            let version = concat!("secretsyncd ", env!("CARGO_PKG_VERSION"));
            assert!(done.stdout.starts_with(version), "{}", done.stdout);
        }
    }
}

#[test]
fn once_tells_what_became_of_each_entry() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    aws.put("prod/db", "value");
    let second = format!(
        "[secrets.missing]\nstore = \"prod\"\ndata = [{{ secret_key = \"v\", remote_ref = {{ key = \"no/such\" }} }}]\n[[secrets.missing.file]]\npath = {}\nkey = \"v\"\n",
        home.quoted("targets/missing")
    );
    home.configure(&(config(&aws, &home) + &second));
    let done = home.once(&[]);
    assert_eq!(done.code, Some(1), "{done:?}");
    let entries: Vec<&str> = done
        .stdout
        .lines()
        .filter(|line| !line.starts_with(' '))
        .collect();
    assert_eq!(entries.len(), 2, "{}", done.stdout);
    assert!(entries[0].starts_with("db ") && entries[0].contains("fresh"));
    assert!(entries[1].starts_with("missing ") && entries[1].contains("failing"));
    insta::assert_snapshot!("once", without_place(&done.stdout, &home));
    let done = home.once(&["db"]);
    assert_eq!(
        (done.code, done.stdout.lines().count()),
        (Some(0), 1),
        "{done:?}"
    );
}

/// Bug: which of the stores it was had to be guessed. The path is not repeated: it may be a value typed in its place.
#[test]
fn a_misspelt_path_of_a_file_store_is_told_with_the_store() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    let store = "[stores.prod.file]\npath = \"hunter2.toml\"\n";
    home.configure(&config(&aws, &home).replace(&aws.store("prod"), store));
    let done = home.once(&[]);
    assert_eq!(done.code, Some(1), "{done:?}");
    let said = "the file that `path` of store `prod` names does not exist (io)";
    assert!(done.stdout.contains(said), "{done:?}");
    assert!(!(done.stdout + &done.stderr).contains("hunter2"));
}

#[test]
fn once_beside_a_daemon_gives_way() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    aws.put("prod/db", "value");
    home.configure(&config(&aws, &home));
    let daemon = home.start_ready();
    let done = home.once(&[]);
    assert_eq!(done.code, Some(75), "{done:?}");
    assert!(done.stderr.contains("stop it first"), "{}", done.stderr);
    assert!(done.stderr.contains("sync --all"), "{}", done.stderr);
    let second = home.finish(&["run"]);
    assert_eq!(second.code, Some(1), "a second daemon: {second:?}");
    assert_eq!(daemon.stop(), Some(0));
    assert_eq!(home.once(&[]).code, Some(0));
}

#[test]
fn signals_end_it_with_0_within_the_grace() {
    for signal in [Signal::TERM, Signal::INT] {
        let (aws, home) = (SecretsManager::start(), Home::new());
        aws.put("prod/db", "value");
        aws.fail_all(Fault::Hang);
        home.configure(&config(&aws, &home));
        let mut daemon = home.start();
        wait_until(PATIENCE, "a read under way", || !aws.log().0.is_empty());
        let start = Instant::now();
        daemon.signal(signal);
        assert_eq!(daemon.wait_exit(PATIENCE), Some(0));
        let took = start.elapsed();
        assert!(
            took < Duration::from_secs(8),
            "the grace is 5 s, it took {took:?}"
        );
        assert!(home.read("targets/db").is_none());
    }
}

#[test]
fn pages_answer_what_they_promise() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    aws.put("prod/db", "value");
    home.configure(&config(&aws, &home));
    let daemon = home.start_ready();
    assert!(daemon.page("/healthz").len() < 1000);
    let status = daemon.wait_state("db", "fresh");
    assert_eq!(status.0["instance"], "default");
    let entry = &status.0["entries"][0];
    assert_eq!(entry["store"], "prod");
    assert_eq!(entry["targets"][0]["kind"], "file");
    assert_eq!(
        entry["targets"][0]["target"],
        home.path("targets/db").display().to_string()
    );
    assert_eq!(entry["targets"][0]["state"], "fresh");
    for time in ["last_success", "next_sync"] {
        let text = entry[time].as_str().unwrap();
        assert!(text.parse::<jiff::Timestamp>().is_ok(), "{time}: {text}");
    }
    assert!(entry["error"].is_null());
    let metrics = daemon.metrics();
    let state = [("secret", "db"), ("state", "fresh")];
    assert!(metrics.value("secretsyncd_secret_state", &state) > 0.0);
    assert!(
        metrics.value(
            "secretsyncd_last_success_timestamp_seconds",
            &[("secret", "db")]
        ) > 1.7e9
    );
    daemon.wait_success_after("db", status.entry("db").last_success().unwrap());
}

/// The whole page, so that no name, label or help text changes unseen. Only numbers are taken out.
#[test]
fn the_metrics_page() {
    let (aws, kubernetes, home) = (SecretsManager::start(), Kubernetes::start(), Home::new());
    aws.put("prod/db", "value");
    let target = "[[secrets.db.kubernetes]]\ncluster = \"main\"\nnamespace = \"app\"\n";
    home.configure(
        &[
            kubernetes.cluster("main"),
            config(&aws, &home),
            target.to_owned(),
        ]
        .concat(),
    );
    let daemon = home.start_ready();
    daemon.wait_state("db", "fresh");
    let page: Vec<String> = daemon
        .page("/metrics")
        .lines()
        .map(without_number)
        .collect();
    insta::assert_snapshot!("metrics", page.join("\n"));
}

fn without_number(line: &str) -> String {
    match line.rsplit_once(' ') {
        Some((series, _)) if !line.starts_with('#') => format!("{series} N"),
        _ => line.to_owned(),
    }
}

#[test]
fn every_shipped_configuration_passes_check() {
    let home = Home::new();
    let files = copy_config(&home);
    assert!(
        files.iter().any(|file| file.ends_with("quickstart.toml")),
        "{files:?}"
    );
    for file in files {
        let mut command = bare_command();
        command
            .env("HOME", home.path(""))
            .arg("check")
            .arg("--config")
            .arg(&file);
        let done = finish(command);
        assert_eq!(done.code, Some(0), "{}: {}", file.display(), done.stderr);
    }
}

#[test]
fn the_quickstart_does_the_main_job() {
    let mut home = Home::new();
    copy_config(&home);
    let file = "config/quickstart.toml";
    let listen = format!("listen = \"127.0.0.1:{}\"", home.port());
    home.write(file, with_listen(&home.read_text(file).unwrap(), &listen));
    home.use_config(file);
    let daemon = home.start_ready();
    let status = daemon.status();
    assert!(!status.states().is_empty());
    for name in status.0["entries"].as_array().unwrap() {
        daemon.wait_state(name["name"].as_str().unwrap(), "fresh");
    }
    assert_eq!(daemon.stop(), Some(0));
    let delivered = files_below(&home.path("target/quickstart"));
    let targets: Vec<_> = delivered.iter().filter(|file| !is_state(file)).collect();
    assert!(!targets.is_empty(), "nothing was delivered: {delivered:?}");
    for target in targets {
        assert!(
            fs::metadata(target).unwrap().len() > 0,
            "{} is empty",
            target.display()
        );
    }
}

/// State files are told from targets by their directory's name.
fn is_state(file: &Path) -> bool {
    file.components()
        .any(|part| part.as_os_str().to_string_lossy().contains("state"))
}

fn with_listen(text: &str, listen: &str) -> String {
    if text.lines().any(|line| line.starts_with("listen")) {
        let lines = text.lines();
        return lines
            .map(|line| {
                if line.starts_with("listen") {
                    listen
                } else {
                    line
                }
            })
            .collect::<Vec<_>>()
            .join("\n");
    }
    if text.contains("[daemon]") {
        return text.replace("[daemon]", &format!("[daemon]\n{listen}"));
    }
    format!("[daemon]\n{listen}\n{text}")
}

/// Copies the repository's `config` into the home; returns the top-level TOML files that are configurations.
fn copy_config(home: &Home) -> Vec<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let mut copied = Vec::new();
    for file in files_below(&source) {
        let name = file.strip_prefix(&source).unwrap();
        let place = Path::new("config").join(name);
        let copy = home.write(place.to_str().unwrap(), fs::read(&file).unwrap());
        let text = fs::read_to_string(&copy).unwrap_or_default();
        if name.extension().is_some_and(|e| e == "toml") && text.contains("[secrets.") {
            copied.push(copy);
        }
    }
    copied
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    entries
        .map(|entry| entry.unwrap().path())
        .flat_map(|path| {
            if path.is_dir() {
                files_below(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

#[test]
fn a_restart_delivers_what_changed_meanwhile() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    aws.put("prod/db", "first");
    home.configure(&config(&aws, &home));
    let daemon = home.start_ready();
    wait_content(&home, "targets/db", "first");
    assert_eq!(daemon.stop(), Some(0));
    aws.put("prod/db", "second");
    let _daemon = home.start_ready();
    wait_content(&home, "targets/db", "second");
}

/// Bug: of an entry with several targets `once` showed one line, not which of them failed and why.
#[test]
fn once_names_every_target_that_is_not_fresh_and_counts_the_others() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    aws.put("prod/db", "value");
    home.write("a-file", "not a directory");
    let broken = format!(
        "[[secrets.db.file]]\npath = {}\nkey = \"value\"\n",
        home.quoted("a-file/x")
    );
    home.configure(&(config(&aws, &home) + &broken));
    let done = home.once(&[]);
    assert_eq!(done.code, Some(1), "{done:?}");
    let lines: Vec<&str> = done.stdout.lines().collect();
    let line = |path: &str| {
        let path = home.path(path).display().to_string();
        let found = lines.iter().position(|line| line.ends_with(&path));
        found.unwrap_or_else(|| panic!("{path} is not named:\n{}", done.stdout))
    };
    assert!(lines[0].ends_with("1 of 2 not fresh"), "{lines:#?}");
    let broken = line("a-file/x");
    assert!(lines[broken].contains("failing"), "{lines:#?}");
    assert!(
        lines[broken + 1].ends_with("(target_missing)"),
        "{lines:#?}"
    );
    assert!(lines[broken + 2].contains("help: "), "{lines:#?}");
    assert_eq!(home.read_text("targets/db").unwrap(), "value");
}

#[test]
fn once_with_an_unknown_entry_knows_the_nearest() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    aws.put("prod/db", "value");
    let config = config(&aws, &home).replace("secrets.db", "secrets.database");
    home.configure(&config);
    let done = home.once(&["databse"]);
    assert_eq!(done.code, Some(64), "{done:?}");
    assert!(
        done.stderr.contains("did you mean `database`"),
        "{}",
        done.stderr
    );
    assert!(aws.log().0.is_empty() && home.read("targets/db").is_none());
}

#[test]
fn a_second_daemon_is_told_what_to_do() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    aws.put("prod/db", "value");
    home.configure(&config(&aws, &home));
    let daemon = home.start_ready();
    let second = home.finish(&["run"]);
    assert_eq!(second.code, Some(1), "{second:?}");
    let state_dir = home.path("state").display().to_string();
    let who = format!("another secretsyncd (process {})", daemon.id());
    // The kernel says who, except of file systems that have other numbers in /proc.
    let lock = fs::metadata(home.path("state/lock")).unwrap();
    let locks = fs::read_to_string("/proc/locks").unwrap();
    let is_shown = locks.contains(&format!(":{} 0 EOF", lock.ino()));
    let who = if is_shown {
        &who
    } else {
        "another secretsyncd"
    };
    for said in [who, state_dir.as_str(), "help: ", "`state_dir`"] {
        assert!(second.stderr.contains(said), "{said}: {}", second.stderr);
    }
    assert_eq!(daemon.stop(), Some(0));
}

/// Bug: SIGHUP, sent by many a log rotation, killed the daemon without a word.
#[test]
fn a_hangup_does_not_end_it() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    aws.put("prod/db", "first");
    home.configure(&config(&aws, &home));
    let daemon = home.start_ready();
    for _ in 0..2 {
        daemon.signal(Signal::HUP);
    }
    wait_until(PATIENCE, "the signal in the log", || {
        daemon.output().contains("SIGHUP")
    });
    aws.put("prod/db", "second");
    wait_content(&home, "targets/db", "second");
    assert_eq!(daemon.stop(), Some(0));
}

/// Bug: a script that kept the output on a full disk was told that all went well.
#[test]
fn output_that_a_full_disk_did_not_take_is_a_failure() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    aws.put("prod/db", "value");
    home.configure(&config(&aws, &home));
    for arguments in [
        &["schema"][..],
        &["completions", "bash"],
        &["man"],
        &["iam-policy"],
        &["systemd-dropin"],
        &["prune"],
        &["adopt"],
        &["once"],
    ] {
        let full = fs::File::create("/dev/full").unwrap();
        let done = home.command(arguments).stdout(full).output().unwrap();
        let said = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(
            said.contains("error: the output could not be written"),
            "{arguments:?}: {said}"
        );
    }
}
