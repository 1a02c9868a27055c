use futures_util::future::join_all;

use super::*;

fn traffic(per_second: u32) -> Traffic {
    Traffic::new(ClusterName::new("prod").unwrap(), per_second)
}

fn down() -> Failure {
    Failure::new(Reason::Network, "refuses connections")
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_told_at_once_when_a_pause_begins() {
    let pauses = Pauses::default();
    let traffic = traffic(1000);
    traffic.tell(&pauses);
    let mut heard = pauses.listen();
    let (first, _permit) = traffic.turn().await.unwrap();
    // More than there are slots, and all of them behind the one that goes first.
    let waiting = join_all(std::iter::repeat_with(|| traffic.turn()).take(100));
    let visits = join_all(std::iter::repeat_with(|| traffic.visit()).take(100));
    let start = Instant::now();
    let fail = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        first.ended("a", &End::Unreached(&down()));
    };
    let (waited, visited, ()) = tokio::join!(waiting, visits, fail);
    assert_eq!(start.elapsed(), Duration::from_secs(1));
    assert!(waited.iter().all(|it| it.as_ref().err() == Some(&down())));
    let told = visited
        .iter()
        .filter(|it| it.as_ref().err() == Some(&down()));
    assert_eq!(told.count(), 100 - usize::from(CONCURRENT_REQUESTS));
    drop(visited);
    assert_eq!(traffic.visit().await.err(), Some(down()));

    let until = {
        let said = heard.borrow_and_update();
        let (cluster, pause) = said.first_key_value().unwrap();
        assert_eq!((cluster.as_str(), &pause.failure), ("prod", &down()));
        pause.until
    };
    tokio::time::sleep_until(until).await;
    let (probe, _permit) = traffic.turn().await.unwrap();
    // One that nobody waits for any more is followed by another one.
    drop(probe);
    let (probe, _permit) = traffic.turn().await.unwrap();
    assert_eq!(traffic.passage().await.err(), Some(down()));
    probe.ended("a", &End::Answered);
    assert!(heard.borrow_and_update().is_empty());
    traffic.visit().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_hundred_requests_leave_at_the_rate_and_in_their_order() {
    let traffic = traffic(20);
    let (first, permit) = traffic.turn().await.unwrap();
    first.ended("a", &End::Answered);
    drop(permit);
    let start = Instant::now();
    let calls = (0..100_usize).map(|number| {
        let traffic = &traffic;
        async move {
            let (passage, _permit) = traffic.turn().await.unwrap();
            let at = start.elapsed();
            passage.ended("a", &End::Answered);
            (at, number)
        }
    });
    let left = join_all(calls).await;
    assert!(left.is_sorted());
    let last = left.last().unwrap().0;
    assert!(
        last >= Duration::from_millis(4850) && last <= Duration::from_millis(5050),
        "{last:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_goes_on_for_long_takes_no_place_of_requests() {
    let traffic = traffic(1000);
    let (first, permit) = traffic.turn().await.unwrap();
    first.ended("a", &End::Answered);
    drop(permit);
    let mut long = Vec::new();
    for _ in 0..100 {
        long.push(traffic.passage().await.unwrap());
    }
    let mut short = Vec::new();
    for _ in 0..CONCURRENT_REQUESTS {
        short.push(traffic.turn().await.unwrap());
    }
    assert!(
        timeout(Duration::from_secs(1), traffic.turn())
            .await
            .is_err()
    );
}

#[tokio::test(start_paused = true)]
async fn no_more_targets_are_at_it_than_leave_in_a_second() {
    let traffic = traffic(3);
    let visits = join_all(std::iter::repeat_with(|| traffic.visit()).take(3)).await;
    assert!(visits.iter().all(Result::is_ok));
    assert!(
        timeout(Duration::from_secs(1), traffic.visit())
            .await
            .is_err()
    );
    let failure = traffic.visit().await.unwrap_err();
    assert_eq!(failure.reason, Reason::Timeout, "it does not wait for ever");
    traffic.set_rate(1000);
    let more = join_all(std::iter::repeat_with(|| traffic.visit()).take(32)).await;
    assert!(more.iter().all(Result::is_ok));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_was_replaced_is_heard_no_more() {
    let pauses = Pauses::default();
    let (old, new) = (traffic(10), traffic(10));
    old.tell(&pauses);
    let pause = |traffic: &Traffic| {
        let passage = traffic.at_once();
        passage.ended("a", &End::Refused(&down()));
    };
    pause(&old);
    let heard = pauses.listen();
    assert_eq!(heard.borrow().len(), 1);
    old.retire();
    assert!(heard.borrow().is_empty());
    new.tell(&pauses);
    tokio::time::sleep(Duration::from_secs(10)).await;
    pause(&old);
    assert!(heard.borrow().is_empty());
    pause(&new);
    assert_eq!(heard.borrow().len(), 1);
}
