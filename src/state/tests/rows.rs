//! Ledgers that redb finds nothing wrong with, and that hold what we did not put there.

use redb::{ReadableDatabase, TableDefinition};

use super::original::{Original, original};
use super::*;

type Rows = TableDefinition<'static, &'static [u8], &'static [u8]>;

const FILES: Rows = TableDefinition::new("files");
const READS: Rows = TableDefinition::new("remembered reads");
const ENTRIES: Rows = TableDefinition::new("remembered entries");

#[test]
fn what_belongs_to_another_daemon_is_not_believed() {
    let (ours, theirs) = (original(1), original(2));
    for ledger in [&theirs.stopped, &theirs.killed] {
        ours.write(ledger);
        assert!(ours.opens_empty("their ledger"));
    }
    ours.write(&ours.stopped);
    fs::write(ours.path.join("fingerprint.key"), &theirs.key).unwrap();
    assert!(ours.opens_empty("their key"));
}

/// Changes the rows themselves, by a redb that finds nothing wrong with it.
fn with_rows(original: &Original, change: impl FnOnce(&redb::WriteTransaction)) {
    original.write(&original.stopped);
    let database = redb::Database::open(original.path.join("ledger.redb")).unwrap();
    let transaction = database.begin_write().unwrap();
    change(&transaction);
    transaction.commit().unwrap();
}

fn row(original: &Original, table: Rows, key: &[u8]) -> Vec<u8> {
    let (_parent, path) = place();
    fs::create_dir_all(&path).unwrap();
    fs::write(path.join("copy"), &original.stopped).unwrap();
    let database = redb::Database::open(path.join("copy")).unwrap();
    let table = database.begin_read().unwrap().open_table(table).unwrap();
    table.get(key).unwrap().unwrap().value().to_vec()
}

#[test]
fn rows_that_we_did_not_put_there_are_not_believed() {
    let (ours, theirs) = (original(1), original(2));
    let put = |table: Rows, key: &'static str, value: &[u8]| {
        with_rows(&ours, |transaction| {
            let mut table = transaction.open_table(table).unwrap();
            table.insert(key.as_bytes(), value).unwrap();
        });
    };
    let own = row(&ours, READS, b"read-7");
    put(READS, "read-7", &own);
    assert!(!ours.opens_empty("the same again"));

    put(READS, "read-7", &row(&theirs, READS, b"read-7"));
    assert!(ours.opens_empty("a row of another key"));
    put(READS, "read-8", &own);
    assert!(ours.opens_empty("a row in place of another"));
    put(ENTRIES, "entry-7", &own);
    assert!(ours.opens_empty("a row of another table"));
    put(READS, "read-99", &own);
    assert!(ours.opens_empty("a row under a new key"));
    put(READS, "read-7", b"short");
    assert!(ours.opens_empty("no row at all"));
    with_rows(&ours, |transaction| {
        let mut table = transaction.open_table(FILES).unwrap();
        table.remove(b"/run/app/7".as_slice()).unwrap().unwrap();
    });
    assert!(ours.opens_empty("a row that is missing"));
    with_rows(&ours, |transaction| {
        assert!(transaction.delete_table(READS).unwrap());
    });
    assert!(ours.opens_empty("a table that is missing"));
}

#[test]
fn a_row_as_it_was_before_is_not_believed() {
    let ours = original(1);
    let before = row(&ours, READS, b"read-7");
    let state = State::open(&ours.path).unwrap();
    let change = Remember::Read("read-7".to_owned(), Some(b"later".to_vec()));
    state.remember(vec![change]).unwrap();
    drop(state);
    let database = redb::Database::open(ours.path.join("ledger.redb")).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction
        .open_table(READS)
        .unwrap()
        .insert(b"read-7".as_slice(), before.as_slice())
        .unwrap();
    transaction.commit().unwrap();
    drop(database);
    assert!(ours.opens_empty("an earlier row"));
}
