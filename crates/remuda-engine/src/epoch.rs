//! The clock by which guests yield.
//!
//! Purpose: advance the epoch of all engines every [`TICK`] while guests run, so that a
//! busy guest lets others have their turn. Owner: [`crate::Engine`]; the thread ends
//! with it. Invariants: the thread sleeps without any timer once no guest has been
//! entered for [`IDLE_TICKS`], and entering one wakes it; what counts is the time that a
//! guest has run since it was entered, not a tick that happens to fall into a short
//! call. What a guest uses is CPU time, not what passes while the kernel lets others run.
//! A guest that gave nobody else a turn for [`LONG_TURN`] is noted, so that whoever finds
//! the event loop late can name it.

use std::{
    cell::Cell,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};
use wasmtime::{StoreContextMut, UpdateDeadline};

use crate::{
    executor::{Verdict, verdict},
    host::{self, HostState},
    program::RequestId,
};

/// Time between two epochs.
pub(crate) const TICK: Duration = Duration::from_millis(1);

/// Ticks without a guest after which the thread goes to sleep.
const IDLE_TICKS: u32 = 100;

thread_local! {
    /// The turn of the guest that this thread runs.
    static TURN: Cell<Option<Turn>> = const { Cell::new(None) };
    /// Whether the last guest was interrupted during its turn.
    static INTERRUPTED: Cell<bool> = const { Cell::new(false) };
}

/// A guest's time on a thread.
#[derive(Clone, Copy)]
struct Turn {
    entered: Instant,
    /// Since the first epoch it has met, the thread's CPU time then, and what it had used
    /// before. Asking for it costs a system call, which short turns do without.
    metered: Option<(Duration, Duration)>,
    /// What has been charged to requests already.
    charged: Duration,
}

impl Turn {
    /// CPU time since it began.
    fn used(&self) -> Duration {
        match self.metered {
            None => self.entered.elapsed(),
            Some((then, before)) => before + thread_time().saturating_sub(then),
        }
    }

    /// Looks more closely from now on.
    fn meter(&mut self) {
        if self.metered.is_none() {
            self.metered = Some((thread_time(), self.entered.elapsed().min(UNMETERED)));
        }
    }

    /// What has come since the last time.
    fn charge(&mut self) -> Duration {
        let used = self.used();
        let more = used.saturating_sub(self.charged);
        self.charged = used;
        more
    }
}

/// Most that counts of the time before the first epoch that a turn has met: an epoch comes
/// sooner, unless the kernel let others run.
const UNMETERED: Duration = TICK.saturating_mul(2);

/// CPU time that this thread has used.
fn thread_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

/// What a guest does that meets a new epoch: goes on, lets others go first, or ends, because
/// its request has nothing left to use.
pub(crate) fn on_epoch(
    mut store: StoreContextMut<'_, HostState>,
) -> wasmtime::Result<UpdateDeadline> {
    let Some(mut turn) = TURN.get() else { return Ok(UpdateDeadline::Continue(1)) };
    turn.meter();
    let used = turn.charge();
    TURN.set(Some(turn));
    if let Some(request) = store.data().request() {
        request.charge(used)?;
        request.check_deadline()?;
    } else if let Some(request) = host::asking(&mut store)? {
        // One of several is not ended alone; the others might still get their answers.
        request.charge(used)?;
    }
    let elapsed = turn.entered.elapsed();
    match verdict(elapsed) {
        Some(Verdict::Stop) => return Err(Abandoned.into()),
        Some(Verdict::GoOn) => return Ok(UpdateDeadline::Continue(1)),
        None if elapsed < LENGTH => return Ok(UpdateDeadline::Continue(1)),
        Some(Verdict::Yield) | None => {}
    }
    INTERRUPTED.set(true);
    // wasmtime's own yield wakes its task at once, before all others.
    Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
}

/// Ends a guest on the blocking executor that nobody waits for any more.
#[derive(Debug, thiserror::Error)]
#[error("nobody waits for this guest any more")]
struct Abandoned;

/// Whether the guest that this thread has just polled was interrupted, rather than
/// waiting for something.
pub(crate) fn was_interrupted() -> bool {
    INTERRUPTED.get()
}

/// How long a guest may run before others get their turn. A tick more may pass before it
/// is asked.
const LENGTH: Duration = TICK;

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

/// CPU time of a turn.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Used {
    pub(crate) all: Duration,
    /// What no request has been charged with.
    pub(crate) uncharged: Duration,
}

/// Ends a turn, also if it panics.
struct Over;

impl Drop for Over {
    fn drop(&mut self) {
        TURN.set(None);
    }
}

/// Drives the epoch of the engines it was made with.
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<thread::JoinHandle<()>>,
}

struct Shared {
    /// Counts entries into guests; the thread looks whether it moved.
    entered: AtomicU64,
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
    /// turn be a long one. A turn within a turn is part of that.
    pub(crate) fn turn<T>(
        &self,
        who: impl FnOnce() -> (Arc<str>, Option<RequestId>),
        poll: impl FnOnce() -> T,
    ) -> (T, Used) {
        if TURN.get().is_some() {
            return (poll(), Used::default());
        }
        let entered = Instant::now();
        TURN.set(Some(Turn { entered, metered: None, charged: Duration::ZERO }));
        let _over = Over;
        INTERRUPTED.set(false);
        self.shared.entered.fetch_add(1, Ordering::SeqCst);
        if self.shared.asleep.load(Ordering::SeqCst) {
            self.wake();
        }
        let polled = poll();
        let Some(mut turn) = TURN.get() else { unreachable!("its end comes below") };
        let uncharged = turn.charge();
        let used = Used { all: turn.charged, uncharged };
        // Elsewhere it holds up nobody.
        if used.all >= TICK && verdict(Duration::ZERO).is_none() {
            self.note(entered.elapsed(), who);
        }
        (polled, used)
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
