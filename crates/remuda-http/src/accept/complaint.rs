//! Saying that connections cannot be accepted, or are refused, now and then.
//!
//! Purpose: a full table of open files fails ten times a second for as long as it is full;
//! a log is not the place to count that. Owner: each listener, and the server for headers of
//! the PROXY protocol. Pure. Invariants: the first failure is said at once; what is not said
//! is counted in the next line.

use std::{io, time::Duration};

use tokio::time::Instant;

/// At most one line in so long.
const INTERVAL: Duration = Duration::from_secs(10);

/// What there is to say of one kind of failure.
#[derive(Debug, Default)]
pub(crate) struct Complaint {
    said: Option<Instant>,
    unsaid: u64,
}

impl Complaint {
    /// A connection could not be accepted.
    pub(super) fn failed(&mut self, error: &io::Error) {
        if let Some(unsaid) = self.count(Instant::now()) {
            tracing::warn!(%error, unsaid, "failed to accept a connection; trying again");
        }
    }

    /// How many failures were not said before, if this one is to be said.
    pub(crate) fn count(&mut self, now: Instant) -> Option<u64> {
        if self.said.is_some_and(|said| now - said < INTERVAL) {
            self.unsaid += 1;
            return None;
        }
        self.said = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_is_said_at_once_and_the_others_now_and_then() {
        let (mut complaint, start) = (Complaint::default(), Instant::now());
        let mut at = |millis| complaint.count(start + Duration::from_millis(millis));
        assert_eq!(at(0), Some(0));
        assert_eq!((at(100), at(200), at(9_900)), (None, None, None));
        assert_eq!(at(10_000), Some(3));
        assert_eq!(at(30_000), Some(0));
    }
}
