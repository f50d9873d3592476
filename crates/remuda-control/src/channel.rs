//! Length-delimited JSON over a stream socket.

use std::{io, marker::PhantomData};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    io::AsyncWriteExt,
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
};
use tokio_util::codec::{FramedRead, FramedWrite, LengthDelimitedCodec};

/// Longest message either side accepts, in bytes; a configuration of a thousand routes
/// is far below it.
const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024;

/// Why a message could not be exchanged.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error("failed to use the control socket")]
    Io(#[from] io::Error),
    #[error("failed to read a control message: {0}")]
    Malformed(#[from] serde_json::Error),
}

/// The receiving half of a control socket.
pub struct ControlReader<M> {
    frames: FramedRead<OwnedReadHalf, LengthDelimitedCodec>,
    message: PhantomData<fn() -> M>,
}

/// The sending half of a control socket.
pub struct ControlWriter<M> {
    frames: FramedWrite<OwnedWriteHalf, LengthDelimitedCodec>,
    message: PhantomData<fn(M)>,
}

/// Makes both halves of a control channel out of a connected socket.
#[must_use]
pub fn split<R, W>(socket: UnixStream) -> (ControlReader<R>, ControlWriter<W>) {
    let (read, write) = socket.into_split();
    let reader = ControlReader { frames: FramedRead::new(read, codec()), message: PhantomData };
    let writer = ControlWriter { frames: FramedWrite::new(write, codec()), message: PhantomData };
    (reader, writer)
}

fn codec() -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder().max_frame_length(MAX_MESSAGE_BYTES).new_codec()
}

impl<M: DeserializeOwned> ControlReader<M> {
    /// The next message, or `None` once the peer is gone.
    ///
    /// Cancel safe: nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// When the socket fails or the bytes are no message of this type.
    pub async fn receive(&mut self) -> Result<Option<M>, ControlError> {
        match self.frames.next().await {
            None => Ok(None),
            Some(Err(error)) if error.kind() == io::ErrorKind::ConnectionReset => Ok(None),
            Some(frame) => Ok(Some(serde_json::from_slice(&frame?)?)),
        }
    }
}

impl<M: Serialize> ControlWriter<M> {
    /// Sends one message and waits until the kernel has taken it.
    ///
    /// # Errors
    /// When the peer is gone.
    pub async fn send(&mut self, message: &M) -> Result<(), ControlError> {
        let bytes = serde_json::to_vec(message)?;
        Ok(self.frames.send(Bytes::from(bytes)).await?)
    }

    /// Tells the peer that nothing more will come.
    ///
    /// # Errors
    /// When the peer is gone.
    pub async fn close(&mut self) -> Result<(), ControlError> {
        Ok(self.frames.get_mut().shutdown().await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FromWorker, ToWorker};

    #[tokio::test]
    async fn messages_arrive_whole_and_the_end_is_seen() {
        let (ours, theirs) = UnixStream::pair().expect("a socket pair");
        let (mut from_worker, _) = split::<FromWorker, ToWorker>(ours);
        let (_, mut to_supervisor) = split::<ToWorker, FromWorker>(theirs);
        for message in [FromWorker::Ready, FromWorker::Failed { reason: "x".repeat(100_000) }] {
            let (sent, received) =
                tokio::join!(to_supervisor.send(&message), from_worker.receive());
            sent.expect("sent");
            assert_eq!(received.expect("received"), Some(message));
        }
        to_supervisor.close().await.expect("closed");
        assert_eq!(from_worker.receive().await.expect("no error at the end"), None);
    }

    #[tokio::test]
    async fn garbage_is_an_error_and_not_a_message() {
        let (ours, mut theirs) = UnixStream::pair().expect("a socket pair");
        let (mut from_worker, _) = split::<FromWorker, ToWorker>(ours);
        theirs.write_all(b"\0\0\0\x02{}").await.expect("written");
        assert!(matches!(from_worker.receive().await, Err(ControlError::Malformed(_))));
    }
}
