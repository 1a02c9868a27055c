//! What is put aside, what stays, and what is refused.

use std::os::unix::fs::FileTypeExt;

use super::*;

/// What was put aside in a state directory, sorted.
pub(super) fn names(path: &Path) -> Vec<String> {
    let files = fs::read_dir(path).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.contains(".damaged-")).collect();
    names.sort();
    names
}

fn with_one_file() -> (TempDir, PathBuf) {
    let (parent, path) = place();
    let state = State::open(&path).unwrap();
    state.set_file_delivered(delivery("/a", 1)).unwrap();
    drop(state);
    (parent, path)
}

fn knows_the_file(path: &Path) -> bool {
    State::open(path).unwrap().file(Path::new("/a")).is_some()
}

#[test]
fn what_is_no_ledger_is_put_aside_as_it_is() {
    let (_parent, path) = with_one_file();
    let ledger = path.join("ledger.redb");
    fs::write(&ledger, b"this is not a ledger").unwrap();
    assert!(!knows_the_file(&path));
    let aside = names(&path);
    assert_eq!(aside.len(), 1);
    let time = aside[0].strip_prefix("ledger.redb.damaged-20").unwrap();
    assert_eq!(time.len(), "261126T110000Z".len(), "{time}");
    assert_eq!(
        fs::read(path.join(&aside[0])).unwrap(),
        b"this is not a ledger"
    );

    let state = State::open(&path).unwrap();
    state.set_file_delivered(delivery("/a", 1)).unwrap();
    drop(state);
    assert!(
        knows_the_file(&path),
        "the new one is a ledger like any other"
    );
    assert_eq!(names(&path), aside);
}

#[test]
fn three_of_a_kind_are_kept_and_the_newest_always() {
    let (_parent, path) = with_one_file();
    let ledger = path.join("ledger.redb");
    let others = [
        "ledger.redb.damaged-20200101T000000Z",
        "ledger.redb.damaged-20990101T000000Z",
        "ledger.redb.damaged-by-hand",
        "fingerprint.key.damaged-20200101T000000Z",
    ];
    for other in others {
        fs::write(path.join(other), b"").unwrap();
    }
    for number in 1..=8 {
        let content = format!("not a ledger {number}");
        fs::write(&ledger, &content).unwrap();
        drop(State::open(&path).unwrap());
        let aside = names(&path);
        let newest = |name: &&String| fs::read(path.join(name)).unwrap() == content.as_bytes();
        assert_eq!(aside.iter().filter(newest).count(), 1, "{aside:?}");
        assert!(aside.len() <= 5, "{aside:?}");
    }
    let aside = names(&path);
    assert!(!aside.contains(&others[0].to_owned()), "the oldest goes");
    for stays in &others[1..] {
        assert!(aside.contains(&(*stays).to_owned()), "{stays}: {aside:?}");
    }
}

#[test]
fn a_key_that_is_lost_takes_its_ledger_along() {
    for bytes in [None, Some(&b""[..]), Some(&[1; 31]), Some(&[1; 33])] {
        let (_parent, path) = with_one_file();
        let key = path.join("fingerprint.key");
        let whole = fs::read(&key).unwrap();
        fs::remove_file(&key).unwrap();
        if let Some(bytes) = bytes {
            fs::write(&key, bytes).unwrap();
            fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        }
        assert!(!knows_the_file(&path));
        let aside = names(&path);
        let of = |kind: &str| {
            let mut of_kind = aside.iter().filter(|name| name.starts_with(kind));
            let name = of_kind.next()?;
            assert_eq!(of_kind.next(), None);
            Some(fs::read(path.join(name)).unwrap())
        };
        let ledger = of("ledger.redb").unwrap();
        assert_eq!(of("fingerprint.key").as_deref(), bytes);
        assert_eq!(fs::read(&key).unwrap().len(), 32);
        drop(State::open(&path).unwrap());
        assert_eq!(names(&path), aside, "once");
        fs::write(&key, whole).unwrap();
        fs::write(path.join("ledger.redb"), ledger).unwrap();
        assert!(
            knows_the_file(&path),
            "with its key, it is as good as before"
        );
    }
}

#[test]
fn what_a_later_release_wrote_is_refused_and_stays() {
    use redb::TableDefinition;
    let (_parent, path) = with_one_file();
    let ledger = path.join("ledger.redb");
    let whole = fs::read(&ledger).unwrap();
    let refused = |what: &str| {
        let failure = refusal(&path);
        assert!(failure.fact.contains("later version"), "{what}: {failure}");
        assert!(names(&path).is_empty(), "{what}");
    };

    let form: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("form");
    let database = redb::Database::open(&ledger).unwrap();
    let transaction = database.begin_write().unwrap();
    let later = 2_u32.to_be_bytes();
    transaction
        .open_table(form)
        .unwrap()
        .insert(b"".as_slice(), later.as_slice())
        .unwrap();
    transaction.commit().unwrap();
    drop(database);
    refused("another form");

    let key = path.join("fingerprint.key");
    let kept = fs::read(&key).unwrap();
    fs::remove_file(&key).unwrap();
    refused("another form, whose key may be elsewhere");
    fs::write(&key, kept).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();

    let mut of_later_redb = whole.clone();
    (of_later_redb[64], of_later_redb[192]) = (4, 4);
    fs::write(&ledger, of_later_redb).unwrap();
    refused("another redb");

    fs::write(&ledger, whole).unwrap();
    assert!(knows_the_file(&path));
}

#[test]
fn what_stands_in_the_place_of_a_file_is_not_moved() {
    let (parent, path) = with_one_file();
    for name in ["ledger.redb", "fingerprint.key"] {
        let kept = parent.path().join("kept");
        fs::rename(path.join(name), &kept).unwrap();
        let place = path.join(name);

        symlink(&kept, &place).unwrap();
        assert!(refusal(&path).fact.contains("symbolic link"));
        assert!(fs::symlink_metadata(&place).unwrap().is_symlink());
        fs::remove_file(&place).unwrap();

        rustix::fs::mknodat(
            rustix::fs::CWD,
            &place,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        refusal(&path);
        assert!(fs::symlink_metadata(&place).unwrap().file_type().is_fifo());
        fs::remove_file(&place).unwrap();

        fs::create_dir(&place).unwrap();
        refusal(&path);
        assert!(fs::symlink_metadata(&place).unwrap().is_dir());
        fs::remove_dir(&place).unwrap();

        if rustix::process::geteuid().is_root() {
            fs::write(&place, b"theirs").unwrap();
            std::os::unix::fs::chown(&place, Some(12345), None).unwrap();
            refusal(&path);
            assert_eq!(fs::read(&place).unwrap(), b"theirs");
            fs::remove_file(&place).unwrap();
        }
        fs::rename(&kept, &place).unwrap();
    }
    assert!(names(&path).is_empty());
    assert!(knows_the_file(&path));
}
