//! Where guests run: on the event loop, or on the blocking executor.
//!
//! Purpose: a guest that burns holds up nobody. A call begins on the event loop, which is
//! the fastest for guests that mostly wait; one that has burnt `offload_after` without
//! waiting is moved in mid-call to a thread of lower priority, where it takes turns with
//! its like, and comes back when it waits for something. [`Movable`] is the call on its
//! way, [`BlockingExecutor`] the threads, [`queue`] who is next on them, [`Crowd`] how many
//! burn before another begins, [`Habit`] whether it begins on a thread because others burn.
//! Owner: the engine owns the threads; whoever owns a [`Movable`] owns the guest, wherever it is.
//!
//! Invariants: a guest is polled by one thread at a time; what counts is CPU time, not an
//! epoch that fell into a short call; dropping a [`Movable`] ends its guest, at once or at
//! the next epoch, and what is to be held until then is.

mod blocking;
mod crowd;
mod habit;
mod movable;
mod queue;
mod trip;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

pub(crate) use blocking::{BlockingExecutor, Verdict, verdict};
pub(crate) use crowd::{Crowd, Crowded};
use habit::Habit;
pub(crate) use movable::{Movable, NoRoom};
use remuda_config::Executor;
use tokio::sync::Semaphore;

/// A guest's call.
pub(crate) trait Work: Send + Unpin + 'static {
    /// What comes of it.
    type Output: Send;

    /// How many requests it works on.
    fn requests(&self) -> usize {
        1
    }

    /// Lets it run until it waits, ends or is interrupted.
    fn turn(&mut self, cx: &mut Context<'_>) -> (Poll<Self::Output>, Ran);
}

/// What a turn was like.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ran {
    /// CPU time.
    pub(crate) used: Duration,
    /// It would have gone on; otherwise it waits for something, or has ended.
    pub(crate) interrupted: bool,
}

/// What the guests of all routes run on.
#[derive(Clone, Debug)]
pub(crate) struct Executors {
    pub(crate) blocking: Arc<BlockingExecutor>,
    /// The one turn on the event loop for guests that were interrupted there.
    turns: Arc<Semaphore>,
}

impl Executors {
    /// With a blocking executor for at most so many threads, and so many guests that wait.
    ///
    /// Must be called within a Tokio runtime.
    pub(crate) fn new(threads: usize, waiting: usize) -> Self {
        let blocking = Arc::new(BlockingExecutor::new(threads, waiting));
        Self { blocking, turns: Arc::new(Semaphore::new(1)) }
    }
}

/// Where the guests of a route run, and how often they were moved.
#[derive(Debug)]
pub(crate) struct Site {
    executors: Executors,
    /// Routes take turns by this.
    route: usize,
    executor: Executor,
    offload_after: Duration,
    crowd: Arc<Crowd>,
    habit: Habit,
    offloads: AtomicU64,
    /// Nanoseconds that guests have waited for a thread.
    waited: AtomicU64,
}

impl Site {
    pub(crate) fn new(
        executors: Executors,
        route: usize,
        executor: Executor,
        offload_after: Duration,
    ) -> Self {
        let crowd = Arc::new(Crowd::new(executors.blocking.most_threads()));
        let (offloads, waited) = (AtomicU64::new(0), AtomicU64::new(0));
        let habit = Habit::default();
        Self { executors, route, executor, offload_after, crowd, habit, offloads, waited }
    }

    /// For what the same route has run on the blocking executor from the beginning.
    pub(crate) fn for_jobs(&self) -> Self {
        let executors = self.executors.clone();
        Self::new(executors, self.route, Executor::Blocking, self.offload_after)
    }

    /// Guests that burn, and requests that wait for fewer of them. Of what runs on the blocking
    /// executor from the beginning nothing is known here: its queue is the threads'.
    pub(crate) fn crowd(&self) -> &Crowd {
        &self.crowd
    }

    /// Calls that have begun to wait for a thread, each as often as it has.
    pub(crate) fn offloads(&self) -> u64 {
        self.offloads.load(Ordering::Relaxed)
    }

    /// What they have waited for one, all together.
    pub(crate) fn waited(&self) -> Duration {
        Duration::from_nanos(self.waited.load(Ordering::Relaxed))
    }

    fn has_waited(&self, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.waited.fetch_add(nanoseconds, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
