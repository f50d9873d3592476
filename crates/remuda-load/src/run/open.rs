//! The open model: arrivals, which wait for nobody.
//!
//! Owner: a thread; of all arrivals it has its share. Invariant: the time of a request counts
//! from when it was to be sent, not from when there was somebody to send it: a server that
//! stands still is charged with all who would have come (no coordinated omission). Who
//! finds no room is counted, not queued.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    io,
    rc::Rc,
    task::{Poll, Waker},
    time::Instant,
};

use tokio::sync::Notify;

use super::{crew::Place, schedule::Schedule, timer::Timer};
use crate::{client::Lane, scenario::Arrivals};

/// Arrivals that are late are sent in groups of this, so that lanes get their turn.
const AT_ONCE: u32 = 32;

/// A request that is to be sent.
#[derive(Clone, Copy)]
struct Job {
    endpoint: usize,
    since: Instant,
}

/// Where a lane waits for its next job.
#[derive(Default)]
struct Mailbox {
    job: Cell<Option<Job>>,
    waker: Cell<Option<Waker>>,
}

impl Mailbox {
    fn put(&self, job: Job) {
        self.job.set(Some(job));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    async fn job(&self) -> Job {
        poll_fn(|cx| match self.job.take() {
            Some(job) => Poll::Ready(job),
            None => {
                self.waker.set(Some(cx.waker().clone()));
                Poll::Pending
            }
        })
        .await
    }
}

/// The lanes of a thread.
#[derive(Default)]
struct Lanes {
    /// The last one that became idle comes first: its connection is warm.
    idle: RefCell<Vec<Rc<Mailbox>>>,
    count: Cell<usize>,
    became_idle: Notify,
}

/// Sends what arrives, and ends when the last response is there. At most `most` are in flight.
pub(super) async fn arrivals(place: &Rc<Place>, arrivals: Arrivals, most: usize) -> io::Result<()> {
    let mut timer = Timer::new()?;
    let mut random = place.random(place.index);
    let schedule = Schedule::new(
        &place.scenario.plan,
        arrivals,
        (place.index, place.threads),
        place.random(usize::MAX - place.index),
    );
    let lanes = Rc::new(Lanes::default());
    let mut late = 0;
    for at in schedule {
        let since = place.start + at;
        let mut now = Instant::now();
        if now < since {
            timer.wait_until(since).await?;
            now = Instant::now();
            late = 0;
        } else {
            late += 1;
            if late % AT_ONCE == 0 {
                tokio::task::yield_now().await;
            }
        }
        if !place.may_send() {
            break;
        }
        let job = Job { endpoint: place.choose(&mut random), since };
        place.shared.recorder.borrow_mut().lagged(since, now.saturating_duration_since(since));
        let idle = lanes.idle.borrow_mut().pop();
        match idle {
            Some(mailbox) => mailbox.put(job),
            None if lanes.count.get() < most => {
                let number = lanes.count.replace(lanes.count.get() + 1);
                let lane = Lane::new(&place.shared, number);
                tokio::task::spawn_local(serve(Rc::clone(&lanes), lane, job));
            }
            None => place.shared.recorder.borrow_mut().dropped(job.endpoint, since),
        }
    }
    while lanes.idle.borrow().len() < lanes.count.get() {
        lanes.became_idle.notified().await;
    }
    Ok(())
}

/// A lane: its first job, then whatever is put into its mailbox, until the thread ends.
async fn serve(lanes: Rc<Lanes>, mut lane: Lane, mut job: Job) {
    let mailbox = Rc::new(Mailbox::default());
    loop {
        lane.exchange(job.endpoint, job.since).await;
        lanes.idle.borrow_mut().push(Rc::clone(&mailbox));
        lanes.became_idle.notify_one();
        job = mailbox.job().await;
    }
}
