//! Room that very many took at once, as at the start, is not kept for the few of every other moment.

use super::Engine;

/// Room for so many more than there are is kept.
const SPARE: usize = 256;

impl Engine {
    pub(super) fn give_back(&mut self) {
        self.running.shrink_to(self.running.len() + SPARE);
        self.whereabouts.shrink_to(self.whereabouts.len() + SPARE);
        self.calls.give_back();
        for waiting in self.lines.values_mut() {
            waiting.line.give_back();
        }
    }
}
