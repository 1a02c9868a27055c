//! What lies at a path itself, with whom it and its directory let in.

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::watch::directories::{Directories, MOST_FILES, Plan};
use crate::watch::inotify::{Outcome, Why};
use crate::watch::trace::{DirectoryId, Look, Name};

fn place(path: impl AsRef<Path>) -> Watched {
    Watched::Place(path.as_ref().to_owned())
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn everything_that_happens_to_the_file_is_reported() {
    let mut scene = Scene::new(EVENTS);
    let path = scene.make("out/db");
    let other = scene.path("other");
    scene.watch(&[place(&path)]).await;
    let deeds: [(&str, &dyn Fn()); 8] = [
        ("written", &|| fs::write(&path, "two").unwrap()),
        ("mode", &|| mode(&path, 0o640)),
        ("another name", &|| fs::hard_link(&path, &other).unwrap()),
        ("written by it", &|| fs::write(&other, "three").unwrap()),
        ("replaced", &|| rename_over(&path, "four")),
        ("written after that", &|| fs::write(&path, "five").unwrap()),
        ("gone", &|| fs::remove_file(&path).unwrap()),
        ("back", &|| fs::write(&path, "six").unwrap()),
    ];
    for (what, deed) in deeds {
        deed();
        let changed = scene.within(PATIENCE).await;
        assert_eq!(changed, Some([place(&path)].into()), "{what}");
        scene.expect_no_others(&[place(&path)]).await;
    }
}

#[tokio::test]
async fn a_link_at_the_path_is_looked_at_and_not_followed() {
    let mut scene = Scene::new(EVENTS);
    let theirs = scene.make("theirs/secret");
    let path = scene.make("out/db");
    scene.watch(&[place(&path)]).await;
    scene.link("out/db", "../theirs/secret");
    scene.expect(&[place(&path)]).await;
    fs::write(&theirs, "two").unwrap();
    scene.expect_nothing().await;
    fs::remove_file(&path).unwrap();
    scene.expect(&[place(&path)]).await;
}

#[tokio::test]
async fn how_far_the_way_exists_and_whom_it_lets_in_counts() {
    let mut scene = Scene::new(EVENTS);
    let path = scene.make("a/b/db");
    scene.watch(&[place(&path)]).await;
    mode(&scene.path("a/b"), 0o700);
    scene.expect(&[place(&path)]).await;
    fs::remove_dir_all(scene.path("a")).unwrap();
    scene.expect(&[place(&path)]).await;
    for name in ["a", "a/b"] {
        fs::create_dir(scene.path(name)).unwrap();
        scene.expect(&[place(&path)]).await;
    }
    // A directory that is replaced is another one, also without the file.
    fs::rename(scene.path("a/b"), scene.path("a/old")).unwrap();
    fs::create_dir(scene.path("a/b")).unwrap();
    scene.expect(&[place(&path)]).await;
    fs::write(&path, "two").unwrap();
    scene.expect(&[place(&path)]).await;
    // What else is in the directory is nothing to it.
    fs::write(scene.path("a/b/other"), "one").unwrap();
    scene.expect_nothing().await;
}

#[test]
fn many_files_in_a_directory_are_one_watch_and_some_for_themselves() {
    let mut directories = Directories::new(5000);
    let around = |name: Name| Look {
        id: DirectoryId {
            device: 1,
            inode: u64::MAX,
        },
        directory: "/out".into(),
        remote: false,
        name,
    };
    let files = (0..3000_u64).map(|inode| {
        let name = format!("f{inode}");
        let itself = Look {
            id: DirectoryId { device: 1, inode },
            directory: Path::new("/out").join(&name),
            remote: false,
            name: Name::Itself,
        };
        let looks = vec![around(Name::One(name.clone().into())), itself];
        (place(Path::new("/out").join(name)), looks)
    });
    let files: Vec<(Watched, Vec<Look>)> = files.collect();
    let want = |directories: &mut Directories| {
        directories.want(files.iter().map(|(path, looks)| (path, looks.as_slice())));
        directories.plan()
    };
    let plan = want(&mut directories);
    assert_eq!(plan.add.len(), MOST_FILES + 1);
    assert_eq!(
        plan.add[0].1,
        Path::new("/out"),
        "the directory comes first"
    );
    let ids: Vec<DirectoryId> = plan.add.iter().map(|(id, _)| *id).collect();
    let outcome = |id: &DirectoryId| match id.inode {
        0 => (*id, Outcome::Not(Why::WatchLimit)),
        _ => (*id, Outcome::Watched),
    };
    directories.done(ids.iter().map(outcome).collect());
    assert!(directories.newly_polled().is_empty() && directories.to_poll().is_empty());
    // Another one has the place of the one that could not be had, which is not tried all the time.
    let plan = want(&mut directories);
    assert_eq!((plan.add.len(), plan.remove.len()), (1, 0));
    assert_eq!(plan.add[0].0.inode, 1024);
    directories.done(vec![(plan.add[0].0, Outcome::Watched)]);
    assert_eq!(want(&mut directories), Plan::default());
}
