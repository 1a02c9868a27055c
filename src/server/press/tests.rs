use std::future::ready;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::to_bytes;
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use tokio::task::yield_now;

use super::*;

/// Longer than a part.
fn long(text: &str) -> String {
    text.repeat(3 * CHUNK)
}

async fn printed(press: &Press, text: &'static str) -> Response {
    let written = press.print(ready(Some(text)), |text| Some(long(text)));
    written.await.unwrap()
}

async fn whole(response: Response) -> Option<String> {
    let bytes = to_bytes(response.into_body(), usize::MAX).await.ok()?;
    Some(String::from_utf8(bytes.to_vec()).unwrap())
}

#[tokio::test]
async fn all_who_ask_at_once_share_what_was_begun_after_they_asked() {
    let press = Press::default();
    let made = Arc::new(AtomicUsize::new(0));
    let ask = || {
        let made = Arc::clone(&made);
        let tell = async {
            yield_now().await;
            Some(())
        };
        press.print(tell, move |()| {
            made.fetch_add(1, Ordering::Relaxed);
            Some(long("x"))
        })
    };
    let answers = join_all((0..64).map(|_| ask())).await;
    // One for whoever was first, and one for all who came meanwhile.
    assert_eq!(made.load(Ordering::Relaxed), 2);
    for answer in answers {
        assert_eq!(whole(answer.unwrap()).await, Some(long("x")));
    }
}

#[tokio::test]
async fn nobody_gets_what_was_begun_before_he_asked() {
    let press = Press::default();
    let before = printed(&press, "a").await;
    let after = printed(&press, "b").await;
    assert_eq!(whole(after).await, Some(long("b")));
    assert_eq!(whole(before).await, Some(long("a")));
}

/// Those that somebody can still read.
async fn there(press: &Press) -> usize {
    let printed = press.0.lock().await;
    let copies = printed.read.iter().filter_map(Weak::upgrade);
    copies.filter(|copy| copy.lock().text.is_some()).count()
}

#[tokio::test(start_paused = true)]
async fn who_stands_still_holds_few_copies_and_is_in_nobodys_way() {
    let press = Press::default();
    let mut still = Vec::new();
    for _ in 0..10 {
        let mut parts = printed(&press, "a").await.into_body().into_data_stream();
        assert_eq!(parts.next().await.unwrap().unwrap().len(), CHUNK);
        still.push(parts);
        tokio::time::advance(STILL).await;
        let quick = printed(&press, "b").await;
        assert_eq!(whole(quick).await, Some(long("b")));
        let there = there(&press).await;
        assert!(there <= COPIES, "{there}");
    }
    // The oldest was cut off, and knows; the newest goes on.
    let (mut oldest, newest) = (still.swap_remove(0), still.pop().unwrap());
    assert!(oldest.next().await.unwrap().is_err());
    assert!(oldest.next().await.is_none());
    let rest: Vec<_> = newest.collect().await;
    assert_eq!(rest.len(), 2);
    assert!(rest.iter().all(Result::is_ok));
}

/// Bug: four who read slowly cut each other off for ever.
#[tokio::test(start_paused = true)]
async fn who_reads_slowly_gets_all_of_it() {
    let press = Press::default();
    let mut slow = Vec::new();
    for _ in 0..MOST {
        // Who asks at the same moment has the same copy.
        tokio::time::advance(Duration::from_millis(1)).await;
        slow.push(printed(&press, "a").await.into_body().into_data_stream());
    }
    for _ in 0..3 {
        for parts in &mut slow {
            assert_eq!(parts.next().await.unwrap().unwrap().len(), CHUNK);
        }
        tokio::time::advance(STILL / 2).await;
    }
    for _ in 0..10 {
        tokio::time::advance(Duration::from_millis(1)).await;
        slow.push(printed(&press, "a").await.into_body().into_data_stream());
        assert!(there(&press).await <= MOST);
    }
}

/// Bug: one that was cut off before its answer began was a complete answer of nothing.
#[tokio::test(start_paused = true)]
async fn what_is_cut_off_before_it_begins_is_no_answer() {
    let copy = Arc::new(Copy::new(long("a").into()));
    copy.cut();
    let response = respond(copy);
    let length = response.headers()[header::CONTENT_LENGTH].to_str().unwrap();
    assert_eq!(length, long("a").len().to_string());
    assert_eq!(whole(response).await, None);
}

#[tokio::test]
async fn nothing_to_say_is_shared_too() {
    let press = Press::default();
    let asked = AtomicUsize::new(0);
    let ask = || {
        let tell = async {
            asked.fetch_add(1, Ordering::Relaxed);
            yield_now().await;
            None::<()>
        };
        press.print(tell, |()| None)
    };
    let answers = join_all((0..64).map(|_| ask())).await;
    assert!(answers.iter().all(Option::is_none));
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}
