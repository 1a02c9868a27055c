use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;

fn name(text: &str) -> Account {
    Account::new(text).unwrap()
}

#[test]
fn a_number_is_a_number_and_everything_else_a_name() {
    assert_eq!(name("4711"), Account::Number(4711));
    assert_eq!(name("dept\\app"), Account::Name("dept\\app".into()));
    assert_eq!(name("4app"), Account::Name("4app".into()));
    // The last number would change nobody's owner.
    for wrong in [
        "",
        "4294967295",
        "99999999999",
        "-1",
        "-x",
        "a b",
        "a:b",
        "a/b",
        "a,b",
        "a\0",
    ] {
        assert!(Account::new(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn the_system_is_asked() {
    assert_eq!(look_up(Kind::User, "root"), Ok(Some(0)));
    assert_eq!(look_up(Kind::Group, "root"), Ok(Some(0)));
    assert_eq!(look_up(Kind::User, "no-such-user-here"), Ok(None));
}

#[tokio::test]
async fn a_number_is_never_looked_up_and_an_unknown_name_is_named() {
    let accounts = Accounts::with(|_, _| Ok(None));
    assert_eq!(accounts.id(Kind::User, &name("7")).await, Ok(7));
    let failure = accounts.id(Kind::Group, &name("ops")).await.unwrap_err();
    assert_eq!(failure.reason, Reason::TargetMissing);
    assert_eq!(failure.fact, "this machine knows no group `ops`");
    assert!(failure.help().contains("getent group ops"), "{failure:?}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_holds_for_a_while_and_longer_when_there_is_no_new_one() {
    static ASKED: AtomicU32 = AtomicU32::new(0);
    let accounts = Accounts::with(|_, _| match ASKED.fetch_add(1, Ordering::Relaxed) {
        0 => Ok(Some(7)),
        1 => Err(111),
        _ => Ok(Some(8)),
    });
    let app = name("app");
    let id = || accounts.id(Kind::User, &app);
    for (asked, wanted) in [(1, 7), (1, 7)] {
        assert_eq!(id().await, Ok(wanted));
        assert_eq!(ASKED.load(Ordering::Relaxed), asked);
    }
    for (asked, wanted) in [(2, 7), (3, 8)] {
        tokio::time::advance(FRESH).await;
        assert_eq!(id().await, Ok(wanted), "asked {asked} times");
        assert_eq!(ASKED.load(Ordering::Relaxed), asked);
    }
}

/// Where one name hangs, it is asked for once, and others are answered.
#[tokio::test(start_paused = true)]
async fn a_look_up_that_hangs_is_waited_for_with_a_limit_and_holds_up_no_other_name() {
    static ASKED: AtomicU32 = AtomicU32::new(0);
    static HANG: Mutex<Option<Receiver<()>>> = Mutex::new(None);
    let (end, hang): (Sender<()>, _) = channel();
    *HANG.lock().unwrap() = Some(hang);
    let accounts = Accounts::with(|_, name| {
        if name == "ldap" {
            ASKED.fetch_add(1, Ordering::Relaxed);
            let hang = HANG.lock().unwrap().take();
            let _ = hang.map(|hang| hang.recv());
        }
        Ok(Some(7))
    });
    let (ldap, local_name) = (name("ldap"), name("local"));
    for _ in 0..2 {
        // The clock stands while the other one is answered.
        let (waited, local) = tokio::join!(accounts.id(Kind::User, &ldap), async {
            let local = accounts.id(Kind::User, &local_name).await;
            while ASKED.load(Ordering::Relaxed) == 0 {
                tokio::task::yield_now().await;
            }
            tokio::time::advance(LIMIT).await;
            local
        });
        assert_eq!(waited.unwrap_err().reason, Reason::Timeout);
        assert_eq!(local, Ok(7));
    }
    drop(end);
    assert_eq!(accounts.id(Kind::User, &name("ldap")).await, Ok(7));
    assert_eq!(ASKED.load(Ordering::Relaxed), 1, "one thread for one name");
}
