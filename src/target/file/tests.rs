mod ownership;

use std::fs;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::path::PathBuf;

use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::mpsc::channel;
use std::time::Duration;

use futures_util::future::join_all;
use rustix::fs::{XattrFlags, fgetxattr_query, mkfifoat, setxattr};
use rustix::io::Errno;
use tempfile::TempDir;

use super::waiting::LIMIT;
use super::*;
use crate::config::FileFormat;
use crate::failure::Reason;
use crate::names::SecretKey;
use crate::state::{FileDelivery, FileIntent, Temporary};

mod adoption;
mod found;
mod killed;
pub(super) mod lab;
mod readers;
mod removal;

use lab::{mode, mode_of};

/// One file for each target.
enum OneFile {}

type Lab = lab::Lab<OneFile>;

impl Lab {
    /// In the directory of targets.
    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join("out").join(name)
    }

    fn spec(&self, name: &str) -> config::FileTarget {
        config::FileTarget {
            path: self.path(name),
            format: FileFormat::Raw {
                key: SecretKey::new("k").unwrap(),
            },
            mode: 0o640,
            dir_mode: 0o750,
            owner: None,
            group: None,
            adopt: false,
            deletion_policy: config::DeletionPolicy::Delete,
            check: None,
            on_change: None,
        }
    }

    fn target(&self, name: &str) -> FileTarget {
        self.target_of(self.spec(name))
    }

    /// What the ledger holds after a process was killed while it wrote `content` to `name`.
    fn was_killed(&self, name: &str, content: &[u8], temporary: Temporary) {
        let intent = FileIntent {
            delivery: FileDelivery {
                path: self.path(name),
                entry: EntryName::new("db").unwrap(),
                fingerprint: self.state.fingerprint_key().of([content]),
                mode: 0o640,
                placed: None,
                generations: Vec::new(),
                whose: crate::state::Whose::Ours,
            },
            found: None,
            found_ours: false,
            temporary,
            mark: None,
        };
        self.state.set_file_intent(intent).unwrap();
    }

    fn directory(&self) -> OwnedFd {
        fs::File::open(self.path("")).unwrap().into()
    }

    /// Every name in the directory of targets.
    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.path(""))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn payload(value: &[u8]) -> Payload {
    let mut payload = Payload::default();
    payload.insert(
        SecretKey::new("k").unwrap(),
        SecretBytes::new(value.to_vec()),
    );
    payload
}

async fn deliver(target: &FileTarget, value: &[u8]) -> Result<Effect, Failure> {
    let rendered = target.render(&payload(value))?;
    let seen = target.observe().await?;
    let verdict = target.judge(&rendered, &seen)?;
    let done = target.apply(&rendered, &seen, verdict).await?;
    Ok(done.effect)
}

async fn refusal(target: &FileTarget) -> Failure {
    let failure = deliver(target, b"new").await.unwrap_err();
    assert!(
        failure.fact.contains(target.path().to_str().unwrap())
            || failure.help().contains("choose another path"),
        "{failure}"
    );
    failure
}

#[tokio::test]
async fn a_file_is_made_with_its_parents_and_exact_modes() {
    let lab = Lab::new();
    // Modes that every usual umask would narrow.
    let target = lab.target_of(config::FileTarget {
        mode: 0o666,
        dir_mode: 0o755,
        ..lab.spec("a/b/file")
    });
    assert_eq!(target.probe().await, Ok(()));
    assert!(!lab.path("a").exists());
    assert_eq!(deliver(&target, b"one").await, Ok(Effect::Created));
    assert_eq!(fs::read(lab.path("a/b/file")).unwrap(), b"one");
    assert_eq!(mode_of(&lab.path("a/b/file")), 0o666);
    assert_eq!(mode_of(&lab.path("a")), 0o755);
    assert_eq!(mode_of(&lab.path("a/b")), 0o755);
    assert_eq!(target.drift().await, Ok(None));
}

#[tokio::test]
async fn nothing_is_touched_when_nothing_changed() {
    let lab = Lab::new();
    let target = lab.target("file");
    deliver(&target, b"one").await.unwrap();
    let before = fs::metadata(lab.path("file")).unwrap();
    assert_eq!(deliver(&target, b"one").await, Ok(Effect::Unchanged));
    let after = fs::metadata(lab.path("file")).unwrap();
    assert_eq!(
        (before.ino(), before.ctime_nsec()),
        (after.ino(), after.ctime_nsec())
    );
    assert_eq!(deliver(&target, b"two").await, Ok(Effect::Updated));
    assert_eq!(fs::read(lab.path("file")).unwrap(), b"two");
    assert_eq!(lab.names(), ["file"]);
}

#[tokio::test]
async fn a_file_of_somebody_else_is_left_alone() {
    let lab = Lab::new();
    let target = lab.target("file");
    fs::write(lab.path("file"), "theirs").unwrap();
    let failure = refusal(&target).await;
    assert_eq!(failure.reason, Reason::Conflict);
    assert!(failure.help().contains("adopt"));
    assert_eq!(fs::read(lab.path("file")).unwrap(), b"theirs");

    let adopting = lab.target_of(config::FileTarget {
        adopt: true,
        ..lab.spec("file")
    });
    assert_eq!(deliver(&adopting, b"new").await, Ok(Effect::Updated));
    assert_eq!(deliver(&target, b"newer").await, Ok(Effect::Updated));
}

#[tokio::test]
async fn what_is_no_plain_file_is_refused() {
    let lab = Lab::new();
    fs::write(lab.path("theirs"), "theirs").unwrap();
    symlink(lab.path("theirs"), lab.path("link")).unwrap();
    fs::create_dir(lab.path("directory")).unwrap();
    let out = fs::File::open(lab.path("")).unwrap();
    mkfifoat(&out, "fifo", rustix::fs::Mode::RUSR).unwrap();
    for (name, word) in [
        ("link", "symbolic link"),
        ("directory", "is a directory"),
        ("fifo", "FIFO"),
    ] {
        let target = lab.target_of(config::FileTarget {
            adopt: true,
            ..lab.spec(name)
        });
        let failure = refusal(&target).await;
        assert_eq!(failure.reason, Reason::Conflict);
        assert!(failure.fact.contains(word), "{failure}");
    }
    assert_eq!(fs::read(lab.path("theirs")).unwrap(), b"theirs");
    assert_eq!(lab.names(), ["directory", "fifo", "link", "theirs"]);
}

#[tokio::test]
async fn a_second_name_for_our_file_keeps_the_old_one() {
    let lab = Lab::new();
    let target = lab.target("file");
    deliver(&target, b"old").await.unwrap();
    let repaired = Ok(Effect::Repaired(Drift::Metadata));
    for (without_value, next) in [(true, "old"), (false, "new")] {
        fs::hard_link(lab.path("file"), lab.path("second")).unwrap();
        assert_eq!(target.drift().await, Ok(Some(Drift::Metadata)));
        assert_eq!(target.probe().await, Ok(()));
        if without_value {
            assert_eq!(target.repair_mode().await, repaired);
        } else {
            assert_eq!(deliver(&target, b"new").await, Ok(Effect::Updated));
        }
        assert_eq!(fs::read(lab.path("second")).unwrap(), b"old");
        assert_eq!(fs::read(lab.path("file")).unwrap(), next.as_bytes());
        fs::remove_file(lab.path("second")).unwrap();
        assert_eq!(target.drift().await, Ok(None));
    }
    assert_eq!(lab.names(), ["file"]);
}

/// It was put there by whoever has the other names.
#[tokio::test]
async fn another_file_with_two_names_is_refused() {
    let lab = Lab::new();
    let target = lab.target("file");
    deliver(&target, b"old").await.unwrap();
    for content in ["old", "theirs"] {
        fs::write(lab.path("theirs"), content).unwrap();
        fs::remove_file(lab.path("file")).unwrap();
        fs::hard_link(lab.path("theirs"), lab.path("file")).unwrap();
        let failure = refusal(&target).await;
        assert!(failure.fact.contains("2 hard links"), "{failure}");
        assert_eq!(target.drift().await.unwrap_err().reason, Reason::Conflict);
        assert_eq!(target.probe().await.unwrap_err().reason, Reason::Conflict);
        assert_eq!(fs::read(lab.path("theirs")).unwrap(), content.as_bytes());
        fs::remove_file(lab.path("file")).unwrap();
        deliver(&target, b"old").await.unwrap();
    }
}

#[tokio::test]
async fn permissions_are_put_back_on_the_file_that_was_delivered_and_on_no_other() {
    let lab = Lab::new();
    let target = lab.target("file");
    deliver(&target, b"value").await.unwrap();
    let inode = |name: &str| fs::metadata(lab.path(name)).unwrap().ino();
    let ours = inode("file");
    let repaired = Ok(Effect::Repaired(Drift::Metadata));
    let owner = fs::metadata(lab.path("file")).unwrap().uid();
    if owner == 0 {
        chown(lab.path("file"), Some(4711), Some(4712)).unwrap();
        assert_eq!(target.drift().await, Ok(Some(Drift::Metadata)));
        assert_eq!(target.repair_mode().await, repaired);
        let found = fs::metadata(lab.path("file")).unwrap();
        assert_eq!((found.uid(), found.gid()), (0, 0));
        assert_ne!(found.ino(), ours, "whom it was given to may hold it open");
        chown(lab.path("file"), Some(4711), None).unwrap();
        assert_eq!(deliver(&target, b"value").await, repaired);
        assert_eq!(fs::metadata(lab.path("file")).unwrap().uid(), 0);
    }
    let ours = inode("file");
    mode(&lab.path("file"), 0o666);
    assert_eq!(target.repair_mode().await, repaired);
    assert_eq!(inode("file"), ours);
    // The same content in another file, which is still open.
    let mut theirs = fs::File::create(lab.path("theirs")).unwrap();
    theirs.write_all(b"value").unwrap();
    fs::rename(lab.path("theirs"), lab.path("file")).unwrap();
    mode(&lab.path("file"), 0o666);
    assert_eq!(target.repair_mode().await, repaired);
    theirs.write_all(b" and more").unwrap();
    assert_eq!(fs::read(lab.path("file")).unwrap(), b"value");
    assert_eq!(mode_of(&lab.path("file")), 0o640);
    assert_eq!(target.drift().await, Ok(None));
}

#[tokio::test]
async fn directories_are_made_again_when_we_made_them() {
    let lab = Lab::new();
    fs::create_dir(lab.path("theirs")).unwrap();
    let ours = lab.target("theirs/ours/file");
    deliver(&ours, b"value").await.unwrap();
    fs::remove_dir_all(lab.path("theirs/ours")).unwrap();
    assert_eq!(ours.drift().await, Ok(Some(Drift::Missing)));
    assert_eq!(ours.probe().await, Ok(()));
    let repaired = Ok(Effect::Repaired(Drift::Missing));
    assert_eq!(deliver(&ours, b"value").await, repaired);

    fs::remove_dir_all(lab.path("theirs")).unwrap();
    let name = lab.path("theirs").display().to_string();
    for failure in [
        ours.drift().await.unwrap_err(),
        ours.probe().await.unwrap_err(),
        deliver(&ours, b"value").await.unwrap_err(),
    ] {
        assert_eq!(failure.reason, Reason::TargetMissing);
        assert!(
            failure.fact.contains(&format!("{name} is gone")),
            "{failure}"
        );
    }
    assert!(!lab.path("theirs").exists());
    // A file that was never delivered makes its way, and the other goes with it.
    deliver(&lab.target("theirs/new"), b"value").await.unwrap();
    assert_eq!(deliver(&ours, b"value").await, repaired);
}

#[tokio::test]
async fn a_symbolic_link_on_the_way_names_the_path_to_write() {
    let lab = Lab::new();
    fs::create_dir(lab.path("real")).unwrap();
    symlink("real", lab.path("link")).unwrap();
    let failure = refusal(&lab.target("link/file")).await;
    assert_eq!(failure.reason, Reason::Conflict);
    let real = lab.path("real/file").canonicalize();
    assert!(real.is_err(), "nothing was written");
    assert_eq!(
        failure.help(),
        format!("set `path` to {}", lab.path("real/file").display())
    );
    let failure = refusal(&lab.target("link/sub/file")).await;
    assert!(
        failure.help().ends_with("/out/real/sub/file"),
        "{failure:?}"
    );
    symlink("nowhere", lab.path("dangling")).unwrap();
    let failure = refusal(&lab.target("dangling/file")).await;
    assert!(failure.help().contains("nowhere"));
    assert!(!lab.path("nowhere").exists());
}

#[tokio::test]
async fn a_file_in_place_of_a_directory_is_named() {
    let lab = Lab::new();
    fs::write(lab.path("plain"), "x").unwrap();
    let failure = refusal(&lab.target("plain/file")).await;
    assert_eq!(failure.reason, Reason::TargetMissing);
    assert!(failure.fact.contains("out/plain, on the way"), "{failure}");
}

#[tokio::test]
async fn directories_that_others_control_are_refused() {
    let lab = Lab::new();
    fs::create_dir(lab.path("d")).unwrap();
    let (directory, target) = (lab.path("d"), lab.target("d/file"));
    let made = fs::metadata(&directory).unwrap();
    let ours = (made.uid(), made.gid());
    let mut cases = vec![
        (ours, 0o757, Some("chmod o-w")),
        (ours, 0o1777, None),
        (ours, 0o755, None),
    ];
    if rustix::process::geteuid().is_root() {
        cases.extend([
            ((0, 12), 0o770, Some("chmod g-w")),
            ((0, 12), 0o777, Some("chmod go-w")),
            ((12, 0), 0o700, Some("chown")),
            ((0, 0), 0o770, Some("chmod g-w")),
            ((0, 12), 0o750, None),
        ]);
    }
    for ((user, group), bits, refused) in cases {
        chown(&directory, Some(user), Some(group)).unwrap();
        mode(&directory, bits);
        let Some(help) = refused else {
            assert_eq!(target.probe().await, Ok(()));
            let value = format!("{bits:o}");
            deliver(&target, value.as_bytes()).await.unwrap();
            assert_eq!(fs::read_to_string(lab.path("d/file")).unwrap(), value);
            fs::remove_file(lab.path("d/file")).unwrap();
            continue;
        };
        for failure in [refusal(&target).await, target.probe().await.unwrap_err()] {
            assert_eq!(failure.reason, Reason::TargetDenied);
            assert!(failure.help().contains(help), "{}", failure.help());
        }
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
    }
}

#[tokio::test]
async fn what_changes_after_the_look_is_not_overwritten() {
    let lab = Lab::new();
    let target = lab.target("file");
    let rendered = target.render(&payload(b"new")).unwrap();

    let absent = target.observe().await.unwrap();
    fs::write(lab.path("file"), "theirs").unwrap();
    let write = Verdict::Write(Effect::Created);
    let failure = target.apply(&rendered, &absent, write).await.unwrap_err();
    assert_eq!(failure.reason, Reason::Conflict);
    assert!(failure.retry_after.is_some());
    assert_eq!(fs::read(lab.path("file")).unwrap(), b"theirs");

    let theirs = target.observe().await.unwrap();
    fs::write(lab.path("file"), "again!").unwrap();
    for verdict in [write, Verdict::FixMode(Effect::Updated)] {
        let failure = target.apply(&rendered, &theirs, verdict).await.unwrap_err();
        assert_eq!(failure.reason, Reason::Conflict);
    }
    assert_eq!(fs::read(lab.path("file")).unwrap(), b"again!");
    assert_eq!(lab.names(), ["file"], "no temporary file stays");
}

/// Names that only look like ours are other people's, whoever owns the files.
#[tokio::test]
async fn only_what_the_ledger_recorded_is_removed_as_a_leftover() {
    let lab = Lab::new();
    let name = |number: u64| format!("{}{number:016x}", staged::PREFIX);
    fs::write(lab.path(&name(0xabc)), "half a sec").unwrap();
    let inode = fs::metadata(lab.path(&name(0xabc))).unwrap().ino();
    fs::write(lab.path(&name(0xdef)), "theirs").unwrap();
    fs::write(lab.path(".secretsyncd-notes"), "theirs").unwrap();
    let temporary = Temporary {
        number: 0xabc,
        inode,
        born: None,
    };
    lab.was_killed("file", b"half a secret", temporary);
    deliver(&lab.target("file"), b"new").await.unwrap();
    assert_eq!(lab.names(), [&name(0xdef), ".secretsyncd-notes", "file"]);

    let failure = deliver(&lab.target(&name(1)), b"new").await.unwrap_err();
    assert_eq!(failure.reason, Reason::Invalid);
}

/// Killed between the exchange and the end of what was displaced.
#[tokio::test]
async fn displaced_content_goes_only_when_it_is_ours() {
    let lab = Lab::new();
    let target = lab.target("file");
    for (held, number, stays) in [("old", 1, false), ("theirs", 2, true)] {
        deliver(&target, b"old").await.unwrap();
        let displaced = format!("{}{number:016x}", staged::PREFIX);
        fs::write(lab.path(&displaced), held).unwrap();
        fs::write(lab.path("file"), "new").unwrap();
        mode(&lab.path("file"), 0o640);
        let inode = fs::metadata(lab.path("file")).unwrap().ino();
        lab.was_killed(
            "file",
            b"new",
            Temporary {
                number,
                inode,
                born: None,
            },
        );
        assert_eq!(deliver(&target, b"new").await, Ok(Effect::Unchanged));
        assert_eq!(lab.path(&displaced).exists(), stays, "{held}");
    }
    assert_eq!(lab.state.file(&lab.path("file")).unwrap().temporary, None);
}

/// The ledger knows the temporary file before it holds anything, so that a kill at any later moment leaves no secret.
#[tokio::test]
async fn a_write_that_fails_leaves_nothing_and_its_temporary_file_is_known() {
    let lab = Lab::new();
    let target = lab.target("file");
    let rendered = target.render(&payload(b"new")).unwrap();
    let absent = target.observe().await.unwrap();
    fs::write(lab.path("file"), "theirs").unwrap();
    let write = Verdict::Write(Effect::Created);
    target.apply(&rendered, &absent, write).await.unwrap_err();
    let record = lab.state.file(&lab.path("file")).unwrap();
    assert!(record.temporary.is_some());
    assert_eq!(record.delivered, None);
    assert_eq!(lab.names(), ["file"]);
}

/// Somebody writes after the last look: in place, or by another file under the name.
#[test]
fn what_is_written_between_the_last_look_and_the_rename_is_put_back() {
    let lab = Lab::new();
    let (path, directory) = (lab.path("file"), lab.directory());
    let stamp = || {
        let inode = Inode::of_name(&directory, "file".as_ref()).unwrap();
        inode.map(|inode| inode.stamp)
    };
    let put = |seen| {
        let attributes = staged::Attributes {
            mode: 0o640,
            ownership: &Ownership::default(),
            label: None,
        };
        let mut staged = staged::Staged::create(&directory, &path, &attributes).unwrap();
        staged.fill(&SecretBytes::new(b"ours".to_vec())).unwrap();
        staged.put("file".as_ref(), seen)
    };
    fs::write(&path, "before").unwrap();
    let seen = stamp();
    fs::write(&path, "written later").unwrap();
    assert_eq!(put(seen).unwrap_err().reason, Reason::Conflict);
    assert_eq!(fs::read(&path).unwrap(), b"written later");

    let seen = stamp();
    fs::write(lab.path("other"), "written later").unwrap();
    fs::rename(lab.path("other"), &path).unwrap();
    assert_eq!(put(seen).unwrap_err().reason, Reason::Conflict);
    assert_eq!(fs::read(&path).unwrap(), b"written later");

    let seen = stamp();
    fs::remove_file(&path).unwrap();
    assert_eq!(put(seen).unwrap_err().reason, Reason::Conflict);
    assert_eq!(lab.names(), Vec::<String>::new());

    fs::write(&path, "before").unwrap();
    put(stamp()).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"ours");
    assert_eq!(lab.names(), ["file"]);
}

/// Killed between the rename and the record of it: intent in the ledger, new content in place.
#[tokio::test]
async fn content_that_was_in_place_before_the_ledger_said_so_is_ours() {
    let lab = Lab::new();
    let target = lab.target("file");
    let temporary = Temporary {
        number: 1,
        inode: 2,
        born: None,
    };
    lab.was_killed("file", b"first", temporary);
    fs::write(lab.path("file"), "first").unwrap();
    mode(&lab.path("file"), 0o640);
    assert_eq!(deliver(&target, b"second").await, Ok(Effect::Updated));

    fs::write(lab.path("other"), "theirs").unwrap();
    lab.was_killed("other", b"first", temporary);
    assert_eq!(refusal(&lab.target("other")).await.reason, Reason::Conflict);
}

#[tokio::test]
async fn two_interrupted_first_deliveries_do_not_make_the_file_somebody_elses() {
    let lab = Lab::new();
    let target = lab.target("file");
    fs::write(lab.path("file"), "first").unwrap();
    let temporary = Temporary {
        number: 1,
        inode: fs::metadata(lab.path("file")).unwrap().ino(),
        born: None,
    };
    lab.was_killed("file", b"first", temporary);
    // The second one ends after its intent and before its swap.
    let rendered = target.render(&payload(b"second")).unwrap();
    let seen = target.observe().await.unwrap();
    let verdict = target.judge(&rendered, &seen).unwrap();
    fs::write(lab.path("file"), "first").unwrap();
    mode(&lab.path("file"), 0o600);
    target.apply(&rendered, &seen, verdict).await.unwrap_err();
    let record = lab.state.file(&lab.path("file")).unwrap();
    assert_eq!(record.intent, Some(rendered.fingerprint()));
    assert_eq!(deliver(&target, b"third").await, Ok(Effect::Updated));
}

#[tokio::test]
async fn a_file_made_while_its_path_was_not_configured_is_not_ours() {
    let lab = Lab::new();
    let (target, same) = (lab.target("file"), lab.target("same"));
    deliver(&target, b"old").await.unwrap();
    deliver(&same, b"old").await.unwrap();
    lab.state.keep_only_files([].into()).unwrap();
    fs::remove_file(lab.path("file")).unwrap();
    fs::write(lab.path("file"), "theirs").unwrap();
    let configured = [lab.path("file"), lab.path("same")];
    lab.state.keep_only_files(configured.into()).unwrap();

    assert_eq!(refusal(&target).await.reason, Reason::Conflict);
    assert_eq!(fs::read(lab.path("file")).unwrap(), b"theirs");
    assert_eq!(deliver(&same, b"new").await, Ok(Effect::Updated));

    fs::remove_file(lab.path("file")).unwrap();
    assert_eq!(deliver(&target, b"old").await, Ok(Effect::Created));
    fs::write(lab.path("file"), "theirs").unwrap();
    let repaired = Ok(Effect::Repaired(Drift::Content));
    assert_eq!(deliver(&target, b"old").await, repaired, "delivered again");
}

/// Gives user 65534 everything by an ACL, as `setfacl -m` (or `-d -m`) does. Nothing where the file system has none.
fn let_in_a_stranger(path: &Path, kind: &str) -> bool {
    let mut acl = 2_u32.to_le_bytes().to_vec();
    let nobody = u32::MAX;
    for (tag, bits, id) in [
        (0x01_u16, 7_u16, nobody),
        (0x02, 7, 65534),
        (0x04, 5, nobody),
        (0x10, 7, nobody),
        (0x20, 0, nobody),
    ] {
        acl.extend(tag.to_le_bytes());
        acl.extend(bits.to_le_bytes());
        acl.extend(id.to_le_bytes());
    }
    let name = format!("system.posix_acl_{kind}");
    match setxattr(path, name.as_str(), &acl, XattrFlags::empty()) {
        Ok(()) => true,
        Err(Errno::OPNOTSUPP) => false,
        Err(errno) => panic!("{errno}"),
    }
}

fn has_acl(path: &Path) -> bool {
    let file = fs::File::open(path).unwrap();
    fgetxattr_query(&file, "system.posix_acl_access") != Err(Errno::NODATA)
}

#[test]
fn a_private_group_is_trusted_only_without_an_acl_and_never_roots() {
    let lab = Lab::new();
    let path = lab.path("");
    let made = fs::metadata(&path).unwrap();
    let us = if made.uid() == 0 {
        chown(&path, Some(1000), Some(1000)).unwrap();
        1000
    } else if made.uid() == made.gid() {
        made.uid()
    } else {
        return;
    };
    mode(&path, 0o775);
    let check = |us| {
        let trusted = parents::Trusted { us, owner: None };
        parents::check(trusted, &lab.directory(), &path)
    };
    assert_eq!(check(us), Ok(()));
    if let_in_a_stranger(&path, "access") {
        assert_eq!(check(us).unwrap_err().reason, Reason::TargetDenied);
    }
    if made.uid() == 0 {
        chown(&path, Some(0), Some(0)).unwrap();
        for us in [0, 1000] {
            assert_eq!(check(us).unwrap_err().reason, Reason::TargetDenied);
        }
    }
}

#[tokio::test]
async fn a_default_acl_of_the_directory_does_not_open_the_file() {
    let lab = Lab::new();
    if !let_in_a_stranger(&lab.path(""), "default") {
        return;
    }
    let target = lab.target("sub/file");
    deliver(&target, b"value").await.unwrap();
    for (name, bits) in [("sub", 0o750), ("sub/file", 0o640)] {
        assert!(!has_acl(&lab.path(name)), "{name}");
        let opened = fs::File::open(lab.path(name)).unwrap();
        let inherited = fgetxattr_query(&opened, "system.posix_acl_default");
        assert!(inherited.is_err(), "{name} hands on {inherited:?}");
        assert_eq!(mode_of(&lab.path(name)), bits);
    }
    assert_eq!(target.drift().await, Ok(None));
}

#[tokio::test]
async fn an_acl_on_the_file_is_drift_and_goes_with_the_old_inode() {
    let lab = Lab::new();
    let target = lab.target("file");
    deliver(&target, b"value").await.unwrap();
    let repaired = Ok(Effect::Repaired(Drift::Metadata));
    for without_value in [true, false] {
        if !let_in_a_stranger(&lab.path("file"), "access") {
            return;
        }
        mode(&lab.path("file"), 0o640);
        let mut held = fs::File::options()
            .append(true)
            .open(lab.path("file"))
            .unwrap();
        assert_eq!(target.drift().await, Ok(Some(Drift::Metadata)));
        if without_value {
            assert_eq!(target.repair_mode().await, repaired);
        } else {
            assert_eq!(deliver(&target, b"value").await, repaired);
        }
        held.write_all(b"by whom the ACL let in").unwrap();
        assert!(!has_acl(&lab.path("file")));
        assert_eq!(fs::read(lab.path("file")).unwrap(), b"value");
        assert_eq!(target.drift().await, Ok(None));
        assert_eq!(lab.names(), ["file"]);
    }
}

#[tokio::test]
async fn drift_is_seen_and_repaired() {
    let lab = Lab::new();
    let target = lab.target("file");
    assert_eq!(target.drift().await, Ok(None), "never delivered");
    deliver(&target, b"value").await.unwrap();

    mode(&lab.path("file"), 0o644);
    assert_eq!(target.drift().await, Ok(Some(Drift::Metadata)));
    let repaired = Ok(Effect::Repaired(Drift::Metadata));
    assert_eq!(target.repair_mode().await, repaired);
    assert_eq!(mode_of(&lab.path("file")), 0o640);
    assert_eq!(target.repair_mode().await, Ok(Effect::Unchanged));

    fs::write(lab.path("file"), "theirs").unwrap();
    assert_eq!(target.drift().await, Ok(Some(Drift::Content)));
    assert!(target.repair_mode().await.is_err());
    let repaired = Ok(Effect::Repaired(Drift::Content));
    assert_eq!(deliver(&target, b"value").await, repaired);

    fs::remove_file(lab.path("file")).unwrap();
    assert_eq!(target.drift().await, Ok(Some(Drift::Missing)));
    let repaired = Ok(Effect::Repaired(Drift::Missing));
    assert_eq!(deliver(&target, b"value").await, repaired);

    let huge = fs::File::create(lab.path("file")).unwrap();
    huge.set_len(format::MAX_FILE_BYTES as u64 + 1).unwrap();
    assert_eq!(target.drift().await, Ok(Some(Drift::Content)));
}

#[tokio::test]
async fn refusals_of_the_system_say_what_and_where() {
    let lab = Lab::new();
    let long = lab.target(&"x".repeat(256));
    let failure = refusal(&long).await;
    assert_eq!(failure.reason, Reason::Invalid);
    assert!(failure.help().contains("shorter"));

    let proc = lab.target_of(config::FileTarget {
        path: "/proc/secretsyncd/file".into(),
        ..lab.spec("file")
    });
    let failure = deliver(&proc, b"new").await.unwrap_err();
    assert!(failure.fact.contains("/proc/secretsyncd"), "{failure}");

    for path in ["relative", "/a/../b", "/"] {
        let target = lab.target_of(config::FileTarget {
            path: path.into(),
            ..lab.spec("file")
        });
        assert_eq!(target.observe().await.unwrap_err().reason, Reason::Invalid);
    }
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_hangs_is_waited_for_with_a_limit() {
    let lab = Lab::new();
    let target = lab.target("file");
    let _hanging = Arc::clone(&target.busy).lock_owned().await;
    let failure = target.drift().await.unwrap_err();
    assert_eq!(failure.reason, Reason::Timeout);
}

/// Threads that wait for a dead disk cannot be ended; the targets on others need the rest of them.
#[tokio::test(start_paused = true)]
async fn a_dead_disk_holds_no_more_than_its_share_of_threads() {
    let lab = Lab::new();
    // Dropped, it ends the threads: also when the test fails.
    let mut hanging = Vec::new();
    let stuck: Vec<_> = (0..seats::PER_DIRECTORY)
        .map(|number| lab.target(&format!("dead/{number}")))
        .collect();
    let (starting, started) = channel();
    let waiting = stuck.iter().map(|target| {
        let (starting, (hang, end)) = (starting.clone(), channel::<()>());
        hanging.push(hang);
        target.on_disk(move |_| {
            starting.send(()).unwrap();
            let _ = end.recv();
            Ok(())
        })
    });
    let (one_more, elsewhere) = (lab.target("dead/more"), lab.target("file"));
    let is_late = |outcome: Result<_, Failure>| outcome.unwrap_err().reason == Reason::Timeout;
    let patience = || tokio::time::advance(LIMIT + Duration::from_secs(1));

    let (stuck, more, ()) = tokio::join!(join_all(waiting), one_more.drift(), patience());
    assert!(
        stuck
            .into_iter()
            .all(|outcome| outcome.unwrap_err().reason == Reason::Timeout)
    );
    assert!(is_late(more));
    assert_eq!(started.iter().take(seats::PER_DIRECTORY).count(), 8);
    assert_eq!(one_more.seats.available_permits(), 0);
    let (more, ()) = tokio::join!(one_more.drift(), patience());
    assert!(is_late(more), "seats are held by threads, not by who waits");
    assert_eq!(elsewhere.drift().await, Ok(None));
    drop(hanging);
    assert_eq!(one_more.drift().await, Ok(None));
}

#[tokio::test]
async fn a_change_that_was_cut_short_came_about_where_its_content_is_in_place() {
    let lab = Lab::new();
    let target = lab.target("f");
    let mark = Mark {
        id: 7,
        since: Timestamp::UNIX_EPOCH,
    };
    let intent = FileIntent {
        delivery: FileDelivery {
            path: lab.path("f"),
            entry: EntryName::new("db").unwrap(),
            fingerprint: lab.state.fingerprint_key().of([b"new".as_slice()]),
            mode: 0o640,
            placed: None,
            generations: Vec::new(),
            whose: crate::state::Whose::Ours,
        },
        found: None,
        found_ours: false,
        temporary: Temporary {
            number: 1,
            inode: 2,
            born: None,
        },
        mark: Some(mark),
    };
    lab.state.set_file_intent(intent).unwrap();
    assert_eq!(target.cut_short().await.unwrap(), None, "it is not there");
    fs::write(lab.path("f"), "old").unwrap();
    assert_eq!(target.cut_short().await.unwrap(), None);
    fs::write(lab.path("f"), "new").unwrap();
    assert_eq!(target.cut_short().await.unwrap(), Some(mark));
    assert_eq!(target.marks().pending, None, "looking says nothing");
}

/// They make it at the same time, and one took it from another.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_targets_make_one_directory() {
    for round in 0..40 {
        let lab = Lab::new();
        let targets = (0..8).map(|n| lab.target(&format!("a{round}/b/f{n}")));
        let targets: Vec<_> = targets.collect();
        let deliveries = targets.iter().map(|target| deliver(target, b"value"));
        for delivered in join_all(deliveries).await {
            assert_eq!(delivered, Ok(Effect::Created));
        }
    }
}
