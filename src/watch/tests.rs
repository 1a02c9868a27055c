//! Real files and real inotify, with long patience and no reliance on speed.

mod links;
mod places;
mod pure;
mod staged;

use std::fs;
use std::os::unix::fs::symlink;

use tokio::time::{sleep, timeout};

use super::*;

const PATIENCE: Duration = Duration::from_secs(10);

/// Longer than the debouncing; enough for what must not come to come.
const SILENCE: Duration = Duration::from_millis(700);

/// Neither polling nor comparing comes to the help of events.
const EVENTS: Options = Options {
    by: By::Events,
    poll: Duration::from_hours(1),
    compare_all: Duration::from_hours(1),
    silence: Duration::from_millis(200),
    at_most: Duration::from_secs(2),
};

fn file(path: impl AsRef<Path>) -> Watched {
    Watched::File(path.as_ref().to_owned())
}

fn directory(path: impl AsRef<Path>) -> Watched {
    Watched::Directory(path.as_ref().to_owned())
}

fn rename_over(path: &Path, content: &str) {
    let new = path.with_extension("new");
    fs::write(&new, content).unwrap();
    fs::rename(&new, path).unwrap();
}

/// Waits until the clock of the files has ticked.
async fn settle(watched: &[Watched]) {
    for path in watched {
        while trace::trace(path).sight.fresh {
            sleep(Duration::from_millis(5)).await;
        }
    }
}

struct Scene {
    root: tempfile::TempDir,
    watch: Watch,
    changes: Changes,
}

impl Scene {
    fn new(options: Options) -> Self {
        let (watch, changes) = start(options);
        Self {
            root: tempfile::tempdir().unwrap(),
            watch,
            changes,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn make(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "one").unwrap();
        path
    }

    /// Makes a link, or replaces one at once.
    fn link(&self, name: &str, target: &str) -> PathBuf {
        let path = self.path(name);
        let new = self.path("link_tmp");
        symlink(target, &new).unwrap();
        fs::rename(new, &path).unwrap();
        path
    }

    /// Names what is watched, and waits until it is, by events and not by a stamp taken just before.
    async fn watch(&mut self, watched: &[Watched]) {
        settle(watched).await;
        let beside = self.path("beside");
        let mut all: BTreeSet<_> = watched.iter().cloned().collect();
        all.insert(file(&beside));
        self.watch.set(all).await;
        fs::write(&beside, "one").unwrap();
        self.expect(&[file(&beside)]).await;
        self.expect_no_others(&[file(&beside)]).await;
        fs::remove_file(&beside).unwrap();
        self.expect(&[file(&beside)]).await;
    }

    /// Waits for a report, which must be of exactly these.
    async fn expect(&mut self, expected: &[Watched]) {
        let changed = self.within(PATIENCE).await;
        assert_eq!(changed, Some(expected.iter().cloned().collect()));
    }

    /// What is seen very soon after a write may be reported once more.
    async fn expect_no_others(&mut self, than: &[Watched]) {
        while let Some(changed) = self.within(Duration::from_millis(400)).await {
            assert_eq!(changed, than.iter().cloned().collect());
        }
    }

    async fn expect_nothing(&mut self) {
        assert_eq!(self.within(SILENCE).await, None);
    }

    async fn within(&mut self, patience: Duration) -> Option<BTreeSet<Watched>> {
        timeout(patience, self.changes.next()).await.ok()
    }
}

#[tokio::test]
async fn a_write_is_reported_and_so_is_a_change_of_mode() {
    let mut scene = Scene::new(EVENTS);
    let path = scene.make("conf/app.toml");
    scene.watch(&[file(&path)]).await;
    fs::write(&path, "two").unwrap();
    scene.expect(&[file(&path)]).await;
    let mut permissions = fs::metadata(&path).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o600);
    fs::set_permissions(&path, permissions).unwrap();
    scene.expect(&[file(&path)]).await;
}

#[tokio::test]
async fn a_file_that_is_replaced_again_and_again_is_reported_each_time() {
    let mut scene = Scene::new(EVENTS);
    let path = scene.make("conf/app.toml");
    scene.watch(&[file(&path)]).await;
    for content in ["two", "three", "four", "five", "six"] {
        rename_over(&path, content);
        scene.expect(&[file(&path)]).await;
    }
}

#[tokio::test]
async fn a_file_that_is_removed_is_reported_and_so_is_its_return() {
    let mut scene = Scene::new(EVENTS);
    let path = scene.make("conf/app.toml");
    scene.watch(&[file(&path)]).await;
    fs::remove_file(&path).unwrap();
    scene.expect(&[file(&path)]).await;
    scene.make("conf/app.toml");
    scene.expect(&[file(&path)]).await;
}

#[tokio::test]
async fn a_directory_that_is_removed_and_made_anew_is_watched_again() {
    let mut scene = Scene::new(EVENTS);
    let path = scene.make("conf/d/app.toml");
    let within = directory(scene.path("conf/d"));
    let both = [file(&path), within.clone()];
    scene.watch(&both).await;
    for _ in 0..2 {
        fs::remove_dir_all(scene.path("conf")).unwrap();
        scene.expect(&both).await;
        scene.make("conf/d/app.toml");
        scene.expect(&both).await;
        // At once, too, and by a rename.
        fs::rename(scene.path("conf/d"), scene.path("conf/old")).unwrap();
        scene.make("conf/d/app.toml");
        scene.expect(&both).await;
        fs::remove_dir_all(scene.path("conf/old")).unwrap();
        fs::write(&path, "two").unwrap();
        scene.expect(&both).await;
    }
}

#[tokio::test]
async fn a_directory_that_goes_and_comes_back_is_watched_again() {
    let mut scene = Scene::new(EVENTS);
    let path = scene.make("conf/d/e/app.toml");
    let beside = scene.make("conf/app.toml");
    scene.watch(&[file(&path), file(&beside)]).await;
    fs::rename(scene.path("conf/d"), scene.path("conf/away")).unwrap();
    fs::rename(scene.path("conf/away"), scene.path("conf/d")).unwrap();
    scene.expect_nothing().await;
    fs::write(&path, "two").unwrap();
    scene.expect(&[file(&path)]).await;
}

#[tokio::test]
async fn a_path_is_awaited_where_its_directories_do_not_exist_yet() {
    let mut scene = Scene::new(EVENTS);
    let path = scene.path("a/b/c/app.toml");
    scene.watch(&[file(&path)]).await;
    for name in ["a", "a/b", "a/b/c"] {
        fs::create_dir(scene.path(name)).unwrap();
        assert_eq!(scene.within(Duration::from_millis(400)).await, None);
    }
    fs::write(&path, "one").unwrap();
    scene.expect(&[file(&path)]).await;
    fs::remove_dir_all(scene.path("a")).unwrap();
    scene.expect(&[file(&path)]).await;
    scene.make("a/b/c/app.toml");
    scene.expect(&[file(&path)]).await;
}

#[tokio::test]
async fn other_files_and_reading_wake_nobody() {
    let mut scene = Scene::new(EVENTS);
    let path = scene.make("conf/app.toml");
    scene.make("conf/d/app.toml");
    let within = directory(scene.path("conf/d"));
    scene.watch(&[file(&path), within.clone()]).await;
    fs::read(&path).unwrap();
    fs::read(scene.path("conf/d/app.toml")).unwrap();
    fs::read_dir(scene.path("conf/d")).unwrap().for_each(drop);
    scene.make("conf/other.toml");
    scene.make("conf/d/deeper/other.toml");
    scene.expect(&[within]).await;
    fs::write(scene.path("conf/d/deeper/other.toml"), "two").unwrap();
    fs::write(scene.path("conf/other.toml"), "two").unwrap();
    // A write that opens the file and changes nothing.
    drop(fs::File::options().append(true).open(&path).unwrap());
    scene.expect_nothing().await;
}

#[tokio::test]
async fn whatever_lies_in_a_directory_counts_by_itself() {
    let mut scene = Scene::new(EVENTS);
    let inside = scene.make("conf.d/a.toml");
    let within = directory(scene.path("conf.d"));
    scene.watch(std::slice::from_ref(&within)).await;
    fs::write(&inside, "two").unwrap();
    scene.expect(std::slice::from_ref(&within)).await;
    let more = scene.make("conf.d/b.toml");
    scene.expect(std::slice::from_ref(&within)).await;
    fs::remove_file(more).unwrap();
    scene.expect(&[within]).await;
}

#[tokio::test]
async fn what_is_watched_can_be_replaced() {
    let mut scene = Scene::new(EVENTS);
    let (one, two) = (scene.make("one/app.toml"), scene.make("two/app.toml"));
    scene.watch(&[file(&one)]).await;
    scene.watch(&[file(&two)]).await;
    fs::write(&one, "two").unwrap();
    fs::write(&two, "two").unwrap();
    scene.expect(&[file(&two)]).await;
    scene.watch.set(BTreeSet::new()).await;
    fs::write(&two, "three").unwrap();
    scene.expect_nothing().await;
}

#[tokio::test]
async fn what_happens_after_set_is_reported_however_late_somebody_listens() {
    let mut scene = Scene::new(EVENTS);
    let path = scene.make("conf/app.toml");
    settle(&[file(&path)]).await;
    scene.watch.set(BTreeSet::from([file(&path)])).await;
    rename_over(&path, "two");
    settle(&[file(&path)]).await;
    scene.expect(&[file(&path)]).await;
}

#[tokio::test]
async fn polling_alone_sees_a_rename_and_a_swapped_link() {
    let mut scene = Scene::new(Options {
        by: By::Polling,
        poll: Duration::from_millis(50),
        ..EVENTS
    });
    let path = scene.make("conf/app.toml");
    scene.link("link", "conf");
    let linked = scene.path("link/app.toml");
    scene.make("other/app.toml");
    scene.watch(&[file(&path), file(&linked)]).await;
    rename_over(&path, "two");
    scene.expect(&[file(&path), file(&linked)]).await;
    scene.expect_no_others(&[file(&path), file(&linked)]).await;
    scene.link("link", "other");
    scene.expect(&[file(&linked)]).await;
}

#[tokio::test]
async fn comparing_finds_what_no_event_told_of() {
    let mut scene = Scene::new(Options {
        compare_all: Duration::from_millis(50),
        ..EVENTS
    });
    // Renaming a directory further up tells the watched one nothing.
    let path = scene.make("up/app/conf/app.toml");
    scene.make("up/next/conf/app.toml");
    scene.watch(&[file(&path)]).await;
    fs::rename(scene.path("up/app"), scene.path("up/old")).unwrap();
    fs::rename(scene.path("up/next"), scene.path("up/app")).unwrap();
    scene.within(PATIENCE).await.unwrap();
    fs::write(&path, "two").unwrap();
    scene.within(PATIENCE).await.unwrap();
}

#[tokio::test]
async fn waiting_may_be_broken_off_at_any_time() {
    let mut scene = Scene::new(EVENTS);
    let path = scene.make("conf/app.toml");
    scene.watch(&[file(&path)]).await;
    for content in ["two", "three", "four"] {
        rename_over(&path, content);
        let mut changed = None;
        for _ in 0..2000 {
            changed = scene.within(Duration::from_millis(5)).await;
            if changed.is_some() {
                break;
            }
        }
        assert_eq!(changed, Some(BTreeSet::from([file(&path)])));
    }
}
