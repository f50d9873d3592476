//! One request: route, permit, handler, response.

use std::{convert::Infallible, sync::Arc, time::Instant};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri, Version, header,
    uri::{Authority, PathAndQuery, Scheme},
};
use hyper::{body::Incoming, service::service_fn};
use tokio::time::timeout_at;

use crate::{
    Failure, Handler, Rejection, RequestBody, RequestInFlight, ResponseBody, Ticket, Verdict,
    access_log::AccessRecord,
    admission::Place,
    connection::{ConnectionState, InFlight},
    forwarded::{Origin, origin},
    front::Client,
    http2_head, notice,
    rejection::accepts_json,
    response_body::Asked,
    server::Shared,
};

/// What hyper calls for every request of one connection.
pub(crate) fn service<H: Handler>(
    shared: Arc<Shared<H>>,
    state: Arc<ConnectionState>,
    client: Client,
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
    client: Client,
}

type Answer<B> = Response<ResponseBody<B>>;

/// What a request has come to on its way to the handler.
#[derive(Default)]
struct Found {
    route: Option<usize>,
    /// Of HTTP/2, to be held until the response is sent.
    place: Option<Arc<Place>>,
}

impl<H: Handler> Connection<H> {
    async fn answer(
        &self,
        mut request: Request<Incoming>,
        mut in_flight: InFlight,
    ) -> Answer<H::Body> {
        let id = self.shared.next_id();
        let http1 = request.version() < Version::HTTP_2;
        if let Some(page) = notice::page(&self.shared.config, &request) {
            return self.show(page, http1, in_flight, id);
        }
        let format = self.shared.config.log.access;
        let trusted = &self.shared.config.http.forwarded_allow_ips;
        let origin = origin(request.headers_mut(), self.client, trusted);
        let record = AccessRecord::begin(format, &request, origin.client, id);
        let json = accepts_json(request.headers());

        let mut found = Found::default();
        let started = in_flight.started().into_std();
        let answer = self.admit_and_handle(request, origin, id, started, &mut found).await;
        let Found { route, mut place } = found;
        let mut response = match answer {
            Ok((mut response, asked)) => {
                strip_hop_by_hop(response.headers_mut());
                in_flight.answered(id, route, response.status());
                let limits = route.map(|route| &self.shared.config.routes[route].limits);
                let silence = limits
                    .map_or(self.shared.config.limits.response_idle_timeout, |limits| {
                        limits.response_idle_timeout
                    });
                response.map(|body| ResponseBody::handler(body, asked, silence, in_flight))
            }
            Err(refused) => {
                let rejection = refused.rejection();
                in_flight.answered(id, route, rejection.status());
                // The server's own words need none.
                place = None;
                self.shared.metrics.rejected(rejection.reason());
                self.log(&refused, route, id);
                let response = rejection.response(json, http1);
                let patience = self.shared.config.limits.response_idle_timeout;
                response.map(|words| ResponseBody::words(words, patience, in_flight))
            }
        };
        if !http1 {
            response = response.map(|body| body.in_pieces(place));
        } else if !self.state.is_kept_after() {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        notice::mark(&self.shared.config, response.headers_mut());
        match record {
            None => response,
            Some(mut record) => {
                let name = route.and_then(|route| self.shared.metrics.name(route));
                record.answered(name.map(|name| &**name), response.status());
                response.map(|body| body.record(record))
            }
        }
    }

    /// Answers with a page of the server's own, without a place or a guest.
    fn show(
        &self,
        page: Response<Bytes>,
        http1: bool,
        mut in_flight: InFlight,
        id: u64,
    ) -> Answer<H::Body> {
        in_flight.answered(id, None, page.status());
        let patience = self.shared.config.limits.response_idle_timeout;
        let mut page = page.map(|words| ResponseBody::words(words, patience, in_flight));
        if !http1 {
            page = page.map(|body| body.in_pieces(None));
        } else if !self.state.is_kept_after() {
            page.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        page
    }

    async fn admit_and_handle(
        &self,
        request: Request<Incoming>,
        origin: Origin,
        id: u64,
        started: Instant,
        found: &mut Found,
    ) -> Result<(Response<H::Body>, Asked), Refused> {
        let shared = &*self.shared;
        let (mut parts, incoming) = request.into_parts();
        let http = &shared.config.http;
        if parts.version == Version::HTTP_2 {
            http2_head::check(&mut parts, http.max_header_bytes)?;
        }
        if parts.method == Method::CONNECT {
            let what = "CONNECT is for proxies, which this is not";
            return Err(Rejection::BadRequest(what).into());
        }
        parts.uri = absolute_uri(parts.uri, &parts.headers, parts.version, origin.is_https)?;
        strip_hop_by_hop(&mut parts.headers);
        let route = shared.routes.find(&parts.uri).ok_or(Rejection::NoRoute)?;
        found.route = Some(route);

        let (body, verdict) = RequestBody::new(incoming, http.max_body, http.body_timeout)?;
        let deadline = started + shared.config.routes[route].limits.request_timeout;
        let waiting = RequestInFlight { id, route, started };
        let mut permit = shared.admission.admit(waiting, deadline).await?;
        if parts.version == Version::HTTP_2 {
            (permit, found.place) = permit.share();
        }
        let ticket = Ticket { route, id, deadline, permit };
        let request = Request::from_parts(parts, body);
        // In one expression: a future that has a name is kept twice.
        let result = timeout_at(deadline.into(), shared.handler.handle(request, ticket))
            .await
            .map_err(|_| Refused::from(Rejection::Deadline))
            .and_then(|answer| answer.map_err(Refused::from));
        // Whatever a guest makes of a body that broke a limit, it is not the one to blame.
        if let Some(rejection) = verdict.as_ref().and_then(Verdict::rejection) {
            return Err(rejection.into());
        }
        let response = result?;
        // What comes before an answer is no answer, and hyper would send it as one.
        if response.status().is_informational() {
            let detail =
                format!("guest answered with {}, which is no final status", response.status());
            return Err(Refused::Failed(Failure { rejection: Rejection::GuestError, detail }));
        }
        let name = shared.metrics.name(route).map(Arc::clone).unwrap_or_default();
        Ok((response, Asked { id, route: name, verdict }))
    }

    /// Says why a request got no answer: what failed here to whoever operates the server, what
    /// the client did wrong or had to expect only to whoever debugs.
    fn log(&self, refused: &Refused, route: Option<usize>, id: u64) {
        let metrics = &self.shared.metrics;
        let name = route.and_then(|route| metrics.name(route)).map(|name| &**name);
        let (request, reason) = (format_args!("{id:016x}"), refused.rejection().reason());
        match refused {
            Refused::Failed(failure) => {
                if let Some(unsaid) = metrics.complain(route, reason) {
                    let unsaid = (unsaid > 0).then_some(unsaid);
                    tracing::warn!(route = name, request, unsaid, "{failure}");
                }
            }
            Refused::Rejected(_) => tracing::debug!(route = name, request, reason, "rejected"),
        }
    }
}

/// Why a request is answered by the server itself.
enum Refused {
    Rejected(Rejection),
    /// Somebody has tried to answer it.
    Failed(Failure),
}

impl Refused {
    fn rejection(&self) -> &Rejection {
        match self {
            Self::Rejected(rejection) => rejection,
            Self::Failed(failure) => &failure.rejection,
        }
    }
}

impl From<Rejection> for Refused {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            // Whatever it was waiting for, or its guest was doing.
            Rejection::Deadline => {
                let detail = "no response within request_timeout".to_owned();
                Self::Failed(Failure { rejection, detail })
            }
            _ => Self::Rejected(rejection),
        }
    }
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        match failure.rejection {
            Rejection::Deadline => failure.rejection.into(),
            _ => Self::Failed(failure),
        }
    }
}

/// Takes away fields that are for the connection and not for the request (RFC 9110, section
/// 7.6.1). Hardly any head has one: looking costs less than removing what is not there.
fn strip_hop_by_hop(headers: &mut HeaderMap) {
    if !headers.keys().any(is_hop_by_hop) {
        return;
    }
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    // What the server itself goes by is not the client's to take away.
    let kept = [header::HOST, header::CONTENT_LENGTH];
    let taken = headers.keys().filter(|name| is_hop_by_hop(name)).cloned();
    let taken: Vec<HeaderName> =
        taken.chain(named.into_iter().filter(|name| !kept.contains(name))).collect();
    for name in taken {
        headers.remove(name);
    }
}

fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection" | "keep-alive" | "proxy-connection" | "te" | "transfer-encoding" | "upgrade"
    )
}

/// What is wrong with a target of another scheme.
const SCHEME: &str = "its scheme is neither http nor https";

/// The URI with authority, which HTTP/1 has in its `Host` header, and with the scheme of the
/// connection, whatever the client says.
fn absolute_uri(
    uri: Uri,
    headers: &HeaderMap,
    version: Version,
    is_https: bool,
) -> Result<Uri, Rejection> {
    let scheme = if is_https { Scheme::HTTPS } else { Scheme::HTTP };
    if uri.scheme().is_some_and(|named| *named != Scheme::HTTP && *named != Scheme::HTTPS) {
        return Err(Rejection::BadRequest(SCHEME));
    }
    if let Some(target) = uri.authority() {
        check_authority(target)?;
        // RFC 9112, section 3.2.2, lets the target win; whoever is in front may not.
        let mut hosts = headers.get_all(header::HOST).iter();
        let agrees =
            |host: &HeaderValue| host.as_bytes().eq_ignore_ascii_case(target.as_str().as_bytes());
        if hosts.next().is_some_and(|host| !agrees(host)) || hosts.next().is_some() {
            return Err(Rejection::BadRequest("its target and its Host header disagree"));
        }
        if uri.scheme() == Some(&scheme) {
            return Ok(uri);
        }
    }
    let mut parts = uri.into_parts();
    if parts.authority.is_none() {
        parts.authority = Some(authority(headers, version)?);
    }
    parts.scheme = Some(scheme);
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
    check_authority(&authority)?;
    Ok(authority)
}

/// Whether it is a host, with a port or without. Whoever is in front may route by what an
/// `http::uri::Authority` may have besides (RFC 9110, section 4.2.4).
fn check_authority(authority: &Authority) -> Result<(), Rejection> {
    let text = authority.as_str();
    if text.contains('@') {
        return Err(Rejection::BadRequest("its authority names a user"));
    }
    let host = authority.host();
    if host.is_empty() {
        return Err(Rejection::BadRequest("its authority has no host"));
    }
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    match text[host.len()..].split_once(':') {
        None if host.len() == text.len() => Ok(()),
        // An empty port is the default one (RFC 3986, section 3.2.3).
        Some(("", "")) => Ok(()),
        Some(("", port)) if is_port(port) && port.parse::<u16>().is_ok() => Ok(()),
        _ => Err(Rejection::BadRequest("its port is not a number up to 65535")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_for_the_connection_does_not_reach_the_guest() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("host", "a"),
            ("connection", "keep-alive, X-Private"),
            ("connection", "host, content-length"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("x-private", "1"),
            ("x-public", "1"),
            ("content-length", "0"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        strip_hop_by_hop(&mut headers);
        let mut left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["content-length", "host", "x-public"]);
    }

    #[test]
    fn target_and_host_agree() {
        let uri = |target: &str, hosts: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(header::HOST, HeaderValue::from_static(host));
            }
            let uri =
                absolute_uri(target.parse().expect("a target"), &headers, Version::HTTP_11, false);
            uri.map(|uri| uri.to_string())
        };
        assert_eq!(uri("/p", &["a"]).as_deref(), Ok("http://a/p"));
        assert_eq!(uri("http://a:1/p", &["A:1"]).as_deref(), Ok("http://a:1/p"));
        assert_eq!(uri("http://a/p", &[]).as_deref(), Ok("http://a/p"));
        assert_eq!(uri("https://a/p?q", &[]).as_deref(), Ok("http://a/p?q"));
        for (target, hosts) in
            [("http://a/", &["b"][..]), ("http://a/", &["a", "a"]), ("/", &["a", "b"]), ("/", &[])]
        {
            assert!(uri(target, hosts).is_err(), "{target} {hosts:?}");
        }
        assert_eq!(uri("ftp://a/", &["a"]), Err(Rejection::BadRequest(SCHEME)));
    }

    #[test]
    fn authorities_are_a_host_and_a_port() {
        let check = |text: &str| match Authority::try_from(text) {
            Ok(authority) => check_authority(&authority).is_ok(),
            Err(_) => false,
        };
        for text in ["a", "a:80", "a:", "a:65535", "127.0.0.1:8000", "[::1]", "[::1]:443"] {
            assert!(check(text), "{text}");
        }
        for text in [
            "u@a",
            "u:p@a",
            "@a",
            "a@",
            "a:b",
            "a:65536",
            "a:99999999999999999999",
            "a:8 0",
            "a:+80",
            "a:80:80",
            ":80",
            "",
            "[::1]:x",
            "[::1]80",
            "::1",
        ] {
            assert!(!check(text), "{text}");
        }
    }
}
