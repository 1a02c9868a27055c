//! Whose files are. What takes another user than root is in `tests/it/owners.rs`.

use super::*;
use crate::account::Account;
use rustix::fs::fgetxattr;

const APP: u32 = 4711;
const WEB: u32 = 4712;

/// Only root gives files away.
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn of(lab: &Lab, name: &str, owner: Option<u32>, group: Option<u32>) -> FileTarget {
    lab.target_of(config::FileTarget {
        owner: owner.map(Account::Number),
        group: group.map(Account::Number),
        ..lab.spec(name)
    })
}

fn owners(path: &Path) -> (u32, u32) {
    let found = fs::metadata(path).unwrap();
    (found.uid(), found.gid())
}

fn stamp(path: &Path) -> (u64, i64, i64) {
    let found = fs::metadata(path).unwrap();
    (found.ino(), found.ctime(), found.ctime_nsec())
}

#[tokio::test]
async fn a_file_is_given_to_its_owner_and_group_and_made_directories_to_the_group() {
    if !is_root() {
        return;
    }
    let lab = Lab::new();
    let target = of(&lab, "made/file", Some(APP), Some(WEB));
    assert_eq!(deliver(&target, b"one").await, Ok(Effect::Created));
    let (file, directory) = (lab.path("made/file"), lab.path("made"));
    assert_eq!((owners(&file), mode_of(&file)), ((APP, WEB), 0o640));
    // It stays ours, or nothing more could be written into it.
    assert_eq!((owners(&directory), mode_of(&directory)), ((0, WEB), 0o750));
    assert_eq!(target.drift().await, Ok(None));

    let before = stamp(&file);
    assert_eq!(deliver(&target, b"one").await, Ok(Effect::Unchanged));
    assert_eq!(stamp(&file), before, "bytes, mode and owner match");
    assert_eq!(deliver(&target, b"two").await, Ok(Effect::Updated));
    assert_eq!((owners(&file), mode_of(&file)), ((APP, WEB), 0o640));
}

#[test]
fn owner_and_mode_are_there_before_the_first_byte() {
    if !is_root() {
        return;
    }
    let lab = Lab::new();
    let spec = config::FileTarget {
        owner: Some(Account::Number(APP)),
        group: Some(Account::Number(WEB)),
        ..lab.spec("file")
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let ownership = runtime
        .block_on(Ownership::of(&spec, &Accounts::default()))
        .unwrap();
    let attributes = staged::Attributes {
        mode: 0o640,
        ownership: &ownership,
        label: None,
    };
    let (directory, path) = (lab.directory(), lab.path("file"));
    let mut nameless = staged::Staged::create(&directory, &path, &attributes).unwrap();
    nameless.fill(&SecretBytes::new(Vec::new())).unwrap();
    let staged = lab.path(&lab.names()[0]);
    assert_eq!(fs::metadata(&staged).unwrap().len(), 0);
    assert_eq!((owners(&staged), mode_of(&staged)), ((APP, WEB), 0o640));
}

#[tokio::test]
async fn another_owner_is_drift_that_a_fresh_file_mends() {
    if !is_root() {
        return;
    }
    let lab = Lab::new();
    let file = lab.path("file");
    let ours = owners(lab.root.path());
    for (owner, group, right) in [
        (Some(APP), Some(WEB), (APP, WEB)),
        (None, None, ours),
        (None, Some(WEB), (ours.0, WEB)),
    ] {
        let target = of(&lab, "file", owner, group);
        deliver(&target, b"value").await.unwrap();
        assert_eq!(owners(&file), right);
        for (thief, without_value) in [((65534, right.1), true), ((right.0, 65534), false)] {
            chown(&file, Some(thief.0), Some(thief.1)).unwrap();
            let stolen = fs::metadata(&file).unwrap().ino();
            assert_eq!(target.drift().await, Ok(Some(Drift::Metadata)));
            let repaired = Ok(Effect::Repaired(Drift::Metadata));
            if without_value {
                assert_eq!(target.repair_mode().await, repaired);
            } else {
                assert_eq!(deliver(&target, b"value").await, repaired);
            }
            assert_eq!((owners(&file), mode_of(&file)), (right, 0o640));
            assert_eq!(fs::read(&file).unwrap(), b"value");
            // Whoever it belonged to may still write to the old one.
            assert_ne!(fs::metadata(&file).unwrap().ino(), stolen);
        }
        assert_eq!(target.drift().await, Ok(None));
    }
}

#[tokio::test]
async fn an_owner_that_is_no_longer_configured_loses_the_file() {
    if !is_root() {
        return;
    }
    let lab = Lab::new();
    deliver(&of(&lab, "file", Some(APP), None), b"value")
        .await
        .unwrap();
    let without = of(&lab, "file", None, None);
    assert_eq!(deliver(&without, b"value").await, Ok(Effect::Updated));
    assert_eq!(owners(&lab.path("file")).0, 0);
    assert_eq!(deliver(&without, b"value").await, Ok(Effect::Unchanged));
}

#[tokio::test]
async fn a_name_that_the_machine_does_not_know_is_named_and_the_old_file_stays() {
    let lab = Lab::new();
    deliver(&lab.target("file"), b"old").await.unwrap();
    let nobody = || Account::new("no-such-account").unwrap();
    let spec = || lab.spec("file");
    for (spec, kind) in [
        (
            config::FileTarget {
                owner: Some(nobody()),
                ..spec()
            },
            "user",
        ),
        (
            config::FileTarget {
                group: Some(nobody()),
                ..spec()
            },
            "group",
        ),
    ] {
        let target = lab.target_of(spec);
        for failure in [
            deliver(&target, b"new").await.unwrap_err(),
            target.probe().await.unwrap_err(),
        ] {
            assert_eq!(failure.reason, Reason::TargetMissing);
            let fact = format!("this machine knows no {kind} `no-such-account`");
            assert_eq!(failure.fact, fact);
        }
    }
    assert_eq!(fs::read(lab.path("file")).unwrap(), b"old");
}

#[tokio::test]
async fn a_directory_may_belong_to_the_owner_of_the_file_and_to_no_other() {
    if !is_root() {
        return;
    }
    let lab = Lab::new();
    let directory = lab.path("d");
    fs::create_dir(&directory).unwrap();
    // owner, group and bits of the directory, and whether it is fine for a file of APP's
    let cases = [
        (APP, 0, 0o755, true),
        (APP, APP, 0o770, true),
        (APP, WEB, 0o770, false),
        (APP, 0, 0o770, false),
        (0, APP, 0o770, false),
        (WEB, WEB, 0o700, false),
        (APP, APP, 0o777, false),
    ];
    for (owner, group, bits, fine) in cases {
        chown(&directory, Some(owner), Some(group)).unwrap();
        mode(&directory, bits);
        let case = format!("{owner}:{group} {bits:o}");
        let probed = of(&lab, "d/file", Some(APP), None).probe().await;
        assert_eq!(probed.is_ok(), fine, "{case}: {probed:?}");
        if !fine {
            assert_eq!(probed.unwrap_err().reason, Reason::TargetDenied, "{case}");
        }
        let probed = of(&lab, "d/file", None, None).probe().await;
        assert!(probed.is_err(), "{case} without `owner`");
    }
}

/// Without `SELinux` a label is an attribute like others, which root may set.
#[tokio::test]
async fn the_label_of_the_replaced_file_is_kept() {
    const LABEL: &[u8] = b"system_u:object_r:httpd_config_t:s0\0";
    const NAME: &str = "security.selinux";
    let lab = Lab::new();
    let (target, path) = (lab.target("file"), lab.path("file"));
    deliver(&target, b"one").await.unwrap();
    if setxattr(&path, NAME, LABEL, XattrFlags::empty()).is_err() {
        return;
    }
    deliver(&target, b"two").await.unwrap();
    let file = fs::File::open(&path).unwrap();
    let mut label = [0; 256];
    let length = fgetxattr(&file, NAME, &mut label[..]).unwrap();
    assert_eq!(&label[..length], LABEL);
}

#[test]
fn a_name_that_leads_elsewhere_is_no_delivery() {
    let lab = Lab::new();
    let (directory, path) = (lab.directory(), lab.path("file"));
    let attributes = staged::Attributes {
        mode: 0o640,
        ownership: &Ownership::default(),
        label: None,
    };
    let mut staged = staged::Staged::create(&directory, &path, &attributes).unwrap();
    staged.fill(&SecretBytes::new(b"ours".to_vec())).unwrap();
    let in_place = |staged: &staged::Staged<'_>| staged.in_place_as("file".as_ref());
    assert_eq!(in_place(&staged).unwrap_err().reason, Reason::Conflict);
    fs::write(&path, "theirs").unwrap();
    assert_eq!(in_place(&staged).unwrap_err().reason, Reason::Conflict);
    fs::rename(lab.path(&lab.names()[0]), &path).unwrap();
    assert!(in_place(&staged).is_ok());
}
