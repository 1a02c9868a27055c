//! Whose a file is that holds the right content.

use super::{Content, is_staged, our_path};
use crate::state::{FileId, FileRecord, Whose};

/// What is to be recorded of such a file when it is found in place. `adopt`: what is somebody else's may be replaced.
///
/// A record of an earlier release, which did not say which file it is, counts as before: the file is ours.
pub fn whose(
    record: Option<&FileRecord>,
    (found, content): (FileId, Content),
    adopt: bool,
) -> Whose {
    let Some(record) = record.filter(|_| !adopt) else {
        return if adopt { Whose::Ours } else { Whose::Found };
    };
    let intended = record.intent.is_some_and(|it| content == Content::Of(it));
    let swapped = intended && !record.removing && is_staged(record, found);
    if swapped || is_given(record, content) {
        return Whose::Ours;
    }
    let known = match (record.placed, record.inode) {
        (Some(placed), _) => placed.file().is_same_file(found),
        (None, Some(inode)) => inode == found.inode,
        // One of a directory names no file either, and none of its files is this one.
        (None, None) => {
            let delivered = record.delivered;
            record.generations.is_empty() && delivered.is_some_and(|it| content == Content::Of(it))
        }
    };
    if record.delivered.is_some() && known {
        record.whose
    } else if our_path(Some(record)).is_some_and(|it| it.delivered.is_some()) {
        Whose::Copied
    } else {
        Whose::Found
    }
}

/// Whether a person gave us a file with this content.
pub fn is_given(record: &FileRecord, content: Content) -> bool {
    record
        .adopted
        .is_some_and(|given| content == Content::Of(given))
}

#[cfg(test)]
mod tests;
