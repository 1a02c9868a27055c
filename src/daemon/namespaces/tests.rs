use std::sync::Mutex;

use super::*;
use crate::names::{ObjectName, ResourceVersion, Uid};

fn object(name: &str, team: &str) -> Object {
    Object {
        namespace: None,
        name: ObjectName::new(name).unwrap(),
        uid: Uid::new("u").unwrap(),
        resource_version: ResourceVersion::new("1").unwrap(),
        labels: [("team".to_owned(), team.to_owned())].into(),
        deleting: false,
    }
}

/// A follower over watches that the test makes: each gives its sender of events, and ends when it is told why.
struct Scene {
    watches: mpsc::UnboundedReceiver<(mpsc::Sender<Event>, tokio::sync::oneshot::Sender<Failure>)>,
    news: mpsc::Receiver<Known>,
    _task: JoinSet<()>,
}

impl Scene {
    fn new() -> Self {
        let (begun, watches) = mpsc::unbounded_channel();
        let (news, heard) = mpsc::channel(1);
        let begun = Arc::new(Mutex::new(begun));
        let watch = move |events: mpsc::Sender<Event>| {
            let (end, ended) = tokio::sync::oneshot::channel();
            let _ = begun.lock().unwrap().send((events, end));
            async move { ended.await.unwrap() }
        };
        let cluster = ClusterName::new("main").unwrap();
        let follower = Follower::new(cluster, news, |known| known);
        let mut task = JoinSet::new();
        task.spawn(follower.follow(watch));
        Self {
            watches,
            news: heard,
            _task: task,
        }
    }

    /// The names that are known now, and why they cannot be followed.
    async fn next(&mut self) -> (Option<Vec<String>>, Option<Reason>) {
        let known = self.news.recv().await.unwrap();
        let names = known
            .namespaces
            .map(|all| all.keys().map(ToString::to_string).collect());
        (names, known.trouble.map(|failure| failure.reason))
    }

    fn is_silent(&mut self) -> bool {
        self.news.try_recv().is_err()
    }
}

fn names(all: &[&str]) -> Vec<String> {
    all.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn changes_that_come_together_are_told_together() {
    let mut scene = Scene::new();
    let (events, _end) = scene.watches.recv().await.unwrap();
    events
        .send(Event::Listed(vec![object("a", "x")]))
        .await
        .unwrap();
    assert_eq!(scene.next().await, (Some(names(&["a"])), None));
    let began = Instant::now();
    for n in 0..50 {
        events
            .send(Event::Changed(object(&format!("n{n}"), "x")))
            .await
            .unwrap();
    }
    events.send(Event::Gone(object("a", "x"))).await.unwrap();
    let (all, _) = scene.next().await;
    assert_eq!(all.unwrap().len(), 50);
    assert!(began.elapsed() >= QUIET && began.elapsed() < RESTLESS);
    // What changes nothing that counts is not told.
    events
        .send(Event::Changed(object("n7", "x")))
        .await
        .unwrap();
    sleep(RESTLESS * 2).await;
    assert!(scene.is_silent());
}

#[tokio::test(start_paused = true)]
async fn whoever_changes_all_the_time_is_told_all_the_same() {
    let mut scene = Scene::new();
    let (events, _end) = scene.watches.recv().await.unwrap();
    events
        .send(Event::Listed(vec![object("a", "x")]))
        .await
        .unwrap();
    let _ = scene.next().await;
    let began = Instant::now();
    let mut n = 0;
    while scene.is_silent() {
        n += 1;
        events
            .send(Event::Changed(object("a", &format!("v{n}"))))
            .await
            .unwrap();
        sleep(QUIET / 2).await;
        assert!(began.elapsed() < RESTLESS * 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_ends_once_is_no_trouble_and_the_last_list_stays_known() {
    let mut scene = Scene::new();
    let broken = || Failure::new(Reason::Network, "x");
    let (events, end) = scene.watches.recv().await.unwrap();
    events
        .send(Event::Listed(vec![object("a", "x")]))
        .await
        .unwrap();
    assert_eq!(scene.next().await, (Some(names(&["a"])), None));
    drop(events);
    end.send(broken()).unwrap();
    let (events, end) = scene.watches.recv().await.unwrap();
    assert!(scene.is_silent());
    drop(events);
    end.send(broken()).unwrap();
    assert_eq!(
        scene.next().await,
        (Some(names(&["a"])), Some(Reason::Network))
    );
    let (events, _end) = scene.watches.recv().await.unwrap();
    events
        .send(Event::Listed(vec![object("a", "x"), object("b", "x")]))
        .await
        .unwrap();
    assert_eq!(scene.next().await, (Some(names(&["a", "b"])), None));
}

#[tokio::test(start_paused = true)]
async fn what_was_never_listed_is_told_at_once_with_what_is_needed() {
    let mut scene = Scene::new();
    let (_, end) = scene.watches.recv().await.unwrap();
    end.send(Failure::new(Reason::TargetDenied, "x")).unwrap();
    let known = scene.news.recv().await.unwrap();
    assert_eq!(known.namespaces, None);
    assert_eq!(known.trouble.unwrap().help(), NEEDED);
}

#[tokio::test(start_paused = true)]
async fn a_list_of_no_namespace_at_all_is_no_answer() {
    let mut scene = Scene::new();
    let (events, _end) = scene.watches.recv().await.unwrap();
    events
        .send(Event::Listed(vec![object("a", "x")]))
        .await
        .unwrap();
    let _ = scene.next().await;
    events.send(Event::Listed(Vec::new())).await.unwrap();
    let (events, _end) = scene.watches.recv().await.unwrap();
    events.send(Event::Listed(Vec::new())).await.unwrap();
    assert_eq!(
        scene.next().await,
        (Some(names(&["a"])), Some(Reason::Malformed))
    );
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_panics_is_begun_again() {
    let mut scene = Scene::new();
    let (_, end) = scene.watches.recv().await.unwrap();
    drop(end);
    assert_eq!(scene.next().await, (None, Some(Reason::Panic)));
    let (events, _end) = scene.watches.recv().await.unwrap();
    events
        .send(Event::Listed(vec![object("a", "x")]))
        .await
        .unwrap();
    assert_eq!(scene.next().await, (Some(names(&["a"])), None));
}
