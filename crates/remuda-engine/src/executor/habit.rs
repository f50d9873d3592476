//! Whether guests of a route burn as a rule.
//!
//! Purpose: guests that burn for less than `offload_after` would all have their turns on the event
//! loop, however many processors there are; those of a route of which most burn begin on a blocking
//! thread when others burn already. Owner: the route's [`Site`](super::Site). Invariant: a
//! counter that saturates, as in the prediction of branches: it follows what most have done of late.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

/// CPU time without waiting from which on a guest has burnt: that of a turn on the event loop.
pub(super) const BURNT: Duration = Duration::from_millis(1);

const MOST: u32 = 32;

#[derive(Debug, Default)]
pub(super) struct Habit(AtomicU32);

impl Habit {
    /// A guest has run until it waited or ended, and has burnt or not.
    pub(super) fn has_run(&self, burnt: bool) {
        let before = self.0.load(Ordering::Relaxed);
        let after =
            if burnt { before.saturating_add(1).min(MOST) } else { before.saturating_sub(1) };
        // One that is lost between two threads does not matter, and most change nothing.
        if after != before {
            self.0.store(after, Ordering::Relaxed);
        }
    }

    /// Whether the next one probably burns.
    pub(super) fn is_to_burn(&self) -> bool {
        self.0.load(Ordering::Relaxed) > MOST / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_most_have_done_of_late_is_expected() {
        let habit = Habit::default();
        assert!(!habit.is_to_burn());
        (0..=MOST / 2).for_each(|_| habit.has_run(true));
        assert!(habit.is_to_burn());
        (0..MOST * 9).for_each(|_| habit.has_run(true));
        habit.has_run(false);
        assert!(habit.is_to_burn(), "one is no rule");
        (0..MOST / 2).for_each(|_| habit.has_run(false));
        assert!(!habit.is_to_burn());
        // Every third is not enough.
        (0..MOST * 9).for_each(|number| habit.has_run(number % 3 == 0));
        assert!(!habit.is_to_burn());
    }
}
