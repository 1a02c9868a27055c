//! The same of a set of files that is swapped as a whole: whatever the system refuses, the old generation stays byte for
//! byte, and no part of a new one stays beside it.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

const SET: &str = "place/deep/set";
const KEYS: [&str; 2] = ["crt", "key"];

fn of_a_set() -> Home {
    let home = Home::new();
    configure(&home, (&KEYS, &lines(&home)));
    home
}

fn lines(home: &Home) -> String {
    format!("path = {}\nformat = \"directory\"\n", home.quoted(SET))
}

fn holds(set: &Path, value: &str) -> bool {
    let is = |path: PathBuf| fs::read_to_string(path).is_ok_and(|text| text == value);
    let data = set.join("..data");
    KEYS.iter()
        .all(|key| is(set.join(key)) && is(data.join(key)))
}

fn wait_set(set: &Path, value: &str) {
    wait_until(PATIENCE * 2, &format!("all of {value}"), || {
        holds(set, value)
    });
}

/// Each name below, with its inode, and with what it holds or where it leads.
type Everything = BTreeMap<PathBuf, (u64, Vec<u8>)>;

fn everything(directory: &Path) -> std::io::Result<Everything> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let found = fs::symlink_metadata(&path)?;
        let inside = if found.is_dir() {
            all.extend(everything(&path)?);
            Vec::new()
        } else if found.is_symlink() {
            let to = fs::read_link(&path)?;
            to.as_os_str().as_bytes().to_vec()
        } else {
            fs::read(&path)?
        };
        all.insert(path, (found.ino(), inside));
    }
    Ok(all)
}

/// Without the generation before, which stays for whoever reads in it and goes as soon as the next one is begun.
fn without_the_last(mut all: Everything, set: &Path) -> Everything {
    let live = set.join(fs::read_link(set.join("..data")).unwrap());
    let is_last = |path: &Path| {
        let generation = path.ancestors().find(|it| it.parent() == Some(set));
        let name = generation.map(|it| it.file_name().unwrap().as_bytes());
        name.is_some_and(|name| name.starts_with(b"..secretsyncd-")) && !path.starts_with(&live)
    };
    all.retain(|path, _| !is_last(path));
    all
}

/// A new value that cannot be put in place, while everything in the place stays as it is.
fn refused(home: &Home, daemon: &Daemon<'_>, place: &Path, says: (&str, &str)) {
    let set = place.join("set");
    let before = everything(place).unwrap();
    trouble(home, daemon, says);
    // Another try may be under way.
    let mut after = Everything::new();
    wait_until(PATIENCE, "no part of a new set", || {
        after = everything(place).unwrap_or_default();
        let is_old = |path| before.contains_key(path);
        !after.is_empty() && after.keys().all(is_old)
    });
    let lasting = without_the_last(before, &set);
    assert_eq!(without_the_last(after, &set), lasting, "{says:?}");
    assert!(holds(&set, OLD), "{says:?}");
}

#[test]
fn a_full_and_a_read_only_file_system_keep_the_old_set() {
    let home = of_a_set();
    fs::create_dir_all(home.path(PLACE)).unwrap();
    for path in ["place", PLACE] {
        fs::set_permissions(home.path(path), Permissions::from_mode(0o700)).unwrap();
    }
    let mounted = match Mounted::on(&home.path(PLACE)) {
        Ok(mounted) => mounted,
        Err(why) => return suite::not_run("full and read-only file systems, of sets", 2, &why),
    };
    let pid = mounted.0.id().to_string();
    let mut daemon = home.start_through(&["nsenter", "-t", &pid, "-m"]);
    daemon.wait_ready(PATIENCE);
    let place = mounted.inside(&home.path(PLACE));
    let set = place.join("set");
    wait_set(&set, OLD);

    let filling = place.join("filling");
    let full = fs::write(&filling, vec![b'x'; 1 << 20]);
    assert!(full.is_err() && fs::metadata(&filling).unwrap().len() > 0);
    refused(&home, &daemon, &place, ("io", "the file system is full"));
    fs::remove_file(&filling).unwrap();
    wait_set(&set, NEW);
    daemon.wait_state("bad", "fresh");

    put(&home, OLD);
    wait_set(&set, OLD);
    daemon.wait_state("bad", "fresh");
    mounted.remount(&home.path(PLACE), "ro");
    refused(&home, &daemon, &place, ("target_denied", "read-only"));
    mounted.remount(&home.path(PLACE), "rw");
    wait_set(&set, NEW);
}

/// Root without capabilities obeys permissions as everybody does. What is ours and has lost a permission is mended; the
/// way to it is not for us to mend.
#[test]
fn a_way_that_we_may_not_go_keeps_the_old_set() {
    let home = of_a_set();
    let plain: &[&str] = if geteuid().is_root() {
        &["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
    } else {
        return suite::not_run(
            "a way that we may not go",
            1,
            "it takes root to see behind it",
        );
    };
    let mut daemon = home.start_through(&[&["env"], plain].concat());
    daemon.wait_ready(PATIENCE);
    let (place, set) = (home.path(PLACE), home.path(SET));
    wait_set(&set, OLD);
    mode(&home, 0o600);
    refused(
        &home,
        &daemon,
        &place,
        ("target_denied", "permission denied"),
    );
    mode(&home, 0o700);
    wait_set(&set, NEW);
    daemon.wait_state("bad", "fresh");
}

/// Each step of a swap that names the directory, and what can be said of it.
const ERRORS: [(&str, &str, &str, &str); 15] = [
    ("mkdirat", "ENOSPC", "io", "full"),
    ("mkdirat", "EDQUOT", "io", "quota"),
    ("mkdirat", "EROFS", "target_denied", "read-only"),
    ("mkdirat", "EACCES", "target_denied", "permission denied"),
    ("symlinkat", "ENOSPC", "io", "full"),
    ("symlinkat", "EDQUOT", "io", "quota"),
    ("symlinkat", "EROFS", "target_denied", "read-only"),
    ("symlinkat", "EACCES", "target_denied", "permission denied"),
    ("renameat", "ENOSPC", "io", "full"),
    ("renameat", "EDQUOT", "io", "quota"),
    ("renameat", "EROFS", "target_denied", "read-only"),
    ("renameat", "EACCES", "target_denied", "permission denied"),
    ("renameat", "EXDEV", "conflict", "another file system"),
    ("renameat", "EIO", "io", "refused"),
    ("openat", "EACCES", "target_denied", "permission denied"),
];

/// Takes one after the other until there is none left; or why nothing can be injected here.
fn some(next: &AtomicUsize) -> Result<(), String> {
    let home = of_a_set();
    let daemon = home.start_ready();
    let (place, set) = (home.path(PLACE), home.path(SET));
    wait_set(&set, OLD);
    while let Some((call, error, reason, says)) = ERRORS.get(next.fetch_add(1, Ordering::Relaxed)) {
        let injected = Injected::into(&daemon, (call, error), &set)?;
        refused(&home, &daemon, &place, (reason, says));
        drop(injected);
        wait_set(&set, NEW);
        daemon.wait_state("bad", "fresh");
        put(&home, OLD);
        wait_set(&set, OLD);
        daemon.wait_state("bad", "fresh");
        // The generation before stays for whoever reads in it, and goes with the next swap.
        let generations = fs::read_dir(&set).unwrap();
        let names = generations.map(|entry| entry.unwrap().file_name());
        let ours = names.filter(|name| name.as_encoded_bytes().starts_with(b"..secretsyncd-"));
        assert_eq!(ours.count(), 2, "{call} {error}");
    }
    Ok(())
}

#[test]
fn errors_of_every_step_of_a_swap_keep_the_old_set() {
    const SUITE: &str = "errors of the steps of a swap, by strace";
    let next = AtomicUsize::new(0);
    let ended = std::thread::scope(|scope| {
        let lanes = [(); 4].map(|()| scope.spawn(|| some(&next)));
        lanes.map(|lane| lane.join().unwrap())
    });
    if let Some(Err(why)) = ended.into_iter().find(Result::is_err) {
        suite::not_run(SUITE, ERRORS.len(), &why);
    }
}

/// Errors of the first step within a new generation, whose name nobody knows before: a key that was never in the set is
/// opened by its name there, and nowhere else.
#[test]
fn errors_within_a_generation_keep_the_old_set() {
    const SUITE: &str = "errors within a generation, by strace";
    const WITHIN: [(&str, &str, &str); 4] = [
        ("EDQUOT", "io", "quota"),
        ("ENOSPC", "io", "full"),
        ("EACCES", "target_denied", "permission denied"),
        ("EIO", "io", "refused"),
    ];
    let home = of_a_set();
    let daemon = home.start_ready();
    let (place, set) = (home.path(PLACE), home.path(SET));
    wait_set(&set, OLD);
    let mut keys = KEYS.map(str::to_owned).to_vec();
    for (number, (error, reason, says)) in WITHIN.into_iter().enumerate() {
        let new = format!("new-{number}");
        let injected = Injected::into(&daemon, ("openat", error), Path::new(&new));
        let injected = match injected {
            Ok(injected) => injected,
            Err(why) => return suite::not_run(SUITE, WITHIN.len(), &why),
        };
        keys.push(new.clone());
        let all: Vec<&str> = keys.iter().map(String::as_str).collect();
        configure(&home, (&all, &lines(&home)));
        daemon.signal(Signal::HUP);
        // Until it knows of the new key, a new value is one for the keys that there are.
        daemon.wait_state("bad", "failing");
        refused(&home, &daemon, &place, (reason, says));
        assert!(!set.join(&new).is_symlink(), "{error}");
        drop(injected);
        wait_set(&set, NEW);
        daemon.wait_state("bad", "fresh");
        assert_eq!(fs::read_to_string(set.join(&new)).unwrap(), NEW);
        put(&home, OLD);
        wait_set(&set, OLD);
        daemon.wait_state("bad", "fresh");
    }
}
