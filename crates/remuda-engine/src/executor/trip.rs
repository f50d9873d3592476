//! A call's stay on the blocking executor.
//!
//! Purpose: be the job that the threads run, and give the work back when it waits or has ended.
//! Owner: the [`Movable`](super::Movable) that handed it over, and the executor's queue. Invariants:
//! the work is where [`Station`] says; a wake-up while it is away is seen when it is back; what is
//! held for an abandoned guest is dropped after it.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::Duration,
};

use futures_util::task::AtomicWaker;

use super::{
    Ran, Site, Work,
    blocking::{Job, Outcome},
    crowd::Young,
    habit::BURNT,
};

/// A stay on the blocking executor.
pub(super) struct Trip<W: Work> {
    site: Arc<Site>,
    young: Option<Arc<Young>>,
    station: Mutex<Station<W>>,
    /// It is the executor's business to poll the work.
    away: AtomicBool,
    /// Something has happened that the work waited for, or may have.
    pub(super) woken: AtomicBool,
    /// Waits for the work to come back.
    pub(super) task: AtomicWaker,
}

/// Where the work is, as the executor knows it.
enum Station<W: Work> {
    Waits(W),
    Runs,
    /// It runs, and nobody wants what comes of it; this is held until it stops.
    Abandoned {
        _held: Option<Box<dyn Any + Send>>,
    },
    Back(Arrival<W>),
    Empty,
}

/// What comes back.
pub(super) enum Arrival<W: Work> {
    Waits(W),
    /// Or the panic that ended it.
    Ended(thread::Result<W::Output>),
}

impl<W: Work> Trip<W> {
    pub(super) fn new(site: Arc<Site>, young: Option<Arc<Young>>) -> Arc<Self> {
        Arc::new(Self {
            site,
            young,
            station: Mutex::new(Station::Empty),
            away: AtomicBool::new(false),
            woken: AtomicBool::new(false),
            task: AtomicWaker::new(),
        })
    }

    pub(super) fn depart(&self, work: W) {
        self.away.store(true, Ordering::SeqCst);
        *self.lock() = Station::Waits(work);
    }

    /// The executor has not taken it.
    pub(super) fn turn_back(&self) -> W {
        match std::mem::replace(&mut *self.lock(), Station::Empty) {
            Station::Waits(work) => work,
            _ => unreachable!("nobody else has seen it"),
        }
    }

    pub(super) fn arrival(&self) -> Option<Arrival<W>> {
        let mut station = self.lock();
        match std::mem::replace(&mut *station, Station::Empty) {
            Station::Back(arrival) => Some(arrival),
            other => {
                *station = other;
                None
            }
        }
    }

    pub(super) fn abandon(self: Arc<Self>, site: &Site, held: Option<Box<dyn Any + Send>>) {
        let mut station = self.lock();
        let ended = match std::mem::replace(&mut *station, Station::Empty) {
            Station::Runs => {
                *station = Station::Abandoned { _held: held };
                return;
            }
            other => other,
        };
        drop(station);
        if let Station::Waits(_) = &ended {
            let job = Arc::clone(&self) as Arc<dyn Job>;
            site.executors.blocking.forget(&job);
        }
        drop(ended);
        drop(held);
    }

    /// It has run until it waits, or has ended.
    fn has_run(&self, Ran { used, .. }: Ran) {
        if let Some(young) = &self.young {
            self.site.habit.has_run(young.used() + used >= BURNT);
        }
    }

    /// Tells whoever waits for the work.
    fn come_back(&self, mut station: MutexGuard<'_, Station<W>>, arrival: Arrival<W>) {
        // It may be long until that one looks.
        if let Some(young) = &self.young {
            young.leave();
        }
        *station = Station::Back(arrival);
        drop(station);
        self.away.store(false, Ordering::SeqCst);
        self.task.wake();
    }

    fn lock(&self) -> MutexGuard<'_, Station<W>> {
        self.station.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W: Work> Job for Trip<W> {
    fn route(&self) -> usize {
        self.site.route
    }

    fn is_abandoned(&self) -> bool {
        matches!(*self.lock(), Station::Abandoned { .. })
    }

    fn is_in_a_crowd(&self) -> bool {
        self.site.crowd.waiting() > 0
    }

    fn run(self: Arc<Self>, waited: Duration) -> Outcome {
        self.site.has_waited(waited);
        let mut work = {
            let mut station = self.lock();
            match std::mem::replace(&mut *station, Station::Runs) {
                Station::Waits(work) => work,
                other => {
                    *station = other;
                    return Outcome::Left;
                }
            }
        };
        self.woken.store(false, Ordering::SeqCst);
        let waker = Waker::from(Arc::clone(&self));
        let turn = AssertUnwindSafe(|| work.turn(&mut Context::from_waker(&waker)));
        let turn = catch_unwind(turn);
        let mut station = self.lock();
        if let Station::Abandoned { .. } = &*station {
            let abandoned = std::mem::replace(&mut *station, Station::Empty);
            drop(station);
            drop((turn, work));
            // After the guest, and not before.
            drop(abandoned);
            return Outcome::Left;
        }
        match turn {
            Ok((Poll::Pending, Ran { used, interrupted: true })) => {
                if let Some(young) = &self.young {
                    young.has_burnt(used, work.requests());
                }
                *station = Station::Waits(work);
                return Outcome::Burns(used);
            }
            Ok((Poll::Pending, ran)) => {
                self.has_run(ran);
                self.come_back(station, Arrival::Waits(work));
            }
            Ok((Poll::Ready(output), ran)) => {
                self.has_run(ran);
                self.come_back(station, Arrival::Ended(Ok(output)));
            }
            Err(panic) => self.come_back(station, Arrival::Ended(Err(panic))),
        }
        Outcome::Left
    }
}

impl<W: Work> Wake for Trip<W> {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        // While it is away, it is polled anyway, or looked after when it is back.
        if !self.away.load(Ordering::SeqCst) {
            self.task.wake();
        }
    }
}
