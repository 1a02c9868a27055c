//! Who has the machine: scenarios run side by side because most of them wait, and one that says how fast something is
//! has to be alone.
//!
//! Whoever wants to be alone waits until nobody is there, and meanwhile others still come in: so the timed scenarios run
//! last, and none that holds several homes waits for itself.

use std::cell::Cell;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

static MACHINE: Mutex<Load> = Mutex::new(Load {
    sharing: 0,
    alone: false,
});
static CHANGED: Condvar = Condvar::new();

struct Load {
    sharing: usize,
    alone: bool,
}

thread_local! {
    static IS_ALONE: Cell<bool> = const { Cell::new(false) };
}

/// A part of the machine, beside others; nothing where this scenario has all of it.
pub struct Share(bool);

/// All of the machine.
pub struct Alone(());

impl Share {
    pub fn take() -> Self {
        if IS_ALONE.get() {
            return Self(false);
        }
        let load = CHANGED.wait_while(load(), |load| load.alone);
        load.unwrap_or_else(PoisonError::into_inner).sharing += 1;
        Self(true)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.0 {
            load().sharing -= 1;
            CHANGED.notify_all();
        }
    }
}

impl Alone {
    /// Waits until no other scenario runs a daemon. Before this one has a home of its own.
    pub fn wait() -> Self {
        let busy = |load: &mut Load| load.alone || load.sharing > 0;
        let load = CHANGED.wait_while(load(), busy);
        load.unwrap_or_else(PoisonError::into_inner).alone = true;
        IS_ALONE.set(true);
        Self(())
    }

    /// The rest of the scenario says nothing about speed.
    pub fn let_others_in(self) -> Share {
        load().sharing += 1;
        drop(self);
        Share(true)
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        load().alone = false;
        IS_ALONE.set(false);
        CHANGED.notify_all();
    }
}

/// A scenario that failed holds back no other.
fn load() -> MutexGuard<'static, Load> {
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}
