//! Responses of HTTP/2 that are handed over and not yet sent.
//!
//! Purpose: hyper takes up to a piece of 16 KiB more of a response than its client lets it
//! send, and its task ends when it has handed over the last one, which may be long before
//! that is on its way. What the request holds, its place and its being in
//! flight, is therefore held by the pieces too: h2 drops each when it has been written, or
//! when its stream or its connection has ended. Owner: the body of each response makes a
//! [`Sending`], the connection counts those that have nothing but pieces left. Invariants: a
//! request has ended when its body has, and no piece of it is left; dropping a piece runs
//! nothing of the guest's or of h2's, for h2 does it under a lock. A response that fits its
//! client's windows is written in the turn after it was handed over, and reads no clock.

use std::{
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::{Buf, Bytes};

use super::{InFlight, stalled};
use crate::{admission::Place, clock};

/// Bytes of a response on their way.
pub struct Piece {
    bytes: Bytes,
    /// To whom they belong; nobody over HTTP/1.
    of: Option<Arc<Sending>>,
}

/// What a response holds until its last byte has been written.
pub(crate) struct Sending {
    in_flight: InFlight,
    _place: Option<Arc<Place>>,
    /// How long it may wait for its client.
    patience: Duration,
    /// Only pieces are left of it.
    handed_over: AtomicBool,
}

/// The part of a response's body in [`Sending`].
pub(crate) struct Giver(Arc<Sending>);

/// How many responses of a connection are handed over, and since when nothing was sent.
#[derive(Debug, Default)]
pub(super) struct Unsent {
    count: AtomicUsize,
    /// Since when the client takes nothing, as far as anybody has looked; 0 if it took
    /// something after that.
    since: AtomicU64,
    /// The longest of theirs, in milliseconds.
    patience: AtomicU64,
}

impl Giver {
    /// For a response that holds `place`, and may wait for its client for `patience` at a time.
    pub(crate) fn new(in_flight: InFlight, place: Option<Arc<Place>>, patience: Duration) -> Self {
        let handed_over = AtomicBool::new(false);
        Self(Arc::new(Sending { in_flight, _place: place, patience, handed_over }))
    }

    pub(crate) fn piece(&self, bytes: Bytes) -> Piece {
        Piece { bytes, of: Some(Arc::clone(&self.0)) }
    }
}

impl Deref for Giver {
    type Target = InFlight;

    fn deref(&self) -> &InFlight {
        &self.0.in_flight
    }
}

impl Drop for Giver {
    fn drop(&mut self) {
        if stalled::is_giving_up() {
            self.0.in_flight.client_stalled();
        }
        if Arc::strong_count(&self.0) > 1 {
            self.0.handed_over.store(true, Ordering::Relaxed);
            self.0.in_flight.unsent().add(self.0.patience);
        }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        if *self.handed_over.get_mut() {
            self.in_flight.unsent().remove();
        }
    }
}

impl From<Bytes> for Piece {
    /// Bytes that hold nothing.
    fn from(bytes: Bytes) -> Self {
        Self { bytes, of: None }
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    /// Bytes have been written.
    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        if let Some(of) = &self.of {
            of.in_flight.unsent().sent();
        }
    }

    fn copy_to_bytes(&mut self, count: usize) -> Bytes {
        if let Some(of) = &self.of {
            of.in_flight.unsent().sent();
        }
        self.bytes.copy_to_bytes(count)
    }
}

impl Unsent {
    fn add(&self, patience: Duration) {
        let patience = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
        if self.count.fetch_add(1, Ordering::Relaxed) == 0 {
            self.since.store(0, Ordering::Relaxed);
            self.patience.store(patience, Ordering::Relaxed);
        } else {
            self.patience.fetch_max(patience, Ordering::Relaxed);
        }
    }

    fn remove(&self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }

    /// The client took something, of whatever response.
    fn sent(&self) {
        self.since.store(0, Ordering::Relaxed);
    }

    /// By when the client must take something, as [`clock`] has it, if anything waits for it.
    /// Time begins when this is asked.
    pub(super) fn due(&self) -> Option<u64> {
        if self.count.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let since = match self.since.load(Ordering::Relaxed) {
            0 => clock::now(),
            since => since,
        };
        self.since.store(since, Ordering::Relaxed);
        Some(since.saturating_add(self.patience.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        connection::{ConnectionState, KeepAlive, state::Waiting},
        metrics::Metrics,
    };

    const PATIENCE: Duration = Duration::from_secs(30);

    fn state() -> Arc<ConnectionState> {
        let (metrics, keep_alive) =
            (Arc::new(Metrics::new(vec!["/".into()])), Arc::new(KeepAlive::new(None)));
        let state = ConnectionState::new(metrics, keep_alive);
        state.mark_http2();
        Arc::new(state)
    }

    fn count(state: &ConnectionState) -> usize {
        state.unsent().count.load(Ordering::Relaxed)
    }

    fn is_idle(state: &ConnectionState) -> bool {
        matches!(state.waiting_since(), Some(Waiting::Request(_)))
    }

    #[test]
    fn a_request_ends_with_its_body_or_with_its_last_piece() {
        let state = state();
        let giver = Giver::new(state.begin(), None, PATIENCE);
        let piece = giver.piece(Bytes::from_static(b"piece"));
        drop(piece);
        assert_eq!(state.waiting_since(), None, "its body has not ended");
        let (first, last) = (giver.piece(Bytes::new()), giver.piece(Bytes::from_static(b"piece")));
        drop(giver);
        assert_eq!(count(&state), 1);
        drop(first);
        assert!(matches!(state.waiting_since(), Some(Waiting::Window(_))));
        drop(last);
        assert!(is_idle(&state));
        drop(Giver::new(state.begin(), None, PATIENCE));
        assert!(is_idle(&state));
    }

    #[tokio::test(start_paused = true)]
    async fn time_begins_anew_whenever_something_is_sent() {
        let state = state();
        let hand_over = |patience| {
            let giver = Giver::new(state.begin(), None, Duration::from_secs(patience));
            giver.piece(Bytes::from_static(b"piece"))
        };
        let mut first = hand_over(30);
        let mut due = state.unsent().due().expect("it waits");
        assert_eq!(due, clock::now() + 30_000);
        for _ in 0..3 {
            tokio::time::advance(Duration::from_secs(20)).await;
            assert_eq!(state.unsent().due(), Some(due));
            first.advance(1);
            due = state.unsent().due().expect("it waits");
            assert_eq!(due, clock::now() + 30_000);
        }
        // One more that waits is nothing that was sent, but may wait for longer.
        tokio::time::advance(Duration::from_secs(20)).await;
        let second = hand_over(10);
        assert_eq!(state.unsent().due(), Some(due));
        let third = hand_over(40);
        assert_eq!(state.unsent().due(), Some(due + 10_000));
        drop((first, second, third));
        assert_eq!(state.unsent().due(), None);
    }

    proptest! {
        /// Each is a request, what is done next to it, and how.
        #[test]
        fn whatever_comes_when_the_end_is_zero(
            events in proptest::collection::vec((0..6_usize, 0..4_u8), 0..200)
        ) {
            let state = state();
            let mut requests: Vec<(Option<Giver>, Vec<Piece>)> = Vec::new();
            requests.resize_with(6, Default::default);
            for (request, event) in events {
                let (giver, pieces) = &mut requests[request];
                match (event, &giver) {
                    (0, None) if pieces.is_empty() => {
                        *giver = Some(Giver::new(state.begin(), None, PATIENCE));
                    }
                    (0 | 1, Some(some)) => pieces.push(some.piece(Bytes::from_static(b"piece"))),
                    (2, _) => *giver = None,
                    (3, _) => drop(pieces.pop()),
                    _ => {}
                }
                let left = |(giver, pieces): &&(Option<Giver>, Vec<Piece>)| {
                    giver.is_none() && !pieces.is_empty()
                };
                prop_assert_eq!(count(&state), requests.iter().filter(left).count());
                let is_over = |(giver, pieces): &(Option<Giver>, Vec<Piece>)| {
                    giver.is_none() && pieces.is_empty()
                };
                prop_assert_eq!(is_idle(&state), requests.iter().all(is_over));
            }
            drop(requests);
            prop_assert_eq!(count(&state), 0);
            prop_assert!(is_idle(&state));
        }
    }
}
