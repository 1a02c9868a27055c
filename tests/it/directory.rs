//! A set of files that is swapped as a whole, through the binary.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::daemon::{Home, PATIENCE};
use crate::support::sets::{Readers, Seen, value};
use crate::support::wait::wait_until;

const KEYS: &[&str] = &["ca", "crt", "key"];

/// That many entries deliver one secret, each to a directory of its own.
fn configuration(home: &Home, count: usize) -> String {
    let item = |key: &&str| format!("{{ secret_key = \"{key}\", remote_ref = {{ key = \"v\" }} }}");
    let items: Vec<_> = KEYS.iter().map(item).collect();
    let entries = (0..count).map(|n| {
        format!(
            "[secrets.e{n}]
store = \"local\"
refresh_interval = \"1s\"
data = [{}]
[[secrets.e{n}.file]]
path = {}
format = \"directory\"
",
            items.join(", "),
            home.quoted(&format!("targets/e{n}")),
        )
    });
    let store = "[stores.local.file]\npath = \"secrets.toml\"\n".to_owned();
    store + &entries.collect::<String>()
}

fn rotate(home: &Home, version: usize) {
    home.write("secrets.new", format!("v = '{}'\n", value(version)));
    fs::rename(home.path("secrets.new"), home.path("secrets.toml")).unwrap();
}

fn directories(home: &Home, count: usize) -> Vec<PathBuf> {
    (0..count)
        .map(|n| home.path(&format!("targets/e{n}")))
        .collect()
}

fn holds(directory: &Path, version: usize) -> bool {
    let wanted = value(version);
    KEYS.iter()
        .all(|key| fs::read_to_string(directory.join(key)).is_ok_and(|text| text == wanted))
}

fn wait_version(all: &[PathBuf], version: usize) {
    wait_until(
        PATIENCE * 2,
        &format!("version {version} everywhere"),
        || all.iter().all(|directory| holds(directory, version)),
    );
}

fn generations(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let is_generation = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with("..") && name != "..data"
    };
    paths.filter(is_generation).collect()
}

#[test]
fn readers_see_one_version_across_hundreds_of_swaps() {
    const ENTRIES: usize = 50;
    const ROTATIONS: usize = 10;
    let home = Home::new();
    let memory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let memory = memory.unwrap();
    rotate(&home, 0);
    let mut text = configuration(&home, ENTRIES);
    let mut all = directories(&home, ENTRIES);
    // Half of them on the disk, and half in memory where there is such a place.
    for directory in all.iter_mut().step_by(2) {
        let there = memory.path().join(directory.file_name().unwrap());
        text = text.replace(&format!("{directory:?}\n"), &format!("{there:?}\n"));
        *directory = there;
    }
    home.configure(&text);
    let daemon = home.start_ready();
    wait_version(&all, 0);
    let readers = Readers::start(all.clone(), KEYS);
    for version in 1..=ROTATIONS {
        rotate(&home, version);
        wait_version(&all, version);
    }
    let seen = readers.end();
    eprintln!("{} swaps beside {seen:?}", ENTRIES * ROTATIONS);
    let Seen {
        opens,
        missing,
        torn,
        mixed,
    } = seen;
    assert_eq!((missing, torn, mixed), (0, 0, 0));
    assert!(opens > 10_000, "{opens}");
    assert_eq!(daemon.status().states(), ["fresh"; ENTRIES]);
    daemon.stop();
}

#[test]
fn kills_leave_the_old_or_the_new_set_and_a_start_leaves_nothing_else() {
    const ENTRIES: usize = 12;
    const KILLS: usize = 60;
    let home = Home::new();
    rotate(&home, 0);
    home.configure(&configuration(&home, ENTRIES));
    home.start_ready().stop();
    let all = directories(&home, ENTRIES);
    let mut random = fastrand::Rng::with_seed(23);
    for kill in 1..=KILLS {
        rotate(&home, kill);
        let mut daemon = home.start();
        sleep(Duration::from_millis(random.u64(..300)));
        daemon.signal(Signal::KILL);
        daemon.wait_exit(PATIENCE);
        let mut seen = Seen::default();
        for directory in &all {
            seen.directory(directory, KEYS);
        }
        let Seen {
            missing,
            torn,
            mixed,
            ..
        } = seen;
        assert_eq!((missing, torn, mixed), (0, 0, 0), "kill {kill}");
    }
    let daemon = home.start_ready();
    wait_version(&all, KILLS);
    assert_eq!(daemon.status().states(), ["fresh"; ENTRIES]);
    daemon.stop();
    // The last start swapped; the one after it finds nothing to do and ends the time of what was before.
    home.start_ready().stop();
    for directory in &all {
        let live = fs::read_link(directory.join("..data")).unwrap();
        assert_eq!(generations(directory), [directory.join(live)]);
        assert_eq!(fs::read_dir(directory).unwrap().count(), KEYS.len() + 2);
    }
}

#[test]
fn what_nobody_reads_of_a_set_that_no_entry_writes_goes_with_a_start() {
    let home = Home::new();
    rotate(&home, 0);
    home.configure(&configuration(&home, 2));
    let daemon = home.start_ready();
    let all = directories(&home, 2);
    wait_version(&all, 0);
    rotate(&home, 1);
    wait_version(&all, 1);
    daemon.stop();
    let left = &all[1];
    assert_eq!(generations(left).len(), 2);
    home.configure(&configuration(&home, 1));
    let daemon = home.start_ready();
    wait_until(PATIENCE, "the old one to be gone", || {
        generations(left).len() == 1
    });
    assert!(holds(left, 1));
    daemon.stop();
}

#[test]
fn what_others_do_to_it_is_put_back_or_named() {
    let home = Home::new();
    rotate(&home, 0);
    home.configure(&configuration(&home, 1));
    let daemon = home.start_ready();
    let directory = home.path("targets/e0");
    fs::write(directory.join("crt"), "theirs").unwrap();
    wait_until(PATIENCE, "the content to be back", || holds(&directory, 0));
    fs::remove_file(directory.join("key")).unwrap();
    wait_until(PATIENCE, "the link to be back", || holds(&directory, 0));
    fs::write(directory.join("notes"), "theirs").unwrap();
    fs::remove_file(directory.join("ca")).unwrap();
    fs::create_dir(directory.join("ca")).unwrap();
    let status = daemon.wait_state("e0", "failing");
    let trouble = format!("{:?}", status.entry("e0").trouble());
    assert!(trouble.contains("conflict"), "{trouble}");
    fs::remove_dir(directory.join("ca")).unwrap();
    rotate(&home, 1);
    wait_until(PATIENCE * 2, "the next version", || holds(&directory, 1));
    assert_eq!(fs::read(directory.join("notes")).unwrap(), b"theirs");
    daemon.stop();
}

/// The interval is long, so that nothing here can be the work of a routine check.
#[test]
fn what_others_do_to_a_set_is_undone() {
    let home = Home::new();
    rotate(&home, 1);
    let text = configuration(&home, 1);
    home.configure(&text.replace("\"1s\"", "\"1h\""));
    let _daemon = home.start_ready();
    let all = directories(&home, 1);
    wait_version(&all, 1);
    let directory = &all[0];
    // A fourth would meet a fight.
    let deeds: [fn(&Path); 3] = [
        |directory| fs::write(directory.join("..data/crt"), "theirs").unwrap(),
        |directory| fs::remove_file(directory.join("key")).unwrap(),
        |directory| fs::remove_dir_all(directory).unwrap(),
    ];
    for deed in deeds {
        deed(directory);
        wait_version(&all, 1);
    }
}
