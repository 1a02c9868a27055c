use std::fs;

use super::*;

const LIMITS: Limits = Limits {
    time: Duration::from_secs(10),
    output: 1024,
};

/// A shell script as the program.
struct Script(tempfile::TempDir);

impl Script {
    fn new(text: &str) -> Self {
        let script = Self(tempfile::tempdir().unwrap());
        // Written under another name: a file that is open for writing, even in a child that was forked meanwhile, cannot be
        // executed.
        fs::write(script.path("text"), text).unwrap();
        script.mode("text", 0o700);
        script
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Run by the shell, so that the file itself need not be executed.
    fn program(&self) -> Program {
        Program::new("/bin/sh".into(), vec![self.path("text").into()])
    }

    async fn run(&self) -> Result<String, Trouble> {
        self.program().run(LIMITS).await.map(|bytes| text(&bytes))
    }
}

fn text(bytes: &SecretBytes) -> String {
    String::from_utf8(bytes.expose().to_vec()).unwrap()
}

#[tokio::test]
async fn a_program_gets_what_it_is_given_and_nothing_else() {
    let script = Script::new(
        "env; pwd; ls -l /proc/self/fd | wc -l; cat; ps -o pgid= -p $$; echo $$; echo E >&2",
    );
    let mut program = script.program();
    program.set("OURS", "one");
    program.set("OURS", "two");
    let text = text(&program.run(LIMITS).await.unwrap());
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let names: Vec<&str> = lines
        .iter()
        .filter_map(|line| Some(line.split_once('=')?.0))
        // Set by the shell itself.
        .filter(|name| !["PWD", "OLDPWD", "SHLVL", "_"].contains(name))
        .collect();
    for name in &names {
        assert!(["HOME", "PATH", "LANG", "OURS"].contains(name), "{name}");
    }
    assert!(
        lines.contains(&"OURS=two") && lines.contains(&"LANG=C.UTF-8"),
        "{text}"
    );
    let [.., directory, descriptors, group, id] = lines[..] else {
        panic!("{text}");
    };
    assert_eq!(directory, "/");
    // Its three, the directory it reads, and the first line; and what this process was started with itself.
    let descriptors: usize = descriptors.parse().unwrap();
    assert_eq!(descriptors, 5 + not_ours(), "{text}");
    assert_eq!(group, id, "it leads a group of its own");
}

/// Descriptors of this process that whoever started it has left open for every child.
fn not_ours() -> usize {
    const CLOSE_ON_EXEC: u32 = 0o2_000_000;
    let kept = |number: &u32| {
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{number}")).unwrap_or_default();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
        let flags = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok());
        flags.is_some_and(|flags| flags & CLOSE_ON_EXEC == 0)
    };
    (3..1024).filter(kept).count()
}

#[tokio::test]
async fn how_it_ended_is_told_and_nothing_it_wrote() {
    for (script, trouble) in [
        ("echo MARKER; exit 3", Trouble::Exited(3)),
        ("echo MARKER; kill -9 $$", Trouble::Signalled(9)),
    ] {
        let found = Script::new(script).run().await.unwrap_err();
        assert_eq!(found, trouble);
        assert!(!format!("{found} {found:?}").contains("MARKER"));
    }
    assert_eq!(Script::new("printf x").run().await.as_deref(), Ok("x"));
}

#[tokio::test]
async fn the_limit_of_what_it_writes_is_exact() {
    let fits = Script::new("head -c 1024 /dev/zero").run().await;
    assert_eq!(fits.unwrap().len(), 1024);
    let more = Script::new("head -c 1025 /dev/zero").run().await;
    assert_eq!(more, Err(Trouble::TooMuch(1024)));
    // One that would never end by itself.
    let flood = Script::new("cat /dev/zero").run().await;
    assert_eq!(flood, Err(Trouble::TooMuch(1024)));
}

/// Whether a process of this id still runs; a zombie does not.
fn runs(id: &str) -> bool {
    fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| {
        !stat
            .rsplit(')')
            .next()
            .unwrap()
            .trim_start()
            .starts_with('Z')
    })
}

/// Waits until nothing of the group runs.
async fn ends(ids: &[String]) {
    for _ in 0..500 {
        if !ids.iter().any(|id| runs(id)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("still there: {ids:?}");
}

/// Ids of a script and of what it started, once they are written.
async fn ids(script: &Script) -> Vec<String> {
    for _ in 0..500 {
        let ids = fs::read_to_string(script.path("ids")).unwrap_or_default();
        let ids: Vec<String> = ids.split_whitespace().map(str::to_owned).collect();
        if ids.len() == 2 {
            return ids;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it did not start");
}

fn hanging() -> Script {
    let script = Script::new("");
    let ids = script.path("ids");
    let text = format!("sleep 600 & echo $$ $! > {}; wait", ids.display());
    fs::write(script.path("text"), text).unwrap();
    script
}

#[tokio::test]
async fn what_hangs_is_killed_with_all_it_started() {
    let script = hanging();
    let limits = Limits {
        time: Duration::from_secs(2),
        ..LIMITS
    };
    let ended = script.program().run(limits).await.unwrap_err();
    assert_eq!(ended, Trouble::TooLate(limits.time));
    assert_eq!(ended.to_string(), "ran longer than 2s and was stopped");
    ends(&ids(&script).await).await;
}

#[tokio::test]
async fn what_nobody_waits_for_is_killed() {
    let script = hanging();
    let program = script.program();
    let mut run = Box::pin(program.run(LIMITS));
    let started = tokio::select! {
        _ = &mut run => panic!("it hangs"),
        ids = ids(&script) => ids,
    };
    assert!(started.iter().all(|id| runs(id)));
    drop(run);
    ends(&started).await;
}

#[tokio::test]
async fn a_thread_has_its_program_run_by_whoever_waits_for_it() {
    let script = Script::new("echo said; exit 3");
    let program = script.program();
    let (errands, runner) = errands();
    let (tell, mut said) = tokio::sync::mpsc::unbounded_channel();
    let thread = tokio::task::spawn_blocking(move || {
        errands.run(Errand {
            program,
            time: LIMITS.time,
            heard_by: Some(Box::new(move |line| tell.send(line.to_owned()).unwrap())),
        })
    });
    assert_eq!(runner.until(thread).await.unwrap(), Err(Trouble::Exited(3)));
    assert_eq!(said.recv().await.as_deref(), Some("said"));
}

#[tokio::test]
async fn a_program_of_a_thread_that_nobody_waits_for_is_killed_and_the_thread_goes_on() {
    let script = hanging();
    let program = script.program();
    let (errands, runner) = errands();
    let (tell, ended) = tokio::sync::oneshot::channel();
    let thread = tokio::task::spawn_blocking(move || {
        let errand = || Errand {
            program: program.clone(),
            // Nothing but that nobody waits for it ends it.
            time: Duration::from_hours(1),
            heard_by: None,
        };
        // It is not even begun a second time.
        let both = [errands.run(errand()), errands.run(errand())];
        tell.send(both).unwrap();
    });
    let mut waiting = Box::pin(runner.until(thread));
    let ids = tokio::select! {
        _ = &mut waiting => panic!("it hangs"),
        ids = ids(&script) => ids,
    };
    drop(waiting);
    assert_eq!(ended.await.unwrap(), [Err(Trouble::Broken); 2]);
    ends(&ids).await;
}

#[tokio::test]
async fn what_is_no_program_of_ours_is_not_run() {
    let script = Script::new("#!/bin/sh\necho ran\n");
    let run = async |name: &str| {
        let program = Program::new(script.path(name), Vec::new());
        program.run(LIMITS).await.map(|bytes| text(&bytes))
    };
    assert_eq!(run("none").await, Err(Trouble::Absent));
    fs::create_dir(script.path("directory")).unwrap();
    assert_eq!(run("directory").await, Err(Trouble::NotAProgram));
    script.mode("text", 0o600);
    assert_eq!(run("text").await, Err(Trouble::NotAProgram));
    script.mode("text", 0o777);
    assert_eq!(run("text").await, Err(Trouble::AnyoneMayWrite));
}

#[test]
fn a_bare_name_is_looked_for_in_absolute_directories() {
    let script = Script::new("");
    let search = env::join_paths(["bin".into(), script.path("none"), script.path("")]).unwrap();
    assert_eq!(find("text".as_ref(), &search), Some(script.path("text")));
    assert_eq!(find("other".as_ref(), &search), None);
    script.mode("text", 0o600);
    assert_eq!(find("text".as_ref(), &search), None);
    // Tests run where `.ci/run` is.
    let absolute = env::current_dir().unwrap().join(".ci");
    assert!(find("run".as_ref(), absolute.as_ref()).is_some());
    assert_eq!(find("run".as_ref(), ".ci".as_ref()), None);
}

#[tokio::test]
async fn what_is_unheard_may_say_as_much_as_it_likes_and_leave_something_running() {
    let time = LIMITS.time;
    let loud = Script::new("head -c 50000000 /dev/zero; head -c 50000000 /dev/zero >&2");
    assert_eq!(loud.program().run_unheard(time).await, Ok(()));
    let failing = Script::new("exit 3");
    let ended = failing.program().run_unheard(time).await;
    assert_eq!(ended, Err(Trouble::Exited(3)));
    // It holds whatever it was started with.
    let leaving = Script::new("sleep 30 & exit 0");
    let started = tokio::time::Instant::now();
    assert_eq!(leaving.program().run_unheard(time).await, Ok(()));
    assert!(started.elapsed() < time);
}

#[tokio::test]
async fn lines_are_heard_until_the_program_ends_whatever_it_leaves_running() {
    let heard = async |text: &str| {
        let mut lines = Vec::new();
        let script = Script::new(text);
        let say = |line: &str| lines.push(line.to_owned());
        let ended = script.program().run_heard(LIMITS.time, say).await;
        lines.sort();
        (ended, lines)
    };
    let both = heard("echo a; echo b >&2; printf c; exit 4").await;
    assert_eq!(
        both,
        (
            Err(Trouble::Exited(4)),
            vec!["a".into(), "b".into(), "c".into()]
        )
    );
    let started = tokio::time::Instant::now();
    let left = heard("echo a; sleep 30 & exit 0").await;
    assert_eq!(left, (Ok(()), vec!["a".to_owned()]));
    assert!(started.elapsed() < LIMITS.time);
    let (flood, lines) = heard("yes").await;
    assert_eq!(flood, Err(Trouble::TooMuch(16 << 20)));
    assert!(lines.len() < 300, "{}", lines.len());
}
