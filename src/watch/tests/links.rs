//! Paths that lead through symbolic links.

use super::*;

#[tokio::test]
async fn a_mounted_config_map_is_reported_when_its_data_link_is_swapped() {
    let mut scene = Scene::new(EVENTS);
    scene.make("conf/..2026_1/app.toml");
    scene.link("conf/..data", "..2026_1");
    let path = scene.link("conf/app.toml", "..data/app.toml");
    let (absent, store) = (
        scene.path("conf/absent.toml"),
        directory(scene.path("conf")),
    );
    scene
        .watch(&[file(&path), file(absent), store.clone()])
        .await;
    for (old, new) in [("..2026_1", "..2026_2"), ("..2026_2", "..2026_3")] {
        scene.make(&format!("conf/{new}/app.toml"));
        scene.link("conf/..data", new);
        fs::remove_dir_all(scene.path("conf").join(old)).unwrap();
        scene.expect(&[file(&path), store.clone()]).await;
    }
}

#[tokio::test]
async fn every_link_on_the_way_counts_and_so_does_the_file_at_its_end() {
    let mut scene = Scene::new(EVENTS);
    let real = scene.make("real/deep/app.toml");
    let other = scene.make("other/app.toml");
    for place in ["a", "b", "c"] {
        fs::create_dir(scene.path(place)).unwrap();
    }
    scene.link("a/link", "../b/link");
    scene.link("b/link", scene.path("c/../c/link").to_str().unwrap());
    scene.link("c/link", "../real/deep");
    let path = scene.path("a/link/app.toml");
    scene.watch(&[file(&path)]).await;

    rename_over(&real, "two");
    scene.expect(&[file(&path)]).await;
    scene.link("c/link", "../other");
    timeout(PATIENCE, scene.changes.next()).await.unwrap();
    fs::write(&other, "three").unwrap();
    scene.expect(&[file(&path)]).await;
    scene.link("b/link", "../real");
    scene.expect(&[file(&path)]).await;
}

#[tokio::test]
async fn the_same_file_under_another_name_is_a_change() {
    let mut scene = Scene::new(EVENTS);
    let one = scene.make("one");
    fs::hard_link(&one, scene.path("two")).unwrap();
    let path = scene.link("app.toml", "one");
    scene.watch(&[file(&path)]).await;
    scene.link("app.toml", "two");
    scene.expect(&[file(&path)]).await;
}

#[tokio::test]
async fn links_in_a_circle_lead_nowhere_until_one_is_replaced() {
    let mut scene = Scene::new(EVENTS);
    let path = scene.link("a", "b");
    scene.link("b", "a");
    scene.watch(&[file(&path)]).await;
    fs::write(scene.path("new"), "one").unwrap();
    fs::rename(scene.path("new"), scene.path("b")).unwrap();
    scene.expect(&[file(&path)]).await;
}
