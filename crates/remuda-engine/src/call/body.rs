//! The body of a guest's response.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header};
use http_body::{Body, Frame, SizeHint};
use wasmtime_wasi_http::WasiBody;

use super::{
    outgoing::{Collected, Outgoing, invalid},
    shared::Lease,
    single::{Guest, Tenant},
};
use crate::Fault;

/// What a guest sends; owns the guest, or its part in a shared one, until both the body
/// and the guest's work for it have ended.
///
/// `H` is what the caller wants to be held for the same time. Dropping an unfinished
/// body ends the guest.
pub struct GuestBody<H: Send + Unpin + 'static> {
    data: Bytes,
    trailers: Option<HeaderMap>,
    rest: Rest<H>,
}

/// What comes after the collected bytes.
enum Rest<H: Send + 'static> {
    /// The guest has ended; only what is collected has to be sent.
    Nothing { _held: Option<H> },
    /// An instance that runs while this body is polled.
    Single { body: WasiBody, tenant: Tenant<H> },
    /// An instance that drives itself.
    Shared { body: WasiBody, lease: Lease, held: H },
}

impl<H: Send + Unpin + 'static> GuestBody<H> {
    /// The body of an instance of one request.
    pub(super) fn single(outgoing: Outgoing, tenant: Tenant<H>) -> Response<Self> {
        Self::build(outgoing, |body| match body {
            Some(body) => {
                let mut tenant = tenant;
                tenant.guest().leave_alone();
                Rest::Single { body, tenant }
            }
            None => {
                let (guest, held) = tenant.move_out();
                if guest.has_ended() {
                    return Rest::Nothing { _held: Some(held) };
                }
                guest.detach(None, held);
                Rest::Nothing { _held: None }
            }
        })
    }

    /// The body of one request of a shared instance.
    pub(super) fn shared(outgoing: Outgoing, lease: Lease, held: H) -> Response<Self> {
        Self::build(outgoing, |body| match body {
            Some(body) => Rest::Shared { body, lease, held },
            None => Rest::Nothing { _held: lease.complete(held) },
        })
    }

    fn build(outgoing: Outgoing, rest: impl FnOnce(Option<WasiBody>) -> Rest<H>) -> Response<Self> {
        let Outgoing { parts, body, mut collected } = outgoing;
        let data = collected.take_data();
        let Collected { trailers, ended, .. } = collected;
        let rest = rest((!ended).then_some(body));
        Response::from_parts(parts, Self { data, trailers, rest })
    }

    /// Makes the answer to a HEAD request out of the answer to a GET: the guest finishes
    /// in the background, its content goes nowhere.
    pub(crate) fn without_content(response: Response<Self>) -> Response<Self> {
        let (mut parts, body) = response.into_parts();
        if matches!(body.rest, Rest::Nothing { .. })
            && body.trailers.is_none()
            && !body.data.is_empty()
            && let Ok(length) = HeaderValue::try_from(body.data.len().to_string())
        {
            parts.headers.entry(header::CONTENT_LENGTH).or_insert(length);
        }
        match body.rest {
            Rest::Nothing { .. } => {}
            Rest::Single { body, tenant } => {
                let (guest, held) = tenant.move_out();
                guest.detach(Some(body), held);
            }
            Rest::Shared { body, lease, held } => lease.detach(body, held),
        }
        let nothing =
            Self { data: Bytes::new(), trailers: None, rest: Rest::Nothing { _held: None } };
        Response::from_parts(parts, nothing)
    }
}

impl<H: Send + Unpin + 'static> Body for GuestBody<H> {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        if !self.data.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.data)))));
        }
        let frame = match &mut self.rest {
            Rest::Nothing { .. } => {
                return Poll::Ready(self.trailers.take().map(|map| Ok(Frame::trailers(map))));
            }
            Rest::Shared { body, lease, .. } => ready!(poll_shared(body, lease, cx)),
            Rest::Single { body, tenant } => ready!(poll_single(body, tenant.guest(), cx)),
        };
        let last = match &frame {
            None | Some(Err(_)) => true,
            Some(Ok(frame)) => frame.is_trailers(),
        };
        if last {
            let failed = matches!(frame, Some(Err(_)));
            match std::mem::replace(&mut self.rest, Rest::Nothing { _held: None }) {
                _ if failed => {}
                Rest::Nothing { .. } => {}
                Rest::Shared { lease, held, .. } => drop(lease.complete(held)),
                Rest::Single { tenant, .. } => {
                    let (mut guest, held) = tenant.move_out();
                    guest.body_has_ended();
                    if guest.poll(cx).is_pending() {
                        guest.detach(None, held);
                    }
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.rest, Rest::Nothing { .. }) && self.data.is_empty() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let known = self.data.len() as u64;
        let mut hint = SizeHint::new();
        match &self.rest {
            Rest::Nothing { .. } if self.trailers.is_none() => hint.set_exact(known),
            Rest::Nothing { .. } => hint.set_lower(known),
            Rest::Single { body, .. } | Rest::Shared { body, .. } => match body.size_hint().exact()
            {
                Some(rest) => hint.set_exact(known + rest),
                None => hint.set_lower(known),
            },
        }
        hint
    }
}

/// What the guest has written comes first, then the guest runs, then what it wrote.
///
/// The streams of a guest that failed just end, which must not pass for the end of its
/// response.
fn poll_single(
    body: &mut WasiBody,
    guest: &mut Guest,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
    let mut frame = Pin::new(&mut *body).poll_frame(cx);
    if frame.is_pending() {
        let _ = guest.poll(cx);
        frame = Pin::new(body).poll_frame(cx);
    }
    match (frame, guest.fault()) {
        (Poll::Ready(None | Some(Err(_))) | Poll::Pending, Some(fault)) => {
            Poll::Ready(Some(Err(fault.clone())))
        }
        (frame, _) => frame.map_err(|error| invalid(&error)),
    }
}

/// The same for an instance that drives itself.
fn poll_shared(
    body: &mut WasiBody,
    lease: &Lease,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
    match (ready!(Pin::new(body).poll_frame(cx)), lease.fault()) {
        (None | Some(Err(_)), Some(fault)) => Poll::Ready(Some(Err(fault))),
        (frame, _) => Poll::Ready(frame.map(|frame| frame.map_err(|error| invalid(&error)))),
    }
}
