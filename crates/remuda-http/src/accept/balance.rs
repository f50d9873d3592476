//! Whether a worker takes a connection or leaves it to others.
//!
//! Purpose: workers that share a listening socket all wake up for a connection, and the
//! quickest one would have them all; one that has clearly more than another holds back
//! for a moment. Pure. Invariant: a worker that nobody relieves soon stops holding back,
//! so that waiting in vain costs a busy server next to nothing.

/// Longest run of connections that are taken without holding back.
const MAX_RUN: u32 = 64;

/// Whether a worker with `own` open connections has clearly more than one with `fewest`.
///
/// One more is what the next connection makes of equal ones, and an eighth keeps workers
/// with many connections from waiting for each other all the time.
pub(super) fn is_clearly_ahead(own: usize, fewest: usize) -> bool {
    own > fewest + 1 + fewest / 8
}

/// What a worker has learned from holding back.
#[derive(Debug, Default)]
pub(super) struct Balance {
    /// Connections that it took in a row the last time that nobody else wanted them.
    run: u32,
    /// Connections that it may still take before it holds back again.
    credit: u32,
}

impl Balance {
    /// Whether one that is ahead holds back for the next connection.
    pub(super) fn holds_back(&mut self) -> bool {
        if self.credit == 0 {
            return true;
        }
        self.credit -= 1;
        false
    }

    /// Others have taken connections meanwhile.
    pub(super) fn was_relieved(&mut self) {
        *self = Self::default();
    }

    /// It held back for as long as it may, and nobody took anything: the others are busy,
    /// or full. It takes this connection, and each time twice as many without asking.
    pub(super) fn was_not_relieved(&mut self) {
        self.run = (self.run * 2).clamp(1, MAX_RUN);
        self.credit = self.run - 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_more_than_another_is_not_clearly_ahead() {
        assert!(!is_clearly_ahead(0, 0));
        assert!(!is_clearly_ahead(1, 0));
        assert!(is_clearly_ahead(2, 0));
        assert!(!is_clearly_ahead(51, 45));
        assert!(is_clearly_ahead(52, 45));
    }

    #[test]
    fn workers_that_follow_the_rule_stay_within_one_and_a_half_to_one() {
        for fewest in 2..1000 {
            let most = (0..).find(|own| is_clearly_ahead(*own, fewest)).expect("some");
            assert!(fewest < 6 || most * 2 <= fewest * 3, "{most} : {fewest}");
        }
    }

    /// Connections taken until the worker holds back.
    fn run(balance: &mut Balance) -> u32 {
        let mut taken = 0;
        while !balance.holds_back() {
            taken += 1;
        }
        taken
    }

    #[test]
    fn waiting_in_vain_becomes_rare() {
        let mut balance = Balance::default();
        assert_eq!(run(&mut balance), 0);
        let mut runs = Vec::new();
        for _ in 0..9 {
            balance.was_not_relieved();
            runs.push(1 + run(&mut balance));
        }
        assert_eq!(runs, [1, 2, 4, 8, 16, 32, 64, 64, 64]);
        balance.was_relieved();
        assert_eq!(run(&mut balance), 0);
    }
}
