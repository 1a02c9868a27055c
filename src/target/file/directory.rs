//! A directory that holds a whole set of files, laid out as kubelet's volumes:
//!
//! ```text
//! PATH/key -> ..data/key
//! PATH/..data -> ..secretsyncd-0123456789abcdef
//! PATH/..secretsyncd-0123456789abcdef/key
//! ```
//!
//! A generation is made beside the present one, closed and complete, and one rename of `..data` puts it in place. Whoever
//! opens `..data` once and reads by that descriptor has one generation to the end: it is kept until the swap after the one
//! that replaced it.
//!
//! The order of a write, of which each step may be the last one before a kill:
//!
//! 1. what an earlier write left goes: links under temporary names, every recorded generation but the present one and the
//!    one before, which a write that fails from here on leaves to its readers;
//! 2. the new generation's directory is made, and the ledger told of it, its inode and its files;
//! 3. its files get their mode, then their content; all is synced;
//! 4. a link under a temporary name is renamed to `..data`: from here on readers see the new set;
//! 5. links are made for new keys, and taken from dropped ones: no link ever leads to a file that is not there yet, and
//!    that of a key which stays is not touched;
//! 6. the generation before the one that was replaced goes;
//! 7. the ledger is told that all is in place.
//!
//! Files may be given to an owner. The directory and its generations stay ours, or we could not work in them.
//!
//! Temporary names are of one write alone, so that nothing which is left under one can be in the way. Only the ledger
//! says which generations are ours; an empty one that it does not know of (a kill within step 2) holds nothing, and goes.

mod generation;
mod given;
mod links;
mod look;
mod names;
mod place;
mod removal;
mod sweep;
mod write;

pub(super) use look::{Sight, bytes, look};
pub use removal::Removed;
pub(super) use removal::remove;
pub(super) use write::{apply, drift, fingerprint, modes, probe, repair, sweep_left};

/// What readers open.
pub(super) const DATA: &str = "..data";

#[cfg(test)]
mod tests;
