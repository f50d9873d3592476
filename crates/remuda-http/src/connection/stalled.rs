//! Streams of HTTP/2 whose client takes nothing.
//!
//! Purpose: a client that grants a stream no window holds it, and the place of its request,
//! for as long as the connection lives: hyper waits for room and asks nobody else. Owner:
//! the task of each stream. Invariant: a stream that has something to send, and has sent
//! none of it for `response_idle_timeout`, is dropped, which resets it; one that waits for
//! its guest is not, for that has a limit of its own; one that has handed over its last piece
//! is [no task any more](super::unsent). A stream that ends in its first turn costs no timer.

use std::{
    cell::Cell,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};

/// What the body of a response tells the stream that polls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// There is something to send, and for so long it may wait for the client.
    Gave(Duration),
    /// There is nothing yet.
    Waits,
}

thread_local! {
    /// From a body to the stream around it, within one turn.
    static TOLD: Cell<Option<Told>> = const { Cell::new(None) };
    /// From a stream to what it drops.
    static GIVES_UP: Cell<bool> = const { Cell::new(false) };
}

/// For the stream that polls the caller; nobody hears it over HTTP/1.
pub(crate) fn tell(told: Told) {
    TOLD.set(Some(told));
}

/// Whether the caller is dropped because its client takes nothing.
pub(super) fn is_giving_up() -> bool {
    GIVES_UP.get()
}

pin_project! {
    /// A stream, given up when its client takes nothing for too long.
    pub(super) struct Watched<F> {
        #[pin]
        stream: Option<F>,
        // By when the client must have taken something.
        due: Option<Instant>,
        sleep: Option<Pin<Box<Sleep>>>,
    }
}

impl<F> Watched<F> {
    pub(super) fn new(stream: F) -> Self {
        Self { stream: Some(stream), due: None, sleep: None }
    }
}

impl<F: Future> Future for Watched<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let Some(stream) = this.stream.as_mut().as_pin_mut() else { return Poll::Ready(()) };
        TOLD.set(None);
        if stream.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        // Silence means that nobody was asked: what was there still waits.
        match TOLD.take() {
            Some(Told::Gave(patience)) => *this.due = Some(Instant::now() + patience),
            Some(Told::Waits) => *this.due = None,
            None => {}
        }
        let Some(due) = *this.due else { return Poll::Pending };
        let sleep = this.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        // It is late by as much as the client took meanwhile, and looks again then.
        if sleep.deadline() > due {
            sleep.as_mut().reset(due);
        }
        while sleep.as_mut().poll(cx).is_ready() {
            if Instant::now() >= due {
                GIVES_UP.set(true);
                this.stream.set(None);
                GIVES_UP.set(false);
                return Poll::Ready(());
            }
            sleep.as_mut().reset(due);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, future::poll_fn};

    use tokio::time::timeout;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    /// A stream that says this in turns of 20 s, and then nothing.
    fn stream(mut says: VecDeque<Option<Told>>) -> impl Future<Output = ()> {
        let mut turn = Box::pin(tokio::time::sleep(Duration::ZERO));
        poll_fn(move |cx| {
            while turn.as_mut().poll(cx).is_ready() {
                says.pop_front().flatten().into_iter().for_each(tell);
                turn.as_mut().reset(Instant::now() + Duration::from_secs(20));
            }
            Poll::Pending
        })
    }

    /// How long it lives, up to an hour.
    async fn life(says: &[Option<Told>]) -> Duration {
        let started = Instant::now();
        let says = says.iter().copied().collect();
        let _ = timeout(Duration::from_secs(3600), Watched::new(stream(says))).await;
        Duration::from_secs(started.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_ends_when_nothing_is_taken_of_what_it_has() {
        let (gave, waits) = (Some(Told::Gave(PATIENCE)), Some(Told::Waits));
        for (says, seconds) in [
            (vec![gave], 30),
            (vec![gave, gave, gave], 70),
            (vec![gave, None, None], 30),
            (vec![waits, gave], 50),
            (vec![gave, waits], 3600),
            (vec![], 3600),
            (vec![gave, waits, gave], 70),
        ] {
            assert_eq!(life(&says).await.as_secs(), seconds, "{says:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_ends_at_once_needs_no_timer() {
        let mut stream = std::pin::pin!(Watched::new(std::future::ready(())));
        stream.as_mut().await;
        assert!(stream.sleep.is_none());
    }
}
