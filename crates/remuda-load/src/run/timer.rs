//! Waiting for a moment, to some microseconds.
//!
//! Owner: the arrivals of a thread. Tokio's timers count milliseconds, which would be the
//! largest part of the latency of a quick server; `timerfd` wakes the event loop as the
//! kernel's own timers do (timerfd_create(2)).

use std::{
    io,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::unix::AsyncFd;

use crate::sys;

pub(super) struct Timer(AsyncFd<OwnedFd>);

impl Timer {
    /// To be made in a runtime.
    pub(super) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        Ok(Self(sys::watch(timer)?))
    }

    pub(super) async fn wait_until(&mut self, at: Instant) -> io::Result<()> {
        loop {
            let left = at.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            self.wait(left).await?;
        }
    }

    async fn wait(&mut self, time: Duration) -> io::Result<()> {
        let nothing = Timespec { tv_sec: 0, tv_nsec: 0 };
        let value = Timespec::try_from(time).map_err(|_| io::ErrorKind::InvalidInput)?;
        let spec = Itimerspec { it_interval: nothing, it_value: value };
        timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::empty(), &spec)?;
        // It is not read: setting it again takes the count back, and the event loop is told
        // of each expiry anew.
        self.0.readable().await?.clear_ready();
        Ok(())
    }
}
