//! The threads on which guests burn.
//!
//! Purpose: run what [`Movable`](super::Movable) hands over, a slice at a time. Owner: the
//! engine; its threads end with it. Invariants: at most so many threads, each started when
//! there is something for it to do; they have a lower priority than the event loop; no more
//! than so many guests wait for their first slice; a slice ends after [`SLICE`], earlier
//! if a short one waits, so that nobody waits for the end of an endless one; where requests wait to
//! begin, what has begun keeps its slice, so that it ends at all.

use std::{
    cell::RefCell,
    io,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::{
    process::{getpriority_process, setpriority_process},
    thread::gettid,
};
use tokio::runtime::Handle;

use super::queue::{LEVELS, Queue, level};

/// How long a guest runs until somebody else may. Less often the ticker would take a guest
/// that is never entered anew for none at all.
const SLICE: Duration = Duration::from_millis(10);

/// What is added to the nice value of the threads: with two runnable threads on one
/// processor, the event loop's gets nearly all of it.
const NICE: i32 = 15;
const NICEST: i32 = 19;

/// A guest as the threads see it.
pub(super) trait Job: Send + Sync {
    fn route(&self) -> usize;
    /// Runs it on this thread; it had to wait for `waited`.
    fn run(self: Arc<Self>, waited: Duration) -> Outcome;
    /// Nobody wants what comes of it.
    fn is_abandoned(&self) -> bool;
    /// Others of its route wait to begin: there is more to do than can be done.
    fn is_in_a_crowd(&self) -> bool;
}

/// What became of a job in its slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It has used so much, and wants another slice.
    Burns(Duration),
    /// It waits for something, has ended, or was abandoned.
    Left,
}

/// There is no room for another job.
#[derive(Debug)]
pub(super) struct Full;

/// What a guest does that meets an epoch in its slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    GoOn,
    Yield,
    Stop,
}

thread_local! {
    /// What this thread runs, if it is one of these.
    static SLICE_OF: RefCell<Option<Slice>> = const { RefCell::new(None) };
}

struct Slice {
    job: Arc<dyn Job>,
    level: usize,
    shared: Arc<Shared>,
}

/// What to do about a guest that has run for `elapsed`; `None` on the event loop.
pub(crate) fn verdict(elapsed: Duration) -> Option<Verdict> {
    SLICE_OF.with_borrow(|slice| {
        let Slice { job, level, shared } = slice.as_ref()?;
        Some(if shared.stopping.load(Ordering::Relaxed) || job.is_abandoned() {
            Verdict::Stop
        } else if elapsed >= SLICE || (shared.has_short() && *level > 0 && !job.is_in_a_crowd()) {
            Verdict::Yield
        } else {
            Verdict::GoOn
        })
    })
}

/// Runs guests on threads of its own.
pub(crate) struct BlockingExecutor {
    shared: Arc<Shared>,
    threads: Mutex<Vec<thread::JoinHandle<()>>>,
}

struct Shared {
    state: Mutex<State>,
    there_is_work: Condvar,
    most_threads: usize,
    most_waiting: usize,
    /// Guests do their I/O there.
    event_loop: Handle,
    stopping: AtomicBool,
    waiting: [AtomicUsize; LEVELS],
    busy: AtomicUsize,
}

struct State {
    queue: Queue<Entry>,
    /// Threads without anything to do.
    idle: usize,
    /// Jobs that have their slice.
    running: usize,
}

struct Entry {
    job: Arc<dyn Job>,
    /// CPU time since it was handed over.
    used: Duration,
    since: Instant,
}

impl std::fmt::Debug for BlockingExecutor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BlockingExecutor({} threads)", self.shared.most_threads)
    }
}

impl BlockingExecutor {
    /// For at most so many threads, and so many guests that wait for their first slice.
    ///
    /// Must be called within a Tokio runtime.
    pub(crate) fn new(threads: usize, waiting: usize) -> Self {
        let shared = Shared {
            state: Mutex::new(State { queue: Queue::new(), idle: 0, running: 0 }),
            there_is_work: Condvar::new(),
            most_threads: threads.max(1),
            most_waiting: waiting,
            event_loop: Handle::current(),
            stopping: AtomicBool::new(false),
            waiting: Default::default(),
            busy: AtomicUsize::new(0),
        };
        Self { shared: Arc::new(shared), threads: Mutex::default() }
    }

    pub(super) fn most_threads(&self) -> usize {
        self.shared.most_threads
    }

    /// Threads that run a guest.
    pub(crate) fn busy(&self) -> usize {
        self.shared.busy.load(Ordering::Relaxed)
    }

    /// Whether one more guest would have its turn at once.
    pub(super) fn has_idle_thread(&self) -> bool {
        self.busy() + self.waiting() < self.shared.most_threads
    }

    /// Guests that wait for a thread.
    pub(crate) fn waiting(&self) -> usize {
        self.shared.waiting.iter().map(|level| level.load(Ordering::Relaxed)).sum()
    }

    /// Has `job` run. One that was here before is let in, however many wait.
    pub(super) fn submit(&self, job: Arc<dyn Job>, is_new: bool) -> Result<(), Full> {
        let mut state = self.shared.lock();
        let room = self.shared.most_threads.saturating_add(self.shared.most_waiting);
        if is_new && state.running + self.waiting() >= room {
            return Err(Full);
        }
        let is_stopping = self.shared.stopping.load(Ordering::Relaxed);
        if is_stopping || (state.idle == 0 && !self.has_thread_for_more()) {
            return Err(Full);
        }
        self.shared.push(&mut state, Entry { job, used: Duration::ZERO, since: Instant::now() });
        drop(state);
        self.shared.there_is_work.notify_one();
        Ok(())
    }

    /// Takes back a job that waits.
    pub(super) fn forget(&self, job: &Arc<dyn Job>) {
        let mut state = self.shared.lock();
        let entry = state.queue.remove(|entry| Arc::ptr_eq(&entry.job, job));
        if let Some(entry) = &entry {
            self.shared.waiting[level(entry.used)].fetch_sub(1, Ordering::Relaxed);
        }
        drop(state);
    }

    /// Starts another thread if there may be one. False if there is none at all.
    fn has_thread_for_more(&self) -> bool {
        let mut threads = self.threads();
        if threads.len() < self.shared.most_threads {
            let shared = Arc::clone(&self.shared);
            let name = format!("blocking-{}", threads.len());
            match thread::Builder::new().name(name).spawn(move || shared.run()) {
                Ok(thread) => threads.push(thread),
                Err(error) => tracing::warn!(%error, "failed to start a blocking thread"),
            }
        }
        !threads.is_empty()
    }

    /// Ends all threads, and with them what they run and what waits.
    pub(crate) fn stop(&self) {
        let waiting: Vec<Entry> = {
            let mut state = self.shared.lock();
            self.shared.stopping.store(true, Ordering::Relaxed);
            std::iter::from_fn(|| state.queue.pop()).collect()
        };
        drop(waiting);
        self.shared.there_is_work.notify_all();
        let threads = std::mem::take(&mut *self.threads());
        for thread in threads {
            // A panic in the thread has been reported by the panic hook.
            let _ = thread.join();
        }
    }

    fn threads(&self) -> MutexGuard<'_, Vec<thread::JoinHandle<()>>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn run(self: &Arc<Self>) {
        if let Err(error) = lower_priority() {
            tracing::warn!(%error, "failed to lower the priority of a blocking thread");
        }
        let _event_loop = self.event_loop.enter();
        let mut state = self.lock();
        while !self.stopping.load(Ordering::Relaxed) {
            let Some(entry) = state.queue.pop() else {
                state.idle += 1;
                state = self.there_is_work.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
                continue;
            };
            // At no moment neither here nor there.
            self.busy.fetch_add(1, Ordering::Relaxed);
            self.waiting[level(entry.used)].fetch_sub(1, Ordering::Relaxed);
            state.running += 1;
            drop(state);
            let before = entry.used;
            let left = self.run_slice(entry);
            state = self.lock();
            state.running -= 1;
            // One that is left when all end ends with the threads.
            if let Some(entry) = left.filter(|_| !self.stopping.load(Ordering::Relaxed)) {
                self.waiting[level(entry.used)].fetch_add(1, Ordering::Relaxed);
                state.queue.push_again(entry.job.route(), before, entry.used, entry);
            }
        }
    }

    /// Gives a job its slice; what is left of it wants another.
    fn run_slice(self: &Arc<Self>, mut entry: Entry) -> Option<Entry> {
        let job = Arc::clone(&entry.job);
        let slice = Slice { job, level: level(entry.used), shared: Arc::clone(self) };
        SLICE_OF.set(Some(slice));
        let outcome = Arc::clone(&entry.job).run(entry.since.elapsed());
        self.busy.fetch_sub(1, Ordering::Relaxed);
        drop(SLICE_OF.take());
        let Outcome::Burns(used) = outcome else { return None };
        entry.used += used;
        entry.since = Instant::now();
        Some(entry)
    }

    fn push(&self, state: &mut State, entry: Entry) {
        self.waiting[level(entry.used)].fetch_add(1, Ordering::Relaxed);
        state.queue.push(entry.job.route(), entry.used, entry);
    }

    fn has_short(&self) -> bool {
        self.waiting[0].load(Ordering::Relaxed) > 0
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// On Linux, priorities are those of threads (setpriority(2)).
fn lower_priority() -> io::Result<()> {
    let thread = Some(gettid());
    let nice = getpriority_process(thread)?.saturating_add(NICE).min(NICEST);
    Ok(setpriority_process(thread, nice)?)
}
