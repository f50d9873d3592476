//! What a worker has to say to its supervisor.
//!
//! Purpose: whoever has something to say never waits for a supervisor that does not read.
//! Owner: [`life`](crate::life) has the [`Outbox`] and drives the [`Writer`]. Invariant: of
//! each kind of message at most one waits, the newest; a heartbeat that replaces another
//! keeps the longer lag.

use std::sync::{Arc, Mutex, PoisonError};

use remuda_control::{ControlWriter, FromWorker, Heartbeat, Snapshot};
use tokio::sync::Notify;

/// Where messages are left. The writer ends when it is dropped and everything is written.
pub(crate) struct Outbox {
    shared: Arc<Shared>,
}

/// Sends what is left in the outbox.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    socket: ControlWriter<FromWorker>,
}

#[derive(Default)]
struct Shared {
    pending: Mutex<Pending>,
    changed: Notify,
}

#[derive(Default)]
struct Pending {
    draining: bool,
    snapshot: Option<Box<Snapshot>>,
    heartbeat: Option<Heartbeat>,
    closed: bool,
}

impl Outbox {
    pub(crate) fn new(socket: ControlWriter<FromWorker>) -> (Self, Writer) {
        let shared = Arc::new(Shared::default());
        (Self { shared: Arc::clone(&shared) }, Writer { shared, socket })
    }

    pub(crate) fn draining(&self) {
        self.change(|pending| pending.draining = true);
    }

    pub(crate) fn snapshot(&self, snapshot: Snapshot) {
        self.change(|pending| pending.snapshot = Some(Box::new(snapshot)));
    }

    pub(crate) fn heartbeat(&self, mut heartbeat: Heartbeat) {
        self.change(|pending| {
            if let Some(unsent) = pending.heartbeat {
                heartbeat.lag = heartbeat.lag.max(unsent.lag);
            }
            pending.heartbeat = Some(heartbeat);
        });
    }

    fn change(&self, change: impl FnOnce(&mut Pending)) {
        change(&mut self.shared.pending.lock().unwrap_or_else(PoisonError::into_inner));
        self.shared.changed.notify_one();
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.change(|pending| pending.closed = true);
    }
}

impl Pending {
    fn next(&mut self) -> Option<FromWorker> {
        if std::mem::take(&mut self.draining) {
            return Some(FromWorker::Draining);
        }
        let heartbeat = self.heartbeat.take().map(FromWorker::Heartbeat);
        heartbeat.or_else(|| self.snapshot.take().map(FromWorker::Snapshot))
    }
}

impl Writer {
    /// Writes until the outbox is closed and empty. A supervisor that has gone need not be
    /// told anything.
    pub(crate) async fn run(mut self) {
        let mut gone = false;
        loop {
            let (message, closed) = {
                let mut pending =
                    self.shared.pending.lock().unwrap_or_else(PoisonError::into_inner);
                (pending.next(), pending.closed)
            };
            match message {
                Some(message) if !gone => {
                    if let Err(error) = self.socket.send(&message).await {
                        tracing::debug!(%error, "nobody hears this worker any more");
                        gone = true;
                    }
                }
                Some(_) => {}
                None if closed => return,
                None => self.shared.changed.notified().await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use remuda_control::{ToWorker, split};
    use tokio::net::UnixStream;

    use super::*;

    #[tokio::test]
    async fn the_newest_wins_and_keeps_the_longest_lag() {
        let (ours, theirs) = UnixStream::pair().expect("a socket pair");
        let (_, socket) = split::<ToWorker, FromWorker>(ours);
        let (mut supervisor, _kept) = split::<FromWorker, ToWorker>(theirs);
        let (outbox, writer) = Outbox::new(socket);
        let lag = Duration::from_millis;
        outbox.heartbeat(Heartbeat { lag: lag(70), served: 1, ..Heartbeat::default() });
        outbox.heartbeat(Heartbeat { lag: lag(3), served: 2, ..Heartbeat::default() });
        outbox.snapshot(Snapshot { stalls: 1, ..Snapshot::default() });
        outbox.snapshot(Snapshot { stalls: 2, ..Snapshot::default() });
        outbox.draining();
        drop(outbox);
        writer.run().await;
        let mut heard = Vec::new();
        while let Some(message) = supervisor.receive().await.expect("messages") {
            heard.push(message);
        }
        let heartbeat = Heartbeat { lag: lag(70), served: 2, ..Heartbeat::default() };
        let snapshot = Snapshot { stalls: 2, ..Snapshot::default() };
        assert_eq!(
            heard,
            [
                FromWorker::Draining,
                FromWorker::Heartbeat(heartbeat),
                FromWorker::Snapshot(Box::new(snapshot)),
            ]
        );
    }
}
