//! Waiting: always for a condition, never without an end.

use std::time::{Duration, Instant};

/// The end of every wait. Nothing takes half of it on a slow machine that runs two tests at a
/// time, unless something is broken; an interpreter is compiled in 10 s, and in 50 s on a machine
/// that is busy otherwise.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// How often a condition is looked at.
const INTERVAL: Duration = Duration::from_millis(5);

/// Waits until `condition` gives something.
///
/// # Panics
/// When it does not, for longer than [`PATIENCE`].
pub async fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    until_async(what, async || condition()).await
}

/// Waits until `condition`, asked again and again, gives something.
///
/// # Panics
/// When it does not, for longer than [`PATIENCE`].
pub async fn until_async<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(met) = condition().await {
            return met;
        }
        assert!(started.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain for {what}");
        tokio::time::sleep(INTERVAL).await;
    }
}

/// What `future` gives, if it does so within [`PATIENCE`].
///
/// # Panics
/// When it does not.
pub async fn within_patience<F: Future>(what: &str, future: F) -> F::Output {
    let result = tokio::time::timeout(PATIENCE, future).await;
    result.unwrap_or_else(|_| panic!("waited {PATIENCE:?} in vain for {what}"))
}

/// How long `future` takes, and what it gives.
pub async fn timed<F: Future>(future: F) -> (Duration, F::Output) {
    let started = Instant::now();
    let output = future.await;
    (started.elapsed(), output)
}
