use super::*;

type Names = Queue<&'static str, &'static str>;

const SECOND: Duration = Duration::from_secs(1);

fn change(text: &str) -> Change {
    text.into()
}

/// What is due then, by action and sources.
fn due(queue: &mut Names, now: Instant) -> Vec<(&'static str, Vec<(&'static str, Change)>)> {
    let due = queue.take_due(now).into_iter();
    due.map(|(action, marks)| (action, marks.into_iter().collect()))
        .collect()
}

fn end(
    queue: &mut Names,
    (action, marks): (&'static str, &[(&'static str, &str)]),
    result: Result<(), Retry>,
    now: Instant,
) -> Vec<&'static str> {
    let marks = marks.iter().map(|(source, text)| (*source, change(text)));
    let done = queue.ended((&action, &marks.collect()), result, (now, 0.5));
    done.into_iter().map(|(source, _)| source).collect()
}

#[test]
fn what_changes_together_runs_an_action_once() {
    let (mut queue, start) = (Names::default(), Instant::now());
    queue.want((&"a", &change("1")), &["api", "web"], SECOND * 2, start);
    queue.want((&"b", &change("1")), &["api"], SECOND * 2, start + SECOND);
    assert_eq!(
        due(&mut queue, start + SECOND * 2),
        [("web", vec![("a", change("1"))])]
    );
    assert_eq!(queue.next(), Some(start + SECOND * 3));
    assert_eq!(
        due(&mut queue, start + SECOND * 3),
        [("api", vec![("a", change("1")), ("b", change("1"))])]
    );
    assert_eq!(due(&mut queue, start + SECOND * 9), []);
    let now = start + SECOND * 4;
    let done = end(&mut queue, ("web", &[("a", "1")]), Ok(()), now);
    assert!(done.is_empty(), "`api` has not seen it");
    let done = end(&mut queue, ("api", &[("a", "1"), ("b", "1")]), Ok(()), now);
    assert_eq!(done, ["a", "b"]);
    assert_eq!(queue.next(), None);
}

#[test]
fn an_action_whose_secrets_never_rest_waits_no_longer_than_ten_seconds() {
    let (mut queue, start) = (Names::default(), Instant::now());
    for second in 0..10 {
        let (text, now) = (change(&second.to_string()), start + SECOND * second);
        queue.want((&"a", &text), &["api"], SECOND * 2, now);
        assert_eq!(
            queue.next(),
            Some((now + SECOND * 2).min(start + SECOND * 10))
        );
    }
}

#[test]
fn the_same_change_told_twice_is_one() {
    let (mut queue, start) = (Names::default(), Instant::now());
    queue.want((&"a", &change("1")), &["api"], SECOND * 2, start);
    queue.want((&"a", &change("1")), &["api"], SECOND * 2, start + SECOND);
    assert_eq!(queue.next(), Some(start + SECOND * 2));
}

#[test]
fn a_change_during_a_run_is_another_run() {
    let (mut queue, start) = (Names::default(), Instant::now());
    queue.want((&"a", &change("1")), &["api"], SECOND * 2, start);
    assert_eq!(due(&mut queue, start + SECOND * 2).len(), 1);
    queue.want(
        (&"a", &change("2")),
        &["api"],
        SECOND * 2,
        start + SECOND * 3,
    );
    assert_eq!(queue.next(), None, "one at a time");
    let now = start + SECOND * 4;
    assert!(end(&mut queue, ("api", &[("a", "1")]), Ok(()), now).is_empty());
    assert_eq!(
        due(&mut queue, now + SECOND * 2),
        [("api", vec![("a", change("2"))])]
    );
    let now = now + SECOND * 3;
    assert_eq!(end(&mut queue, ("api", &[("a", "2")]), Ok(()), now), ["a"]);
}

#[test]
fn what_fails_is_tried_again_and_holds_up_no_other() {
    let (mut queue, start) = (Names::default(), Instant::now());
    queue.want((&"a", &change("1")), &["api", "web"], SECOND * 2, start);
    let now = start + SECOND * 2;
    assert_eq!(due(&mut queue, now).len(), 2);
    let failed = end(&mut queue, ("api", &[("a", "1")]), Err(Retry::Soon), now);
    assert!(failed.is_empty());
    assert!(end(&mut queue, ("web", &[("a", "1")]), Ok(()), now).is_empty());
    let again = queue.next().unwrap();
    assert!(
        again > now && again <= now + SECOND * 2,
        "{:?}",
        again - now
    );
    // A change does not hurry it.
    queue.want((&"b", &change("1")), &["api"], SECOND * 2, now);
    assert_eq!(queue.next(), Some(again));
    assert_eq!(due(&mut queue, again)[0].1.len(), 2);
    let done = end(
        &mut queue,
        ("api", &[("a", "1"), ("b", "1")]),
        Ok(()),
        again,
    );
    assert_eq!(done, ["a", "b"]);
}

#[test]
fn what_is_forgotten_runs_nothing() {
    let (mut queue, start) = (Names::default(), Instant::now());
    queue.want((&"a", &change("1")), &["api"], SECOND * 2, start);
    queue.want((&"b", &change("1")), &["api", "web"], SECOND * 2, start);
    queue.forget(&"b");
    assert_eq!(
        due(&mut queue, start + SECOND * 2),
        [("api", vec![("a", change("1"))])]
    );
    queue.forget(&"a");
    assert!(
        end(
            &mut queue,
            ("api", &[("a", "1")]),
            Ok(()),
            start + SECOND * 3
        )
        .is_empty()
    );
    assert_eq!(queue.next(), None);
}

#[test]
fn what_is_due_first_is_taken_first_and_alone() {
    let (mut queue, start) = (Names::default(), Instant::now());
    queue.want((&"a", &change("1")), &["api"], SECOND * 2, start);
    queue.want((&"b", &change("1")), &["web"], SECOND, start);
    assert_eq!(queue.take_next(start, |_| true), None);
    let now = start + SECOND * 3;
    let mut next = || queue.take_next(now, |_| true).map(|(action, _)| action);
    assert_eq!([next(), next(), next()], [Some("web"), Some("api"), None]);
}

#[test]
fn whoever_has_no_room_now_is_passed_over() {
    let (mut queue, start) = (Names::default(), Instant::now());
    queue.want((&"a", &change("1")), &["api"], SECOND, start);
    queue.want((&"b", &change("1")), &["web"], SECOND * 2, start);
    let is_web = |action: &&str| *action == "web";
    assert_eq!(queue.next_of(is_web), Some(start + SECOND * 2));
    let now = start + SECOND * 3;
    assert_eq!(queue.take_next(now, is_web).map(|it| it.0), Some("web"));
    assert_eq!(queue.take_next(now, is_web), None);
    assert_eq!(queue.next(), Some(start + SECOND), "it waits on");
}

#[test]
fn what_failed_is_tried_at_once_where_somebody_wants_it() {
    let (mut queue, start) = (Names::default(), Instant::now());
    queue.want((&"a", &change("1")), &["api"], SECOND, start);
    let now = start + SECOND;
    assert!(queue.take_next(now, |_| true).is_some());
    assert!(end(&mut queue, ("api", &[("a", "1")]), Err(Retry::Rarely), now).is_empty());
    assert!(queue.take_next(now, |_| true).is_none());
    queue.hasten(now, |action, _| *action == "api");
    assert!(queue.take_next(now, |_| true).is_some());
}

#[test]
fn what_failed_can_be_hastened_and_what_waits_for_others_can_not() {
    let (mut queue, start) = (Names::default(), Instant::now());
    queue.want((&"a", &change("1")), &["api"], SECOND * 2, start);
    assert!(!queue.is_tried());
    queue.hasten(start, |_, _| true);
    assert_eq!(queue.next(), Some(start + SECOND * 2));
    let now = start + SECOND * 2;
    assert_eq!(due(&mut queue, now).len(), 1);
    assert!(!queue.is_tried(), "it is under way");
    end(&mut queue, ("api", &[("a", "1")]), Err(Retry::Rarely), now);
    assert!(queue.is_tried());
    assert_eq!(queue.next(), Some(now + LONGEST));
    queue.hasten(now, |action, _| *action == "web");
    assert_eq!(queue.next(), Some(now + LONGEST));
    queue.hasten(now + SECOND, |_, marks| marks.contains_key("a"));
    assert_eq!(queue.next(), Some(now + SECOND));
    assert_eq!(queue.waiting().count(), 1);
    let now = now + SECOND;
    assert_eq!(due(&mut queue, now).len(), 1);
    assert_eq!(end(&mut queue, ("api", &[("a", "1")]), Ok(()), now), ["a"]);
    assert!(queue.is_empty() && queue.is_tried());
}
