//! What goes out: a handler's body or the server's own words.

use std::{
    ops::Deref,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

use crate::{
    Failure, Verdict,
    access_log::AccessRecord,
    admission::Place,
    connection::{Giver, InFlight, Piece, Told, tell},
};

/// Counted when a handler's body says nothing for too long. The other reasons are those of
/// the rejections that it was too late for.
const RESPONSE_IDLE_TIMEOUT: &str = "response_idle_timeout";

/// Longest piece of a body that a stream of HTTP/2 is given, so that a client that takes
/// little at a time can be told from one that takes nothing.
const PIECE: usize = 16 * 1024;

/// The body of every response; while it lives, its connection is not idle.
pub struct ResponseBody<B> {
    inner: Inner<B>,
    /// How long it may wait for its client.
    patience: Duration,
    /// What comes before the rest of `inner`; `None` where pieces may have any length.
    held: Option<Bytes>,
    access: Option<Box<AccessRecord>>,
    in_flight: Held,
}

/// Until when its request is in flight.
enum Held {
    /// Until the body is dropped.
    Body(InFlight),
    /// Until its pieces are dropped too.
    Pieces(Giver),
}

enum Inner<B> {
    Words(Bytes),
    Handler { body: B, asked: Asked, silence: Duration, deadline: Option<Pin<Box<Sleep>>> },
}

/// Which request a handler answers.
pub(crate) struct Asked {
    pub(crate) id: u64,
    pub(crate) route: Arc<str>,
    /// Whether its body is to blame when the answer breaks off; `None` without a body.
    pub(crate) verdict: Option<Verdict>,
}

/// A response broke off; hyper resets the connection or the stream.
#[derive(Debug, thiserror::Error)]
#[error("response broke off")]
pub struct BrokenOff;

impl<B> ResponseBody<B> {
    /// The server's own words, which may wait for their client for `patience` at a time.
    pub(crate) fn words(words: Bytes, patience: Duration, in_flight: InFlight) -> Self {
        Self::new(Inner::Words(words), patience, in_flight)
    }

    /// A handler's body, which may be silent for `silence` at a time, and wait for its client
    /// for as long.
    pub(crate) fn handler(body: B, asked: Asked, silence: Duration, in_flight: InFlight) -> Self {
        let inner = Inner::Handler { body, asked, silence, deadline: None };
        Self::new(inner, silence, in_flight)
    }

    fn new(inner: Inner<B>, patience: Duration, in_flight: InFlight) -> Self {
        Self { inner, patience, held: None, access: None, in_flight: Held::Body(in_flight) }
    }

    /// Has it come in short pieces, which keep the request and its place in flight.
    pub(crate) fn in_pieces(self, place: Option<Arc<Place>>) -> Self {
        let in_flight = match self.in_flight {
            Held::Body(in_flight) => Held::Pieces(Giver::new(in_flight, place, self.patience)),
            pieces @ Held::Pieces(_) => pieces,
        };
        Self { held: Some(Bytes::new()), in_flight, ..self }
    }

    /// Has the access log record written when this body is dropped.
    pub(crate) fn record(mut self, record: Box<AccessRecord>) -> Self {
        self.access = Some(record);
        self
    }
}

impl<B> ResponseBody<B>
where
    B: Body<Data = Bytes, Error = Failure> + Unpin,
{
    fn poll_inner(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let frame = match &mut self.inner {
            Inner::Words(words) if words.is_empty() => None,
            Inner::Words(words) => Some(Ok(Frame::data(std::mem::take(words)))),
            Inner::Handler { body, asked, silence, deadline } => {
                if let Poll::Ready(frame) = Pin::new(body).poll_frame(cx) {
                    *deadline = None;
                    frame.map(|frame| {
                        frame.map_err(|Failure { rejection, detail }| {
                            broken_off(&self.in_flight, asked, rejection.reason(), &detail)
                        })
                    })
                } else {
                    let sleep = || Box::pin(tokio::time::sleep(*silence));
                    ready!(deadline.get_or_insert_with(sleep).as_mut().poll(cx));
                    let detail = "guest sent nothing for response_idle_timeout";
                    let reason = RESPONSE_IDLE_TIMEOUT;
                    Some(Err(broken_off(&self.in_flight, asked, reason, detail)))
                }
            }
        };
        if let (Some(access), Some(Ok(frame))) = (&mut self.access, &frame) {
            access.count(frame.data_ref().map_or(0, Bytes::len));
        }
        Poll::Ready(frame)
    }

    /// The next frame, or the next piece of one.
    fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let data = match self.held.take_if(|held| !held.is_empty()) {
            Some(held) => held,
            None => match ready!(self.poll_inner(cx)).transpose()?.map(Frame::into_data) {
                Some(Ok(data)) => data,
                Some(Err(other)) => return Poll::Ready(Some(Ok(other))),
                None => return Poll::Ready(None),
            },
        };
        let mut piece = data;
        self.held = Some(piece.split_off(piece.len().min(PIECE)));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}

impl<B> Body for ResponseBody<B>
where
    B: Body<Data = Bytes, Error = Failure> + Unpin,
{
    type Data = Piece;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, BrokenOff>>> {
        let this = self.get_mut();
        if this.held.is_none() {
            return this.poll_inner(cx).map_ok(|frame| frame.map_data(Piece::from));
        }
        let piece = this.poll_piece(cx);
        tell(if piece.is_ready() { Told::Gave(this.patience) } else { Told::Waits });
        piece.map_ok(|frame| frame.map_data(|bytes| this.in_flight.piece(bytes)))
    }

    fn is_end_stream(&self) -> bool {
        if self.held.as_ref().is_some_and(|held| !held.is_empty()) {
            return false;
        }
        match &self.inner {
            Inner::Words(words) => words.is_empty(),
            Inner::Handler { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        let held = self.held.as_ref().map_or(0, Bytes::len) as u64;
        match &self.inner {
            Inner::Words(words) => SizeHint::with_exact(held + words.len() as u64),
            Inner::Handler { body, .. } => {
                let rest = body.size_hint();
                let mut hint = SizeHint::new();
                hint.set_lower(held + rest.lower());
                if let Some(upper) = rest.upper() {
                    hint.set_upper(held + upper);
                }
                hint
            }
        }
    }
}

impl Held {
    fn piece(&self, bytes: Bytes) -> Piece {
        match self {
            Self::Body(_) => Piece::from(bytes),
            Self::Pieces(giver) => giver.piece(bytes),
        }
    }
}

impl Deref for Held {
    type Target = InFlight;

    fn deref(&self) -> &InFlight {
        match self {
            Self::Body(in_flight) => in_flight,
            Self::Pieces(giver) => giver,
        }
    }
}

fn broken_off(
    in_flight: &InFlight,
    asked: &Asked,
    reason: &'static str,
    detail: &str,
) -> BrokenOff {
    let Asked { id, route, verdict } = asked;
    let (request, route) = (format_args!("{id:016x}"), &**route);
    // Whatever a guest makes of a body that broke a limit, it is not the one to blame.
    if let Some(rejection) = verdict.as_ref().and_then(Verdict::rejection) {
        let reason = rejection.reason();
        in_flight.broke_off(reason);
        tracing::debug!(route, request, reason, error = detail, "response broke off");
    } else {
        in_flight.broke_off(reason);
        if let Some(unsaid) = in_flight.complain(reason) {
            let unsaid = (unsaid > 0).then_some(unsaid);
            tracing::warn!(route, request, reason, unsaid, error = detail, "response broke off");
        }
    }
    BrokenOff
}
