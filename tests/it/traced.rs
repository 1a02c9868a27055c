//! The order in which a file of ours comes to be, as strace sees it: nobody can read it beyond its final mode, not for a
//! moment, also where the directory gives its files an ACL.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use rustix::fs::{XattrFlags, setxattr};

use crate::support::daemon::Home;
use crate::support::suite::{self, in_ci};

const SUITE: &str = "modes, by strace";

/// Gives user 65534 everything in what will be made there, as `setfacl -d -m u:65534:rwx` does.
fn let_in_a_stranger(home: &Home, directory: &str) {
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
    let name = "system.posix_acl_default";
    setxattr(home.path(directory), name, &acl, XattrFlags::empty()).unwrap();
}

/// What is done to the new file, in order, from the call that makes it to the one that puts it in place.
fn steps(trace: &str, directory: &str) -> Vec<String> {
    let mut steps: Vec<String> = Vec::new();
    let mut descriptor = String::new();
    for line in trace.lines() {
        let call = line
            .split_once(' ')
            .map_or(line, |(_, call)| call.trim_start());
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
            steps.push(call.to_owned());
        }
    }
    steps
}

#[test]
fn a_file_is_never_open_beyond_its_mode() {
    if let Err(error) = Command::new("strace").arg("-V").output() {
        suite::not_run(SUITE, 1, &error.to_string());
        assert!(!in_ci(), "{SUITE} must run under CI=true");
        return;
    }
    let home = Home::new();
    fs::create_dir(home.path("targets")).unwrap();
    fs::set_permissions(home.path("targets"), Permissions::from_mode(0o755)).unwrap();
    let_in_a_stranger(&home, "targets");
    home.write("store/v", "value");
    home.configure(&format!(
        "[stores.s.file]\npath = {}\n[secrets.e]\nstore = \"s\"\ndata = [{{ secret_key = \"v\", remote_ref = {{ key = \"v\" }} }}]\n[[secrets.e.file]]\npath = {}\nkey = \"v\"\nmode = \"0640\"\n",
        home.quoted("store"),
        home.quoted("targets/file"),
    ));
    let trace = home.path("trace");
    let calls = "trace=openat,linkat,fchmod,chmod,fchmodat,fsetxattr,fremovexattr,write,fsync,rename,renameat2";
    let strace = [
        "strace",
        "-f",
        "-y",
        "-o",
        trace.to_str().unwrap(),
        "-e",
        calls,
    ];
    let done = home.finish_through(&strace, &["once"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let trace = fs::read_to_string(&trace).unwrap();
    let steps = steps(&trace, home.path("targets").to_str().unwrap());
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
    let shown = steps.join("\n");
    let right = |(step, (call, with)): (&String, &(&str, &str))| {
        step.starts_with(call) && step.contains(with)
    };
    assert!(steps.iter().zip(&wanted).all(right), "{shown}");
    assert_eq!(steps.len(), wanted.len(), "{shown}");
}
