//! One request: route, permit, handler, response.

use std::{convert::Infallible, net::IpAddr, sync::Arc, time::Instant};

use http::{
    HeaderMap, HeaderValue, Method, Request, Response, Uri, Version, header,
    uri::{Authority, PathAndQuery, Scheme},
};
use hyper::{body::Incoming, service::service_fn};
use tokio::time::timeout;

use crate::{
    Handler, Rejection, RequestBody, RequestInFlight, ResponseBody, Ticket,
    access_log::AccessRecord,
    connection::{ConnectionState, InFlight},
    rejection::accepts_json,
    server::Shared,
};

/// What hyper calls for every request of one connection.
pub(crate) fn service<H: Handler>(
    shared: Arc<Shared<H>>,
    state: Arc<ConnectionState>,
    client: Option<IpAddr>,
) -> impl hyper::service::Service<
    Request<Incoming>,
    Response = Answer<H::Body>,
    Error = Infallible,
    Future: Send,
> {
    let connection = Arc::new(Connection { shared, state, client });
    service_fn(move |request| {
        let in_flight = connection.state.begin();
        let connection = Arc::clone(&connection);
        async move { Ok(connection.answer(request, in_flight).await) }
    })
}

struct Connection<H: Handler> {
    shared: Arc<Shared<H>>,
    state: Arc<ConnectionState>,
    client: Option<IpAddr>,
}

type Answer<B> = Response<ResponseBody<B>>;

impl<H: Handler> Connection<H> {
    async fn answer(&self, request: Request<Incoming>, mut in_flight: InFlight) -> Answer<H::Body> {
        let id = self.shared.next_id();
        let http1 = request.version() < Version::HTTP_2;
        let format = self.shared.config.log.access;
        let record = AccessRecord::begin(format, &request, self.client, id);
        let json = accepts_json(request.headers());

        let mut route = None;
        let started = in_flight.started().into_std();
        let mut response = match self.admit_and_handle(request, id, started, &mut route).await {
            Ok(response) => {
                in_flight.answered(route, response.status());
                let limits = route.map(|route| &self.shared.config.routes[route].limits);
                let silence = limits
                    .map_or(self.shared.config.limits.response_idle_timeout, |limits| {
                        limits.response_idle_timeout
                    });
                response.map(|body| ResponseBody::handler(body, id, silence, in_flight))
            }
            Err(rejection) => {
                in_flight.answered(route, rejection.status());
                self.shared.metrics.rejected(rejection.reason());
                let request = format_args!("{id:016x}");
                let path = route.map(|route| self.shared.config.routes[route].path.as_str());
                if rejection == Rejection::Deadline {
                    tracing::warn!(route = path, request, "no response within request_timeout");
                } else {
                    tracing::debug!(route = path, request, reason = rejection.reason(), "rejected");
                }
                let response = rejection.response(json, http1);
                response.map(|words| ResponseBody::words(words, in_flight))
            }
        };
        if http1 && self.state.is_draining() {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        match record {
            None => response,
            Some(mut record) => {
                let route = route.map(|route| self.shared.config.routes[route].path.as_str());
                record.answered(route, response.status());
                response.map(|body| body.record(record))
            }
        }
    }

    async fn admit_and_handle(
        &self,
        request: Request<Incoming>,
        id: u64,
        started: Instant,
        found: &mut Option<usize>,
    ) -> Result<Response<H::Body>, Rejection> {
        let shared = &*self.shared;
        let (mut parts, incoming) = request.into_parts();
        if parts.method == Method::CONNECT {
            return Err(Rejection::BadRequest("CONNECT is for proxies, which this is not"));
        }
        parts.uri = absolute_uri(parts.uri, &parts.headers, parts.version)?;
        let route = shared.routes.find(&parts.uri).ok_or(Rejection::NoRoute)?;
        *found = Some(route);

        let http = &shared.config.http;
        let (body, verdict) = RequestBody::new(incoming, http.max_body, http.body_timeout)?;
        let permit = shared.admission.admit(RequestInFlight { id, route, started }).await?;
        let ticket = Ticket { route, id, permit };
        let limit = shared.config.routes[route].limits.request_timeout;
        let handled = shared.handler.handle(Request::from_parts(parts, body), ticket);
        let result = timeout(limit, handled).await.unwrap_or(Err(Rejection::Deadline));
        // Whatever a guest makes of a body that broke a limit, it is not the one to blame.
        match verdict.and_then(|verdict| verdict.rejection()) {
            Some(rejection) => Err(rejection),
            None => result,
        }
    }
}

/// The URI with scheme and authority, which HTTP/1 has in its `Host` header.
fn absolute_uri(uri: Uri, headers: &HeaderMap, version: Version) -> Result<Uri, Rejection> {
    if uri.scheme().is_some() && uri.authority().is_some() {
        return Ok(uri);
    }
    let mut parts = uri.into_parts();
    if parts.authority.is_none() {
        parts.authority = Some(authority(headers, version)?);
    }
    parts.scheme = Some(Scheme::HTTP);
    if parts.path_and_query.is_none() {
        parts.path_and_query = Some(PathAndQuery::from_static("/"));
    }
    Uri::from_parts(parts).map_err(|_| Rejection::BadRequest("its target is invalid"))
}

fn authority(headers: &HeaderMap, version: Version) -> Result<Authority, Rejection> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let authority = match (hosts.next(), hosts.next()) {
        (Some(host), None) => Authority::try_from(host.as_bytes())
            .map_err(|_| Rejection::BadRequest("its Host header is invalid"))?,
        (Some(_), Some(_)) => {
            return Err(Rejection::BadRequest("it has more than one Host header"));
        }
        // RFC 9112, section 3.2: HTTP/1.0 clients need not send one.
        (None, _) if version <= Version::HTTP_10 => Authority::from_static("localhost"),
        (None, _) => return Err(Rejection::BadRequest("it has no Host header")),
    };
    Ok(authority)
}
