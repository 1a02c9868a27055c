use super::*;
use crate::failure::Reason;

const SECOND: Duration = Duration::from_secs(1);

fn down() -> Failure {
    Failure::new(Reason::Network, "refuses connections")
}

fn silence() -> Failure {
    Failure::new(Reason::Timeout, "did not answer")
}

/// A gate that was answered a moment ago: nobody goes first.
fn warm(now: Instant) -> Gate {
    let mut gate = Gate::new(1000, now);
    let first = leaves(&mut gate, now);
    assert_eq!(
        gate.ended((first, "first"), &End::Answered, now, 0.0),
        News::Nothing
    );
    gate
}

fn leaves(gate: &mut Gate, now: Instant) -> Ticket {
    let departure = gate.leave(now);
    let Departure::Now(ticket) = departure else {
        panic!("{departure:?}");
    };
    ticket
}

/// One request that ends at once.
fn meets(gate: &mut Gate, object: &str, end: &End<'_>, now: Instant) -> News {
    let ticket = leaves(gate, now);
    gate.ended((ticket, object), end, now, 0.0)
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_is_down_costs_one_probe_after_each_wait() {
    let start = Instant::now();
    let mut gate = Gate::new(50, start);
    assert_eq!(
        meets(&mut gate, "a", &End::Unreached(&down()), start),
        News::Paused
    );
    let mut now = start;
    for failures in 1..=8 {
        let pause = gate.pause().unwrap();
        assert_eq!((pause.failures, &pause.failure), (failures, &down()));
        let until = pause.until;
        assert!(until >= now + SECOND);
        assert_eq!(gate.closed(now), Some(down()));
        assert_eq!(gate.leave(now), Departure::Closed(down()));
        now = until;
        assert_eq!(gate.closed(now), None);
        let probe = leaves(&mut gate, now);
        assert_eq!(gate.closed(now), Some(down()));
        assert_eq!(gate.leave(now), Departure::Closed(down()));
        assert_eq!(
            gate.ended((probe, "a"), &End::Unreached(&down()), now, 0.999),
            News::Paused
        );
    }
    let until = gate.pause().unwrap().until;
    assert!(until > now + Duration::from_mins(4) && until <= now + Duration::from_mins(5));
    assert_eq!(meets(&mut gate, "a", &End::Answered, until), News::Resumed);
    assert!(gate.pause().is_none());
    leaves(&mut gate, until);
}

#[tokio::test(start_paused = true)]
async fn no_pause_outlasts_the_shortest_interval() {
    let now = Instant::now();
    let mut gate = Gate::new(50, now);
    gate.set_longest_pause(Duration::from_secs(10));
    let mut at = now;
    for _ in 0..10 {
        let ticket = leaves(&mut gate, at);
        let end = End::Unreached(&down());
        assert_eq!(gate.ended((ticket, "a"), &end, at, 0.999), News::Paused);
        let until = gate.pause().unwrap().until;
        assert!(until <= at + Duration::from_secs(10));
        at = until;
    }
}

#[tokio::test(start_paused = true)]
async fn one_way_of_several_that_is_down_pauses_nothing() {
    let now = Instant::now();
    let mut gate = warm(now);
    let ticket = leaves(&mut gate, now);
    let later = now + SECOND;
    assert_eq!(meets(&mut gate, "b", &End::Answered, later), News::Nothing);
    let end = End::Unreached(&down());
    assert_eq!(
        gate.ended((ticket, "a"), &end, later + SECOND, 0.0),
        News::Nothing
    );
}

#[tokio::test(start_paused = true)]
async fn one_object_that_is_not_answered_pauses_nothing_and_two_do() {
    let mut now = Instant::now();
    let mut gate = warm(now);
    for _ in 0..20 {
        now += SECOND;
        assert_eq!(
            meets(&mut gate, "a", &End::Silent(&silence()), now),
            News::Nothing
        );
    }
    assert_eq!(meets(&mut gate, "c", &End::Answered, now), News::Nothing);
    now += SECOND;
    assert_eq!(
        meets(&mut gate, "b", &End::Silent(&silence()), now),
        News::Nothing,
        "something was answered between the two"
    );
    assert_eq!(
        meets(&mut gate, "a", &End::Silent(&silence()), now),
        News::Paused
    );
}

/// Else two objects that hang for ever would hold up all others for ever.
#[tokio::test(start_paused = true)]
async fn what_hangs_while_others_are_answered_pauses_them_once() {
    let mut now = Instant::now();
    let mut gate = warm(now);
    now += SECOND;
    for (object, news) in [("a", News::Nothing), ("b", News::Paused)] {
        assert_eq!(
            meets(&mut gate, object, &End::Silent(&silence()), now),
            news
        );
    }
    now = gate.pause().unwrap().until;
    assert_eq!(meets(&mut gate, "c", &End::Answered, now), News::Resumed);
    for _ in 0..5 {
        now += SECOND;
        for object in ["a", "b"] {
            assert_eq!(
                meets(&mut gate, object, &End::Silent(&silence()), now),
                News::Nothing
            );
        }
    }
    // Once they are answered, they count again.
    assert_eq!(meets(&mut gate, "a", &End::Answered, now), News::Nothing);
    assert_eq!(meets(&mut gate, "b", &End::Answered, now), News::Nothing);
    now += SECOND;
    assert_eq!(
        meets(&mut gate, "a", &End::Silent(&silence()), now),
        News::Nothing
    );
    assert_eq!(
        meets(&mut gate, "b", &End::Silent(&silence()), now),
        News::Paused
    );
}

#[tokio::test(start_paused = true)]
async fn what_one_object_meets_pauses_nothing_but_ends_no_pause() {
    let mut now = Instant::now();
    let mut gate = warm(now);
    now += SECOND;
    let broken = Failure::new(Reason::Network, "500");
    for object in ["a", "b", "c"] {
        assert_eq!(
            meets(&mut gate, object, &End::Own(&broken), now),
            News::Nothing
        );
    }
    let _ = meets(&mut gate, "a", &End::Unreached(&down()), now);
    for end in [End::Own(&broken), End::Silent(&broken)] {
        now = gate.pause().unwrap().until;
        assert_eq!(meets(&mut gate, "a", &end, now), News::Paused);
        assert!(gate.pause().unwrap().until > now);
    }
}

#[tokio::test(start_paused = true)]
async fn a_servers_wish_is_obeyed_by_all_whoever_else_is_answered() {
    let now = Instant::now();
    let mut gate = warm(now);
    let ticket = leaves(&mut gate, now);
    let later = now + SECOND;
    assert_eq!(meets(&mut gate, "b", &End::Answered, later), News::Nothing);
    let wish = Duration::from_secs(30);
    let busy = Failure::new(Reason::Throttled, "slow down").with_retry_after(wish);
    assert_eq!(
        gate.ended((ticket, "a"), &End::Refused(&busy), later, 0.9),
        News::Paused
    );
    let almost = later + wish.saturating_sub(Duration::from_millis(1));
    assert_eq!(gate.leave(almost), Departure::Closed(busy));
    leaves(&mut gate, later + wish);
}

#[tokio::test(start_paused = true)]
async fn after_a_silence_one_request_goes_first() {
    let start = Instant::now();
    let mut gate = Gate::new(1000, start);
    let scout = leaves(&mut gate, start);
    let head_start = start + HEAD_START;
    assert_eq!(gate.leave(start + SECOND), Departure::At(head_start));
    // It has arrived: whatever it says, the next one may leave.
    let _ = gate.ended((scout, "a"), &End::Answered, start + SECOND, 0.0);
    let now = start + SECOND;
    let (first, second) = (leaves(&mut gate, now), leaves(&mut gate, now));
    assert_eq!((first, second), (second, first));

    // Idle connections are closed by then.
    let silent = now + IDLE_TIMEOUT;
    let scout = leaves(&mut gate, silent);
    let head_start = silent + HEAD_START;
    assert_eq!(gate.leave(silent), Departure::At(head_start));
    // One that hangs holds up nobody for long.
    leaves(&mut gate, head_start);
    leaves(&mut gate, head_start);
    // One that nobody waits for any more neither.
    gate.lost(scout);
    let scout = leaves(&mut gate, head_start);
    assert_eq!(scout.role, Role::Scout);
}

#[tokio::test(start_paused = true)]
async fn requests_leave_at_the_rate() {
    let start = Instant::now();
    let mut gate = Gate::new(20, start);
    let _ = meets(&mut gate, "a", &End::Answered, start);
    let (mut now, mut left) = (start, 0);
    while now < start + Duration::from_secs(10) {
        match gate.leave(now) {
            Departure::Now(_) => {
                left += 1;
                gate.met = Some(now);
            }
            Departure::At(at) => now = at,
            Departure::Closed(failure) => panic!("{failure}"),
        }
    }
    assert!((199..=203).contains(&left), "{left}");
    gate.set_rate(1000, now);
    assert!((0..50).all(|_| matches!(gate.leave(now), Departure::Now(_))));
}

#[tokio::test(start_paused = true)]
async fn a_lease_waits_for_nothing_and_may_end_a_pause() {
    let now = Instant::now();
    let mut gate = Gate::new(1, now);
    let early = gate.leave_at_once(now);
    let now = now + SECOND;
    let _ = meets(&mut gate, "a", &End::Unreached(&down()), now);
    let later = now + Duration::from_millis(500);
    let failed = gate.leave_at_once(later);
    let end = End::Unreached(&down());
    assert_eq!(
        gate.ended((failed, "lease"), &end, later, 0.0),
        News::Nothing,
        "it makes the pause no longer"
    );
    assert_eq!(
        gate.ended((early, "lease"), &End::Answered, later, 0.0),
        News::Nothing,
        "it left before the pause"
    );
    let again = gate.leave_at_once(later);
    assert_eq!(
        gate.ended((again, "lease"), &End::Answered, later, 0.0),
        News::Resumed
    );
}
