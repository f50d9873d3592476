//! Saying the same thing only now and then.
//!
//! Purpose: a full table of open files fails ten times a second for as long as it is full, and
//! a guest that always traps does so with every request; a log is not the place to count that.
//! Owner: whoever says it; for what is said of requests, the server. Pure. Invariants: the first
//! is said at once; what is not said is counted in the next line.

use std::{
    collections::BTreeMap,
    io,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// At most so many lines in so long.
#[derive(Clone, Copy, Debug)]
struct Pace {
    lines: u32,
    interval: Duration,
}

/// Of connections.
const SELDOM: Pace = Pace { lines: 1, interval: Duration::from_secs(10) };

/// Of requests, each of which is somebody's.
const OFTEN: Pace = Pace { lines: 10, interval: Duration::from_secs(1) };

/// What there is to say of one kind of failure.
#[derive(Debug)]
pub(crate) struct Complaint {
    pace: Pace,
    since: Option<Instant>,
    said: u32,
    unsaid: u64,
}

/// What there is to say of requests.
#[derive(Debug, Default)]
pub struct Complaints(Mutex<BTreeMap<(Option<usize>, &'static str), Complaint>>);

impl Default for Complaint {
    fn default() -> Self {
        Self::at(SELDOM)
    }
}

impl Complaint {
    fn at(pace: Pace) -> Self {
        Self { pace, since: None, said: 0, unsaid: 0 }
    }

    /// A connection could not be accepted.
    pub(super) fn failed(&mut self, error: &io::Error) {
        if let Some(unsaid) = self.count(Instant::now()) {
            tracing::warn!(%error, unsaid, "failed to accept a connection; trying again");
        }
    }

    /// How many failures were not said before, if this one is to be said.
    pub(crate) fn count(&mut self, now: Instant) -> Option<u64> {
        if self.since.is_none_or(|since| now - since >= self.pace.interval) {
            (self.since, self.said) = (Some(now), 0);
        }
        if self.said == self.pace.lines {
            self.unsaid += 1;
            return None;
        }
        self.said += 1;
        Some(std::mem::take(&mut self.unsaid))
    }
}

impl Complaints {
    /// How many failures of this kind and route were not said before, if one that happens now
    /// is to be said.
    pub fn count(&self, route: Option<usize>, kind: &'static str) -> Option<u64> {
        let mut complaints = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let complaint = complaints.entry((route, kind)).or_insert_with(|| Complaint::at(OFTEN));
        complaint.count(Instant::now())
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

    #[tokio::test(start_paused = true)]
    async fn some_lines_a_second_are_said_of_each_route_and_kind() {
        let complaints = Complaints::default();
        let said = |route, kind| (0..15).filter_map(|_| complaints.count(route, kind)).sum::<u64>();
        let count =
            |route, kind| (0..15).filter(|_| complaints.count(route, kind).is_some()).count();
        assert_eq!(count(Some(0), "trap"), 10);
        assert_eq!(
            (count(Some(1), "trap"), count(Some(0), "exit"), count(None, "exit")),
            (10, 10, 10)
        );
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(said(Some(0), "trap"), 5);
    }
}
