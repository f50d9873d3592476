//! A call that runs wherever it disturbs least.
//!
//! Purpose: poll a guest on the event loop, hand it to the blocking executor when it burns,
//! and take it back when it waits. Owner: whoever waits for the guest. Invariants: the work
//! is in exactly one place, [`Place`] or the [`Trip`] says which; no wake-up is lost: work
//! that comes back is polled once more where its waker is known, or again in full.

use std::{
    panic::resume_unwind,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, ready},
    time::Duration,
};

use remuda_config::Executor;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::PollSemaphore;

use super::{
    Ran, Site, Work,
    blocking::Job,
    crowd::Young,
    habit::BURNT,
    trip::{Arrival, Trip},
};

/// A guest's call, on either executor.
pub(crate) struct Movable<W: Work> {
    pub(super) site: Arc<Site>,
    pub(super) place: Place<W>,
    /// CPU time since it last waited for something.
    burnt: Duration,
    interrupted: bool,
    /// While it burns, unless it has its place on the blocking executor anyway.
    young: Option<Arc<Young>>,
    /// It has come back to wait, and is to be polled here first.
    stays: bool,
    /// Whoever polls it may leave it for long, so that it must not keep others waiting.
    is_left_alone: bool,
    /// Its way to another turn on the event loop, if it was interrupted there.
    queue: Option<PollSemaphore>,
    turn: Option<OwnedSemaphorePermit>,
}

/// Where the work is, as the event loop knows it.
pub(super) enum Place<W: Work> {
    /// On the event loop.
    Here(W),
    /// It waits for something, and whatever follows is for the blocking executor.
    Parked(W, Arc<Trip<W>>),
    /// On the blocking executor, or on its way back.
    Away(Arc<Trip<W>>),
    Nowhere,
}

/// The blocking executor has no room for a call that must not run anywhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoRoom;

impl<W: Work> Movable<W> {
    pub(crate) fn new(site: Arc<Site>, work: W) -> Self {
        let (place, burnt) = (Place::Here(work), Duration::ZERO);
        let (queue, turn) = (None, None);
        let (interrupted, young, stays, is_left_alone) = (false, None, false, false);
        Self { site, place, burnt, interrupted, young, stays, is_left_alone, queue, turn }
    }

    /// From now on it may be long until it is polled although it was woken, as a body is whose
    /// client does not read. It waits for nobody's turn any more, and nobody for its own, nor
    /// for fewer like it.
    pub(crate) fn leave_alone(&mut self) {
        self.is_left_alone = true;
        (self.queue, self.turn, self.young) = (None, None, None);
    }

    /// Lets it run until it waits, ends, is interrupted or has moved.
    ///
    /// # Errors
    /// When it cannot begin.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<W::Output, NoRoom>> {
        loop {
            match std::mem::replace(&mut self.place, Place::Nowhere) {
                Place::Here(work) if self.site.executor == Executor::Blocking => {
                    if self.hand_over(work, None).is_err() {
                        return Poll::Ready(Err(NoRoom));
                    }
                }
                Place::Here(work) if self.begins_on_a_thread() => {
                    self.young(Duration::ZERO, work.requests());
                    if let Err(work) = self.hand_over(work, None) {
                        return self.poll_here(work, cx);
                    }
                }
                Place::Here(work) => return self.poll_here(work, cx),
                Place::Parked(work, trip) => {
                    trip.task.register(cx.waker());
                    if !trip.woken.load(Ordering::SeqCst) {
                        self.place = Place::Parked(work, trip);
                        return Poll::Pending;
                    }
                    if self.hand_over(work, Some(trip)).is_err() {
                        return Poll::Ready(Err(NoRoom));
                    }
                }
                Place::Away(trip) => {
                    trip.task.register(cx.waker());
                    match trip.arrival() {
                        None => {
                            self.place = Place::Away(trip);
                            return Poll::Pending;
                        }
                        Some(Arrival::Ended(output)) => {
                            self.young = None;
                            let output = output.unwrap_or_else(|panic| resume_unwind(panic));
                            return Poll::Ready(Ok(output));
                        }
                        Some(Arrival::Waits(work)) => {
                            (self.burnt, self.young) = (Duration::ZERO, None);
                            self.stays = true;
                            self.place = match self.site.executor {
                                Executor::Blocking => Place::Parked(work, trip),
                                Executor::Auto | Executor::Async => Place::Here(work),
                            };
                        }
                    }
                }
                Place::Nowhere => unreachable!("a call is not polled after its end"),
            }
        }
    }

    fn poll_here(&mut self, mut work: W, cx: &mut Context<'_>) -> Poll<Result<W::Output, NoRoom>> {
        if self.interrupted && !self.is_left_alone && self.poll_turn(cx).is_pending() {
            self.place = Place::Here(work);
            return Poll::Pending;
        }
        let (polled, Ran { used, interrupted }) = work.turn(cx);
        self.interrupted = interrupted;
        if !(interrupted && polled.is_pending()) {
            self.site.habit.has_run(self.burnt + used >= BURNT);
        }
        if let Poll::Ready(output) = polled {
            self.young = None;
            return Poll::Ready(Ok(output));
        }
        if interrupted {
            self.burnt += used;
            if !self.is_left_alone {
                self.young(used, work.requests());
            }
        } else {
            (self.burnt, self.turn, self.young) = (Duration::ZERO, None, None);
            self.stays = false;
        }
        let moves = interrupted
            && self.site.executor == Executor::Auto
            && (self.burnt >= self.site.offload_after || self.is_one_of_many(work.requests()));
        if moves {
            match self.hand_over(work, None) {
                // It may be back before whoever waits for it is known there.
                Ok(()) => return self.poll(cx),
                // It takes its turns here, and tries again after each of them.
                Err(work) => self.place = Place::Here(work),
            }
        } else {
            self.place = Place::Here(work);
        }
        Poll::Pending
    }

    /// It burns, as one of its route.
    fn young(&mut self, used: Duration, requests: usize) {
        let young = || Arc::new(Young::new(Arc::clone(&self.site.crowd)));
        self.young.get_or_insert_with(young).has_burnt(used, requests);
    }

    /// It would most probably burn, others do already, and a thread has nothing to do.
    fn begins_on_a_thread(&self) -> bool {
        let Site { executor, habit, crowd, executors, .. } = &*self.site;
        habit.is_to_burn()
            && *executor == Executor::Auto
            && !(self.interrupted || self.stays || self.is_left_alone)
            && crowd.burns()
            && executors.blocking.has_idle_thread()
    }

    /// The event loop alone would work for several that burn, while a thread has nothing to do.
    fn is_one_of_many(&self, requests: usize) -> bool {
        !self.is_left_alone
            && self.site.crowd.others_burn(requests)
            && self.site.executors.blocking.has_idle_thread()
    }

    /// Guests that were interrupted have their turns one at a time, and the event loop looks
    /// for what else there is to do between any two: the last turn ends when this is polled
    /// next, which is after that.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.turn = None;
        let turns = &self.site.executors.turns;
        let queue = self.queue.get_or_insert_with(|| PollSemaphore::new(Arc::clone(turns)));
        self.turn = ready!(queue.poll_acquire(cx));
        Poll::Ready(())
    }

    fn hand_over(&mut self, work: W, before: Option<Arc<Trip<W>>>) -> Result<(), W> {
        let is_new = before.is_none();
        let trip = before.unwrap_or_else(|| Trip::new(Arc::clone(&self.site), self.young.clone()));
        trip.depart(work);
        let job = Arc::clone(&trip) as Arc<dyn Job>;
        if self.site.executors.blocking.submit(job, is_new).is_err() {
            return Err(trip.turn_back());
        }
        self.site.offloads.fetch_add(1, Ordering::Relaxed);
        self.place = Place::Away(trip);
        (self.interrupted, self.turn) = (false, None);
        Ok(())
    }

    /// Whether it would have gone on when it was last polled here.
    pub(crate) fn was_interrupted(&self) -> bool {
        self.interrupted
    }

    /// Whether it runs, or waits for a thread, on the blocking executor.
    pub(crate) fn is_away(&self) -> bool {
        matches!(self.place, Place::Away(_))
    }

    /// The same for what belongs on the event loop, where its next turn will be.
    pub(crate) fn has_moved(&self) -> bool {
        self.is_away() && self.site.executor == Executor::Auto
    }

    /// Ends it; `held` is dropped when it has ended.
    pub(crate) fn end<H: Send + 'static>(mut self, held: H) {
        match std::mem::replace(&mut self.place, Place::Nowhere) {
            Place::Away(trip) => trip.abandon(&self.site, Some(Box::new(held))),
            ended => {
                drop(ended);
                drop(held);
            }
        }
    }
}

impl<W: Work> Drop for Movable<W> {
    fn drop(&mut self) {
        if let Place::Away(trip) = std::mem::replace(&mut self.place, Place::Nowhere) {
            trip.abandon(&self.site, None);
        }
    }
}
