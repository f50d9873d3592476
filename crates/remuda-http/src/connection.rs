//! One connection, from the first byte to the last.
//!
//! Purpose: HTTP/1.1 or HTTP/2 by the first bytes, the two timers of a connection
//! without a request in flight, and its part in a drain. Owner: the server's task
//! tracker. Invariants: an idle connection ends at `keep_alive_timeout`, an unfinished
//! request head at `header_timeout`; a connection with a request in flight is ended by
//! neither, but when its client takes nothing for `response_idle_timeout`.

mod framing;
mod state;
mod tracked;

use std::{
    net::IpAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::time::Sleep;
use tokio_util::task::TaskTracker;

pub use framing::{Framing, Refusal};
pub(crate) use state::{ConnectionState, InFlight};
use tracked::Tracked;

use crate::{Handler, Rejection, clock, listener::Stream, server::Shared, service::service};

/// In a drain, an idle HTTP/1 connection is kept for this long, so that a request that is
/// on its way to it is answered (with `Connection: close`) instead of being reset.
const DRAIN_LINGER: Duration = Duration::from_millis(500);

/// Room for what hyper may have to hold of a head that was found small enough: the empty
/// lines before and after it.
const AROUND_HEAD: usize = 16;

/// Requests of one HTTP/2 connection at the same time.
const MAX_CONCURRENT_STREAMS: u32 = 200;

/// Serves one connection until it ends.
pub(crate) async fn serve<H: Handler>(
    shared: Arc<Shared<H>>,
    stream: Stream,
    client: Option<IpAddr>,
) {
    let state = Arc::new(ConnectionState::new(Arc::clone(&shared.metrics)));
    let service = service(Arc::clone(&shared), Arc::clone(&state), client);
    let socket = Tracked::new(stream, Arc::clone(&state), shared.config.http.max_header_bytes);
    let builder = builder(&shared);
    let connection = builder.serve_connection(TokioIo::new(socket), service);
    let mut connection = pin!(connection);
    let mut draining = pin!(shared.drain.cancelled());
    let mut timer = Timer::new(&shared.config);
    let mut said_goaway = false;

    std::future::poll_fn(|cx| {
        if !state.is_draining() && draining.as_mut().poll(cx).is_ready() {
            state.drain();
            timer.linger();
        }
        // Which protocol it is shows only with the first bytes.
        if state.is_draining() && state.is_http2() && !said_goaway {
            said_goaway = true;
            connection.as_mut().graceful_shutdown();
        }
        if let Poll::Ready(result) = connection.as_mut().poll(cx) {
            if let Err(error) = result {
                tracing::debug!(error, "connection ended");
            }
            return Poll::Ready(());
        }
        match timer.poll(&state, cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Due::Close) => Poll::Ready(()),
            Poll::Ready(Due::Answer408) => {
                state.give_up_head();
                shared.metrics.rejected(Rejection::HeaderTimeout.reason());
                // Reading the rest of the head, hyper comes to its end.
                let _ = connection.as_mut().poll(cx);
                Poll::Ready(())
            }
        }
    })
    .await;
}

fn builder<H: Handler>(shared: &Shared<H>) -> auto::Builder<TrackedExecutor> {
    let mut builder = auto::Builder::new(TrackedExecutor(shared.tasks.clone()));
    let max_head = shared.config.http.max_header_bytes;
    builder
        .http1()
        .max_buf_size(max_head.max(8192) + AROUND_HEAD)
        .keep_alive(true)
        .half_close(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_CONCURRENT_STREAMS)
        // h2 has no room for our words in its refusal of a head that is larger than this; one
        // that is larger than it may be, but not by far, is refused by the service.
        .max_header_list_size(u32::try_from(max_head.saturating_mul(2)).unwrap_or(u32::MAX));
    builder
}

/// Runs the streams of HTTP/2 connections as tasks of the server.
#[derive(Clone)]
struct TrackedExecutor(TaskTracker);

impl<F> hyper::rt::Executor<F> for TrackedExecutor
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}

/// When a connection without a request in flight ends.
///
/// Sleeps towards the next instant at which something could be due, and looks again
/// then; a request that comes and goes meanwhile costs no timer operation.
struct Timer {
    sleep: Pin<Box<Sleep>>,
    keep_alive: Duration,
    header: Duration,
    reader: Duration,
}

/// How a connection ends that has waited for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    /// It was idle, so that there is nothing to lose, or its client takes nothing.
    Close,
    /// A request head did not end.
    Answer408,
}

impl Timer {
    fn new(config: &remuda_config::Config) -> Self {
        let (keep_alive, header) = (config.http.keep_alive_timeout, config.http.header_timeout);
        let reader = config.limits.response_idle_timeout;
        let sleep = Box::pin(tokio::time::sleep(header.min(keep_alive)));
        Self { sleep, keep_alive, header, reader }
    }

    /// From now on an idle connection ends soon.
    fn linger(&mut self) {
        self.keep_alive = self.keep_alive.min(DRAIN_LINGER);
        self.header = self.header.min(self.keep_alive * 4);
        self.sleep.as_mut().reset(tokio::time::Instant::now());
    }

    /// Ready when the connection should end.
    fn poll(&mut self, state: &ConnectionState, cx: &mut Context<'_>) -> Poll<Due> {
        let head = state.head_just_started().map(|since| clock::instant(since) + self.header);
        let reader = state.blocked_since().map(|since| clock::instant(since) + self.reader);
        if let Some(due) = head.into_iter().chain(reader).min()
            && due < self.sleep.deadline()
        {
            self.sleep.as_mut().reset(due);
        }
        while self.sleep.as_mut().poll(cx).is_ready() {
            let now = tokio::time::Instant::now();
            let (at, due) = match state.waiting_since() {
                // Busy: nothing is due, look again later.
                None => (now + self.keep_alive.min(self.header), Due::Close),
                Some(state::Waiting::Request(since)) => {
                    (clock::instant(since) + self.keep_alive, Due::Close)
                }
                Some(state::Waiting::Head(since)) => {
                    (clock::instant(since) + self.header, Due::Answer408)
                }
                Some(state::Waiting::Reader(since)) => {
                    (clock::instant(since) + self.reader, Due::Close)
                }
            };
            if at <= now {
                return Poll::Ready(due);
            }
            self.sleep.as_mut().reset(at);
        }
        Poll::Pending
    }
}
