//! Two machines, each with a clock of its own, over a Lease that is a value.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// A Lease and its versions, as an API server keeps them.
#[derive(Default)]
struct Server {
    version: u64,
    seen: Option<Seen>,
}

impl Server {
    /// Like a PUT (or a POST where there was none) that names the version that was read.
    fn write(&mut self, read: u64, record: LeaseRecord) -> bool {
        if read != self.version {
            return false;
        }
        self.version += 1;
        let instance = Some("prod".to_owned());
        self.seen = Some(Seen { record, instance });
        true
    }

    fn holder(&self) -> &str {
        self.seen.as_ref().map_or("", |seen| &seen.record.holder)
    }
}

/// A machine whose clocks say something else than everybody's.
struct Machine {
    candidate: Candidate,
    read: u64,
    /// When it booted.
    booted: Duration,
    wall_ahead: jiff::SignedDuration,
}

impl Machine {
    fn new(name: &str, booted: u64) -> Self {
        Self {
            candidate: Candidate::new(
                Name::new(name).unwrap(),
                Instance::new("prod").unwrap(),
                LeaderTiming::DEFAULT,
                None,
            ),
            read: 0,
            booted: SECOND * u32::try_from(booted).unwrap(),
            wall_ahead: jiff::SignedDuration::ZERO,
        }
    }

    fn since_boot(&self, at: Duration) -> Duration {
        at + self.booted
    }

    fn wish(&mut self, at: Duration) -> Option<LeaseRecord> {
        let wall = Timestamp::from_second(1_800_000_000).unwrap() + at + self.wall_ahead;
        let since_boot = self.since_boot(at);
        self.candidate.wish(Moment { since_boot, wall })
    }

    fn look(&mut self, server: &Server, at: Duration) {
        self.read = server.version;
        let at = self.since_boot(at);
        self.candidate.saw(server.seen.clone(), at);
    }

    /// Another process of the same machine.
    fn restarted(&self) -> Self {
        let mut next = Self::new(self.candidate.name().as_str(), 0);
        next.booted = self.booted;
        next.candidate.settled = self.candidate.settled;
        next
    }

    /// One round as the daemon makes it. True where it leads after it.
    fn round(&mut self, server: &mut Server, at: Duration) -> bool {
        for _ in 0..2 {
            if self.candidate.has_to_look() {
                self.look(server, at);
            }
            let Some(record) = self.wish(at) else { break };
            if server.write(self.read, record) {
                self.look(server, at);
                break;
            }
            self.candidate.raced();
        }
        let leads = self.leads(at);
        if leads {
            self.candidate.settle();
        }
        leads
    }

    fn leads(&mut self, at: Duration) -> bool {
        let at = self.since_boot(at);
        matches!(self.candidate.standing(at), Standing::Leads { .. })
    }
}

fn two() -> (Server, Machine, Machine) {
    (
        Server::default(),
        Machine::new("a", 5),
        Machine::new("b", 90_000),
    )
}

#[test]
fn the_first_leads_the_second_waits_and_takes_what_stands_still() {
    let (mut server, mut a, mut b) = two();
    assert!(a.round(&mut server, SECOND) && !b.round(&mut server, SECOND));
    assert_eq!(a.candidate.began(), Since::Others);
    for second in 2..20 {
        assert!(a.round(&mut server, SECOND * second));
        assert!(!b.round(&mut server, SECOND * second));
    }
    // The last renewal was in second 19: to write until 29, to be taken from 34 on.
    let mut leads = Vec::new();
    for second in 20..40 {
        let at = SECOND * second;
        leads.push((second, a.leads(at), b.round(&mut server, at)));
    }
    let of_a = leads.iter().filter(|it| it.1).map(|it| it.0);
    assert_eq!(of_a.max(), Some(28));
    let of_b = leads.iter().filter(|it| it.2).map(|it| it.0);
    assert_eq!(of_b.min(), Some(34));
    let record = &server.seen.as_ref().unwrap().record;
    assert_eq!((&*record.holder, record.transitions), ("b", 1));
    assert_eq!(b.candidate.began(), Since::Others);
    // Who comes back finds another one.
    assert!(!a.round(&mut server, SECOND * 40));
    let standing = a.candidate.standing(a.since_boot(SECOND * 40));
    let holder = Some(Name::new("b").unwrap());
    assert_eq!(standing, Standing::StandsBy { holder });
}

#[test]
fn no_wall_clock_decides_anything() {
    for hours in [-100_000_i64, -1, 1, 100_000] {
        let (mut server, mut a, mut b) = two();
        a.wall_ahead = jiff::SignedDuration::from_hours(hours);
        assert!(a.round(&mut server, SECOND));
        for second in 2..60 {
            let at = SECOND * second;
            // It jumps to and fro.
            a.wall_ahead = -a.wall_ahead;
            assert!(a.round(&mut server, at), "{hours} {second}");
            assert!(!b.round(&mut server, at), "{hours} {second}");
        }
    }
}

#[test]
fn a_wall_clock_that_stands_still_renews_all_the_same() {
    let (mut server, mut a, mut b) = two();
    assert!(a.round(&mut server, SECOND));
    for second in 2..60 {
        let at = SECOND * second;
        a.wall_ahead = -jiff::SignedDuration::try_from(at).unwrap();
        assert!(
            a.round(&mut server, at) && !b.round(&mut server, at),
            "{second}"
        );
    }
}

#[test]
fn a_renewal_whose_answer_is_lost_counts_from_when_it_was_sent() {
    let (mut server, mut a, mut b) = two();
    a.round(&mut server, SECOND);
    let record = a.wish(SECOND * 5).unwrap();
    assert!(server.write(a.read, record));
    // Nobody knows of it yet; the next write meets it.
    let record = a.wish(SECOND * 7).unwrap();
    assert!(!server.write(a.read, record));
    a.candidate.raced();
    assert!(a.candidate.has_to_look());
    a.look(&server, SECOND * 8);
    assert!(a.leads(SECOND * 14) && !b.leads(SECOND * 14));
    assert!(!a.leads(SECOND * 15));
    // What was late is mended, if nobody else was quicker.
    assert!(a.round(&mut server, SECOND * 16));
    assert_eq!(a.candidate.began(), Since::NobodyElse);
    assert!(!b.round(&mut server, SECOND * 16));
}

#[test]
fn a_conflict_on_renewal_ends_the_term_at_once_where_another_leads() {
    let (mut server, mut a, mut b) = two();
    a.round(&mut server, SECOND);
    b.look(&server, SECOND);
    // It slept; the other one did not.
    assert!(b.round(&mut server, SECOND * 16));
    assert!(!a.round(&mut server, SECOND * 17));
    assert_eq!(server.holder(), "b");
    // And for a write of others that leaves the record, it goes on.
    server.version += 1;
    assert!(b.round(&mut server, SECOND * 18));
    assert_eq!(b.candidate.began(), Since::Others);
}

#[test]
fn who_wakes_after_its_term_does_not_lead_before_it_has_renewed() {
    let (mut server, mut a, _) = two();
    a.round(&mut server, SECOND);
    // Suspended for a day, and nobody took the Lease meanwhile.
    let day = SECOND * 86_400;
    assert!(!a.leads(day));
    assert!(a.round(&mut server, day));
    assert_eq!(a.candidate.began(), Since::NobodyElse);
    let record = &server.seen.as_ref().unwrap().record;
    assert_eq!(record.transitions, 0);
}

#[test]
fn a_restarted_leader_takes_its_own_back_at_once() {
    let (mut server, mut a, mut b) = two();
    a.round(&mut server, SECOND);
    b.look(&server, SECOND);
    let mut again = a.restarted();
    assert!(again.round(&mut server, SECOND * 2));
    assert_eq!(again.candidate.began(), Since::NobodyElse);
    assert!(!b.round(&mut server, SECOND * 10));
    // The one from before, if it is still there, is no leader any more, and waits as for anybody else.
    assert!(!a.round(&mut server, SECOND * 10));
    assert!(!a.round(&mut server, SECOND * 14));
    assert!(again.round(&mut server, SECOND * 15));
}

#[test]
fn a_leader_that_died_before_it_had_settled_knows_no_more_than_a_new_one() {
    let (mut server, mut a, _) = two();
    a.look(&server, SECOND);
    let record = a.wish(SECOND).unwrap();
    assert!(server.write(a.read, record));
    let mut again = a.restarted();
    assert!(again.round(&mut server, SECOND * 2));
    assert_eq!(again.candidate.began(), Since::Others);
    // The same within one process, where the answer is lost for longer than the term.
    assert!(a.candidate.has_to_look());
    let mut server = Server::default();
    let mut a = Machine::new("a", 0);
    let record = a.wish(SECOND).unwrap();
    assert!(server.write(0, record));
    assert!(a.round(&mut server, SECOND * 30));
    assert_eq!(a.candidate.began(), Since::Others);
    assert!(a.round(&mut server, SECOND * 31) && a.candidate.began() == Since::Others);
}

#[test]
fn what_was_given_back_is_taken_at_once_and_says_who_led_last() {
    let (mut server, mut a, mut b) = two();
    assert!(a.round(&mut server, SECOND));
    let give_back = |from: &mut Machine, server: &mut Server| {
        let record = from.candidate.release(Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!((&*record.holder, record.seconds), ("", Some(1)));
        assert!(server.write(from.read, record));
    };
    give_back(&mut a, &mut server);
    assert!(!a.leads(SECOND));
    let mut again = a.restarted();
    assert!(again.round(&mut server, SECOND * 2));
    assert_eq!(again.candidate.began(), Since::NobodyElse);
    assert_eq!(server.seen.as_ref().unwrap().record.released_by, None);
    // There is nothing to give back that is another's.
    assert!(!b.round(&mut server, SECOND * 2));
    assert_eq!(b.candidate.release(Timestamp::UNIX_EPOCH), None);
    give_back(&mut again, &mut server);
    assert!(b.round(&mut server, SECOND * 3));
    assert_eq!(b.candidate.began(), Since::Others);
    give_back(&mut b, &mut server);
    let mut again = again.restarted();
    assert!(again.round(&mut server, SECOND * 4));
    assert_eq!(again.candidate.began(), Since::Others);
}

#[test]
fn a_lease_that_vanishes_is_not_made_anew_before_its_holder_must_know() {
    let (mut server, mut a, mut b) = two();
    a.round(&mut server, SECOND);
    b.look(&server, SECOND);
    server.seen = None;
    server.version = 0;
    assert!(!b.round(&mut server, SECOND * 2));
    assert!(!b.round(&mut server, SECOND * 16));
    assert!(b.round(&mut server, SECOND * 17));
    // Its own holder makes it anew at once, and does not know who led meanwhile.
    let (mut server, mut a, _) = two();
    a.round(&mut server, SECOND);
    server.seen = None;
    server.version = 0;
    assert!(a.round(&mut server, SECOND * 2));
    assert_eq!(a.candidate.began(), Since::Others);
}

#[test]
fn what_is_no_lease_of_ours_is_never_taken() {
    for (instance, holder, bar) in [
        (
            Some("test"),
            "x",
            Some(Bar::Instance(Instance::new("test").ok())),
        ),
        (Some("MARKER !"), "", Some(Bar::Instance(None))),
        (None, "kube-scheduler", Some(Bar::Stranger)),
        (None, "", None),
    ] {
        let record = LeaseRecord {
            holder: holder.to_owned(),
            seconds: Some(1),
            acquired: None,
            renewed: None,
            transitions: 7,
            released_by: None,
        };
        let mut server = Server {
            version: 1,
            seen: Some(Seen {
                record,
                instance: instance.map(str::to_owned),
            }),
        };
        let mut a = Machine::new("a", 0);
        a.round(&mut server, SECOND);
        let leads = a.round(&mut server, SECOND * 1000);
        assert_eq!(leads, bar.is_none(), "{instance:?} {holder:?}");
        let standing = a.candidate.standing(a.since_boot(SECOND * 1000));
        match bar {
            Some(bar) => assert_eq!(standing, Standing::Barred(bar)),
            None => assert!(matches!(standing, Standing::Leads { .. })),
        }
    }
}

#[test]
fn a_record_without_a_duration_lasts_as_long_as_ours() {
    let (mut server, mut a, mut b) = two();
    a.round(&mut server, SECOND);
    for seconds in [None, Some(0)] {
        server.seen.as_mut().unwrap().record.seconds = seconds;
        server.version += 1;
        b.look(&server, SECOND);
        assert!(b.wish(SECOND * 15).is_none());
    }
    assert!(b.wish(SECOND * 16).is_some());
}

/// At every moment of a long random history at most one machine may write, and writers overlap not even at the edges.
#[test]
fn no_history_has_two_leaders_at_once() {
    let mut random = fastrand::Rng::with_seed(7);
    for history in 0..200 {
        let (mut server, a, b) = two();
        let mut machines = [a, b, Machine::new("c", 1)];
        let mut led = 0;
        for step in 1..2000_u32 {
            let at = SECOND / 4 * step;
            let wall = random.i64(-1000..1000);
            let one = &mut machines[random.usize(..3)];
            one.wall_ahead = jiff::SignedDuration::from_secs(wall);
            match random.u8(..12) {
                // The answer is lost.
                0 => {
                    if one.candidate.has_to_look() {
                        one.look(&server, at);
                    }
                    if let Some(record) = one.wish(at) {
                        server.write(one.read, record);
                        one.candidate.raced();
                    }
                }
                // Nothing arrives.
                1..=5 => {}
                _ => drop(one.round(&mut server, at)),
            }
            let leaders = machines
                .iter_mut()
                .filter_map(|it| it.leads(at).then_some(()));
            let leaders = leaders.count();
            assert!(leaders <= 1, "history {history}, step {step}");
            led += leaders;
        }
        assert!(
            led > 500,
            "history {history}: somebody led for {led} steps of 2000"
        );
    }
}
