//! A group of this machine, by name or number.

use nix::unistd::Group;

use crate::failure::{Failure, Reason};

/// Its number. A name is looked up as the system does it, so that groups of a directory service count.
pub(super) fn id(group: &str) -> Result<u32, Failure> {
    if group.bytes().all(|b| b.is_ascii_digit()) {
        return group.parse().map_err(|_| unknown(group));
    }
    match Group::from_name(group) {
        Ok(Some(found)) => Ok(found.gid.as_raw()),
        Ok(None) => Err(unknown(group)),
        Err(errno) => Err(Failure::new(
            Reason::Io,
            format!(
                "the group `{group}` of `control_group` cannot be looked up (errno {})",
                errno as i32
            ),
        )
        .with_help("check the system's group database, or give the group's number")),
    }
}

fn unknown(group: &str) -> Failure {
    Failure::new(
        Reason::Io,
        format!("`control_group` names the group `{group}`, which this machine does not have"),
    )
    .with_help("correct the name, make the group, or leave `control_group` out")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_looked_up_and_numbers_taken() {
        assert_eq!(id("root"), Ok(0));
        assert_eq!(id("4711"), Ok(4711));
        assert!(id("no-such-group-here").is_err());
        assert!(id("99999999999").is_err());
    }
}
