//! One connection of an admin client.
//!
//! Owner: a task. Invariant: a connection whose client owes something (a request head, or
//! reading its answer) for [`PATIENCE`] is closed; that is one rule for slow, idle and
//! vanished clients. Request bodies are not read: no request here needs one.

use std::{
    convert::Infallible,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::service::Service;

/// Longest wait for a client.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// Time to send what has been answered when the server ends.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Size of a request head, and of what is written at once.
const BUFFER: usize = 16 * 1024;

/// Speaks HTTP/1 with a client until it leaves, is closed, or the service ends.
pub(super) async fn serve<S>(stream: S, service: Service, seat: Arc<Seat>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let shutdown = service.shutdown();
    let answer = service_fn(|request| {
        let (service, busy) = (service.clone(), seat.begin());
        async move {
            let response = service.answer(&request).await;
            drop(busy);
            Ok::<_, Infallible>(response)
        }
    });
    let mut http = http1::Builder::new();
    http.header_read_timeout(None).max_buf_size(BUFFER);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), answer));
    let mut last_words = None;
    loop {
        let now = Instant::now();
        let until = last_words.unwrap_or_else(|| seat.quiet_since().unwrap_or(now) + PATIENCE);
        tokio::select! {
            // What clients do wrong is no error of the server.
            _ = connection.as_mut() => return,
            () = seat.closed.cancelled() => return,
            () = shutdown.cancelled(), if last_words.is_none() => {
                last_words = Some(Instant::now() + LAST_WORDS);
                connection.as_mut().graceful_shutdown();
            }
            () = sleep_until(until) => {
                let quiet = seat.quiet_since().is_some_and(|since| since.elapsed() >= PATIENCE);
                if last_words.is_some() || quiet {
                    return;
                }
            }
        }
    }
}

/// A connection's place among the others.
#[derive(Debug)]
pub(super) struct Seat {
    /// Since when the client is waited for; `None` while it waits for an answer.
    quiet_since: Mutex<Option<Instant>>,
    closed: CancellationToken,
}

impl Seat {
    pub(super) fn new() -> Self {
        let quiet_since = Mutex::new(Some(Instant::now()));
        Self { quiet_since, closed: CancellationToken::new() }
    }

    /// The connection ends at once.
    pub(super) fn close(&self) {
        self.closed.cancel();
    }

    pub(super) fn quiet_since(&self) -> Option<Instant> {
        *self.lock()
    }

    /// The client waits until the guard is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Busy {
        *self.lock() = None;
        Busy(self.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.quiet_since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn is_closed(&self) -> bool {
        self.closed.is_cancelled()
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct Busy(Arc<Seat>);

impl Drop for Busy {
    fn drop(&mut self) {
        *self.0.lock() = Some(Instant::now());
    }
}
