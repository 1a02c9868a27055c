//! What is there already.

use std::collections::HashSet;

use super::*;
use crate::state::Whose;
use crate::target::file::{LeftFile, Removed};

#[tokio::test]
async fn a_directory_that_was_made_beforehand_and_is_empty_is_filled() {
    let lab = Lab::new();
    fs::create_dir(lab.path("")).unwrap();
    mode(&lab.path(""), 0o2700);
    assert_eq!(deliver(&lab.target(), ONE).await, Ok(Effect::Created));
    assert_eq!(
        mode_of(&lab.path("")),
        0o2750,
        "whose group is in it stays as it was set up"
    );
    assert_eq!(mode_of(&lab.live()), 0o2750);
    assert_eq!(lab.target().drift().await, Ok(None));
}

/// Links have to replace them, whatever they hold.
#[tokio::test]
async fn plain_files_of_somebody_else_are_taken_only_by_adopt() {
    let lab = Lab::new();
    fs::create_dir(lab.path("")).unwrap();
    for (name, value) in ONE {
        fs::write(lab.path(name), value).unwrap();
    }
    let target = lab.target();
    for (name, value) in [("key", "theirs"), ("more", "theirs")] {
        let before = fs::read(lab.path(name)).ok();
        fs::write(lab.path(name), value).unwrap();
        let failure = deliver(&target, ONE).await.unwrap_err();
        assert_eq!(failure.reason, Reason::Conflict);
        assert!(failure.help().contains("adopt"));
        assert_eq!(fs::read(lab.path(name)).unwrap(), b"theirs");
        assert!(!lab.names().contains(&"..data".to_owned()));
        match before {
            Some(before) => fs::write(lab.path(name), before).unwrap(),
            None => fs::remove_file(lab.path(name)).unwrap(),
        }
    }
    let failure = deliver(&target, ONE).await.unwrap_err();
    assert!(failure.fact.contains("plain files"), "{failure}");
    let target = lab.target_of(config::FileTarget {
        adopt: true,
        ..lab.spec()
    });
    assert_eq!(deliver(&target, ONE).await, Ok(Effect::Updated));
    assert_eq!(lab.seen(), set(ONE));
    assert!(fs::symlink_metadata(lab.path("key")).unwrap().is_symlink());
    assert_eq!(mode_of(&lab.path("")), 0o750, "it is ours alone now");
    assert_eq!(target.drift().await, Ok(None));
}

#[tokio::test]
async fn adopt_takes_the_keys_and_leaves_the_rest() {
    let lab = Lab::new();
    fs::create_dir(lab.path("")).unwrap();
    mode(&lab.path(""), 0o755);
    fs::write(lab.path("key"), "theirs").unwrap();
    fs::write(lab.path("more"), "theirs").unwrap();
    let adopting = lab.target_of(config::FileTarget {
        adopt: true,
        ..lab.spec()
    });
    let rendered = adopting.render(&payload(ONE)).unwrap();
    let seen = adopting.observe().await.unwrap();
    assert!(adopting.is_adopted(&rendered, &seen));
    assert_eq!(deliver(&adopting, ONE).await, Ok(Effect::Updated));
    let mut expected = set(ONE);
    expected.insert("more".into(), "theirs".into());
    assert_eq!(lab.seen(), expected);
    assert_eq!(mode_of(&lab.path("")), 0o755);
    assert_eq!(lab.names(), ["..data", "GEN", "crt", "key", "more", "old"]);
}

/// As kubelet makes them, or an earlier life of ours whose ledger is gone.
fn volume(lab: &Lab) -> PathBuf {
    fs::create_dir(lab.path("")).unwrap();
    let generation = lab.path("..2026_11_23_16_25_01.123456789");
    fs::create_dir(&generation).unwrap();
    for (name, value) in ONE {
        fs::write(generation.join(name), value).unwrap();
        mode(&generation.join(name), 0o640);
        symlink(format!("..data/{name}"), lab.path(name)).unwrap();
    }
    mode(&generation, 0o750);
    mode(&lab.path(""), 0o750);
    symlink("..2026_11_23_16_25_01.123456789", lab.path("..data")).unwrap();
    generation
}

/// Bug: it counted as ours, got our modes, and went with the entry.
#[tokio::test]
async fn a_volume_with_our_bytes_is_delivered_and_never_ours_to_remove() {
    let lab = Lab::new();
    let generation = volume(&lab);
    let target = lab.target();
    let failure = deliver(&target, TWO).await.unwrap_err();
    assert_eq!(failure.reason, Reason::Conflict);
    for _ in 0..2 {
        assert_eq!(deliver(&target, ONE).await, Ok(Effect::Unchanged));
        assert_eq!(target.drift().await, Ok(None));
        let record = lab.state.file(target.path()).unwrap();
        assert_eq!(record.whose, Whose::Found);
    }
    let failure = target.remove(()).await.unwrap_err();
    assert!(failure.fact.contains("was not written by"), "{failure}");
    lab.state.keep_only_files(HashSet::new()).unwrap();
    let entry = EntryName::new("db").unwrap();
    let state = Arc::clone(&lab.state);
    let left = LeftFile::new(lab.spec().path, entry, state, &lab.seats);
    let failure = left.remove(()).await.unwrap_err();
    assert!(failure.fact.contains("was not written by"), "{failure}");
    assert_eq!((lab.seen(), lab.live()), (set(ONE), generation));
}

#[tokio::test]
async fn a_volume_of_somebody_else_keeps_its_modes_and_links() {
    let lab = Lab::new();
    let generation = volume(&lab);
    let target = lab.target();
    let refused = async || {
        let failure = deliver(&target, ONE).await.unwrap_err();
        assert!(failure.fact.contains("was not written by"), "{failure}");
        assert!(failure.help().contains("adopt"));
    };
    mode(&generation.join("key"), 0o644);
    refused().await;
    assert_eq!(mode_of(&generation.join("key")), 0o644);
    mode(&generation.join("key"), 0o640);
    fs::remove_file(lab.path("key")).unwrap();
    refused().await;
    assert!(!lab.path("key").exists());
    symlink("..data/key", lab.path("key")).unwrap();
    deliver(&target, ONE).await.unwrap();
    mode(&generation.join("key"), 0o644);
    assert_eq!(target.drift().await, Ok(Some(Drift::Metadata)));
    let failure = target.repair_mode().await.unwrap_err();
    assert!(failure.fact.contains("was not written by"), "{failure}");
    assert_eq!(mode_of(&generation.join("key")), 0o644);
}

#[tokio::test]
async fn what_takes_the_place_of_a_volume_is_ours_and_what_it_was_stays_beside() {
    let lab = Lab::new();
    let generation = volume(&lab);
    let target = lab.target();
    deliver(&target, ONE).await.unwrap();
    for content in [TWO, ONE, TWO] {
        assert_eq!(deliver(&target, content).await, Ok(Effect::Updated));
        assert_eq!(lab.seen(), set(content));
    }
    assert!(generation.join("key").exists(), "it is not ours to remove");
    assert_eq!(target.remove(()).await, Ok(Removed::Deleted));
    assert!(generation.join("key").exists());
}

#[tokio::test]
async fn adopt_takes_a_volume_whole() {
    let lab = Lab::new();
    let generation = volume(&lab);
    mode(&generation.join("key"), 0o644);
    let adopting = lab.target_of(config::FileTarget {
        adopt: true,
        ..lab.spec()
    });
    assert_eq!(deliver(&adopting, ONE).await, Ok(Effect::Updated));
    assert_eq!(lab.live(), generation, "only its modes were wrong");
    assert_eq!(mode_of(&generation.join("key")), 0o640);
    deliver(&adopting, TWO).await.unwrap();
    deliver(&adopting, ONE).await.unwrap();
    assert!(!generation.exists());
}

#[tokio::test]
async fn what_is_no_directory_or_leads_elsewhere_is_refused() {
    let lab = Lab::new();
    let elsewhere = lab.root.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let adopting = lab.target_of(config::FileTarget {
        adopt: true,
        ..lab.spec()
    });
    symlink(&elsewhere, lab.spec().path).unwrap();
    let failure = deliver(&adopting, ONE).await.unwrap_err();
    assert!(failure.fact.contains("symbolic link"), "{failure}");
    fs::remove_file(lab.spec().path).unwrap();
    fs::write(lab.spec().path, "theirs").unwrap();
    let failure = deliver(&adopting, ONE).await.unwrap_err();
    assert!(failure.fact.contains("no directory"), "{failure}");
    fs::remove_file(lab.spec().path).unwrap();

    fs::create_dir(lab.spec().path).unwrap();
    symlink(elsewhere.join("x"), lab.path("key")).unwrap();
    let failure = deliver(&adopting, ONE).await.unwrap_err();
    assert!(failure.fact.contains("/set/key is neither"), "{failure}");
    fs::remove_file(lab.path("key")).unwrap();
    fs::create_dir(lab.path("..data")).unwrap();
    let failure = deliver(&adopting, ONE).await.unwrap_err();
    assert!(
        failure.fact.contains("..data is no symbolic link"),
        "{failure}"
    );
    fs::remove_dir(lab.path("..data")).unwrap();
    // A link out of the directory is replaced, never followed.
    symlink(&elsewhere, lab.path("..data")).unwrap();
    assert_eq!(deliver(&adopting, ONE).await, Ok(Effect::Updated));
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    assert_eq!(lab.seen(), set(ONE));
}

#[tokio::test]
async fn a_directory_of_others_is_refused_by_what_they_could_do() {
    let lab = Lab::new();
    fs::create_dir(lab.path("")).unwrap();
    fs::write(lab.path("theirs"), "").unwrap();
    mode(&lab.path(""), 0o777);
    let adopting = lab.target_of(config::FileTarget {
        adopt: true,
        ..lab.spec()
    });
    let failure = deliver(&adopting, ONE).await.unwrap_err();
    assert_eq!(failure.reason, Reason::TargetDenied);
    assert_eq!(lab.names(), ["theirs"]);
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(lab.path(""), Some(12), None).unwrap();
        mode(&lab.path(""), 0o755);
        let failure = deliver(&adopting, ONE).await.unwrap_err();
        assert!(failure.fact.contains("belongs to user 12"), "{failure}");
    }
}
