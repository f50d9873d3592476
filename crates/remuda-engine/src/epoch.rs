//! The clock by which guests yield.
//!
//! Purpose: advance the epoch of all engines every [`TICK`] while guests run, so that a
//! busy guest lets others have their turn. Owner: [`crate::Engine`]; the thread ends
//! with it. Invariants: the thread sleeps without any timer once no guest has been
//! entered for [`IDLE_TICKS`], and entering one wakes it; what counts is the time that a
//! guest has run since it was entered, not a tick that happens to fall into a short
//! call. A guest that gave nobody else a turn for [`LONG_TURN`] is noted, so that whoever
//! finds the event loop late can name it.

use std::{
    cell::Cell,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use wasmtime::UpdateDeadline;

use crate::program::RequestId;

/// Time between two epochs.
pub(crate) const TICK: Duration = Duration::from_millis(2);

/// Ticks without a guest after which the thread goes to sleep.
const IDLE_TICKS: u32 = 50;

thread_local! {
    /// When the guest that this thread runs was entered.
    static ENTERED: Cell<Option<Instant>> = const { Cell::new(None) };
    /// Whether it has been interrupted since.
    static INTERRUPTED: Cell<bool> = const { Cell::new(false) };
}

/// What a guest does that meets a new epoch: goes on, or lets others go first.
pub(crate) fn on_epoch() -> UpdateDeadline {
    if ENTERED.get().is_some_and(|entered| entered.elapsed() < TURN) {
        return UpdateDeadline::Continue(1);
    }
    INTERRUPTED.set(true);
    // wasmtime's own yield wakes its task at once, before all others.
    UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now()))
}

/// Whether the guest that this thread has just polled was interrupted, rather than
/// waiting for something.
pub(crate) fn was_interrupted() -> bool {
    INTERRUPTED.get()
}

/// How long a guest may run before others get their turn. A tick more may pass before it
/// is asked.
const TURN: Duration = TICK;

/// A turn that lasted this long is noted: half of what makes the event loop stalled.
const LONG_TURN: Duration = Duration::from_millis(50);

/// A turn in which a guest let nobody else have theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LongTurn {
    /// The path of the guest's route.
    pub route: Arc<str>,
    /// The request that it worked on, where that is known.
    pub request: Option<RequestId>,
    pub time: Duration,
}

/// Drives the epoch of the engines it was made with.
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<thread::JoinHandle<()>>,
}

struct Shared {
    /// Counts entries into guests; the thread looks whether it moved.
    entered: AtomicU64,
    /// Counts ticks; what begins and ends in the same one has been short.
    ticks: AtomicU64,
    longest_turn: Mutex<Option<LongTurn>>,
    asleep: AtomicBool,
    stopped: AtomicBool,
}

impl Ticker {
    /// Starts the thread, asleep.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub(crate) fn start(engines: Vec<wasmtime::Engine>) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            entered: AtomicU64::new(0),
            ticks: AtomicU64::new(0),
            longest_turn: Mutex::default(),
            asleep: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
        });
        let ours = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("epoch".to_owned())
            .stack_size(64 << 10)
            .spawn(move || ours.run(&engines))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Gives a guest its turn on this thread: `poll` polls it. `who` names it, should the
    /// turn be a long one.
    pub(crate) fn turn<T>(
        &self,
        who: impl FnOnce() -> (Arc<str>, Option<RequestId>),
        poll: impl FnOnce() -> T,
    ) -> T {
        let (entered, ticks) = (Instant::now(), self.shared.ticks.load(Ordering::Relaxed));
        ENTERED.set(Some(entered));
        INTERRUPTED.set(false);
        self.shared.entered.fetch_add(1, Ordering::SeqCst);
        if self.shared.asleep.load(Ordering::SeqCst) {
            self.wake();
        }
        let polled = poll();
        // Most turns are shorter than a tick, and need not ask for the time again.
        if self.shared.ticks.load(Ordering::Relaxed) != ticks {
            self.note(entered.elapsed(), who);
        }
        polled
    }

    /// The longest of the long turns since the last call.
    pub(crate) fn take_longest_turn(&self) -> Option<LongTurn> {
        self.shared.longest_turn.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    #[cold]
    fn note(&self, time: Duration, who: impl FnOnce() -> (Arc<str>, Option<RequestId>)) {
        if time < LONG_TURN {
            return;
        }
        let mut longest = self.shared.longest_turn.lock().unwrap_or_else(PoisonError::into_inner);
        if longest.as_ref().is_none_or(|other| other.time < time) {
            let (route, request) = who();
            *longest = Some(LongTurn { route, request, time });
        }
    }

    #[cold]
    fn wake(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

impl Shared {
    fn run(&self, engines: &[wasmtime::Engine]) {
        let (mut seen, mut idle) = (self.entered.load(Ordering::Relaxed), 0);
        while !self.stopped.load(Ordering::Relaxed) {
            if idle >= IDLE_TICKS {
                self.asleep.store(true, Ordering::SeqCst);
                // An entry between the last look and the store above would be missed
                // by both sides without this second look.
                if self.entered.load(Ordering::SeqCst) == seen {
                    thread::park();
                }
                self.asleep.store(false, Ordering::SeqCst);
                idle = 0;
            } else {
                thread::park_timeout(TICK);
            }
            self.ticks.fetch_add(1, Ordering::Relaxed);
            for engine in engines {
                engine.increment_epoch();
            }
            let entered = self.entered.load(Ordering::Relaxed);
            idle = if entered == seen { idle + 1 } else { 0 };
            seen = entered;
        }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        self.wake();
        if let Some(thread) = self.thread.take() {
            // A panic in the thread has been reported by the panic hook.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(ticker: &Ticker, id: u64, time: Duration) {
        ticker.turn(|| (Arc::from("/slow"), Some(RequestId(id))), || thread::sleep(time));
    }

    #[test]
    fn the_longest_of_the_long_turns_is_noted() {
        let ticker = Ticker::start(Vec::new()).expect("a thread");
        turn(&ticker, 1, Duration::ZERO);
        assert_eq!(ticker.take_longest_turn(), None);
        turn(&ticker, 2, LONG_TURN * 2);
        turn(&ticker, 3, LONG_TURN);
        let noted = ticker.take_longest_turn().expect("a long turn");
        assert_eq!((&*noted.route, noted.request), ("/slow", Some(RequestId(2))));
        assert!(noted.time >= LONG_TURN * 2);
        assert_eq!(ticker.take_longest_turn(), None);
    }
}
