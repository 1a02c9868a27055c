//! `adopt`: what others wrote is shown by key names, and taken over with and without a daemon.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::support::daemon::{Finished, Home, wait_content};
use crate::support::kubernetes::Kubernetes;
use crate::support::leak::Markers;
use crate::support::secrets_manager::SecretsManager;

const OURS: &str = "MARKER-ours-5a3c10f7";
const THEIRS: &str = "MARKER-theirs-e90b77d2";

fn file(home: &Home, name: &str, more: &str) -> String {
    format!(
        "[secrets.{name}]
store = \"prod\"
data = [{{ secret_key = \"value\", remote_ref = {{ key = \"{name}\" }} }}]
[[secrets.{name}.file]]
path = {}
format = \"json\"
{more}
",
        home.quoted(&format!("targets/{name}"))
    )
}

fn theirs() -> String {
    format!("{{\"own\":\"{THEIRS}\",\"value\":\"{THEIRS}\"}}")
}

fn ours() -> String {
    format!("{{\"value\":\"{OURS}\"}}\n")
}

struct Stage {
    aws: SecretsManager,
    home: Home,
}

impl Stage {
    /// Where somebody else's file is at every target.
    fn new(names: &[&str]) -> Self {
        let stage = Self {
            aws: SecretsManager::start(),
            home: Home::new(),
        };
        let mut config = stage.aws.store("prod");
        for name in names {
            stage.aws.put(name, OURS);
            stage.home.write(&format!("targets/{name}"), theirs());
            config += &file(&stage.home, name, "");
        }
        stage.home.configure(&config);
        stage
    }

    fn adopt(&self, arguments: &[&str]) -> Finished {
        let done = self.home.finish(&[&["adopt"], arguments].concat());
        let markers = Markers::new([OURS, THEIRS]);
        markers.absent("stdout", &done.stdout);
        markers.absent("stderr", &done.stderr);
        done
    }

    fn path(&self, name: &str) -> String {
        let path = self.home.path(&format!("targets/{name}"));
        path.display().to_string()
    }

    fn holds(&self, name: &str) -> String {
        self.home.read_text(&format!("targets/{name}")).unwrap()
    }
}

#[test]
fn a_look_says_what_would_change_and_touches_nothing() {
    let stage = Stage::new(&["a", "b"]);
    let path = stage.home.path("targets/a");
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    let done = stage.adopt(&[]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let lines: Vec<&str> = done.stdout.lines().collect();
    assert!(
        lines[0].starts_with("adopt ")
            && lines[0].contains(&stage.path("a"))
            && lines[0].ends_with("keys ~value -own; mode 0644 to 0600"),
        "{done:?}"
    );
    assert!(lines[1].ends_with("keys ~value -own"), "{done:?}");
    assert_eq!(lines[2], "2 targets: 2 adopt");
    for name in ["a", "b"] {
        assert_eq!(stage.holds(name), theirs());
    }
    let one = stage.adopt(&[&stage.path("b")]);
    assert_eq!(one.stdout.lines().count(), 2, "{one:?}");
    let unknown = stage.adopt(&["nobody"]);
    assert_eq!(unknown.code, Some(64), "{unknown:?}");
    assert!(unknown.stderr.contains("no target `nobody`"), "{unknown:?}");
}

/// Bug: a file with the right bytes was taken over though the look had not named it, and `prune` removed it later.
#[test]
fn a_file_that_is_right_is_named_before_it_is_taken_over() {
    let stage = Stage::new(&["a"]);
    let path = stage.home.path("targets/a");
    fs::write(&path, ours()).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    let done = stage.adopt(&[]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let what = "nothing but whose it is: from then on it goes where ours go";
    let line = done.stdout.lines().next().unwrap();
    assert!(
        line.starts_with("adopt ") && line.ends_with(what),
        "{done:?}"
    );
    let done = stage.adopt(&["--apply"]);
    assert!(done.stdout.contains("taken over"), "{done:?}");
    let done = stage.adopt(&[]);
    assert_eq!(done.stdout, "0 targets\n", "{done:?}");
    assert_eq!(stage.holds("a"), ours());
}

#[test]
fn without_a_daemon_what_is_named_is_taken_over_and_delivered() {
    let stage = Stage::new(&["a", "b"]);
    let refused = stage.home.once(&[]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    let help = format!("`secretsyncd adopt {}`", stage.path("a"));
    assert!(
        refused.stdout.contains(&help) || refused.stderr.contains(&help),
        "{refused:?}"
    );
    let done = stage.adopt(&["--apply", "a"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let said = format!("taken over: {}, for a\n", stage.path("a"));
    assert!(done.stdout.starts_with(&said), "{done:?}");
    assert_eq!((stage.holds("a"), stage.holds("b")), (ours(), theirs()));
    let again = stage.adopt(&["--apply", "a"]);
    assert_eq!(
        (again.code, again.stdout.as_str()),
        (Some(0), "nothing is to be taken over\n"),
        "{again:?}"
    );
    // It is ours like any other: an edit is put back.
    fs::write(stage.home.path("targets/a"), "edited").unwrap();
    assert_eq!(stage.home.once(&["a"]).code, Some(0));
    assert_eq!(stage.holds("a"), ours());
}

#[test]
fn the_daemon_takes_over_and_writes_down_who_asked() {
    let stage = Stage::new(&["a", "b"]);
    let daemon = stage.home.start_ready();
    daemon.wait_state("a", "failing");
    let done = stage.adopt(&["--apply", "a", "b"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    wait_content(&stage.home, "targets/a", &ours());
    wait_content(&stage.home, "targets/b", &ours());
    daemon.wait_state("a", "fresh");
    let said = daemon.output();
    assert!(said.contains("action=\"adopt\""), "{said}");
    assert!(said.contains("taken over"), "{said}");
    let unknown = stage.adopt(&["--apply", "nobody"]);
    assert_eq!(unknown.code, Some(64), "{unknown:?}");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn what_cannot_be_read_upstream_is_taken_over_and_stays_as_it_is() {
    let stage = Stage::new(&["a"]);
    stage.aws.delete("a");
    let done = stage.adopt(&["--apply"]);
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.stdout.contains("taken over: "), "{done:?}");
    assert_eq!(stage.holds("a"), theirs());
    stage.aws.put("a", OURS);
    assert_eq!(stage.home.once(&[]).code, Some(0));
    assert_eq!(stage.holds("a"), ours());
}

#[test]
fn what_is_wrong_with_entries_that_nothing_is_taken_over_for_is_not_counted() {
    let stage = Stage::new(&["a", "ours", "empty", "asleep"]);
    fs::remove_file(stage.home.path("targets/ours")).unwrap();
    assert_eq!(stage.home.once(&["ours"]).code, Some(0));
    fs::remove_file(stage.home.path("targets/empty")).unwrap();
    for gone in ["ours", "empty"] {
        stage.aws.delete(gone);
    }
    let text = stage.home.read_text("secretsyncd.toml").unwrap();
    let asleep = "[secrets.asleep]\n";
    let text = text.replace(asleep, &format!("{asleep}suspend = true\n"));
    stage.home.configure_whole(&text);
    let done = stage.adopt(&[]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let last = done.stdout.lines().last();
    assert_eq!(last, Some("2 targets: 1 adopt, 1 suspended"), "{done:?}");
    assert_eq!(stage.adopt(&["asleep"]).code, Some(1), "it was asked for");
    let done = stage.adopt(&["--apply"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(!done.stderr.contains("error"), "{done:?}");
    assert_eq!(stage.adopt(&["--apply", "asleep"]).code, Some(1));
    assert_eq!(
        (stage.holds("a"), stage.holds("asleep")),
        (ours(), theirs())
    );
    // Where something is taken over, what is wrong with it counts.
    stage.home.write("targets/empty", theirs());
    let done = stage.adopt(&[]);
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(
        done.stdout.contains("conflict") || done.stdout.contains("error "),
        "{done:?}"
    );
}

#[test]
fn links_directories_and_what_others_may_redirect_are_refused() {
    let stage = Stage::new(&["link", "hard", "directory"]);
    let at = |name: &str| stage.home.path(&format!("targets/{name}"));
    fs::rename(at("link"), at("real")).unwrap();
    symlink(at("real"), at("link")).unwrap();
    fs::hard_link(at("hard"), at("other")).unwrap();
    fs::remove_file(at("directory")).unwrap();
    fs::create_dir(at("directory")).unwrap();
    let said = [
        ("link", "is a symbolic link"),
        ("hard", "has 2 hard links"),
        ("directory", "is a directory"),
    ];
    for arguments in [&[][..], &["--apply"]] {
        let done = stage.adopt(arguments);
        assert_eq!(done.code, Some(1), "{done:?}");
        let all = done.stdout.clone() + &done.stderr;
        for (name, why) in said {
            let is_it = |line: &str| line.contains(&stage.path(name)) && line.contains(why);
            assert!(all.lines().any(is_it), "{name}: {done:?}");
        }
    }
    fs::set_permissions(stage.home.path("targets"), Permissions::from_mode(0o777)).unwrap();
    let done = stage.adopt(&["--apply", "hard"]);
    assert!(done.stderr.contains("could redirect"), "{done:?}");
    assert_eq!(stage.holds("real"), theirs());
    assert_eq!(stage.holds("hard"), theirs());
}

#[test]
fn a_secret_that_nobody_keeps_is_named_only_where_it_was_asked_for() {
    let stage = Stage::new(&["a"]);
    let kubernetes = Kubernetes::start();
    let text = stage.home.read_text("secretsyncd.toml").unwrap();
    let secret = "[[secrets.a.kubernetes]]\ncluster = \"main\"\nnamespace = \"app\"\n";
    stage
        .home
        .configure_whole(&(text + &kubernetes.cluster("main") + secret));
    let done = stage.adopt(&[]);
    assert_eq!(done.code, Some(0), "nobody named it: {done:?}");
    for arguments in [&["main/app/a"][..], &["a"], &["--apply", "main/app/a"]] {
        let done = stage.adopt(arguments);
        assert_eq!(done.code, Some(1), "{done:?}");
        let all = done.stdout.clone() + &done.stderr;
        assert!(all.contains("there is no such Secret"), "{done:?}");
    }
    let done = stage.adopt(&["main/app/a", "--create"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.stdout.starts_with("create "), "{done:?}");
    let elses = stage.adopt(&["main/app/a", "nobody"]);
    assert_eq!(elses.code, Some(64), "{elses:?}");
    kubernetes.put_data("helm", "app", "a", &[("value", THEIRS)]);
    let done = stage.adopt(&["main/app/a"]);
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.stdout.contains("conflict"), "{done:?}");
    assert_eq!(stage.holds("a"), theirs());
    assert_eq!(kubernetes.log().write_count(), 0);
}
