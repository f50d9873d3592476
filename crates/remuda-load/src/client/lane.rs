//! One request after the other.
//!
//! Owner: a task. Invariant: [`Lane::exchange`] counts exactly one end for each request it
//! is given, unless it is dropped.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::{
    HyperError,
    connect::{Connector, Protocol},
    deadline::Deadline,
    h1::Http1,
    h2::{self, Mux, Sender},
    template::Template,
};
use crate::{
    record::{Failure, Kind, Recorder, Success},
    scenario::{Endpoint, Scenario, Target},
};

/// What the lanes of one thread have in common.
pub(crate) struct Shared {
    pub(crate) connector: Connector,
    pub(crate) recorder: RefCell<Recorder>,
    endpoints: Vec<(Endpoint, Template)>,
    /// Empty unless lanes share connections.
    muxes: Vec<Mux>,
    /// Requests that share one of them.
    streams: usize,
    reuse: bool,
    /// Whether bodies are so short that copying them costs nothing.
    are_short: bool,
    request_timeout: Duration,
}

/// A body that is not longer is short, in bytes.
const SHORT: usize = 4096;

impl Shared {
    /// Of a run with that start; `None` when an endpoint makes no request, which validation has
    /// ruled out.
    pub(crate) fn new(
        scenario: &Scenario,
        connector: Connector,
        protocol: Protocol,
        lanes: usize,
        start: Instant,
    ) -> Option<Self> {
        let template = |endpoint: &Endpoint, target: &Target| {
            Some((endpoint.clone(), Template::new(endpoint, target, protocol)?))
        };
        let endpoints = scenario.endpoints.iter();
        let connection = &scenario.connection;
        let shares = protocol == Protocol::Http2 && connection.reuse;
        let muxes = if shares { lanes.div_ceil(connection.streams) } else { 0 };
        Some(Self {
            connector,
            recorder: RefCell::new(Recorder::new(scenario, start)),
            endpoints: endpoints
                .map(|endpoint| template(endpoint, &scenario.target))
                .collect::<Option<_>>()?,
            muxes: (0..muxes).map(|_| Mux::default()).collect(),
            streams: connection.streams,
            reuse: connection.reuse,
            are_short: scenario.endpoints.iter().all(|endpoint| endpoint.body.len() <= SHORT),
            request_timeout: scenario.request_timeout,
        })
    }
}

enum Link {
    Http1(Box<Http1>),
    Http2(Sender),
}

pub(crate) struct Lane {
    shared: Rc<Shared>,
    number: usize,
    link: Option<Link>,
    deadline: Deadline,
    /// A body that is looked into.
    body: Vec<u8>,
}

impl Lane {
    /// `number` is the lane's own among those of its thread.
    pub(crate) fn new(shared: &Rc<Shared>, number: usize) -> Self {
        Self {
            shared: Rc::clone(shared),
            number,
            link: None,
            deadline: Deadline::new(),
            body: Vec::new(),
        }
    }

    /// Sends a request, whose time counts from `since`, and counts how it ended. Returns
    /// whether there was a connection for it.
    pub(crate) async fn exchange(&mut self, endpoint: usize, since: Instant) -> bool {
        self.shared.recorder.borrow_mut().began();
        let result = self.attempt(endpoint).await;
        let is_whole = match &result {
            Ok(_) => true,
            // An answer that was not expected is one nevertheless.
            Err(failure) => matches!(failure.kind, Kind::Status | Kind::Body),
        };
        if !is_whole || !self.shared.reuse {
            // What an HTTP/1 connection is at after half an answer, nobody knows.
            self.link = match self.link.take() {
                Some(Link::Http2(sender)) if self.shared.reuse && !sender.is_closed() => {
                    Some(Link::Http2(sender))
                }
                _ => None,
            };
        }
        let is_connected = !matches!(
            &result,
            Err(Failure { kind: Kind::Connect | Kind::ConnectTimeout | Kind::Tls, .. })
        );
        self.shared.recorder.borrow_mut().ended(endpoint, since, result);
        is_connected
    }

    async fn attempt(&mut self, endpoint: usize) -> Result<Success, Failure> {
        self.connected().await?;
        let timeout = self.shared.request_timeout;
        let Some(link) = &mut self.link else {
            return Err(Failure::new(Kind::Connect, "no connection"));
        };
        let (endpoint, template) = &self.shared.endpoints[endpoint];
        let body = &mut self.body;
        let request = template.request();
        // Of a head whose body never ended, too.
        let answered = Cell::new(None);
        let exchange = async {
            match link {
                Link::Http1(link) => {
                    let response = link.send(request).await?;
                    let head = Head::of(&response);
                    answered.set(Some(head.status));
                    let mut incoming = response.into_body();
                    let mut reader = Reader::new(endpoint, body);
                    while let Some(data) = link.data(&mut incoming).await {
                        reader.read(&data?);
                    }
                    Ok((head, reader.bytes))
                }
                Link::Http2(sender) => {
                    let response = sender.send_request(request).await?;
                    let head = Head::of(&response);
                    answered.set(Some(head.status));
                    let mut incoming = response.into_body();
                    let mut reader = Reader::new(endpoint, body);
                    while let Some(data) = next(&mut incoming).await {
                        reader.read(&data?);
                    }
                    Ok((head, reader.bytes))
                }
            }
        };
        let failure = match self.deadline.within(timeout, exchange).await {
            Ok(Ok((head, bytes))) => return head.check(endpoint, &self.body, bytes),
            Ok(Err(error)) => Failure::of_hyper(&error),
            Err(_) => Failure::new(Kind::Timeout, "no whole response in time"),
        };
        Err(Failure { status: answered.get(), ..failure })
    }

    /// Sees to it that there is a connection that takes a request.
    async fn connected(&mut self) -> Result<(), Failure> {
        let is_usable = match &mut self.link {
            // What the server has closed since the last request is no failure of the next.
            Some(Link::Http1(link)) => {
                let ready = self.deadline.within(self.shared.request_timeout, link.is_ready());
                ready.await.unwrap_or(false)
            }
            Some(Link::Http2(sender)) => !sender.is_closed(),
            None => false,
        };
        if is_usable {
            return Ok(());
        }
        self.link = None;
        let shared = Rc::clone(&self.shared);
        let connected = |time| shared.recorder.borrow_mut().connected(time);
        if let Some(mux) = shared.muxes.get(self.number / shared.streams) {
            let sender = mux.sender(&shared.connector, connected).await?;
            self.link = Some(Link::Http2(sender));
            return Ok(());
        }
        let (stream, protocol, time) = shared.connector.connect().await?;
        connected(time);
        let link = match protocol {
            Protocol::Http1 => {
                let link = Http1::new(stream, shared.are_short).await;
                link.map(|link| Link::Http1(Box::new(link)))
            }
            Protocol::Http2 => h2::open(stream).await.map(Link::Http2),
        };
        self.link = Some(link.map_err(|error| Failure::of_hyper(&error))?);
        Ok(())
    }
}

/// The next piece of an HTTP/2 body.
async fn next(body: &mut Incoming) -> Option<Result<Bytes, HyperError>> {
    loop {
        match body.frame().await? {
            Err(error) => return Some(Err(error)),
            Ok(frame) => {
                // Trailers are no data.
                if let Ok(data) = frame.into_data() {
                    return Some(Ok(data));
                }
            }
        }
    }
}

/// What is kept of a response head.
struct Head {
    status: u16,
    at: Instant,
}

impl Head {
    fn of(response: &http::Response<Incoming>) -> Self {
        Self { status: response.status().as_u16(), at: Instant::now() }
    }

    fn check(self, endpoint: &Endpoint, body: &[u8], bytes: u64) -> Result<Success, Failure> {
        let status = Some(self.status);
        if !endpoint.expect.contains(self.status) {
            // Many may come at once: which ones is in the counts of status codes.
            let detail = "a status code that was not expected".into();
            return Err(Failure { kind: Kind::Status, status, detail });
        }
        if let Some(expected) = &endpoint.expect_body
            && !contains(body, expected)
        {
            let detail = "a body without what was expected".into();
            return Err(Failure { kind: Kind::Body, status, detail });
        }
        Ok(Success { status: self.status, first_byte: self.at, bytes })
    }
}

fn contains(body: &[u8], expected: &[u8]) -> bool {
    expected.is_empty() || body.windows(expected.len()).any(|window| window == expected)
}

/// Counts a body, and keeps it where it is to be looked into.
struct Reader<'a> {
    keep: Option<&'a mut Vec<u8>>,
    bytes: u64,
}

impl<'a> Reader<'a> {
    fn new(endpoint: &Endpoint, body: &'a mut Vec<u8>) -> Self {
        body.clear();
        Self { keep: endpoint.expect_body.is_some().then_some(body), bytes: 0 }
    }

    fn read(&mut self, data: &[u8]) {
        self.bytes += data.len() as u64;
        if let Some(body) = &mut self.keep {
            body.extend_from_slice(data);
        }
    }
}
