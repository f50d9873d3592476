//! The pulse of the event loop.
//!
//! Purpose: everybody who must know whether this worker still turns learns it from the
//! event loop itself: the other workers from the scoreboard, the supervisor from
//! heartbeats, the reporter from the time of the last beat. Owner:
//! [`life`](crate::life), until the end of a drain. Invariant: a beat waits for nobody.

use std::{cell::Cell, time::Duration};

use remuda_control::{Heartbeat, Seat};
use remuda_engine::{Engine, LongTurn};
use tokio::time::{Instant, sleep_until};

use crate::{figures::Figures, outbox::Outbox, report::Reporter};

/// Time between two beats.
const INTERVAL: Duration = Duration::from_millis(100);

/// From this lag on, the event loop is said to have stalled.
const STALL: Duration = Duration::from_millis(100);

/// What the beat tells whom.
pub(crate) struct Beat<'a> {
    pub(crate) figures: &'a Figures<'a>,
    pub(crate) engine: &'a Engine,
    pub(crate) outbox: &'a Outbox,
    pub(crate) reporter: &'a Reporter,
    pub(crate) seat: &'a Seat,
    /// Requests after which the supervisor wants to know at once.
    pub(crate) max_requests: Option<u64>,
    pub(crate) accepting: &'a Cell<bool>,
}

impl Beat<'_> {
    /// Beats for ever.
    pub(crate) async fn run(self) {
        let mut schedule = Schedule::new(self.max_requests);
        let mut due = Instant::now();
        loop {
            sleep_until(due).await;
            let now = Instant::now();
            let lag = self.lag(now - due);
            self.reporter.beat();
            if self.accepting.get() {
                self.seat.beat();
            } else {
                self.seat.leave();
            }
            let load = self.figures.observer.load();
            if let Some(lag) = schedule.beat(now, lag, load.served) {
                self.outbox.heartbeat(Heartbeat {
                    lag,
                    in_flight: load.in_flight,
                    queued: load.queued,
                    connections: load.connections,
                    served: load.served,
                });
            }
            due = now + INTERVAL;
        }
    }

    /// How long the event loop was held up, of which a late beat shows only a part. Tells if
    /// that was long.
    fn lag(&self, late: Duration) -> Duration {
        let turn = self.engine.take_longest_turn();
        let lag = turn.as_ref().map_or(late, |turn| turn.time.max(late));
        if lag <= STALL {
            return lag;
        }
        self.figures.stalls.set(self.figures.stalls.get() + 1);
        let lag_ms = lag.as_millis() as u64;
        match turn {
            Some(LongTurn { route, request, time }) => {
                let (request, held_ms) = (request.map(tracing::field::display), time.as_millis());
                let held_ms = held_ms as u64;
                tracing::warn!(lag_ms, route = &*route, request, held_ms, "event loop stalled");
            }
            None => {
                let in_flight = self.figures.observer.load().in_flight;
                tracing::warn!(lag_ms, in_flight, "event loop stalled, by no guest");
            }
        }
        lag
    }
}

/// Which beats become heartbeats.
struct Schedule {
    sent: Option<Instant>,
    lag: Duration,
    /// Served requests of which the supervisor wants to know at once, until it does.
    wanted: Option<u64>,
}

impl Schedule {
    fn new(max_requests: Option<u64>) -> Self {
        Self { sent: None, lag: Duration::ZERO, wanted: max_requests }
    }

    /// The longest lag since the last heartbeat, if it is time for another one.
    fn beat(&mut self, now: Instant, lag: Duration, served: u64) -> Option<Duration> {
        self.lag = self.lag.max(lag);
        let is_wanted = self.wanted.is_some_and(|wanted| served >= wanted);
        // The next beat would come too late.
        let is_due = |sent| now - sent + INTERVAL / 2 >= Heartbeat::INTERVAL;
        if !is_wanted && !self.sent.is_none_or(is_due) {
            return None;
        }
        if is_wanted {
            self.wanted = None;
        }
        self.sent = Some(now);
        Some(std::mem::take(&mut self.lag))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn every_fifth_beat_is_a_heartbeat_with_the_longest_lag() {
        let (mut schedule, start) = (Schedule::new(None), Instant::now());
        let mut beat = |number: u32, lag| schedule.beat(start + number * INTERVAL, lag * MS, 0);
        assert_eq!(beat(0, 1), Some(MS));
        assert_eq!([beat(1, 2), beat(2, 70), beat(3, 3), beat(4, 4)], [None; 4]);
        assert_eq!(beat(5, 5), Some(70 * MS));
        assert_eq!(beat(6, 6), None);
    }

    #[test]
    fn a_worker_that_has_served_enough_says_so_at_once() {
        let (mut schedule, start) = (Schedule::new(Some(100)), Instant::now());
        let mut beat = |number: u32, served| {
            schedule.beat(start + number * INTERVAL, Duration::ZERO, served).is_some()
        };
        assert!(beat(0, 0));
        assert!(!beat(1, 99));
        assert!(beat(2, 100));
        assert!(!beat(3, 101));
    }
}
