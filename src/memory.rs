//! Keeping what is in memory from everybody else.
//!
//! Freed memory is wiped by the allocator that `main` sets. What is still in use is kept from other processes of the same
//! user, and from core images: those would carry values to wherever such files go.

use std::thread;

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

const SMALL_STACK: usize = 1 << 17;
/// Bytes; more than the 40 MiB of stacks that glibc keeps (nptl/allocatestack.c). None of it is touched.
const LARGE_STACK: usize = 1 << 26;

/// What the kernel did not grant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Exposed {
    /// Others of the same user may read our memory.
    to_others: bool,
    /// A crash may write it to a core file.
    to_core_files: bool,
}

/// To be called before anything is read that is worth keeping. Children have a memory of their own: one that is executed
/// is dumpable again, and inherits that it leaves no core file.
pub fn seclude() -> Exposed {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    Exposed {
        // This also keeps core images from a program that `core_pattern` names, which no limit does.
        to_others: set_dumpable_behavior(DumpableBehavior::NotDumpable).is_err(),
        to_core_files: setrlimit(Resource::Core, none).is_err(),
    }
}

/// Has the loader bind now what the C library binds when it is first called: the end of a thread, and one in its place.
///
/// With the first call of such a function the loader keeps the vector registers on the stack of whoever calls, and they
/// still hold what was copied last: up to a kilobyte of a value stayed there for good (measured, glibc 2.36, AVX-512). Our
/// own functions are bound at the start; those inside of the C library are, where nobody sets `LD_BIND_NOW`, not.
pub fn bind_early() {
    // The second thread takes the stack of the first, and one of the last size is not kept for a third.
    for stack in [SMALL_STACK, SMALL_STACK, LARGE_STACK] {
        // What cannot be begun here binds nothing, and is no reason not to serve.
        if let Ok(thread) = thread::Builder::new().stack_size(stack).spawn(|| ()) {
            let _ = thread.join();
        }
    }
}

impl Exposed {
    /// A warning each: the service is worth more than this.
    pub fn tell(self) {
        if self.to_others {
            tracing::warn!(
                "the process could not be made undumpable: others of the same user may read its memory, and a crash may leave it in a core image"
            );
        }
        if self.to_core_files {
            tracing::warn!("the size of core files could not be limited to nothing");
        }
    }
}
