//! Time, and work beside the handler.

pub mod hooks;

use std::{
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

#[cfg(target_family = "wasm")]
use crate::guest as host;
#[cfg(not(target_family = "wasm"))]
use crate::native as host;

/// Goes on with this beside the handler and after its response: what other frameworks call a
/// background task.
///
/// It belongs to its request: the request counts as in flight until it has ended, and the server
/// drops it `limits.after_response_timeout` (30 s) after the response, or when the client goes away
/// before the response was sent. What must not be lost belongs into a queue outside.
///
/// ```
/// use remuda_sdk::{spawn, test};
///
/// async fn order() -> &'static str {
///     spawn(async { println!("sends the confirmation") });
///     "ordered"
/// }
///
/// assert_eq!(test::post("/").send_now(order).text(), "ordered");
/// ```
///
/// # Panics
/// On the machine you work on, outside of [`test::block_on`](crate::test::block_on).
pub fn spawn(work: impl Future<Output = ()> + 'static) {
    host::spawn(work);
}

/// Waits so long, while others go on.
///
/// ```
/// # use std::time::Duration;
/// # remuda_sdk::test::block_on(async {
/// remuda_sdk::sleep(Duration::from_millis(1)).await;
/// # });
/// ```
pub async fn sleep(duration: Duration) {
    host::sleep(duration).await;
}

/// The time was up.
///
/// ```
/// assert_eq!(remuda_sdk::Elapsed.to_string(), "failed to finish in time");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to finish in time")]
pub struct Elapsed;

/// Waits for something, but no longer than this; then it is dropped.
///
/// # Errors
/// When it took longer.
///
/// ```
/// use std::{future::pending, time::Duration};
///
/// use remuda_sdk::{Elapsed, test, timeout};
///
/// let late = timeout(Duration::from_millis(1), pending::<()>());
/// assert_eq!(test::block_on(late), Err(Elapsed));
/// ```
pub async fn timeout<T>(
    duration: Duration,
    work: impl Future<Output = T>,
) -> std::result::Result<T, Elapsed> {
    let (mut work, mut end) = (pin!(work), pin!(sleep(duration)));
    std::future::poll_fn(|context| {
        if let Poll::Ready(done) = work.as_mut().poll(context) {
            return Poll::Ready(Ok(done));
        }
        end.as_mut().poll(context).map(|()| Err(Elapsed))
    })
    .await
}

/// A sleep that is polled by hand.
pub(crate) type Pause = Pin<Box<dyn Future<Output = ()>>>;

#[cfg(test)]
mod tests {
    use std::{cell::Cell, rc::Rc};

    use super::*;
    use crate::test::block_on;

    #[test]
    fn what_is_spawned_ends_before_its_test() {
        let done = Rc::new(Cell::new(false));
        let flag = Rc::clone(&done);
        block_on(async move {
            spawn(async move {
                sleep(Duration::from_millis(1)).await;
                spawn(async move { flag.set(true) });
            });
        });
        assert!(done.get());
    }

    #[test]
    fn what_is_in_time_has_its_result() {
        let quick = timeout(Duration::from_secs(60), async { 7 });
        assert_eq!(block_on(quick), Ok(7));
    }
}
