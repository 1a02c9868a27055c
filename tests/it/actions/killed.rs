//! Killed before each single system call from the swap of a file to the record that its action has run, counted over all
//! threads, but for those calls that nobody outside can tell of: after the restart the action has run for that change,
//! once, or once more where the kill cut it short.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;
use rustix::process::Signal;

use super::script;
use crate::support::daemon::{Daemon, Home, PATIENCE};
use crate::support::suite::{self, in_ci};
use crate::support::tracer::{At, Tracer};
use crate::support::wait::{stays_true, wait_until};

const SUITE: &str = "kills at the calls of an action";
/// Side by side, because most of the time each waits.
const LANES: usize = 8;
/// So long after the action nothing more is done.
const QUIET: Duration = Duration::from_millis(700);

/// One value in a store of files, which the daemon watches, and what is run when it has changed.
fn configured() -> Home {
    let home = Home::new();
    put(&home, 0);
    let (ran, target) = (home.path("ran"), home.path("targets/app"));
    let note = format!(
        "printf '%s\\n' \"$(cat {})\" >> {}\n",
        target.display(),
        ran.display()
    );
    let argv = script(&home, "note.sh", &note);
    home.configure(&format!(
        "[stores.s.file]
path = {}
[secrets.app]
store = \"s\"
refresh_interval = \"1h\"
data = [{{ secret_key = \"v\", remote_ref = {{ key = \"v\" }} }}]
[[secrets.app.file]]
path = {}
key = \"v\"
on_change = {{ command = {argv}, debounce = \"1ms\" }}
",
        home.quoted("store"),
        home.quoted("targets/app"),
    ));
    home
}

fn put(home: &Home, change: usize) {
    let new = home.write("store/.new", change.to_string());
    std::fs::rename(new, home.path("store/v")).unwrap();
}

/// How often the action has run for that change.
fn told(home: &Home, change: usize) -> usize {
    let text = home.read_text("ran").unwrap_or_default();
    let change = change.to_string();
    text.lines().filter(|line| **line == *change).count()
}

/// Until it has run for that change and is not pending any more.
fn wait_told(home: &Home, daemon: &Daemon<'_>, change: usize) {
    if home.read_text("targets/app").as_deref() != Some(&change.to_string()) {
        // Killed before the swap.
        assert_eq!(told(home, change), 0, "what is not in place is not told");
        let synced = home.finish(&["sync", "app"]);
        assert_eq!(synced.code, Some(0), "{synced:?}");
    }
    wait_until(PATIENCE, "the action", || told(home, change) >= 1);
    wait_until(PATIENCE, "nothing to be pending", || {
        daemon.status().entry("app").action().is_null()
    });
}

/// Changes the value while the daemon is followed; whether it was killed at its call. There may be no such call, and it
/// may be that nobody may follow anything here.
fn killed_at(
    home: &Home,
    daemon: &mut Daemon<'_>,
    (change, number): (usize, usize),
) -> Result<bool, Errno> {
    let at = At {
        from: libc::SYS_renameat2,
        number,
    };
    let tracer = Tracer::attach(daemon.id(), at)?;
    put(home, change);
    let mut since = None;
    wait_until(PATIENCE, "the kill, or the end", || {
        if since.is_none() && told(home, change) > 0 {
            since = Some(Instant::now());
        }
        let is_quiet = since.is_some_and(|since| since.elapsed() > QUIET);
        tracer.has_killed() || is_quiet
    });
    let killed = tracer.end(|| daemon.signal(Signal::KILL));
    let code = daemon.wait_exit(PATIENCE);
    assert_eq!(code, None, "it was killed, it did not end");
    Ok(killed)
}

/// Goes on until there is no call of the next number; how often it killed.
fn lane(next: &AtomicUsize) -> Result<usize, Errno> {
    let home = configured();
    let mut daemon = home.start_ready();
    wait_told(&home, &daemon, 0);
    let mut kills = 0;
    loop {
        let (change, number) = (kills + 1, next.fetch_add(1, Ordering::Relaxed));
        let killed = killed_at(&home, &mut daemon, (change, number))?;
        daemon = home.start_ready();
        wait_told(&home, &daemon, change);
        let told = told(&home, change);
        assert!(told <= 2, "killed at call {number}, it ran {told} times");
        if !killed {
            break;
        }
        kills += 1;
    }
    daemon.stop();
    let runs = super::runs(&home);
    let daemon = home.start_ready();
    stays_true(Duration::from_secs(2), "none on a plain restart", || {
        super::runs(&home) == runs
    });
    daemon.stop();
    let left = std::fs::read_dir(home.path("targets")).unwrap();
    assert_eq!(left.count(), 1, "nothing unfinished stays");
    Ok(kills)
}

#[test]
fn a_kill_before_any_call_from_the_swap_to_the_record_runs_the_action_once_or_twice() {
    let next = AtomicUsize::new(1);
    let kills: Result<Vec<usize>, Errno> = std::thread::scope(|scope| {
        let lanes = [(); LANES].map(|()| scope.spawn(|| lane(&next)));
        lanes.into_iter().map(|it| it.join().unwrap()).collect()
    });
    match kills.map(|kills| kills.iter().sum::<usize>()) {
        Ok(kills) => assert!(kills > 100, "only {kills} kills"),
        Err(errno) => {
            suite::not_run(SUITE, 1, &format!("no process can be followed: {errno}"));
            assert!(!in_ci(), "{SUITE} must run under CI=true");
        }
    }
}
