//! Whose a file is to be: looked up, given to it, and what stands in the way of that.
//!
//! Giving a group that we are a member of takes no privilege; another group, or another owner, takes `CAP_CHOWN`. Only what
//! we have just made is ever given away, never a file that was there.

use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{self, Gid, Uid};
use rustix::io::Errno;
use rustix::process::{getegid, getgroups};

use super::inode::Inode;
use super::refusal::refused;
use crate::account::{Account, Accounts, Kind};
use crate::config;
use crate::failure::{Failure, Reason};

#[derive(Clone, Debug, Default)]
pub(super) struct Ownership {
    owner: Option<Found>,
    group: Option<Found>,
}

/// An account, and its number on this machine.
#[derive(Clone, Debug)]
struct Found {
    account: Account,
    id: u32,
}

impl Ownership {
    pub(super) async fn of(
        spec: &config::FileTarget,
        accounts: &Accounts,
    ) -> Result<Self, Failure> {
        Ok(Self {
            owner: found(accounts, Kind::User, spec.owner.as_ref()).await?,
            group: found(accounts, Kind::Group, spec.group.as_ref()).await?,
        })
    }

    /// For a file that was given to that user, and that nothing is written to any more.
    pub(super) fn trusting(owner: Option<u32>) -> Self {
        let owner = owner.map(|id| Found {
            account: Account::Number(id),
            id,
        });
        Self { owner, group: None }
    }

    pub(super) fn owner(&self) -> Option<u32> {
        self.owner.as_ref().map(|found| found.id)
    }

    pub(super) fn group(&self) -> Option<u32> {
        self.group.as_ref().map(|found| found.id)
    }

    /// For a directory that we make: it stays ours, or we could not write into it.
    pub(super) fn of_parents(&self) -> Self {
        Self {
            owner: None,
            group: self.group.clone(),
        }
    }

    /// Gives a file that we have just made to whom it is to belong; `path` is what it is made for.
    pub(super) fn give(&self, descriptor: impl AsFd, path: &Path) -> Result<(), Failure> {
        let examined = |errno| refused("examine what was made for", path, errno);
        let made = Inode::of_descriptor(&descriptor).map_err(examined)?;
        let owner = self.owner().filter(|id| *id != made.owner);
        let group = self.group().filter(|id| *id != made.group);
        if owner.is_none() && group.is_none() {
            return Ok(());
        }
        let (uid, gid) = (owner.map(Uid::from_raw), group.map(Gid::from_raw));
        match fs::fchown(&descriptor, uid, gid) {
            Ok(()) => Ok(()),
            Err(errno) => Err(match (&self.owner, &self.group) {
                (Some(user), _) if owner.is_some() => no_owner(user, path, errno),
                (_, Some(group)) => no_group(group, path, errno),
                (_, None) => refused("give away", path, errno),
            }),
        }
    }
}

async fn found(
    accounts: &Accounts,
    kind: Kind,
    account: Option<&Account>,
) -> Result<Option<Found>, Failure> {
    let Some(account) = account else {
        return Ok(None);
    };
    let id = accounts.id(kind, account).await?;
    Ok(Some(Found {
        account: account.clone(),
        id,
    }))
}

fn no_owner(user: &Found, path: &Path, errno: Errno) -> Failure {
    let (shown, user) = (path.display(), &user.account);
    match errno {
        Errno::PERM => denied(
            format!("cannot give {shown} to user {user}: that takes the capability CAP_CHOWN"),
            "`secretsyncd systemd-dropin` prints the drop-in with it; or leave `owner` out, and let `group` with mode \
             \"0640\" give access",
        ),
        Errno::INVAL => not_mapped(Kind::User, user, path),
        errno => refused("give to another owner", path, errno),
    }
}

fn no_group(group: &Found, path: &Path, errno: Errno) -> Failure {
    let (shown, name) = (path.display(), &group.account);
    match errno {
        Errno::PERM if is_member(group.id) => denied(
            format!("cannot give {shown} to group {name}: the system call is not allowed here"),
            "under systemd, `SystemCallFilter=` has to allow @chown: `secretsyncd systemd-dropin` prints it",
        ),
        Errno::PERM => denied(
            format!(
                "cannot give {shown} to group {name}: the user that runs secretsyncd is no member of it"
            ),
            "make it one and restart: `SupplementaryGroups=` under systemd, which `secretsyncd systemd-dropin` prints, \
             or `usermod --append --groups`; or make its directory setgid and of that group",
        ),
        Errno::INVAL => not_mapped(Kind::Group, name, path),
        errno => refused("give to another group", path, errno),
    }
}

fn denied(fact: String, help: &'static str) -> Failure {
    Failure::new(Reason::TargetDenied, fact).with_help(help)
}

fn not_mapped(kind: Kind, account: &Account, path: &Path) -> Failure {
    denied(
        format!(
            "cannot give {} to {kind} {account}, which is not there in our user namespace",
            path.display()
        ),
        "under systemd, `PrivateUsers=` has to be off: `secretsyncd systemd-dropin` prints it; in a container, map it",
    )
}

fn is_member(group: u32) -> bool {
    getegid().as_raw() == group
        || getgroups().is_ok_and(|all| all.iter().any(|it| it.as_raw() == group))
}
