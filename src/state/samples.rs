//! What tests of files and their records begin with.

use super::{FileId, Placed};

/// A file as root delivered it.
pub(crate) const fn placed(file: FileId) -> Placed {
    Placed {
        inode: file.inode,
        born: file.born,
        size: 5,
        modified: (1, 0),
        changed: (1, 0),
        owner: 0,
        group: 0,
        owner_named: false,
        group_named: false,
    }
}
