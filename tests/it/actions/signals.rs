//! A signal reaches the process that is meant and no other.

use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::entry;
use crate::support::daemon::{Home, PATIENCE};
use crate::support::secrets_manager::SecretsManager;
use crate::support::wait::{stays_true, wait_until};

/// A process that writes its number where it is told and notes each USR1. Gone at the end, also of a test that fails.
/// It waits by `wait`: dash loses a signal that comes while it starts a program in the foreground. Not HUP: whoever runs
/// the tests under `nohup` has it ignored, and a shell cannot catch what was ignored when it began.
struct Listener(Child);

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn listener(home: &Home, name: &str, pid_file: &str) -> Listener {
    let (heard, pid) = (home.path(name), home.path(pid_file));
    let text = format!(
        "trap 'echo heard >> {}' USR1; echo $$ > {}; n=0; while [ $n -lt 2400 ]; do n=$((n + 1)); sleep 0.05 & wait $!; done",
        heard.display(),
        pid.display()
    );
    let listener = Command::new("/bin/sh")
        .args(["-c", &text])
        .stdin(Stdio::null())
        .spawn()
        .map(Listener)
        .unwrap();
    let number = listener.0.id().to_string();
    wait_until(PATIENCE, "the PID file", || {
        home.read_text(pid_file)
            .is_some_and(|it| it.trim() == number)
    });
    listener
}

#[test]
fn a_pid_file_names_the_process_that_is_signalled_and_a_stale_one_nobody() {
    let (aws, home) = (SecretsManager::start(), Home::new());
    aws.put("prod/app", "one");
    let more = format!(
        "on_change = {{ signal = {{ pid_file = {}, signal = \"USR1\" }}, debounce = \"1ms\" }}",
        home.quoted("app.pid")
    );
    home.configure(&(aws.store("prod") + &entry(&home, "app", &more)));
    let (app, other) = (
        listener(&home, "app", "app.pid"),
        listener(&home, "other", "other.pid"),
    );
    let daemon = home.start_ready();
    wait_until(PATIENCE, "the signal", || {
        home.read_text("app").as_deref() == Some("heard\n")
    });
    assert_eq!(home.read("other"), None);
    // The file stays, and its number becomes that of another process.
    drop(app);
    let older = fs::metadata(home.path("app.pid"))
        .unwrap()
        .modified()
        .unwrap();
    fs::write(home.path("app.pid"), format!("{}\n", other.0.id())).unwrap();
    let stale = older - Duration::from_hours(1);
    let file = File::options()
        .write(true)
        .open(home.path("app.pid"))
        .unwrap();
    file.set_modified(stale).unwrap();
    aws.put("prod/app", "two");
    assert_eq!(home.finish(&["sync", "app"]).code, Some(0));
    let status = daemon.wait_state("app", "failing");
    let trouble = status.entry("app").trouble().unwrap();
    assert_eq!(trouble.reason, "action");
    assert!(
        trouble
            .message
            .ends_with("is older than the process that has its number now"),
        "{trouble:?}"
    );
    stays_true(Duration::from_secs(1), "nobody was signalled", || {
        home.read("other").is_none()
    });
    drop(other);
    // The service is there again.
    let app = listener(&home, "again", "app.pid");
    daemon.wait_state("app", "fresh");
    // A shell runs its trap once what it waits for has ended.
    wait_until(PATIENCE, "the signal once more", || {
        home.read_text("again").as_deref() == Some("heard\n")
    });
    drop(app);
    // Where none runs, nothing is to be done.
    fs::remove_file(home.path("app.pid")).unwrap();
    aws.put("prod/app", "three");
    assert_eq!(home.finish(&["sync", "app"]).code, Some(0));
    wait_until(PATIENCE, "nothing to be pending", || {
        daemon.status().entry("app").action().is_null()
            && daemon.output().contains("found nothing to signal")
    });
    assert_eq!(daemon.status().entry("app").state(), "fresh");
    daemon.stop();
}

#[test]
fn a_pid_file_that_others_may_write_signals_nobody() {
    use std::os::unix::fs::PermissionsExt as _;
    let (aws, home) = (SecretsManager::start(), Home::new());
    aws.put("prod/app", "one");
    let more = format!(
        "on_change = {{ signal = {{ pid_file = {}, signal = \"USR1\" }}, debounce = \"1ms\" }}",
        home.quoted("app.pid")
    );
    home.configure(&(aws.store("prod") + &entry(&home, "app", &more)));
    let app = listener(&home, "app", "app.pid");
    let open = fs::Permissions::from_mode(0o666);
    fs::set_permissions(home.path("app.pid"), open).unwrap();
    let daemon = home.start_ready();
    let status = daemon.wait_state("app", "failing");
    let message = status.entry("app").trouble().unwrap().message;
    assert!(message.contains("may be written by others"), "{message}");
    assert_eq!(home.read("app"), None);
    drop(app);
    daemon.stop();
}
