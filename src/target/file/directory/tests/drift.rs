//! What others change is seen, and put back.

use super::*;

/// What somebody does to it, what that is, and what the repair is counted as.
type Case = (fn(&Lab), Drift);

const CONTENT: &[Case] = &[
    (
        |lab| fs::write(lab.path("key"), "theirs").unwrap(),
        Drift::Content,
    ),
    (
        |lab| fs::remove_file(lab.live().join("key")).unwrap(),
        Drift::Content,
    ),
    (
        |lab| fs::write(lab.live().join("more"), "theirs").unwrap(),
        Drift::Content,
    ),
    (
        |lab| fs::create_dir(lab.live().join("more")).unwrap(),
        Drift::Content,
    ),
    (
        |lab| symlink("crt", lab.live().join("more")).unwrap(),
        Drift::Content,
    ),
    (
        |lab| fs::remove_dir_all(lab.live()).unwrap(),
        Drift::Content,
    ),
    (
        |lab| {
            fs::remove_file(lab.path("..data")).unwrap();
            symlink("/etc", lab.path("..data")).unwrap();
        },
        Drift::Content,
    ),
    (
        |lab| {
            fs::remove_file(lab.path("key")).unwrap();
            fs::write(lab.path("key"), "theirs").unwrap();
        },
        Drift::Content,
    ),
    (
        |lab| fs::remove_file(lab.path("..data")).unwrap(),
        Drift::Missing,
    ),
    (
        |lab| fs::remove_dir_all(lab.path("")).unwrap(),
        Drift::Missing,
    ),
];

#[tokio::test]
async fn drift_is_seen_and_repaired() {
    for (number, (change, drift)) in CONTENT.iter().enumerate() {
        let lab = Lab::in_memory();
        let target = lab.target();
        assert_eq!(target.drift().await, Ok(None), "never delivered");
        deliver(&target, ONE).await.unwrap();
        change(&lab);
        assert_eq!(target.drift().await, Ok(Some(*drift)), "{number}");
        assert!(target.repair_mode().await.is_err(), "{number}");
        let repaired = Ok(Effect::Repaired(*drift));
        assert_eq!(deliver(&target, ONE).await, repaired, "{number}");
        assert_eq!(lab.seen(), set(ONE), "{number}");
        assert_eq!(target.drift().await, Ok(None), "{number}");
    }
}

#[tokio::test]
async fn modes_and_links_are_put_back_without_a_value_and_without_a_swap() {
    let changes: &[fn(&Lab)] = &[
        |lab| mode(&lab.path("key"), 0o644),
        |lab| mode(&lab.live(), 0o755),
        |lab| mode(&lab.path(""), 0o777),
        |lab| fs::remove_file(lab.path("key")).unwrap(),
        |lab| symlink("..data/more", lab.path("more")).unwrap(),
    ];
    let lab = Lab::new();
    let target = lab.target();
    deliver(&target, ONE).await.unwrap();
    let live = lab.live();
    for (number, change) in changes.iter().enumerate() {
        for with_value in [false, true] {
            change(&lab);
            assert_eq!(target.drift().await, Ok(Some(Drift::Metadata)), "{number}");
            let repaired = Ok(Effect::Repaired(Drift::Metadata));
            if with_value {
                assert_eq!(deliver(&target, ONE).await, repaired, "{number}");
            } else {
                assert_eq!(target.repair_mode().await, repaired, "{number}");
                assert_eq!(target.repair_mode().await, Ok(Effect::Unchanged));
            }
            assert_eq!(lab.seen(), set(ONE), "{number}");
            let modes = ["", "..data", "key"].map(|name| mode_of(&lab.path(name)));
            assert_eq!(modes, [0o750, 0o750, 0o640], "{number}");
            assert_eq!(target.drift().await, Ok(None), "{number}");
            assert_eq!(lab.live(), live);
        }
    }
    assert_eq!(lab.names(), ["..data", "GEN", "crt", "key", "old"]);
}

/// Whoever has the one before open has seen one swap, and a mend is none.
#[tokio::test]
async fn a_mend_keeps_the_generation_before_until_the_next_swap() {
    let lab = Lab::new();
    let target = lab.target();
    deliver(&target, ONE).await.unwrap();
    let first = lab.live();
    deliver(&target, TWO).await.unwrap();
    let second = lab.live();
    for with_value in [false, true] {
        mode(&lab.path("key"), 0o644);
        if with_value {
            deliver(&target, TWO).await.unwrap();
        } else {
            target.repair_mode().await.unwrap();
        }
        assert_eq!(target.drift().await, Ok(None));
        assert_eq!(fs::read(first.join("old")).unwrap(), b"o1");
    }
    deliver(&target, ONE).await.unwrap();
    assert!(!first.exists() && second.exists());
    mode(&lab.path("key"), 0o644);
    target.repair_mode().await.unwrap();
    deliver(&target, TWO).await.unwrap();
    assert!(!second.exists(), "the mend has not forgotten it");
}

#[tokio::test]
async fn a_file_of_another_owner_gives_way_to_a_fresh_generation() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let lab = Lab::new();
    let target = lab.target();
    deliver(&target, ONE).await.unwrap();
    let old = lab.live();
    std::os::unix::fs::chown(lab.path("key"), Some(12), None).unwrap();
    assert_eq!(target.drift().await, Ok(Some(Drift::Metadata)));
    assert_eq!(
        target.repair_mode().await,
        Ok(Effect::Repaired(Drift::Metadata))
    );
    assert_eq!(fs::metadata(lab.path("key")).unwrap().uid(), 0);
    assert_ne!(lab.live(), old);
    assert_eq!(lab.seen(), set(ONE));
}

#[tokio::test]
async fn a_second_name_for_a_file_is_refused_and_the_old_set_stays() {
    let lab = Lab::new();
    let target = lab.target();
    deliver(&target, ONE).await.unwrap();
    let second = lab.root.path().join("second");
    fs::hard_link(lab.live().join("key"), &second).unwrap();
    let failure = deliver(&target, TWO).await.unwrap_err();
    assert!(
        failure.fact.contains("/set/key has a second hard link"),
        "{failure}"
    );
    assert!(target.drift().await.is_err());
    assert_eq!(lab.seen(), set(ONE));
    fs::remove_file(second).unwrap();
    assert_eq!(deliver(&target, TWO).await, Ok(Effect::Updated));
}
