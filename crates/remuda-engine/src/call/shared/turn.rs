//! One turn of an instance on the event loop.
//!
//! Purpose: a store's event loop often returns `Pending` having woken itself, with more
//! to do at once. Whoever polls it must be able to tell that from waiting, or responses
//! would be sent before they are complete. Invariant: a wake-up is either seen by the
//! turn during which it came, or passed on to the task.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use futures_util::task::AtomicWaker;

/// Polls within a turn before the other tasks of the event loop get theirs.
const MAX_POLLS: usize = 64;

/// Polls a future with a waker that tells whether it woke itself.
pub(super) struct Turn {
    signal: Arc<Signal>,
    waker: Waker,
}

#[derive(Default)]
struct Signal {
    woken: AtomicBool,
    in_turn: AtomicBool,
    task: AtomicWaker,
}

impl Turn {
    pub(super) fn new() -> Self {
        let signal = Arc::new(Signal::default());
        Self { waker: Waker::from(Arc::clone(&signal)), signal }
    }

    /// Calls `poll` until it is ready, or has nothing to do but wait. `poll` also says
    /// whether it is worth calling it again although nothing woke it.
    pub(super) fn take<T>(
        &self,
        cx: &mut Context<'_>,
        mut poll: impl FnMut(&mut Context<'_>) -> (Poll<T>, Again),
    ) -> (Poll<T>, TurnEnd) {
        self.signal.task.register(cx.waker());
        self.signal.in_turn.store(true, Ordering::SeqCst);
        let (mut polled, mut end) = (Poll::Pending, TurnEnd::Limit);
        for _ in 0..MAX_POLLS {
            self.signal.woken.store(false, Ordering::SeqCst);
            let again;
            (polled, again) = poll(&mut Context::from_waker(&self.waker));
            let woken = self.signal.woken.load(Ordering::SeqCst);
            let waits = again == Again::IfWoken && !woken;
            if again == Again::No {
                end = TurnEnd::Interrupted;
                break;
            } else if waits || polled.is_ready() {
                end = TurnEnd::NothingToDo;
                break;
            }
        }
        self.signal.in_turn.store(false, Ordering::SeqCst);
        if self.signal.woken.load(Ordering::SeqCst) {
            self.signal.task.wake();
        }
        (polled, end)
    }
}

/// Why a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TurnEnd {
    /// The future is ready, or waits for something from outside.
    NothingToDo,
    /// A guest ran for too long.
    Interrupted,
    /// There were many small things to do, and there are more.
    Limit,
}

/// Whether a poll should be followed by another one in the same turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    Yes,
    IfWoken,
    /// The turn is over, whatever there is to do.
    No,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        if !self.in_turn.load(Ordering::SeqCst) {
            self.task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_future_that_wakes_itself_is_polled_on() {
        let (turn, task) = (Turn::new(), Arc::new(Count::default()));
        let (waker, mut polls) = (Waker::from(Arc::clone(&task)), 0);
        let (polled, end) = turn.take(&mut Context::from_waker(&waker), |cx| {
            polls += 1;
            cx.waker().wake_by_ref();
            (if polls == 3 { Poll::Ready(()) } else { Poll::Pending }, Again::IfWoken)
        });
        assert_eq!((polled, polls), (Poll::Ready(()), 3));
        assert_eq!(end, TurnEnd::NothingToDo);
    }

    #[test]
    fn a_future_that_waits_is_polled_once_and_wakes_the_task_later() {
        let (turn, task) = (Turn::new(), Arc::new(Count::default()));
        let (waker, mut polls, mut inner) = (Waker::from(Arc::clone(&task)), 0, None);
        let (polled, end) = turn.take(&mut Context::from_waker(&waker), |cx| {
            polls += 1;
            inner = Some(cx.waker().clone());
            (Poll::<()>::Pending, Again::IfWoken)
        });
        assert_eq!((polled, polls, end), (Poll::Pending, 1, TurnEnd::NothingToDo));
        assert_eq!(task.0.load(Ordering::SeqCst), 0);
        inner.expect("a waker").wake();
        assert_eq!(task.0.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_turn_that_has_to_end_comes_again() {
        let (turn, task) = (Turn::new(), Arc::new(Count::default()));
        let waker = Waker::from(Arc::clone(&task));
        let (polled, end) = turn.take(&mut Context::from_waker(&waker), |cx| {
            cx.waker().wake_by_ref();
            (Poll::<()>::Pending, Again::No)
        });
        assert_eq!((polled, end), (Poll::Pending, TurnEnd::Interrupted));
        assert_eq!(task.0.load(Ordering::SeqCst), 1);
    }
}
