//! Bodies: of requests, of responses, of what a [`Client`](crate::Client) sends and receives.
//!
//! Invariant: a body is whole, or a stream of which one chunk at a time is held.

use std::{
    borrow::Cow,
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use futures_core::Stream;

use crate::{Error, Result};

type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes>>>>;

/// The body of a message: bytes that are there, or a [`Stream`] of them.
///
/// ```
/// use remuda_sdk::Body;
///
/// # remuda_sdk::test::block_on(async {
/// let mut body = Body::from("some text");
/// while let Some(chunk) = body.chunk().await {
///     println!("{} bytes", chunk?.len());
/// }
/// # Ok::<(), remuda_sdk::Error>(())
/// # }).unwrap();
/// ```
#[derive(Default)]
pub struct Body(pub(crate) Kind);

pub(crate) enum Kind {
    Whole(Bytes),
    Chunks(Chunks),
    /// What the host sends, with the rest of the message until the first chunk is asked for.
    #[cfg(target_family = "wasm")]
    Incoming(crate::guest::Incoming),
}

impl Default for Kind {
    fn default() -> Self {
        Self::Whole(Bytes::new())
    }
}

impl Body {
    /// No body.
    ///
    /// ```
    /// # use remuda_sdk::{Body, test};
    /// assert!(test::block_on(Body::empty().bytes()).unwrap().is_empty());
    /// ```
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// A body that is sent as it is made. An error in it breaks the connection: a response that
    /// failed halfway never looks complete.
    ///
    /// ```
    /// use futures_util::stream;
    /// use remuda_sdk::{Body, Error, test};
    ///
    /// let lines = stream::iter(["one\n", "two\n"]).map(Ok::<_, Error>);
    /// # use futures_util::StreamExt;
    /// let body = Body::from_stream(lines);
    /// assert_eq!(test::block_on(body.text()).unwrap(), "one\ntwo\n");
    /// ```
    pub fn from_stream<S, C, E>(stream: S) -> Self
    where
        S: Stream<Item = Result<C, E>> + 'static,
        C: Into<Bytes>,
        E: Into<Error>,
    {
        Self(Kind::Chunks(Box::pin(Converted(Box::pin(stream)))))
    }

    /// The next chunk of at least one byte; `None` after the last one.
    ///
    /// # Errors
    /// When the peer has gone or broken a limit of the server, or a stream failed.
    ///
    /// ```
    /// # use remuda_sdk::{Body, test};
    /// let mut body = Body::from("text");
    /// assert_eq!(test::block_on(body.chunk()).unwrap().unwrap(), "text");
    /// ```
    pub async fn chunk(&mut self) -> Option<Result<Bytes>> {
        std::future::poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// All of it. How long it may be is a setting of the server, `http.max_body`.
    ///
    /// # Errors
    /// As [`Body::chunk`].
    ///
    /// ```
    /// # use remuda_sdk::{Body, test};
    /// assert_eq!(test::block_on(Body::from("text").bytes()).unwrap(), "text");
    /// ```
    pub async fn bytes(mut self) -> Result<Bytes> {
        #[cfg(target_family = "wasm")]
        if let Kind::Incoming(incoming) = self.0 {
            return incoming.read_to_end().await;
        }
        let Some(first) = self.chunk().await.transpose()? else { return Ok(Bytes::new()) };
        let Some(second) = self.chunk().await.transpose()? else { return Ok(first) };
        let mut all = BytesMut::from(first);
        all.extend_from_slice(&second);
        while let Some(chunk) = self.chunk().await {
            all.extend_from_slice(&chunk?);
        }
        Ok(all.freeze())
    }

    /// All of it as text.
    ///
    /// # Errors
    /// As [`Body::chunk`], and 400 when it is not UTF-8.
    ///
    /// ```
    /// # use remuda_sdk::{Body, test};
    /// assert_eq!(test::block_on(Body::from("text").text()).unwrap(), "text");
    /// ```
    pub async fn text(self) -> Result<String> {
        let bytes = self.bytes().await?;
        String::from_utf8(bytes.into())
            .map_err(|_| Error::bad_request("failed to read the body: it is not UTF-8"))
    }

    /// Its length in bytes where that is known.
    pub(crate) fn known_len(&self) -> Option<usize> {
        match &self.0 {
            Kind::Whole(bytes) => Some(bytes.len()),
            _ => None,
        }
    }
}

impl Stream for Body {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match &mut self.0 {
            Kind::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Kind::Whole(bytes) => Poll::Ready(Some(Ok(std::mem::take(bytes)))),
            Kind::Chunks(chunks) => chunks.as_mut().poll_next(context),
            #[cfg(target_family = "wasm")]
            Kind::Incoming(incoming) => incoming.poll_next(context),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.known_len() {
            Some(length) => write!(f, "Body({length} bytes)"),
            None => write!(f, "Body(stream)"),
        }
    }
}

/// A stream whose items are converted, and whose empty chunks are left out.
struct Converted<S>(Pin<Box<S>>);

impl<S, C, E> Stream for Converted<S>
where
    S: Stream<Item = Result<C, E>>,
    C: Into<Bytes>,
    E: Into<Error>,
{
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let item = std::task::ready!(self.0.as_mut().poll_next(context));
            let item = item.map(|item| item.map(Into::into).map_err(Into::into));
            if !matches!(&item, Some(Ok(chunk)) if chunk.is_empty()) {
                return Poll::Ready(item);
            }
        }
    }
}

macro_rules! from_whole {
    ($($type:ty => $bytes:expr),* $(,)?) => {$(
        impl From<$type> for Body {
            fn from(content: $type) -> Self {
                let bytes: fn($type) -> Bytes = $bytes;
                Self(Kind::Whole(bytes(content)))
            }
        }
    )*};
}

from_whole! {
    Bytes => |content| content,
    Vec<u8> => Bytes::from,
    String => Bytes::from,
    &'static str => Bytes::from,
    &'static [u8] => Bytes::from,
    Cow<'static, str> => |content| match content {
        Cow::Borrowed(content) => content.into(),
        Cow::Owned(content) => content.into(),
    },
    () => |()| Bytes::new(),
}
