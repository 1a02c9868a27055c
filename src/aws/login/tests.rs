use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use tokio::time::advance;

use super::*;
use crate::failure::Reason;

const HOUR: Duration = Duration::from_hours(1);
const MINUTE: Duration = Duration::from_mins(1);

/// What one load finds: credentials of this name and life, or nothing.
#[derive(Clone, Copy, Debug)]
enum Find {
    For(&'static str, Duration),
    Endless(&'static str),
    Nothing,
    /// Never answers.
    Hang,
}

/// Finds what it is told, in this order; the last thing again and again.
#[derive(Debug)]
struct Fake {
    finds: Arc<Mutex<VecDeque<Find>>>,
    loads: Arc<AtomicUsize>,
    habits: fn(PathBuf) -> Habits,
    file: PathBuf,
    parent: Option<Arc<Login>>,
}

impl Source for Fake {
    fn load(&self, deadline: Instant) -> BoxFuture<'_, Result<Credentials, Failure>> {
        let load = async move {
            self.loads.fetch_add(1, Ordering::Relaxed);
            if let Some(parent) = &self.parent {
                parent.credentials(deadline).await?;
            }
            sleep(Duration::from_millis(100)).await;
            let find = {
                let mut finds = self.finds.lock().unwrap();
                let next = finds[0];
                if finds.len() > 1 {
                    finds.pop_front();
                }
                next
            };
            let of = |name: &str, end| Credentials::new(name, "secret", None, end, "test");
            match find {
                Find::For(name, life) => Ok(of(name, Some(wall() + life))),
                Find::Endless(name) => Ok(of(name, None)),
                Find::Nothing => Err(Failure::new(Reason::Credentials, "nothing")),
                Find::Hang => std::future::pending().await,
            }
        };
        load.boxed()
    }

    fn habits(&self) -> Habits {
        (self.habits)(self.file.clone())
    }

    fn late(&self) -> Failure {
        let whose = if self.parent.is_some() {
            "child"
        } else {
            "parent"
        };
        Failure::new(Reason::Timeout, whose)
    }
}

/// A wall that stands still while the paused clock runs: only what is left of a life counts.
fn wall() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(clock::now().as_millisecond().unsigned_abs())
}

struct Made {
    login: Arc<Login>,
    loads: Arc<AtomicUsize>,
    finds: Arc<Mutex<VecDeque<Find>>>,
}

fn no_habits(_: PathBuf) -> Habits {
    Habits {
        again: None,
        files: Vec::new(),
        on_change: Change::Load,
    }
}

fn made(finds: &[Find], habits: fn(PathBuf) -> Habits, file: PathBuf) -> Made {
    of_parent(finds, habits, file, None)
}

fn of_parent(
    finds: &[Find],
    habits: fn(PathBuf) -> Habits,
    file: PathBuf,
    parent: Option<Arc<Login>>,
) -> Made {
    let loads = Arc::new(AtomicUsize::new(0));
    let finds = Arc::new(Mutex::new(finds.iter().copied().collect()));
    let fake = Fake {
        finds: Arc::clone(&finds),
        loads: Arc::clone(&loads),
        habits,
        file,
        parent,
    };
    let login = Arc::new(Login::new(Box::new(fake)));
    Made {
        login,
        loads,
        finds,
    }
}

fn plain(finds: &[Find]) -> Made {
    made(finds, no_habits, PathBuf::new())
}

impl Made {
    async fn name(&self) -> Result<String, String> {
        let found = self.login.credentials(Instant::now() + LOAD_LIMIT).await;
        found
            .map(|it| it.access_key_id().to_owned())
            .map_err(|failure| failure.fact.clone())
    }

    fn loads(&self) -> usize {
        self.loads.load(Ordering::Relaxed)
    }

    /// Lets time pass while somebody keeps the login fresh.
    async fn pass(&self, time: Duration) {
        let _ = tokio::time::timeout(time, self.login.keep_fresh()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_load_serves_all_who_ask_meanwhile_and_later() {
    let it = plain(&[Find::For("a", HOUR)]);
    let names = join_all((0..20).map(|_| it.name())).await;
    assert!(names.iter().all(|name| name == &Ok("a".to_owned())));
    assert_eq!(it.name().await.unwrap(), "a");
    assert_eq!(it.loads(), 1);
    assert!(it.login.expires_at().is_some());
}

#[tokio::test(start_paused = true)]
async fn one_failure_serves_all_who_waited_for_it_and_no_later_one() {
    let it = plain(&[Find::Nothing, Find::For("a", HOUR)]);
    let names = join_all((0..20).map(|_| it.name())).await;
    assert!(names.iter().all(|name| name == &Err("nothing".to_owned())));
    assert_eq!(it.loads(), 1);
    assert_eq!(it.name().await.unwrap(), "a");
    assert_eq!(it.loads(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_load_that_is_given_up_is_made_by_the_next() {
    let it = plain(&[Find::For("a", HOUR)]);
    let short = Duration::from_millis(10);
    let given_up = tokio::time::timeout(short, it.name());
    let (first, second) = join(given_up, it.name()).await;
    assert!(first.is_err());
    assert_eq!(second.unwrap(), "a");
}

#[tokio::test(start_paused = true)]
async fn the_innermost_that_is_late_says_so() {
    let parent = plain(&[Find::Hang]);
    let login = Some(Arc::clone(&parent.login));
    let child = of_parent(&[Find::Endless("c")], no_habits, PathBuf::new(), login);
    let started = Instant::now();
    assert_eq!(child.name().await.unwrap_err(), "parent");
    assert!(started.elapsed() < LOAD_LIMIT + Duration::from_millis(50));
    let child = of_parent(&[Find::Hang], no_habits, PathBuf::new(), {
        Some(plain(&[Find::Endless("p")]).login)
    });
    assert_eq!(child.name().await.unwrap_err(), "child");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_loaded_before_it_is_wanted() {
    let it = plain(&[Find::For("a", HOUR)]);
    it.pass(3 * HOUR).await;
    assert_eq!(it.loads(), 0);
}

#[tokio::test(start_paused = true)]
async fn renewal_is_ahead_of_the_end_and_in_the_background() {
    let it = plain(&[
        Find::For("a", HOUR),
        Find::For("b", HOUR),
        Find::For("c", HOUR),
    ]);
    assert_eq!(it.name().await.unwrap(), "a");
    it.pass(54 * MINUTE).await;
    assert_eq!((it.name().await.unwrap().as_str(), it.loads()), ("a", 1));
    it.pass(2 * MINUTE).await;
    assert_eq!((it.name().await.unwrap().as_str(), it.loads()), ("b", 2));
    it.pass(53 * MINUTE).await;
    assert_eq!(it.loads(), 2);
    it.pass(3 * MINUTE).await;
    assert_eq!((it.name().await.unwrap().as_str(), it.loads()), ("c", 3));
}

#[tokio::test(start_paused = true)]
async fn a_short_life_is_renewed_at_a_third_before_its_end() {
    let it = plain(&[Find::For("a", 12 * MINUTE), Find::For("b", HOUR)]);
    assert_eq!(it.name().await.unwrap(), "a");
    it.pass(7 * MINUTE + MINUTE / 2).await;
    assert_eq!(it.loads(), 1);
    it.pass(MINUTE).await;
    assert_eq!((it.name().await.unwrap().as_str(), it.loads()), ("b", 2));
}

#[tokio::test(start_paused = true)]
async fn a_failed_renewal_keeps_what_is_valid_and_is_tried_again() {
    let it = plain(&[
        Find::For("a", HOUR),
        Find::Nothing,
        Find::Nothing,
        Find::For("b", HOUR),
    ]);
    assert_eq!(it.name().await.unwrap(), "a");
    it.pass(55 * MINUTE + Duration::from_secs(1)).await;
    assert_eq!((it.name().await.unwrap().as_str(), it.loads()), ("a", 2));
    it.pass(MINUTE).await;
    assert_eq!((it.name().await.unwrap().as_str(), it.loads()), ("b", 4));
}

#[tokio::test(start_paused = true)]
async fn what_has_ended_is_not_handed_out_and_is_left_to_who_asks() {
    let it = plain(&[Find::For("a", HOUR), Find::Nothing]);
    assert_eq!(it.name().await.unwrap(), "a");
    it.pass(61 * MINUTE).await;
    let tries = it.loads();
    assert!((6..=12).contains(&tries), "by backoff: {tries}");
    it.pass(HOUR).await;
    assert_eq!(it.loads(), tries);
    assert_eq!(it.name().await.unwrap_err(), "nothing");
}

/// The clock is wrong, or the instance metadata has nothing better: no load for each request.
#[tokio::test(start_paused = true)]
async fn what_has_ended_when_it_comes_is_used_for_a_while() {
    let it = plain(&[Find::For("a", Duration::ZERO)]);
    assert_eq!(it.name().await.unwrap(), "a");
    advance(Duration::from_secs(30)).await;
    assert_eq!(it.name().await.unwrap(), "a");
    assert_eq!(it.loads(), 1);
    it.pass(10 * MINUTE).await;
    assert!((10..=16).contains(&it.loads()), "{}", it.loads());
}

#[tokio::test(start_paused = true)]
async fn what_has_no_end_is_loaded_again_after_a_while() {
    let habits = |_| Habits {
        again: Some(15 * MINUTE),
        files: Vec::new(),
        on_change: Change::Load,
    };
    let finds = [Find::Endless("a"), Find::Nothing, Find::Endless("b")];
    let it = made(&finds, habits, PathBuf::new());
    assert_eq!(it.name().await.unwrap(), "a");
    it.pass(14 * MINUTE).await;
    assert_eq!(it.loads(), 1);
    it.pass(2 * MINUTE).await;
    assert_eq!((it.name().await.unwrap().as_str(), it.loads()), ("b", 3));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_loads_once_for_all_and_at_most_once_in_ten_seconds() {
    let it = plain(&[
        Find::For("a", HOUR),
        Find::For("b", HOUR),
        Find::For("c", HOUR),
    ]);
    assert_eq!(it.name().await.unwrap(), "a");
    let replaced = join_all((0..20).map(|_| it.login.rejected())).await;
    assert!(replaced.iter().all(|replaced| *replaced));
    assert_eq!((it.name().await.unwrap().as_str(), it.loads()), ("b", 2));
    // This one may have used the first.
    assert!(it.login.rejected().await);
    assert_eq!(it.loads(), 2);
    advance(Duration::from_secs(11)).await;
    assert!(it.login.rejected().await);
    assert_eq!((it.name().await.unwrap().as_str(), it.loads()), ("c", 3));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_without_other_credentials_says_so() {
    let it = plain(&[
        Find::Endless("a"),
        Find::Endless("a"),
        Find::Nothing,
        Find::Endless("b"),
    ]);
    assert!(!it.login.rejected().await, "there were none to refuse");
    assert_eq!((it.name().await.unwrap().as_str(), it.loads()), ("a", 1));
    let replaced = join_all((0..20).map(|_| it.login.rejected())).await;
    assert!(replaced.iter().all(|replaced| !replaced));
    assert_eq!(it.loads(), 2);
    advance(Duration::from_secs(11)).await;
    assert!(!it.login.rejected().await, "loading failed");
    assert_eq!((it.name().await.unwrap().as_str(), it.loads()), ("a", 3));
    // The failed load is tried again, as every failed one.
    it.pass(Duration::from_secs(5)).await;
    assert_eq!((it.name().await.unwrap().as_str(), it.loads()), ("b", 4));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_a_source_that_hangs_ends() {
    let it = plain(&[Find::Endless("a"), Find::Hang]);
    it.name().await.unwrap();
    let started = Instant::now();
    assert!(!it.login.rejected().await);
    assert!(started.elapsed() <= LOAD_LIMIT + Duration::from_millis(50));
    assert_eq!(it.name().await.unwrap(), "a");
}

#[tokio::test(start_paused = true)]
async fn a_changed_file_is_read_in_the_background_and_when_its_content_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("key");
    let habits = |file| Habits {
        again: None,
        files: vec![file],
        on_change: Change::Load,
    };
    let it = made(&[Find::Endless("a")], habits, path.clone());
    let find = |name| *it.finds.lock().unwrap() = VecDeque::from([Find::Endless(name)]);
    assert_eq!(it.name().await.unwrap(), "a");
    it.pass(HOUR).await;
    assert_eq!(it.loads(), 1, "nothing changed");
    find("b");
    std::fs::write(&path, "b").unwrap();
    it.pass(Duration::from_secs(6)).await;
    assert_eq!((it.name().await.unwrap().as_str(), it.loads()), ("b", 2));
    // Refused, and changed within the ten seconds after.
    assert!(!it.login.rejected().await);
    find("c");
    std::fs::write(&path, "cc").unwrap();
    assert!(it.login.rejected().await);
    assert_eq!((it.name().await.unwrap().as_str(), it.loads()), ("c", 4));
}

#[tokio::test(start_paused = true)]
async fn a_changed_token_is_used_at_once_only_in_trouble() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("token");
    let habits = |file| Habits {
        again: None,
        files: vec![file],
        on_change: Change::LoadInTrouble,
    };
    let finds = [Find::For("a", HOUR), Find::Nothing, Find::For("b", HOUR)];
    let it = made(&finds, habits, path.clone());
    assert_eq!(it.name().await.unwrap(), "a");
    std::fs::write(&path, "new").unwrap();
    it.pass(10 * MINUTE).await;
    assert_eq!(it.loads(), 1);
    // Its renewal fails, with five minutes left; then there is another token.
    assert!(!it.login.rejected().await);
    assert_eq!(it.loads(), 2);
    std::fs::write(&path, "newer").unwrap();
    assert!(it.login.rejected().await);
    assert_eq!((it.name().await.unwrap().as_str(), it.loads()), ("b", 3));
}

#[tokio::test(start_paused = true)]
async fn what_the_sdk_is_told_carries_our_failure() {
    let it = plain(&[Find::Nothing]);
    let error = it.login.provider().provide_credentials().await.unwrap_err();
    let cause = std::error::Error::source(&error).unwrap();
    let LoginFailed(failure) = cause.downcast_ref().unwrap();
    assert_eq!(failure.fact, "nothing");
}
