//! How a path looks from within the unit.

use std::path::Path;

use super::unit;

/// `ProtectSystem=strict`, `ProtectHome=yes`, `PrivateTmp=yes` and `PrivateDevices=yes`, seen from a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// May be written to already.
    Granted,
    /// A directory that only the service sees, and that goes with it.
    PrivateTmp,
    /// Not there, because it is below a home.
    Home,
    /// A whole home, or what holds homes.
    WholeHome,
    /// Of the kernel.
    Kernel,
    /// `/` itself.
    Root,
    /// There, to be read.
    ReadOnly,
}

/// `/dev/shm` is the only directory that the unit's own `/dev` shares with the machine.
const GRANTED: [&str; 3] = [unit::STATE_DIRECTORY, unit::RUNTIME_DIRECTORY, "/dev/shm"];
const HOMES: [&str; 3] = ["/home", "/root", "/run/user"];

pub(super) fn of(directory: &Path) -> Place {
    let below = |places: &[&str]| places.iter().any(|it| directory.starts_with(it));
    if directory == Path::new("/") {
        Place::Root
    } else if below(&GRANTED) {
        Place::Granted
    } else if below(&["/tmp", "/var/tmp"]) {
        Place::PrivateTmp
    } else if below(&["/dev", "/proc", "/sys"]) {
        Place::Kernel
    } else if below(&HOMES) {
        if is_whole(directory) {
            Place::WholeHome
        } else {
            Place::Home
        }
    } else {
        Place::ReadOnly
    }
}

fn is_whole(directory: &Path) -> bool {
    let is = |holder: &str| directory == Path::new(holder);
    let parent = directory.parent();
    HOMES.iter().any(|it| is(it))
        || ["/home", "/run/user"]
            .iter()
            .any(|it| parent == Some(Path::new(it)))
}
