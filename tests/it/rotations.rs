//! Five hundred rotations through the real binary before the eyes of readers.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::support::daemon::{Home, PATIENCE};
use crate::support::readers::{Look, Readers, value};
use crate::support::wait::wait_until;

const TARGETS: usize = 25;
const ROTATIONS: u64 = 20;

fn look_at(path: PathBuf) -> Look {
    Arc::new(move |bytes| File::open(&path)?.read_to_end(bytes).map(|_| ()))
}

/// A store with one value, which all entries deliver: on the disk, and in memory where there is such a place.
fn configuration(home: &Home, memory: &Path) -> (String, Vec<PathBuf>) {
    let mut config = format!("[stores.s.file]\npath = {}\n", home.quoted("store"));
    let places = [home.path("targets"), memory.to_owned()];
    let paths: Vec<_> = (0..TARGETS)
        .map(|n| places[n % 2].join(format!("e{n}")))
        .collect();
    let entries = paths.iter().enumerate().map(|(n, path)| {
        let path = path.display();
        format!(
            "[secrets.e{n}]
store = \"s\"
refresh_interval = \"1s\"
data = [{{ secret_key = \"value\", remote_ref = {{ key = \"value\" }} }}]
[[secrets.e{n}.file]]
path = \"{path}\"
key = \"value\"
"
        )
    });
    config.extend(entries);
    (config, paths)
}

fn put(home: &Home, generation: u64) {
    let new = home.write("store/.new", value(generation));
    fs::rename(new, home.path("store/value")).unwrap();
}

#[test]
fn five_hundred_rotations_show_readers_whole_files_of_one_generation() {
    let home = Home::new();
    let memory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let memory = memory.unwrap();
    let (config, paths) = configuration(&home, memory.path());
    put(&home, 1);
    home.configure(&config);
    let daemon = home.start_ready();
    let all_are = |generation: u64| {
        let wanted = value(generation).into_bytes();
        wait_until(PATIENCE * 2, "every file of the generation", || {
            paths.iter().all(|path| fs::read(path).unwrap() == wanted)
        });
    };
    all_are(1);
    let looks: Vec<_> = paths.iter().cloned().map(look_at).collect();
    let readers = Readers::start(2, 1, &looks);
    for generation in 2..=1 + ROTATIONS {
        put(&home, generation);
        all_are(generation);
    }
    let opens = readers.looks();
    let seen = readers.stop();
    assert_eq!(seen.wrong(), [0; 5], "{seen:?}");
    let rotations = TARGETS as u64 * ROTATIONS;
    let changes = seen.changes.load(Ordering::Relaxed);
    assert!(changes > rotations / 10, "{seen:?}");
    assert!(opens > 10 * rotations, "{seen:?}");
    assert_eq!(daemon.status().states(), ["fresh"; TARGETS]);
    for place in [home.path("targets"), memory.path().to_owned()] {
        let names = fs::read_dir(place)
            .unwrap()
            .map(|it| it.unwrap().file_name());
        let others: Vec<_> = names
            .filter(|name| name.as_encoded_bytes()[0] != b'e')
            .collect();
        assert!(others.is_empty(), "{others:?}");
    }
    daemon.stop();
}
