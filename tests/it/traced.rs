//! The order in which a file of ours comes to be, as strace sees it: nobody can read it beyond its final mode, not for a
//! moment, also where the directory gives its files an ACL.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use rustix::fs::{XattrFlags, getxattr, setxattr};

use crate::support::daemon::Home;
use crate::support::suite::{self, in_ci};

const SUITE: &str = "modes, by strace";

const ACCESS: &str = "system.posix_acl_access";
/// What is made there begins with.
const INHERITED: &str = "system.posix_acl_default";

/// Gives user 65534 everything there, as `setfacl -m u:65534:rwx` does, or `setfacl -d` in what will be made there.
fn let_in_a_stranger(home: &Home, directory: &str, acl_of: &str) {
    let mut acl = 2_u32.to_le_bytes().to_vec();
    let nobody = u32::MAX;
    for (tag, bits, id) in [
        (0x01_u16, 7_u16, nobody),
        (0x02, 7, 65534),
        (0x04, 5, nobody),
        (0x10, 7, nobody),
        (0x20, 5, nobody),
    ] {
        acl.extend(tag.to_le_bytes());
        acl.extend(bits.to_le_bytes());
        acl.extend(id.to_le_bytes());
    }
    setxattr(home.path(directory), acl_of, &acl, XattrFlags::empty()).unwrap();
}

/// Each call in the order in which they began, put together again where another thread came between.
fn calls(trace: &str) -> Vec<String> {
    const CUT: &str = " <unfinished ...>";
    let (mut calls, mut cut) = (Vec::<String>::new(), BTreeMap::new());
    for line in trace.lines() {
        let (thread, call) = line.split_once(' ').unwrap();
        let call = call.trim_start();
        if call.starts_with("<... ") {
            let begun: usize = cut.remove(thread).unwrap();
            calls[begun] += call.split_once("resumed>").unwrap().1;
        } else if let Some(begun) = call.strip_suffix(CUT) {
            cut.insert(thread, calls.len());
            calls.push(begun.to_owned());
        } else {
            calls.push(call.to_owned());
        }
    }
    calls
}

/// What is done to the new file, in order, from the call that makes it to the one that puts it in place.
fn steps(calls: &[String], directory: &str) -> Vec<String> {
    let mut steps: Vec<String> = Vec::new();
    let mut descriptor = String::new();
    for call in calls {
        let beside = call.contains(&format!("<{directory}>"));
        let made = call.starts_with("openat(") && beside && call.contains("0600) = ");
        if made {
            let opened = call.rsplit_once("= ").unwrap().1;
            opened
                .split('<')
                .next()
                .unwrap()
                .clone_into(&mut descriptor);
        }
        let first = call.split_once('(').map_or("", |(_, arguments)| arguments);
        let on_it = !descriptor.is_empty() && first.starts_with(&format!("{descriptor}<"));
        if made || on_it || (beside && !call.starts_with("openat(")) {
            steps.push(call.clone());
        }
    }
    steps
}

/// What this target makes `once` do, as far as it has to do with files; nothing where that cannot be seen here.
fn traced(home: &Home, target: &str) -> Option<Vec<String>> {
    if let Err(error) = Command::new("strace").arg("-V").output() {
        suite::not_run(SUITE, 1, &error.to_string());
        assert!(!in_ci(), "{SUITE} must run under CI=true");
        return None;
    }
    home.configure(&format!(
        "[stores.s.file]\npath = {}\n[secrets.e]\nstore = \"s\"\nrefresh_interval = \"1s\"\ndata = [{{ secret_key = \"v\", remote_ref = {{ key = \"v\" }} }}]\n[[secrets.e.file]]\nmode = \"0640\"\n{target}",
        home.quoted("store"),
    ));
    let trace = home.path("trace");
    let of = "trace=openat,linkat,?mkdir,mkdirat,symlinkat,?chown,fchown,fchownat,fchmod,?chmod,fchmodat,?fchmodat2,setxattr,fsetxattr,fremovexattr,write,fsync,?rename,renameat,renameat2";
    let strace = [
        "strace",
        "-f",
        "-y",
        "-o",
        trace.to_str().unwrap(),
        "-e",
        of,
    ];
    let done = home.finish_through(&strace, &["once"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    Some(calls(&fs::read_to_string(&trace).unwrap()))
}

/// An open directory with the stranger's ACL, in which targets are made.
fn place() -> Home {
    let home = Home::new();
    fs::create_dir(home.path("targets")).unwrap();
    fs::set_permissions(home.path("targets"), Permissions::from_mode(0o755)).unwrap();
    let_in_a_stranger(&home, "targets", INHERITED);
    home.write("store/v", "value");
    home
}

fn assert_steps(steps: &[String], wanted: &[(&str, &str)]) {
    let shown = steps.join("\n");
    let right = |(step, (call, with)): (&String, &(&str, &str))| {
        step.starts_with(call) && step.contains(with)
    };
    assert!(steps.iter().zip(wanted).all(right), "{shown}");
    assert_eq!(steps.len(), wanted.len(), "{shown}");
}

#[test]
fn a_file_is_never_open_beyond_its_mode() {
    let home = place();
    let target = format!("path = {}\nkey = \"v\"\n", home.quoted("targets/file"));
    let Some(calls) = traced(&home, &target) else {
        return;
    };
    let steps = steps(&calls, home.path("targets").to_str().unwrap());
    let wanted = [
        // Nobody but us, whatever the ACL says: its mask is the group's bits.
        ("openat(", "0600"),
        ("fremovexattr(", "system.posix_acl_access"),
        ("fchmod(", "0640"),
        ("write(", "\"value\""),
        ("fsync(", ""),
        ("linkat(", ".secretsyncd-"),
        ("renameat2(", "\"file\""),
        ("fsync(", ""),
    ];
    assert_steps(&steps, &wanted);
}

/// Everything that is done below a directory, but for opening what is there.
fn steps_below(calls: &[String], directory: &str) -> Vec<String> {
    let below = format!("<{directory}");
    let opens_only = |call: &str| call.starts_with("openat(") && !call.contains("O_CREAT");
    let calls = calls.iter().filter(|call| call.contains(&below));
    calls.filter(|call| !opens_only(call)).cloned().collect()
}

/// Making a generation: closed to everybody until it has lost the ACL, and each file so before its first byte.
const GENERATION: [(&str, &str); 12] = [
    ("mkdirat(", "\"..secretsyncd-"),
    ("fremovexattr(", "system.posix_acl_default"),
    ("fremovexattr(", "system.posix_acl_access"),
    ("fchmod(", ", 0750"),
    ("openat(", "0600"),
    ("fremovexattr(", "/v>, \"system.posix_acl_access"),
    ("fchmod(", "/v>, 0640"),
    ("write(", "/v>, \"value\""),
    ("fsync(", "/v>"),
    ("fsync(", "/..secretsyncd-"),
    ("symlinkat(", "\"..data-"),
    ("renameat(", "\"..data\""),
];

/// Making the directory around it, before.
const MADE: [(&str, &str); 6] = [
    ("mkdirat(", "\".secretsyncd-set\", 0700"),
    ("fremovexattr(", "system.posix_acl_default"),
    ("fremovexattr(", "system.posix_acl_access"),
    ("fchmod(", "/.secretsyncd-set>, 0750"),
    ("renameat2(", "\"set\", RENAME_NOREPLACE"),
    ("fsync(", "/targets>"),
];

/// And the links of its keys, afterwards.
const LINKED: [(&str, &str); 3] = [
    ("fsync(", "/set>"),
    ("symlinkat(", "\"..data/v\""),
    ("fsync(", "/set>"),
];

#[test]
fn a_set_is_never_open_beyond_its_modes() {
    let home = place();
    let target = format!(
        "path = {}\nformat = \"directory\"\ndir_mode = \"0750\"\n",
        home.quoted("targets/set")
    );
    let Some(calls) = traced(&home, &target) else {
        return;
    };
    let directory = home.path("targets").display().to_string();
    let wanted = [&MADE[..], &GENERATION, &LINKED].concat();
    assert_steps(&steps_below(&calls, &directory), &wanted);
    assert!(is_private(&home));
    // A later generation, where somebody has opened the directory to the stranger meanwhile.
    for acl in [ACCESS, INHERITED] {
        let_in_a_stranger(&home, "targets/set", acl);
    }
    home.write("store/v", "other");
    let calls = traced(&home, &target).unwrap();
    let steps = steps_below(&calls, &directory);
    let begun = steps.iter().position(|it| it.contains("\"..secretsyncd-"));
    let (before, generation) = steps.split_at(begun.unwrap());
    let closed = [
        ("fremovexattr(", "/set>, \"system.posix_acl_access"),
        ("fchmod(", "/set>, 0750"),
    ];
    assert_steps(before, &closed);
    let wanted = GENERATION.map(|(call, with)| match call {
        "write(" => (call, "/v>, \"other\""),
        _ => (call, with),
    });
    assert_steps(&generation[..wanted.len()], &wanted);
    assert!(is_private(&home));
}

/// Nothing of the set has an ACL.
fn is_private(home: &Home) -> bool {
    let names = ["targets/set", "targets/set/..data", "targets/set/..data/v"];
    names.into_iter().all(|name| {
        let acl = getxattr(home.path(name), ACCESS, &mut [0; 128]);
        acl.is_err()
    })
}

#[test]
fn the_files_of_a_set_are_their_owners_before_their_first_byte() {
    if !rustix::process::geteuid().is_root() {
        return suite::not_run(SUITE, 1, "only root can give files away");
    }
    let home = place();
    let target = format!(
        "path = {}\nformat = \"directory\"\ndir_mode = \"0750\"\nowner = \"4713\"\ngroup = \"4714\"\n",
        home.quoted("targets/set")
    );
    let Some(calls) = traced(&home, &target) else {
        return;
    };
    let steps = steps_below(&calls, &home.path("targets").display().to_string());
    let mut wanted = [&MADE[..], &GENERATION, &LINKED].concat();
    // What is closed to all others until it has its mode is given away between the ACL and that.
    let given = |what: &str| ("fchown(", what.to_owned());
    let mut all: Vec<(&str, String)> = Vec::new();
    for (call, with) in wanted.drain(..) {
        if call == "fchmod(" {
            all.push(given(if with.contains("/v>") {
                "/v>, 4713, 4714)"
            } else {
                ", -1, 4714)"
            }));
        }
        all.push((call, with.to_owned()));
    }
    let all: Vec<(&str, &str)> = all.iter().map(|(call, with)| (*call, &**with)).collect();
    assert_steps(&steps, &all);
}
