use std::io;

use rustix::io::Errno;

use super::*;

fn is_damage(error: impl Into<LedgerError>) -> bool {
    error.into().is_damage().is_some()
}

#[test]
fn only_what_cannot_pass_by_itself_is_damage() {
    for errno in [
        Errno::IO,
        Errno::ACCESS,
        Errno::NOSPC,
        Errno::ROFS,
        Errno::MFILE,
    ] {
        let error = io::Error::from_raw_os_error(errno.raw_os_error());
        assert!(!is_damage(redb::Error::Io(error)), "{errno}");
    }
    assert!(!is_damage(redb::Error::PreviousIo));
    assert!(!is_damage(redb::Error::DatabaseAlreadyOpen));
    assert!(!is_damage(Unreadable::Newer));

    for kind in [io::ErrorKind::UnexpectedEof, io::ErrorKind::InvalidData] {
        assert!(is_damage(redb::Error::Io(kind.into())), "{kind}");
    }
    assert!(is_damage(redb::Error::Corrupted(String::new())));
    assert!(is_damage(Unreadable::Damaged));
}

#[test]
fn a_panic_is_damage_and_goes_no_further() {
    let error = guarded(|| -> Result<(), LedgerError> { panic!("of redb") });
    assert!(is_damage(error.unwrap_err()));
}
