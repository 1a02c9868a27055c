//! What is left in the file system when not everything could be written there.

use std::fs;
use std::path::Path;

use super::super::{DIRECTORY, import};
use super::together::{many, secret};
use crate::support::daemon::{Finished, Home};

/// A manifest with values.
fn literal(home: &Home, more: &[&str]) -> Finished {
    import(home, &Path::new(DIRECTORY).join("eso-literal.yaml"), more)
}

#[test]
fn values_may_go_to_the_directory_that_is_made() {
    let home = Home::new();
    let done = literal(&home, &["--out-dir", "new", "--literals", "new/l.json"]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(home.read("new/l.json").is_some());
    assert!(home.read("new/stores.toml").is_some());
}

/// Bug: the values stayed where nothing else could be written, and every further run was refused for them.
#[test]
fn what_was_written_in_vain_is_taken_back() {
    let home = Home::new();
    home.write("file", "mine");
    let done = literal(&home, &["--out-dir", "file/new", "--literals", "l.json"]);
    assert_eq!(done.code, Some(1), "{}", done.stderr);
    assert!(home.read("l.json").is_none());
    let done = literal(&home, &["--out-dir", "out", "--literals", "gone/l.json"]);
    assert_eq!(done.code, Some(1), "{}", done.stderr);
    assert_eq!(fs::read_dir(home.path("out")).unwrap().count(), 0);
    let manifest = Path::new(DIRECTORY).join("eso-literal.yaml");
    let mut command = home.command(&["import", manifest.to_str().unwrap()]);
    command.args(["--store", "elsewhere=ours", "--literals", "l.json"]);
    let full = fs::OpenOptions::new().write(true).open("/dev/full");
    let ended = command.stdout(full.unwrap()).output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    assert!(home.read("l.json").is_none());
    // What is there is somebody else's, and stays.
    home.write("out/stores.toml", "mine");
    let both = ["--out-dir", "out", "--literals", "l.json"];
    let done = literal(&home, &both);
    assert_eq!(done.code, Some(1), "{}", done.stderr);
    assert!(home.read("l.json").is_none());
    assert_eq!(home.read_text("out/stores.toml").unwrap(), "mine");
    fs::remove_file(home.path("out/stores.toml")).unwrap();
    let done = literal(&home, &both);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(home.read("l.json").is_some());
}

#[test]
fn values_do_not_take_the_place_of_a_file() {
    let home = Home::new();
    let both = ["--out-dir", "out", "--literals", "out/stores.toml"];
    let done = literal(&home, &both);
    assert_eq!(done.code, Some(1), "{}", done.stderr);
    let why = "is a file of `--out-dir`\n  help: name another file with `--literals`";
    assert!(done.stderr.contains(why), "{}", done.stderr);
    assert!(home.read("out/stores.toml").is_none());
}

/// Bug: the second file of one namespace had the name of another namespace's.
#[test]
fn a_further_file_of_a_namespace_is_no_other_namespaces() {
    let home = Home::new();
    let manifest = many("a") + &secret(("a-part2", "one"), "", &["a"]);
    home.write("m.yaml", manifest);
    let done = home.finish(&[
        "import",
        "m.yaml",
        "--store",
        "elsewhere=ours",
        "--out-dir",
        "out",
    ]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    for name in [
        "namespace-a",
        "namespace-a.part2",
        "namespace-a-part2",
        "stores",
    ] {
        assert!(home.read(&format!("out/{name}.toml")).is_some(), "{name}");
    }
}
