//! A host for tests: what runs futures where there is no server.
//!
//! Owner: [`test`](crate::test). Invariant: everything runs on the thread of the test, as in a guest.

use std::{
    cell::RefCell,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::{Duration, Instant},
};

type Task = Pin<Box<dyn Future<Output = ()>>>;

thread_local! {
    /// What was spawned and not yet polled, while something runs.
    static SPAWNED: RefCell<Option<Vec<Task>>> = const { RefCell::new(None) };
}

pub(crate) fn spawn(work: impl Future<Output = ()> + 'static) {
    SPAWNED.with_borrow_mut(|spawned| match spawned {
        Some(spawned) => spawned.push(Box::pin(work)),
        None => panic!("failed to spawn: outside of a guest it takes remuda_sdk::test::block_on"),
    });
}

/// Runs a future, and what it spawns, to their ends.
pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> T {
    let outer = SPAWNED.replace(Some(Vec::new()));
    let alarm = Arc::new(Alarm { thread: thread::current(), rang: AtomicBool::new(false) });
    let waker = Waker::from(Arc::clone(&alarm));
    let mut context = Context::from_waker(&waker);
    let (mut work, mut done, mut tasks) = (pin!(work), None, Vec::<Task>::new());
    let result = loop {
        if done.is_none()
            && let Poll::Ready(result) = work.as_mut().poll(&mut context)
        {
            done = Some(result);
        }
        tasks.extend(spawned());
        tasks.retain_mut(|task| task.as_mut().poll(&mut context).is_pending());
        let more = spawned();
        let is_idle = more.is_empty();
        tasks.extend(more);
        if tasks.is_empty()
            && let Some(result) = done.take()
        {
            break result;
        }
        while is_idle && !alarm.rang.swap(false, Ordering::AcqRel) {
            thread::park();
        }
    };
    SPAWNED.set(outer);
    result
}

fn spawned() -> Vec<Task> {
    SPAWNED.with_borrow_mut(|spawned| spawned.as_mut().map(std::mem::take).unwrap_or_default())
}

struct Alarm {
    thread: Thread,
    rang: AtomicBool,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.rang.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

/// A thread waits in its place.
pub(crate) fn sleep(duration: Duration) -> impl Future<Output = ()> {
    let end = Instant::now() + duration;
    let mut clock = None::<Arc<Mutex<Waker>>>;
    std::future::poll_fn(move |context| {
        if Instant::now() >= end {
            return Poll::Ready(());
        }
        match &clock {
            Some(waker) => {
                waker.lock().unwrap_or_else(|it| it.into_inner()).clone_from(context.waker())
            }
            None => {
                let waker = Arc::new(Mutex::new(context.waker().clone()));
                clock = Some(Arc::clone(&waker));
                thread::spawn(move || {
                    thread::sleep(end.saturating_duration_since(Instant::now()));
                    waker.lock().unwrap_or_else(|it| it.into_inner()).wake_by_ref();
                });
            }
        }
        Poll::Pending
    })
}
