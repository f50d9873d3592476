//! The end of a request's time, without a timer for each request.
//!
//! Owner: a lane. Invariant: the timer of the runtime is only set again when it has fired:
//! a request that ends in time costs a comparison.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep};

pub(super) struct Deadline {
    sleep: Pin<Box<Sleep>>,
    at: Instant,
}

/// The time was up.
#[derive(Debug)]
pub(super) struct Elapsed;

impl Deadline {
    /// To be made in a runtime.
    pub(super) fn new() -> Self {
        let at = Instant::now();
        Self { sleep: Box::pin(tokio::time::sleep_until(at)), at }
    }

    /// Waits for a future, but no longer than this.
    pub(super) async fn within<F: Future>(
        &mut self,
        time: Duration,
        future: F,
    ) -> Result<F::Output, Elapsed> {
        let mut future = pin!(future);
        let mut is_armed = false;
        poll_fn(|cx| {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Ok(output));
            }
            if !is_armed {
                self.arm(Instant::now() + time);
                is_armed = true;
            }
            self.poll_elapsed(cx).map(|()| Err(Elapsed))
        })
        .await
    }

    fn arm(&mut self, at: Instant) {
        self.at = at;
        // One that fires too early is set again; one that fires too late must not be.
        if self.sleep.is_elapsed() || self.sleep.deadline() > at {
            self.sleep.as_mut().reset(at);
        }
    }

    fn poll_elapsed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.sleep.as_mut().poll(cx).is_ready() {
            if Instant::now() >= self.at {
                return Poll::Ready(());
            }
            self.sleep.as_mut().reset(self.at);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn each_request_has_its_own_time() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            tokio::time::pause();
            let mut deadline = Deadline::new();
            // It fires for the first while the second waits.
            deadline.within(SECOND, tokio::time::sleep(SECOND / 2)).await.unwrap();
            deadline.within(SECOND, tokio::time::sleep(SECOND * 9 / 10)).await.unwrap();
            let began = Instant::now();
            deadline.within(SECOND, pending::<()>()).await.unwrap_err();
            assert_eq!(began.elapsed().as_millis() / 10, 100);
            deadline.within(SECOND, ready(())).await.unwrap();
            // A shorter one after a longer one.
            deadline.within(SECOND, tokio::time::sleep(SECOND / 4)).await.unwrap();
            let began = Instant::now();
            deadline.within(SECOND / 10, pending::<()>()).await.unwrap_err();
            assert_eq!(began.elapsed().as_millis() / 10, 10);
        });
    }
}
