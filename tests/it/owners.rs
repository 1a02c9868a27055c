//! Whose files are, for a daemon that is not root: what works without any privilege, what a refusal says, and what the
//! capabilities of the drop-in for owners change.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use crate::support::daemon::{Finished, Home, PATIENCE, wait_content};
use crate::support::suite::{self, Scenario, in_ci};
use crate::support::wait::wait_until;

/// Who runs secretsyncd; a member of its own group and of `OPS`.
const US: u32 = 4711;
const OPS: u32 = 4712;
const APP: u32 = 4713;

const UNPRIVILEGED: [&str; 2] = ["--inh-caps=-all", "--bounding-set=-all"];
/// As systemd/secretsyncd-chown.conf.
const OWNERS: [&str; 2] = [
    "--inh-caps=-all,+chown,+fowner",
    "--ambient-caps=+chown,+fowner",
];

/// A home that belongs to that user, with a file store.
struct Place {
    home: Home,
    wrapper: Vec<&'static str>,
}

impl Place {
    fn new(capabilities: [&'static str; 2]) -> Self {
        let home = Home::new();
        home.write("values.toml", "a = \"one\"\n");
        let mut wrapper = vec![
            "/usr/bin/setpriv",
            "--reuid=4711",
            "--regid=4711",
            "--groups=4711,4712",
        ];
        wrapper.extend(capabilities);
        Self { home, wrapper }
    }

    /// One entry with these targets, each the lines behind its header.
    fn configure(&self, files: &[&str]) {
        let files = files.iter();
        let files: Vec<_> = files
            .map(|lines| format!("[[secrets.e.file]]\n{lines}\n"))
            .collect();
        let files = files.concat();
        self.home.configure(&format!(
            "[stores.local.file]\npath = \"values.toml\"\n[secrets.e]\nstore = \"local\"\nrefresh_interval = \"1s\"\n\
             data = [{{ secret_key = \"a\", remote_ref = {{ key = \"a\" }} }}]\n{files}"
        ));
        self.give();
    }

    fn put(&self, value: &str) {
        self.home.write("values.toml", format!("a = \"{value}\"\n"));
        self.give();
    }

    /// What the test made is the user's.
    fn give(&self) {
        chown(self.home.path(""), Some(US), Some(US)).unwrap();
        for name in ["secretsyncd.toml", "values.toml"] {
            let path = self.home.path(name);
            if path.exists() {
                chown(path, Some(US), Some(US)).unwrap();
            }
        }
    }

    fn finish(&self, arguments: &[&str]) -> Finished {
        self.home.finish_through(&self.wrapper, arguments)
    }

    fn once(&self) -> Finished {
        let done = self.finish(&["once"]);
        assert_eq!(done.code, Some(0), "{done:?}");
        done
    }

    fn inode(&self, name: &str) -> (u64, i64, i64) {
        let found = fs::metadata(self.home.path(name)).unwrap();
        (found.ino(), found.ctime(), found.ctime_nsec())
    }

    fn assert_is(&self, name: &str, owners: (u32, u32), mode: u32) {
        let found = fs::metadata(self.home.path(name)).unwrap();
        assert_eq!((found.uid(), found.gid()), owners, "{name}");
        assert_eq!(found.mode() & 0o7777, mode, "{name}");
    }
}

const SCENARIOS: &[Scenario<()>] = &[
    ("an ordinary user has all it needs in its own home", |()| {
        let place = Place::new(UNPRIVILEGED);
        place.configure(&[
            "path = \"targets/raw\"\nkey = \"a\"",
            "path = \"targets/env\"\nformat = \"dotenv\"\nmode = \"0640\"",
            "path = \"made/deep/json\"\nformat = \"json\"\ngroup = \"4712\"\nmode = \"0640\"\ndir_mode = \"0750\"",
        ]);
        assert_eq!(place.finish(&["check"]).code, Some(0));
        assert_eq!(place.finish(&["plan"]).code, Some(0));
        let mut daemon = place.home.start_through(&place.wrapper);
        daemon.wait_ready(PATIENCE);
        place.assert_is("targets", (US, US), 0o700);
        place.assert_is("targets/raw", (US, US), 0o600);
        place.assert_is("targets/env", (US, US), 0o640);
        place.assert_is("made/deep", (US, OPS), 0o750);
        place.assert_is("made/deep/json", (US, OPS), 0o640);
        assert_eq!(place.finish(&["status"]).code, Some(0));
        place.put("two");
        assert_eq!(place.finish(&["sync", "--all"]).code, Some(0));
        wait_content(&place.home, "targets/raw", "two");
        // By root, to somebody else: it cannot be given back, but made anew.
        chown(place.home.path("targets/raw"), Some(APP), Some(APP)).unwrap();
        chown(place.home.path("made/deep/json"), Some(US), Some(US)).unwrap();
        let owner = |name: &str| {
            let found = fs::metadata(place.home.path(name)).unwrap();
            (found.uid(), found.gid())
        };
        wait_until(PATIENCE, "both are put back", || {
            owner("targets/raw") == (US, US) && owner("made/deep/json") == (US, OPS)
        });
        assert_eq!(place.home.read_text("targets/raw").unwrap(), "two");
        assert_eq!(daemon.stop(), Some(0));
    }),
    ("a whole set is the group's, which can be put back", |()| {
        let place = Place::new(UNPRIVILEGED);
        let belongs = |group: u32| {
            for directory in ["out/set", "out/set/..data/"] {
                place.assert_is(directory, (US, group), 0o750);
            }
            place.assert_is("out/set/..data/a", (US, group), 0o640);
        };
        let configure = |group: u32| {
            place.configure(&[&format!(
                "path = \"out/set\"\nformat = \"directory\"\ngroup = \"{group}\"\nmode = \"0640\"\ndir_mode = \"0750\""
            )]);
        };
        configure(OPS);
        place.once();
        belongs(OPS);
        place.put("two");
        place.once();
        belongs(OPS);
        // Each lets in another group. A third time would be a fight.
        for name in ["out/set/..data/a", "out/set"] {
            chown(place.home.path(name), None, Some(APP)).unwrap();
            place.once();
            belongs(OPS);
            let before = place.inode("out/set/..data/a");
            place.once();
            assert_eq!(place.inode("out/set/..data/a"), before, "{name}: it stays");
        }
        configure(US);
        place.once();
        belongs(US);
        let text = place.home.read_text("out/set/a");
        assert_eq!(text.as_deref(), Some("two"));
    }),
    (
        "what an ordinary user may not do is named with what allows it",
        |()| {
            let place = Place::new(UNPRIVILEGED);
            let locked = place.home.path("locked");
            fs::create_dir(&locked).unwrap();
            fs::set_permissions(&locked, fs::Permissions::from_mode(0o755)).unwrap();
            // The lines of a target, and what is said of it.
            let cases: [(&str, &[&str]); 5] = [
                (
                    "path = \"out/x\"\nkey = \"a\"\nowner = \"4713\"",
                    &["/out/x to user 4713", "CAP_CHOWN", "systemd-dropin"],
                ),
                (
                    "path = \"out/x\"\nkey = \"a\"\ngroup = \"4713\"",
                    &[
                        "/out/x to group 4713",
                        "no member of it",
                        "SupplementaryGroups=",
                        "systemd-dropin",
                    ],
                ),
                (
                    "path = \"new/out/x\"\nkey = \"a\"\ngroup = \"4713\"",
                    &["/new to group 4713", "no member of it"],
                ),
                (
                    "path = \"out/x\"\nkey = \"a\"\nowner = \"no-such-account\"",
                    &[
                        "this machine knows no user `no-such-account`",
                        "getent passwd",
                    ],
                ),
                (
                    "path = \"locked/x\"\nkey = \"a\"",
                    &[
                        "/locked/x",
                        "permission denied",
                        "user that runs secretsyncd",
                    ],
                ),
            ];
            for (lines, said) in cases {
                place.configure(&["path = \"out/other\"\nkey = \"a\"", lines]);
                let done = place.finish(&["once"]);
                assert_eq!(done.code, Some(1), "{lines}: {done:?}");
                let text = format!("{}{}", done.stdout, done.stderr);
                for said in said {
                    assert!(text.contains(said), "{said}: {text}");
                }
                assert_eq!(place.home.read_text("out/other").unwrap(), "one");
                let left = fs::read_dir(place.home.path("out")).unwrap().count();
                assert_eq!(left, 1, "{lines}: nothing half-made stays");
                assert!(!place.home.path("new").exists());
            }
        },
    ),
    (
        "with the drop-in's capabilities files of other owners are written, compared and mended",
        |()| {
            const FILE: &str = "out/x";
            let is_right = |place: &Place, value: &str| {
                place.assert_is(FILE, (APP, 4714), 0o600);
                assert_eq!(place.home.read_text(FILE).unwrap(), value);
                assert_eq!(fs::read_dir(place.home.path("out")).unwrap().count(), 1);
            };
            let delivered = || {
                let place = Place::new(OWNERS);
                // Closed to us as soon as it is given away.
                place.configure(&["path = \"out/x\"\nkey = \"a\"\nowner = \"4713\"\ngroup = \"4714\"\nmode = \"0600\""]);
                place.once();
                is_right(&place, "one");
                let before = place.inode(FILE);
                place.once();
                assert_eq!(
                    place.inode(FILE),
                    before,
                    "nothing is written when nothing changed"
                );
                place.put("two");
                place.once();
                is_right(&place, "two");
                place
            };
            let spoil: [fn(&Path); 5] = [
                |path| fs::set_permissions(path, fs::Permissions::from_mode(0o666)).unwrap(),
                |path| fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap(),
                |path| chown(path, Some(0), Some(0)).unwrap(),
                |path| fs::write(path, "owt").unwrap(),
                |path| fs::remove_file(path).unwrap(),
            ];
            for (number, spoil) in spoil.iter().enumerate() {
                // Three repairs of one file would be a fight.
                let place = delivered();
                let before = place.inode(FILE);
                spoil(&place.home.path(FILE));
                let done = place.once();
                assert_ne!(place.inode(FILE), before, "{number}: {done:?}");
                is_right(&place, "two");
                let before = place.inode(FILE);
                place.once();
                assert_eq!(place.inode(FILE), before, "{number}: it stays");
            }
        },
    ),
    (
        "a whole set of another owner's files is written, compared and mended in a directory that stays ours",
        |()| {
            let spoil: [fn(&Path); 6] = [
                |path| fs::set_permissions(path, fs::Permissions::from_mode(0o666)).unwrap(),
                |path| fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap(),
                |path| chown(path, Some(0), Some(0)).unwrap(),
                // Of the same length, as it was closed to us.
                |path| fs::write(path, "owt").unwrap(),
                |path| fs::remove_file(path).unwrap(),
                |path| fs::write(path.with_file_name("more"), "").unwrap(),
            ];
            for (number, spoil) in spoil.iter().enumerate() {
                let place = OwnedSet::delivered();
                let before = place.inode(SET_FILE);
                spoil(&place.home.path(SET_FILE));
                let done = place.once();
                assert_ne!(place.inode(SET_FILE), before, "{number}: {done:?}");
                OwnedSet::is_right(&place, (APP, 0o600), "two");
                let before = place.inode(SET_FILE);
                place.once();
                assert_eq!(place.inode(SET_FILE), before, "{number}: it stays");
            }
        },
    ),
    (
        "another mode, another owner and none reach a set that is closed to us, and it goes where that is asked for",
        |()| {
            let place = OwnedSet::delivered();
            // A link is mended without what is in the file.
            let before = place.inode(SET_FILE);
            fs::remove_file(place.home.path("out/set/a")).unwrap();
            place.once();
            assert_eq!(place.home.read_text("out/set/a").unwrap(), "two");
            assert_eq!(place.inode(SET_FILE), before);
            for (lines, owner, mode) in [
                ("owner = \"4713\"\nmode = \"0400\"", APP, 0o400),
                ("owner = \"4715\"\nmode = \"0400\"", 4715, 0o400),
                ("mode = \"0600\"", US, 0o600),
                ("owner = \"4713\"\nmode = \"0600\"", APP, 0o600),
            ] {
                OwnedSet::configure(&place, lines);
                place.once();
                OwnedSet::is_right(&place, (owner, mode), "two");
            }
            place.configure(&["path = \"out/other\"\nkey = \"a\""]);
            place.once();
            let done = place.finish(&["prune", "--apply"]);
            assert_eq!(done.code, Some(0), "{done:?}");
            let left = fs::read_dir(place.home.path("out/set")).unwrap().count();
            assert_eq!(left, 0, "{done:?}");
        },
    ),
];

const SET_FILE: &str = "out/set/..data/a";

/// A directory of files that belong to somebody else, and are closed to us.
struct OwnedSet;

impl OwnedSet {
    fn configure(place: &Place, owner: &str) {
        place.configure(&[&format!(
            "path = \"out/set\"\nformat = \"directory\"\ndir_mode = \"0711\"\n{owner}"
        )]);
    }

    fn delivered() -> Place {
        let place = Place::new(OWNERS);
        Self::configure(&place, "owner = \"4713\"\nmode = \"0600\"");
        place.once();
        Self::is_right(&place, (APP, 0o600), "one");
        let before = place.inode(SET_FILE);
        place.once();
        assert_eq!(place.inode(SET_FILE), before, "nothing changed");
        place.put("two");
        place.once();
        Self::is_right(&place, (APP, 0o600), "two");
        place
    }

    fn is_right(place: &Place, (owner, mode): (u32, u32), value: &str) {
        for directory in ["out/set", "out/set/..data/"] {
            place.assert_is(directory, (US, US), 0o711);
        }
        place.assert_is(SET_FILE, (owner, US), mode);
        assert_eq!(place.home.read_text("out/set/a").unwrap(), value);
        let inside = fs::read_dir(place.home.path("out/set/..data/")).unwrap();
        assert_eq!(inside.count(), 1);
    }
}

/// Why these cannot run here: it takes root to become somebody else, and a way to the binary that is open to them.
fn obstacle() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("only root can become another user".to_owned());
    }
    if !Path::new("/usr/bin/setpriv").exists() {
        return Some("there is no setpriv".to_owned());
    }
    let binary = Path::new(env!("CARGO_BIN_EXE_secretsyncd"));
    let home = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let ways = binary.ancestors().chain(home.ancestors());
    let closed = |path: &&Path| {
        let mode = fs::metadata(path).map_or(0, |found| found.mode());
        mode & 0o001 == 0
    };
    let closed = ways.into_iter().find(closed)?;
    Some(format!("{} is closed to other users", closed.display()))
}

#[test]
fn files_have_the_owners_that_are_asked_for() {
    const SUITE: &str = "owners of files";
    match obstacle() {
        None => suite::run(SUITE, SCENARIOS, &()),
        Some(why) if in_ci() && !why.contains("closed") => panic!("{SUITE}: {why}"),
        Some(why) => suite::not_run(SUITE, SCENARIOS.len(), &why),
    }
}

/// It may be meant for another machine.
#[test]
fn check_names_accounts_that_this_machine_does_not_know_and_accepts_them() {
    let home = Home::new();
    home.write("values.toml", "a = \"one\"\n");
    home.configure(
        "[stores.local.file]\npath = \"values.toml\"\n[defaults.file]\nowner = \"no-such-user\"\n[secrets.e]\nstore = \"local\"\n\
         data = [{ secret_key = \"a\", remote_ref = { key = \"a\" } }]\n[[secrets.e.file]]\npath = \"out/x\"\nkey = \"a\"\ngroup = \"root\"\n",
    );
    for arguments in [&["check"] as &[_], &["check", "--strict"]] {
        let done = home.finish(arguments);
        assert_eq!(done.code, Some(0), "{done:?}");
        let said = "warning: entry e: this machine knows no user `no-such-user`\n";
        assert!(done.stderr.contains(said), "{}", done.stderr);
        assert!(!done.stderr.contains("root"), "{}", done.stderr);
    }
}
