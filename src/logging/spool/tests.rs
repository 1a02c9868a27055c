use std::io::{PipeReader, Read as _, pipe};
use std::sync::mpsc::{Receiver, channel};

use super::*;

/// Nobody waits so long, if all is well.
const LONG: Duration = Duration::from_secs(20);

fn spool(room: usize, patience: Duration) -> (Arc<Spool>, PipeReader) {
    let (reader, writer) = pipe().unwrap();
    let mut spool = Spool::new(Box::new(writer), false);
    let own = Arc::get_mut(&mut spool).unwrap();
    (own.room, own.patience) = (room, patience);
    (spool, reader)
}

/// Fills the pipe; how many bytes that took.
fn stop_up(spool: &Spool) -> usize {
    let mut filled = 0;
    while spool.is_ready_for(b"") {
        spool.write(&[b'.'; AT_ONCE]);
        filled += AT_ONCE;
    }
    filled
}

fn say(spool: &Spool, text: &str, worth: Worth) {
    spool.take(format!("{text}\n").as_bytes(), worth);
}

/// With a thread, what it tells.
fn begun(spool: &Arc<Spool>) -> Receiver<u64> {
    let (tell, told) = channel();
    let again = Arc::downgrade(spool);
    let begun = Arc::clone(spool).spawn(move |lost| {
        say(
            &again.upgrade().unwrap(),
            &format!("lost {lost}"),
            Worth::Line,
        );
        tell.send(lost).unwrap();
    });
    begun.unwrap();
    told
}

/// What is to come, but not for ever.
fn read(reader: &mut PipeReader, length: usize) -> String {
    let mut text = Vec::new();
    while text.len() < length {
        let limit = Timespec::try_from(LONG).unwrap();
        let mut readable = [PollFd::new(reader, PollFlags::IN)];
        assert_eq!(poll(&mut readable, Some(&limit)), Ok(1), "{}", text.len());
        let mut part = vec![0; length - text.len()];
        let read = reader.read(&mut part).unwrap();
        text.extend_from_slice(&part[..read]);
    }
    String::from_utf8(text).unwrap()
}

#[test]
fn what_is_taken_is_out_before_anything_else_happens() {
    // There is no thread.
    let (spool, mut reader) = spool(100, LONG);
    say(&spool, "one", Worth::Line);
    say(&spool, "two", Worth::Audit);
    assert_eq!(read(&mut reader, 8), "one\ntwo\n");
    assert!(spool.flush());
}

#[test]
fn what_has_no_room_is_counted_and_said_where_it_is_missing() {
    let (spool, mut reader) = spool(12, Duration::ZERO);
    let filled = stop_up(&spool);
    for line in ["one", "two", "three", "four", "x"] {
        say(&spool, line, Worth::Line);
    }
    // Without patience, nor has this.
    say(&spool, "audit", Worth::Audit);
    assert!(!spool.flush(), "nothing is out");
    let told = begun(&spool);
    assert_eq!(told.recv_timeout(LONG), Ok(4));
    assert_eq!(spool.state().lines, b"lost 4\n");
    say(&spool, "on", Worth::Line);
    read(&mut reader, filled);
    assert_eq!(read(&mut reader, 18), "one\ntwo\nlost 4\non\n");
}

#[test]
fn the_audit_waits_for_room_but_once() {
    let (spool, mut reader) = spool(8, LONG);
    let filled = stop_up(&spool);
    // The thread has taken as much as it may and cannot go on; behind that there is room for as much.
    let told = begun(&spool);
    say(&spool, "taken..", Worth::Line);
    let waits = |state: &mut State| !state.lines.is_empty();
    drop(spool.moved.wait_while(spool.state(), waits).unwrap());
    say(&spool, "waits..", Worth::Line);
    let other = Arc::clone(&spool);
    let audit = thread::spawn(move || say(&other, "audit..", Worth::Audit));
    let since = |spool: &Spool| spool.state().full_since;
    while since(&spool).is_none() {
        thread::yield_now();
    }
    read(&mut reader, filled);
    audit.join().unwrap();
    assert_eq!(read(&mut reader, 24), "taken..\nwaits..\naudit..\n");
    assert!(told.try_recv().is_err(), "nothing is lost");

    // It has waited for so long already.
    stop_up(&spool);
    let long_ago = Instant::now().checked_sub(LONG).unwrap();
    let full = State {
        lines: vec![b'.'; 8],
        is_writing: true,
        full_since: Some(long_ago),
        ..State::default()
    };
    *spool.state() = full;
    let start = Instant::now();
    say(&spool, "audit..", Worth::Audit);
    assert!(start.elapsed() < LONG / 2);
}

#[test]
fn last_words_are_waited_for() {
    let (spool, mut reader) = spool(100, LONG);
    let filled = stop_up(&spool);
    let _told = begun(&spool);
    say(&spool, "farewell", Worth::Line);
    let reads = thread::spawn(move || {
        // By then it is waited for.
        let (_nobody, says) = channel::<()>();
        assert!(says.recv_timeout(Duration::from_millis(50)).is_err());
        read(&mut reader, filled);
        reader
    });
    assert!(spool.flush());
    let mut reader = reads.join().unwrap();
    drop(spool);
    assert_eq!(read(&mut reader, 9), "farewell\n");
}

#[test]
fn a_reader_that_went_away_holds_nobody_up() {
    let (spool, reader) = spool(100, LONG);
    stop_up(&spool);
    drop(reader);
    say(&spool, "one", Worth::Line);
    assert!(spool.flush());
}
