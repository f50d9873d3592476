//! Server-sent events: the
//! [stream format of the HTML standard](https://html.spec.whatwg.org/multipage/server-sent-events.html).

use std::{
    fmt::Write as _,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_core::Stream;
use http::{HeaderValue, header};
use serde::Serialize;

use super::{IntoResponse, Response, content};
use crate::{Body, Error, Result, sleep};

/// One event.
///
/// ```
/// use remuda_sdk::Event;
///
/// let event = Event::new("21.5").name("temperature").id("7");
/// assert_eq!(event.to_string(), "event: temperature\nid: 7\ndata: 21.5\n\n");
/// ```
#[derive(Clone, Debug)]
pub struct Event {
    fields: String,
    data: String,
}

impl Event {
    /// An event with this text, which may have several lines.
    ///
    /// ```
    /// # use remuda_sdk::Event;
    /// assert_eq!(Event::new("a\nb").to_string(), "data: a\ndata: b\n\n");
    /// ```
    pub fn new(data: impl Into<String>) -> Self {
        Self { fields: String::new(), data: data.into() }
    }

    /// An event with this value as JSON.
    ///
    /// # Errors
    /// When the value cannot be serialized.
    ///
    /// ```
    /// # use remuda_sdk::Event;
    /// assert_eq!(Event::json(&[1, 2])?.to_string(), "data: [1,2]\n\n");
    /// # Ok::<(), remuda_sdk::Error>(())
    /// ```
    pub fn json(data: &impl Serialize) -> Result<Self> {
        Ok(Self::new(serde_json::to_string(data)?))
    }

    /// What the browser's listeners know it by; `message` without it.
    ///
    /// ```
    /// # use remuda_sdk::Event;
    /// Event::new("21.5").name("temperature");
    /// ```
    #[must_use]
    pub fn name(self, name: &str) -> Self {
        self.field("event", name)
    }

    /// What the browser sends as `Last-Event-ID` when it connects again.
    ///
    /// ```
    /// # use remuda_sdk::Event;
    /// Event::new("21.5").id("7");
    /// ```
    #[must_use]
    pub fn id(self, id: &str) -> Self {
        self.field("id", id)
    }

    /// How long the browser waits before it connects again.
    ///
    /// ```
    /// # use remuda_sdk::Event;
    /// # use std::time::Duration;
    /// Event::new("21.5").retry(Duration::from_secs(5));
    /// ```
    #[must_use]
    pub fn retry(self, after: Duration) -> Self {
        self.field("retry", &after.as_millis().to_string())
    }

    /// A line's end would begin another field.
    fn field(mut self, name: &str, value: &str) -> Self {
        let value = value.replace(['\r', '\n', '\0'], " ");
        let _ = writeln!(self.fields, "{name}: {value}");
        self
    }
}

impl std::fmt::Display for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.fields)?;
        // A line ends with any of these, and no data means no event.
        let data = self.data.replace("\r\n", "\n").replace('\r', "\n");
        for line in data.split('\n') {
            writeln!(f, "data: {line}")?;
        }
        f.write_str("\n")
    }
}

/// A stream of [`Event`]s as a response.
///
/// The request stays in flight until the stream ends or the client goes away, which drops it. The
/// server gives up a response that is silent for `limits.response_idle_timeout` (30 s), which
/// [`Sse::keep_alive`] prevents.
///
/// ```
/// use futures_util::{StreamExt, stream};
/// use remuda_sdk::{Event, Sse, test};
///
/// async fn count() -> Sse {
///     Sse::new(stream::iter(1..=2).map(|n| Ok(Event::new(n.to_string()))))
/// }
///
/// assert_eq!(test::get("/").send_now(count).text(), "data: 1\n\ndata: 2\n\n");
/// ```
pub struct Sse {
    events: Pin<Box<dyn Stream<Item = Result<Event>>>>,
    keep_alive: Option<Duration>,
}

impl Sse {
    /// These events. An error ends the stream with a broken connection, after which a browser
    /// connects again.
    ///
    /// ```
    /// # use remuda_sdk::{Event, Sse};
    /// Sse::new(futures_util::stream::iter([Ok(Event::new("one"))]));
    /// ```
    pub fn new(events: impl Stream<Item = Result<Event>> + 'static) -> Self {
        Self { events: Box::pin(events), keep_alive: None }
    }

    /// Sends a comment whenever so much time has passed without an event.
    ///
    /// ```
    /// # use remuda_sdk::Sse;
    /// # use std::time::Duration;
    /// Sse::new(futures_util::stream::empty()).keep_alive(Duration::from_secs(15));
    /// ```
    #[must_use]
    pub fn keep_alive(mut self, interval: Duration) -> Self {
        self.keep_alive = Some(interval);
        self
    }
}

impl IntoResponse for Sse {
    fn into_response(self) -> Response {
        let lines = Lines { pause: None, sse: self };
        let mut response = content("text/event-stream", Body::from_stream(lines));
        let no_cache = HeaderValue::from_static("no-cache");
        response.headers_mut().insert(header::CACHE_CONTROL, no_cache);
        response
    }
}

/// Events as they are sent.
struct Lines {
    sse: Sse,
    /// Until the next comment.
    pause: Option<Pin<Box<dyn Future<Output = ()>>>>,
}

impl Stream for Lines {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Poll::Ready(event) = self.sse.events.as_mut().poll_next(context) {
            self.pause = None;
            return Poll::Ready(event.map(|event| Ok(event?.to_string().into())));
        }
        let Some(interval) = self.sse.keep_alive else { return Poll::Pending };
        let pause = self.pause.get_or_insert_with(|| Box::pin(sleep(interval)));
        std::task::ready!(pause.as_mut().poll(context));
        self.pause = None;
        Poll::Ready(Some(Ok(Bytes::from_static(b":\n\n"))))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::test;

    #[test]
    fn no_value_begins_another_field() {
        let event = Event::new("a\r\ndata: b\rc").name("x\nid: 1");
        assert_eq!(event.to_string(), "event: x id: 1\ndata: a\ndata: data: b\ndata: c\n\n");
    }

    #[test]
    fn a_silent_stream_sends_comments() {
        let events = futures_util::stream::pending();
        let sse = Sse::new(events).keep_alive(Duration::from_millis(1));
        let mut body = sse.into_response().into_body();
        for _ in 0..2 {
            let chunk = test::block_on(body.chunk()).expect("a chunk").expect("no error");
            assert_eq!(chunk, ":\n\n");
        }
    }
}
