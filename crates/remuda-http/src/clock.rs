//! Time in milliseconds, small enough for an atomic.

use std::{sync::LazyLock, time::Duration};

use tokio::time::Instant;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Milliseconds since the first call in this process, never 0.
pub(crate) fn now() -> u64 {
    at(Instant::now())
}

/// What [`now`] said at this instant.
pub(crate) fn at(instant: Instant) -> u64 {
    u64::try_from(instant.saturating_duration_since(*START).as_millis()).unwrap_or(u64::MAX - 1) + 1
}

/// The instant that [`now`] would name so.
pub(crate) fn instant(millis: u64) -> Instant {
    *START + Duration::from_millis(millis.saturating_sub(1))
}
