//! The supervisor's end of one worker's control socket.
//!
//! Owner: the [roster](crate::roster), one [`Link`] per process. Two tasks serve it, so
//! that a worker that does not read its messages holds up nobody. Invariant:
//! [`Heard::End`] comes exactly once and last, and after [`Link::process_is_gone`] it
//! comes within [`LAST_WORDS`], even if a stranger holds the socket open.

use std::time::Duration;

use remuda_control::{ControlError, ControlReader, ControlWriter, FromWorker, ToWorker, split};
use tokio::{net::UnixStream, sync::mpsc, time::sleep};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::lifecycle::WorkerId;

/// Messages that may wait for a worker to read them.
const OUTBOX: usize = 16;

/// How long the socket of a dead process is read for what it said before it died.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What came from a worker.
#[derive(Debug)]
pub(crate) enum Heard {
    Said(FromWorker),
    /// What came is no message.
    Garbage(String),
    /// Nothing more will come.
    End,
}

pub(crate) type Inbox = mpsc::Sender<(WorkerId, Heard)>;

#[derive(Debug)]
pub(crate) struct Link {
    outbox: mpsc::Sender<ToWorker>,
    gone: CancellationToken,
}

impl Link {
    /// Starts to read and write `socket`; both tasks end when `gone` is cancelled.
    pub(crate) fn open(
        worker: WorkerId,
        socket: UnixStream,
        inbox: Inbox,
        tasks: &TaskTracker,
        gone: CancellationToken,
    ) -> Self {
        let (reader, writer) = split(socket);
        let (outbox, messages) = mpsc::channel(OUTBOX);
        tasks.spawn(read(worker, reader, inbox, gone.clone()));
        let until_gone = gone.clone();
        tasks.spawn(async move { until_gone.run_until_cancelled(write(writer, messages)).await });
        Self { outbox, gone }
    }

    /// Queues a message; false if the worker has left too many unread.
    pub(crate) fn send(&self, message: ToWorker) -> bool {
        // A closed outbox means that the worker hung up, which the reader reports.
        !matches!(self.outbox.try_send(message), Err(mpsc::error::TrySendError::Full(_)))
    }

    /// The process was reaped: reads what is left, then ends.
    pub(crate) fn process_is_gone(&self) {
        self.gone.cancel();
    }
}

async fn read(
    id: WorkerId,
    reader: ControlReader<FromWorker>,
    inbox: Inbox,
    gone: CancellationToken,
) {
    let cut_off = async {
        gone.cancelled().await;
        sleep(LAST_WORDS).await;
    };
    tokio::select! {
        biased;
        () = cut_off => {}
        () = forward(id, reader, &inbox) => {}
    }
    // The inbox is closed only when the supervisor is gone.
    let _ = inbox.send((id, Heard::End)).await;
}

async fn forward(id: WorkerId, mut reader: ControlReader<FromWorker>, inbox: &Inbox) {
    loop {
        let heard = match reader.receive().await {
            Ok(Some(message)) => Heard::Said(message),
            Ok(None) => return,
            Err(ControlError::Io(error)) => Heard::Garbage(format!("control socket: {error}")),
            Err(error @ ControlError::Malformed(_)) => Heard::Garbage(error.to_string()),
        };
        let more = matches!(heard, Heard::Said(_));
        if inbox.send((id, heard)).await.is_err() || !more {
            return;
        }
    }
}

async fn write(mut writer: ControlWriter<ToWorker>, mut messages: mpsc::Receiver<ToWorker>) {
    while let Some(message) = messages.recv().await {
        if let Err(error) = writer.send(&message).await {
            return tracing::debug!(%error, "control socket closed");
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use remuda_control::Queue;

    use super::*;

    fn open() -> (Link, mpsc::Receiver<(WorkerId, Heard)>, UnixStream) {
        let (ours, theirs) = UnixStream::pair().expect("a socket pair");
        let (to_inbox, inbox) = mpsc::channel(OUTBOX);
        let token = CancellationToken::new();
        (Link::open(WorkerId(0), ours, to_inbox, &TaskTracker::new(), token), inbox, theirs)
    }

    #[tokio::test]
    async fn what_a_process_said_before_it_died_is_heard() {
        let (link, mut inbox, theirs) = open();
        link.process_is_gone();
        let (_, mut worker) = split::<ToWorker, FromWorker>(theirs);
        worker.send(&FromWorker::Ready).await.expect("sent");
        drop(worker);
        assert!(matches!(inbox.recv().await, Some((_, Heard::Said(FromWorker::Ready)))));
        assert!(matches!(inbox.recv().await, Some((_, Heard::End))));
        assert!(inbox.recv().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stranger_with_the_socket_of_the_dead_does_not_delay_the_end() {
        let (link, mut inbox, _stranger) = open();
        link.process_is_gone();
        assert!(matches!(inbox.recv().await, Some((_, Heard::End))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_may_be_silent_for_long() {
        let (_link, mut inbox, _worker) = open();
        assert!(tokio::time::timeout(3600 * LAST_WORDS, inbox.recv()).await.is_err());
    }

    #[tokio::test]
    async fn a_worker_that_does_not_read_is_noticed() {
        let (link, _inbox, _worker) = open();
        let drain = || ToWorker::Drain { grace: Duration::ZERO, queue: Queue::Leave };
        assert!((0..=OUTBOX).any(|_| !link.send(drain())));
    }

    #[tokio::test]
    async fn messages_to_a_worker_that_hung_up_are_dropped() {
        let (link, mut inbox, mut worker) = open();
        worker.shutdown().await.expect("shut down");
        assert!(matches!(inbox.recv().await, Some((_, Heard::End))));
        assert!(link.send(ToWorker::Drain { grace: Duration::ZERO, queue: Queue::Leave }));
    }
}
