//! What the parts of one connection know of each other.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::Waker,
};

use http::StatusCode;
use tokio::{
    sync::{Notify, futures::Notified},
    time::Instant,
};

use super::{
    keep_alive::{KeepAlive, Promise},
    unsent::Unsent,
};
use crate::{clock, metrics::Metrics};

/// Counted when a client takes nothing of a response for too long.
const CLIENT_STALLED: &str = "client_stalled";

/// Shared by the socket, the service and the timer of a connection. All of them run on
/// the event loop's thread; the atomics are there for the type system.
#[derive(Debug)]
pub(crate) struct ConnectionState {
    metrics: Arc<Metrics>,
    in_flight: AtomicUsize,
    /// When the last request ended, or the connection began.
    idle_since: AtomicU64,
    /// When the first byte of a request head was read; 0 while there is none.
    head_since: AtomicU64,
    /// When the client began to take nothing of what is to be written; 0 while it does.
    blocked_since: AtomicU64,
    /// When hyper last read, if it does not wait for more; 0 while it does.
    unread_since: AtomicU64,
    /// The socket says at its next flush whether the client has gone.
    looks_for_end: AtomicBool,
    unsent: Unsent,
    http2: AtomicBool,
    draining: AtomicBool,
    /// Whether it stays when it is idle.
    kept: Promise,
    /// It is idle, there are enough such connections, and its client does not know yet.
    too_many: Notify,
    /// The head that is being read has taken too long.
    head_given_up: AtomicBool,
    /// The connection ends because its client takes nothing.
    stalled: AtomicBool,
    /// The connection ends, and its client is to read that.
    says_goodbye: AtomicBool,
    /// Whoever reads waits until nothing is in flight.
    reader_waits: AtomicBool,
    reader: Mutex<Option<Waker>>,
}

/// What a connection without a request in flight waits for, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    Request(u64),
    Head(u64),
    /// For the client to take what is to be written, with or without requests in flight.
    Reader(u64),
    /// For the client to let more of what is handed over be sent, which it must until then.
    Window(u64),
    /// For the guest, which has read nothing of the client's since then: that the client has
    /// gone would not be noticed.
    Guest(u64),
}

/// A request in flight on a connection, until it is dropped; then it is counted.
#[derive(Debug)]
pub(crate) struct InFlight {
    connection: Arc<ConnectionState>,
    started: Instant,
    id: u64,
    route: Option<usize>,
    status: Option<StatusCode>,
}

impl ConnectionState {
    pub(super) fn new(metrics: Arc<Metrics>, keep_alive: Arc<KeepAlive>) -> Self {
        Self {
            metrics,
            in_flight: AtomicUsize::new(0),
            idle_since: AtomicU64::new(clock::now()),
            head_since: AtomicU64::new(0),
            blocked_since: AtomicU64::new(0),
            unread_since: AtomicU64::new(0),
            looks_for_end: AtomicBool::new(false),
            unsent: Unsent::default(),
            http2: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            kept: Promise::new(keep_alive),
            too_many: Notify::new(),
            head_given_up: AtomicBool::new(false),
            stalled: AtomicBool::new(false),
            says_goodbye: AtomicBool::new(false),
            reader_waits: AtomicBool::new(false),
            reader: Mutex::new(None),
        }
    }

    /// A request head is complete.
    pub(crate) fn begin(self: &Arc<Self>) -> InFlight {
        if self.in_flight.fetch_add(1, Ordering::Relaxed) == 0 {
            self.metrics.connection_is_active(true);
            self.kept.give_back();
        }
        self.head_since.store(0, Ordering::Relaxed);
        let connection = Arc::clone(self);
        InFlight { connection, started: Instant::now(), id: 0, route: None, status: None }
    }

    /// Bytes have arrived.
    pub(super) fn received(&self) {
        let idle = self.in_flight.load(Ordering::Relaxed) == 0;
        let has_begun = self.head_since.load(Ordering::Relaxed) != 0;
        // In HTTP/2 bytes may also be a ping, which begins no request.
        if idle && !has_begun && !self.is_http2() {
            self.head_since.store(clock::now(), Ordering::Relaxed);
        }
    }

    /// Something was read, and nobody waits for more: not while the guest takes nothing of a
    /// body, or when there is too much that belongs to no request yet.
    pub(super) fn listens_no_more(&self) {
        self.unread_since.store(clock::now(), Ordering::Relaxed);
    }

    /// The socket is waited for.
    pub(super) fn listens(&self) {
        self.unread_since.store(0, Ordering::Relaxed);
    }

    /// When the client's bytes were last read, if a request is in flight over HTTP/1 and they
    /// are read no more.
    pub(super) fn unread_since(&self) -> Option<u64> {
        let since = self.unread_since.load(Ordering::Relaxed);
        let is_busy = self.in_flight.load(Ordering::Relaxed) > 0;
        (since != 0 && is_busy && !self.is_http2()).then_some(since)
    }

    /// The socket is to say whether the client has gone, now and again when it is as long
    /// unread as it is now.
    pub(super) fn look_for_end(&self) {
        self.looks_for_end.store(true, Ordering::Relaxed);
        self.listens_no_more();
    }

    pub(super) fn is_looking_for_end(&self) -> bool {
        self.looks_for_end.swap(false, Ordering::Relaxed)
    }

    /// When an unfinished head began, if there is one.
    pub(super) fn head_just_started(&self) -> Option<u64> {
        let since = self.head_since.load(Ordering::Relaxed);
        (since != 0).then_some(since)
    }

    /// The socket took bytes, or refused them.
    pub(super) fn wrote(&self, blocked: bool) {
        if !blocked {
            self.blocked_since.store(0, Ordering::Relaxed);
            self.wake_reader();
        } else if self.blocked_since.load(Ordering::Relaxed) == 0 {
            self.blocked_since.store(clock::now(), Ordering::Relaxed);
        }
    }

    /// When the client began to take nothing, if it does not.
    pub(super) fn blocked_since(&self) -> Option<u64> {
        let since = self.blocked_since.load(Ordering::Relaxed);
        (since != 0).then_some(since)
    }

    /// The responses that its client has yet to take.
    pub(super) fn unsent(&self) -> &Unsent {
        &self.unsent
    }

    /// `None` while a request is in flight, nothing holds it up, and its client is listened to.
    pub(super) fn waiting_since(&self) -> Option<Waiting> {
        if let Some(since) = self.blocked_since() {
            return Some(Waiting::Reader(since));
        }
        if let Some(due) = self.unsent.due() {
            return Some(Waiting::Window(due));
        }
        if self.in_flight.load(Ordering::Relaxed) > 0 {
            return self.unread_since().map(Waiting::Guest);
        }
        Some(match self.head_since.load(Ordering::Relaxed) {
            0 => Waiting::Request(self.idle_since.load(Ordering::Relaxed)),
            since => Waiting::Head(since),
        })
    }

    pub(super) fn mark_http2(&self) {
        self.http2.store(true, Ordering::Relaxed);
        self.head_since.store(0, Ordering::Relaxed);
    }

    pub(super) fn is_http2(&self) -> bool {
        self.http2.load(Ordering::Relaxed)
    }

    /// Whether a request is in flight, or its answer is not taken; if so, `reader` is woken
    /// when that changes.
    pub(super) fn is_busy_until_woken(&self, reader: &Waker) -> bool {
        let is_busy = self.in_flight.load(Ordering::Relaxed) > 0 || self.blocked_since().is_some();
        if is_busy {
            *self.reader.lock().unwrap_or_else(PoisonError::into_inner) = Some(reader.clone());
            self.reader_waits.store(true, Ordering::Relaxed);
        }
        is_busy
    }

    fn wake_reader(&self) {
        if self.reader_waits.swap(false, Ordering::Relaxed) {
            let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner).take();
            reader.into_iter().for_each(Waker::wake);
        }
    }

    /// A head was refused that is no request.
    pub(super) fn rejected(&self, reason: &'static str) {
        self.metrics.rejected(reason);
    }

    /// Nobody waits for the rest of a head.
    pub(super) fn head_is_refused(&self) {
        self.head_since.store(0, Ordering::Relaxed);
        self.idle_since.fetch_max(clock::now(), Ordering::Relaxed);
    }

    /// From now on responses announce that the connection closes.
    pub(super) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
        self.idle_since.fetch_max(clock::now(), Ordering::Relaxed);
    }

    /// Whether the connection stays after the response that begins now; of HTTP/1, which
    /// has one request at a time.
    pub(crate) fn is_kept_after(&self) -> bool {
        !self.is_draining() && self.kept.make()
    }

    /// Whether it stays while it is idle.
    pub(super) fn is_kept(&self) -> bool {
        self.kept.is_made()
    }

    /// Waits until it is idle and one too many; of HTTP/2, which says so at any time.
    pub(super) fn too_many(&self) -> Notified<'_> {
        self.too_many.notified()
    }

    /// The socket answers 408 when it is read next.
    pub(super) fn give_up_head(&self) {
        self.head_given_up.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_head_given_up(&self) -> bool {
        self.head_given_up.load(Ordering::Relaxed)
    }

    /// The connection ends, and its responses with it, because its client takes nothing.
    pub(super) fn client_stalled(&self) {
        self.stalled.store(true, Ordering::Relaxed);
        // Of HTTP/1, hyper may hold the end of a response whose body has ended.
        if !self.is_http2() && self.in_flight.load(Ordering::Relaxed) == 0 {
            self.metrics.broke_off(CLIENT_STALLED);
            tracing::debug!(reason = CLIENT_STALLED, "response broke off");
        }
    }

    pub(super) fn is_stalled(&self) -> bool {
        self.stalled.load(Ordering::Relaxed)
    }

    /// The socket ends when it is read next.
    pub(super) fn say_goodbye(&self) {
        self.says_goodbye.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_saying_goodbye(&self) -> bool {
        self.says_goodbye.load(Ordering::Relaxed)
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}

impl InFlight {
    /// When its head had been read.
    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// Its response begins; without a route, it was rejected before there was one.
    pub(crate) fn answered(&mut self, id: u64, route: Option<usize>, status: StatusCode) {
        (self.id, self.route, self.status) = (id, route, Some(status));
    }

    /// Its response ends before its end, because its client takes nothing of it.
    pub(super) fn client_stalled(&self) {
        self.broke_off(CLIENT_STALLED);
        let route =
            self.route.and_then(|route| self.connection.metrics.name(route).map(|name| &**name));
        let request = format_args!("{:016x}", self.id);
        tracing::debug!(route, request, reason = CLIENT_STALLED, "response broke off");
    }

    pub(super) fn unsent(&self) -> &Unsent {
        &self.connection.unsent
    }

    /// How many failures of this kind the log does not name, if it is to name this one.
    pub(crate) fn complain(&self, kind: &'static str) -> Option<u64> {
        self.connection.metrics.complain(self.route, kind)
    }

    /// Its response ends before its end.
    pub(crate) fn broke_off(&self, reason: &'static str) {
        self.connection.metrics.broke_off(reason);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if self.connection.is_stalled() && self.status.is_some() {
            self.client_stalled();
        }
        let (connection, now) = (&self.connection, Instant::now());
        if connection.in_flight.fetch_sub(1, Ordering::Relaxed) == 1 {
            connection.idle_since.store(clock::at(now), Ordering::Relaxed);
            connection.metrics.connection_is_active(false);
            connection.wake_reader();
            if connection.is_http2() && !connection.kept.make() {
                connection.too_many.notify_one();
            }
        }
        connection.metrics.ended(self.route, self.status, now - self.started);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> ConnectionState {
        ConnectionState::new(
            Arc::new(Metrics::new(vec!["/".into()])),
            Arc::new(KeepAlive::new(None)),
        )
    }

    #[test]
    fn a_connection_waits_for_a_request_then_for_its_head_then_not_at_all() {
        let state = Arc::new(state());
        assert!(matches!(state.waiting_since(), Some(Waiting::Request(_))));
        state.received();
        assert!(matches!(state.waiting_since(), Some(Waiting::Head(_))));
        let request = state.begin();
        state.received();
        assert_eq!(state.waiting_since(), None);
        drop(request);
        assert!(matches!(state.waiting_since(), Some(Waiting::Request(_))));
    }

    #[test]
    fn http2_frames_begin_no_head() {
        let state = state();
        state.received();
        state.mark_http2();
        state.received();
        assert!(matches!(state.waiting_since(), Some(Waiting::Request(_))));
    }
}
