//! One connection, from the first byte to the last.
//!
//! Purpose: HTTP/1.1 or HTTP/2 by the first bytes, the two timers of a connection
//! without a request in flight, and its part in a drain. Owner: the server's task
//! tracker. Invariants: an idle connection ends at `keep_alive_timeout`, an unfinished
//! request head at `header_timeout`; a connection with a request in flight is ended by
//! neither, but when its client takes nothing for `response_idle_timeout`, or has gone; no
//! more idle connections are kept than `max_keep_alive`.

mod ending;
mod framing;
mod http2_frames;
mod keep_alive;
mod stalled;
mod state;
mod tracked;
mod unsent;

use std::{
    error::Error,
    net::IpAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::time::{Instant, Sleep};
use tokio_util::task::TaskTracker;

pub use framing::{Framing, Refusal};
pub(crate) use keep_alive::KeepAlive;
use stalled::Watched;
pub(crate) use stalled::{Told, tell};
pub(crate) use state::{ConnectionState, InFlight};
use tracked::{HTTP2_FLOOD, Tracked};
pub(crate) use unsent::Giver;
pub use unsent::Piece;

use crate::{
    Handler, Rejection, clock,
    front::{Passed, pass},
    listener::Stream,
    server::Shared,
    service::service,
};

/// In a drain, an idle HTTP/1 connection is kept for this long, so that a request that is
/// on its way to it is answered (with `Connection: close`) instead of being reset.
const DRAIN_LINGER: Duration = Duration::from_millis(500);

/// Room for what hyper may have to hold of a head that was found small enough: the empty
/// lines before and after it.
const AROUND_HEAD: usize = 16;

/// What a connection gets that would be one idle one too many: time for a first request
/// that is on its way, or to take notice of a GOAWAY.
const TOO_MANY_LINGER: Duration = Duration::from_secs(1);

/// How long a client of HTTP/1 is not listened to, because the guest takes nothing of its
/// body, before the socket is asked whether the client has gone; hyper sees that only when
/// it reads.
const UNHEARD: Duration = Duration::from_secs(1);

/// Requests of one HTTP/2 connection at the same time.
const MAX_CONCURRENT_STREAMS: u32 = 200;

/// Streams of one connection that their client has reset before they were looked at; one
/// more ends the connection with ENHANCE_YOUR_CALM (CVE-2023-44487). Whoever gives up all that
/// it may have in flight is no flood; each of them keeps its head until it is looked at.
const MAX_PENDING_RESETS: usize = MAX_CONCURRENT_STREAMS as usize;

/// Streams of one connection, over all its life, that were reset for what their client did
/// wrong; one more ends the connection (CVE-2025-8671). Streams beyond those that may be in
/// flight count too, and a client may have opened many before it knows: h2's default.
const MAX_ERROR_RESETS: usize = 1024;

/// Bytes of request bodies that clients may send before guests read them: of one stream, and
/// of one connection.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Bytes of one stream's response that wait for the socket. hyper would take 400 KiB.
const SEND_BUFFER: usize = 128 * 1024;

/// The least that HTTP/2 lets a server ask for. From it and from the size of a head h2
/// derives how many CONTINUATION frames a head may have (CVE-2024-27316).
const MAX_FRAME: u32 = 16 * 1024;

/// Serves one connection until it ends.
pub(crate) async fn serve<H: Handler>(
    shared: Arc<Shared<H>>,
    stream: Stream,
    peer: Option<IpAddr>,
) {
    let Some(Passed { stream, client }) = pass(&shared, stream, peer).await else { return };
    let state =
        Arc::new(ConnectionState::new(Arc::clone(&shared.metrics), Arc::clone(&shared.keep_alive)));
    let service = service(Arc::clone(&shared), Arc::clone(&state), client);
    let socket = Tracked::new(stream, Arc::clone(&state), shared.config.http.max_header_bytes);
    let builder = builder(&shared);
    let connection = builder.serve_connection(TokioIo::new(socket), service);
    let mut connection = pin!(connection);
    let mut draining = pin!(shared.drain.cancelled());
    let mut timer = Timer::new(&shared.config);
    let mut said_goaway = false;
    let is_capped = shared.config.http.max_keep_alive.is_some();
    let mut too_many = pin!(state.too_many());

    std::future::poll_fn(|cx| {
        if !state.is_draining() && draining.as_mut().poll(cx).is_ready() {
            state.drain();
            timer.linger();
        }
        // Which protocol it is shows only with the first bytes.
        if state.is_http2()
            && !said_goaway
            && (state.is_draining() || is_capped && too_many.as_mut().poll(cx).is_ready())
        {
            said_goaway = true;
            connection.as_mut().graceful_shutdown();
        }
        loop {
            if let Poll::Ready(result) = connection.as_mut().poll(cx) {
                if let Err(error) = result {
                    if is_flood(&*error) {
                        state.rejected(HTTP2_FLOOD);
                    }
                    tracing::debug!(error, "connection ended");
                }
                return Poll::Ready(());
            }
            match ready!(timer.poll(&state, cx)) {
                // Flushing, hyper comes to it.
                Due::Look => state.look_for_end(),
                due @ (Due::Close | Due::Stalled) => {
                    if due == Due::Stalled {
                        state.client_stalled();
                    }
                    if client.is_secure || due == Due::Stalled && state.is_http2() {
                        state.say_goodbye();
                        // Reading on, hyper comes to the end.
                        let _ = connection.as_mut().poll(cx);
                    }
                    return Poll::Ready(());
                }
                Due::Answer408 => {
                    state.give_up_head();
                    shared.metrics.rejected(Rejection::HeaderTimeout.reason());
                    // Reading the rest of the head, hyper comes to its end.
                    let _ = connection.as_mut().poll(cx);
                    return Poll::Ready(());
                }
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
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_local_error_reset_streams(MAX_ERROR_RESETS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(MAX_FRAME)
        .max_send_buf_size(SEND_BUFFER)
        // h2 has no room for our words in its refusal of a head that is larger than this; one
        // that is larger than it may be, but not by far, is refused by the service.
        .max_header_list_size(u32::try_from(max_head.saturating_mul(2)).unwrap_or(u32::MAX));
    builder
}

/// Whether h2 has ended the connection for what its client sends too much of; it has limits
/// beside our balance.
fn is_flood(error: &(dyn Error + 'static)) -> bool {
    let h2 = error.source().and_then(|source| source.downcast_ref::<h2::Error>());
    h2.is_some_and(|h2| h2.is_library() && h2.reason() == Some(h2::Reason::ENHANCE_YOUR_CALM))
}

/// Runs the streams of HTTP/2 connections as tasks of the server.
#[derive(Clone)]
struct TrackedExecutor(TaskTracker);

impl<F> hyper::rt::Executor<F> for TrackedExecutor
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn(Watched::new(future));
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
    /// It was idle, so that there is nothing to lose.
    Close,
    /// Its client takes nothing.
    Stalled,
    /// A request head did not end.
    Answer408,
    /// Its client may have gone unnoticed.
    Look,
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
        self.sleep.as_mut().reset(Instant::now());
    }

    /// When a connection ends that has been idle since then.
    fn end_of_idleness(&self, state: &ConnectionState, since: u64) -> Instant {
        let most = if state.is_kept() { Duration::MAX } else { TOO_MANY_LINGER };
        clock::instant(since) + self.keep_alive.min(most)
    }

    /// Ready when the connection should end.
    fn poll(&mut self, state: &ConnectionState, cx: &mut Context<'_>) -> Poll<Due> {
        let head = state.head_just_started().map(|since| clock::instant(since) + self.header);
        let reader = state.blocked_since().map(|since| clock::instant(since) + self.reader);
        let window = state.unsent().due().map(clock::instant);
        let unheard = state.unread_since().map(|since| clock::instant(since) + UNHEARD);
        let too_many = match state.waiting_since() {
            Some(state::Waiting::Request(since)) if !state.is_kept() => {
                Some(self.end_of_idleness(state, since))
            }
            _ => None,
        };
        if let Some(due) =
            head.into_iter().chain(reader).chain(window).chain(unheard).chain(too_many).min()
            && due < self.sleep.deadline()
        {
            self.sleep.as_mut().reset(due);
        }
        while self.sleep.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            let later = now + self.keep_alive.min(self.header);
            let (at, due) = match state.waiting_since() {
                // Busy: nothing is due, look again later.
                None => (later, Due::Close),
                Some(state::Waiting::Request(since)) => {
                    (self.end_of_idleness(state, since), Due::Close)
                }
                Some(state::Waiting::Head(since)) => {
                    (clock::instant(since) + self.header, Due::Answer408)
                }
                Some(state::Waiting::Reader(since)) => {
                    (clock::instant(since) + self.reader, Due::Stalled)
                }
                Some(state::Waiting::Window(due)) => (clock::instant(due), Due::Stalled),
                Some(state::Waiting::Guest(since)) => (clock::instant(since) + UNHEARD, Due::Look),
            };
            if at <= now {
                return Poll::Ready(due);
            }
            // A client that goes on in time may be idle long before this is due.
            self.sleep.as_mut().reset(if due == Due::Stalled { at.min(later) } else { at });
        }
        Poll::Pending
    }
}
