//! Every error that the server itself answers, in every way in which it is told: status and
//! fields, text and JSON, HTTP/1.1 and HTTP/2, and the counters that move.
//!
//! A line of the table is an error; what breaks off after its head has a table of its own.

use http::StatusCode;
use remuda_tests::{
    Ask, Broken, Connection, Held, Metrics, Protocol, Reply, Server, Upstream,
    guests::{self, ECHO, FETCH, Guest, HELLO, MISBEHAVE, WITNESS},
    noise::noise,
    sandbox, wait,
};

/// Each row is a test of the name before it.
macro_rules! table {
    ($($name:ident: $row:expr;)*) => {
        $(#[tokio::test]
        async fn $name() {
            $row.check().await;
        })*
    };
}

// Status, reason, error type of RFC 9209; how it comes about.
table! {
    no_route: row(404, "no_route", "destination_not_found")
        .config(ONLY_API).unrouted().asked(|_| Ask::get("/"));
    a_head_that_is_too_large: row(431, "header_too_large", "http_request_error")
        .guest(HELLO).flag("--max-header-bytes", "8KiB")
        .bytes(format!("GET / HTTP/1.1\r\nhost: a\r\n[accept]x: {}\r\n\r\n", "x".repeat(9000)));
    a_head_of_too_many_fields: row(431, "header_too_large", "http_request_error")
        .guest(HELLO).bytes(format!("GET / HTTP/1.1\r\n[accept]{}\r\n", "x: y\r\n".repeat(101)));
    a_head_that_is_too_large_over_http2: row(431, "header_too_large", "http_request_error")
        .guest(HELLO).flag("--max-header-bytes", "8KiB").unrouted().over(Protocol::Http2)
        .asked(|_| Ask::get("/").header("x", &"x".repeat(9000)));
    a_head_of_too_many_fields_over_http2: row(431, "header_too_large", "http_request_error")
        .guest(HELLO).unrouted().over(Protocol::Http2)
        .asked(|_| (0..101).fold(Ask::get("/"), |ask, _| ask.header("x", "y")));
    a_head_that_does_not_end: row(408, "header_timeout", "http_request_error")
        .guest(HELLO).flag("--header-timeout", "300ms")
        .bytes("GET / HTTP/1.1\r\nhost: a\r\n[accept]x-slow:");
    a_body_that_is_declared_too_large: row(413, "body_too_large", "http_request_error")
        .guest(ECHO).flag("--max-body", "1KiB").closes()
        .asked(|_| Ask::post("/").body(noise(1025)));
    a_body_that_becomes_too_large: row(413, "body_too_large", "http_request_error")
        .guest(FETCH).flag("--max-body", "1KiB").closes()
        // The upstream's answer comes only when the whole body has.
        .asked(|upstream| Ask::fetch_post(&upstream.url("/whole")).chunked(&noise(1025), 500));
    a_body_that_stalls: row(408, "body_timeout", "http_request_error")
        .guest(FETCH).flag("--body-timeout", "300ms").closes()
        .stalled(|upstream| Ask::fetch_post(&upstream.url("/whole")));
    a_request_that_is_malformed: row(400, "bad_request", "http_request_error")
        .guest(HELLO).bytes("GET / HTTP/1.1\r\nhost: a\r\n[accept]no colon\r\n\r\n");
    a_request_line_that_is_malformed: row(400, "bad_request", "http_request_error")
        .guest(HELLO).only_text().bytes("GET /<> HTTP/1.1\r\nhost: a\r\n\r\n");
    a_request_that_is_ambiguous: row(400, "bad_request", "http_request_error").guest(ECHO).bytes(
        "POST / HTTP/1.1\r\nhost: a\r\n[accept]content-length: 5\r\n\
         transfer-encoding: chunked\r\n\r\n0\r\n\r\n");
    a_request_to_two_hosts: row(400, "bad_request", "http_request_error")
        .guest(HELLO).unrouted().closes().asked(|_| Ask::get("/").host("a").host("b"));
    a_chunk_that_is_malformed: row(400, "bad_request", "http_request_error")
        .guest(ECHO)
        .bytes("POST / HTTP/1.1\r\nhost: a\r\n[accept]transfer-encoding: chunked\r\n\r\nz\r\n")
        .route("/");
    a_chunk_with_a_control_character: row(400, "bad_request", "http_request_error")
        .guest(ECHO)
        .bytes("POST / HTTP/1.1\r\nhost: a\r\n[accept]transfer-encoding: chunked\r\n\r\n1;\0\r\n")
        .route("/");
    a_full_queue: row(503, "queue_full", "connection_limit_reached")
        .guest(FETCH).flag("--limit-concurrency", "1").flag("--queue", "0")
        .while_one_is_held().asked(|_| Ask::get("/"));
    a_long_wait_in_the_queue: row(503, "queue_timeout", "connection_limit_reached")
        .guest(FETCH).flag("--limit-concurrency", "1").flag("--queue-timeout", "100ms")
        .while_one_is_held().asked(|_| Ask::get("/"));
    a_guest_that_waits_for_ever: row(504, "deadline", "http_response_timeout")
        .guest(MISBEHAVE).flag("--request-timeout", "200ms").asked(|_| Ask::get("/never"));
    a_guest_that_burns_for_ever: row(504, "deadline", "http_response_timeout")
        .guest(MISBEHAVE).flag("--request-timeout", "200ms").asked(|_| Ask::get("/spin"));
    too_much_cpu_time: row(504, "cpu_time", "http_response_timeout")
        .guest(MISBEHAVE).flag("--cpu-time", "200ms").asked(|_| Ask::get("/spin"));
    a_trap: row(500, "guest_trap", "http_response_incomplete")
        .guest(MISBEHAVE).asked(|_| Ask::get("/trap"));
    // The guest has set its response, but nothing of it is on the way yet.
    a_trap_before_the_head_was_sent: row(500, "guest_trap", "http_response_incomplete")
        .guest(MISBEHAVE).asked(|_| Ask::get("/panic-after-head"));
    an_exit: row(500, "guest_trap", "http_response_incomplete")
        .guest(MISBEHAVE).asked(|_| Ask::get("/exit"));
    an_error_of_the_guest: row(500, "guest_error", "http_response_incomplete")
        .guest(MISBEHAVE).asked(|_| Ask::get("/error"));
    no_response_of_the_guest: row(500, "guest_error", "http_response_incomplete")
        .guest(MISBEHAVE).asked(|_| Ask::get("/no-response"));
    too_much_memory: row(500, "memory_limit", "proxy_internal_error")
        .guest(MISBEHAVE).flag("--limit-memory", "32MiB").asked(|_| Ask::get("/alloc"));
    too_much_memory_by_default: row(500, "memory_limit", "proxy_internal_error")
        .guest(MISBEHAVE).asked(|_| Ask::get("/alloc?mib=200"));
    more_memory_than_all_guests_have: row(503, "memory_budget", "proxy_internal_error")
        .guest(MISBEHAVE).flag("--worker-memory", "64MiB")
        .asked(|_| Ask::get("/alloc?mib=100"));
}

// Reason; how it comes about.
table! {
    a_trap_amid_the_body: breaks_off("guest_trap", MISBEHAVE, "/break");
    a_trap_amid_the_body_of_a_shared_instance: breaks_off("guest_trap", WITNESS, "/break");
    an_exit_amid_the_body: breaks_off("guest_trap", MISBEHAVE, "/break?how=exit");
    too_much_memory_amid_the_body: breaks_off("memory_limit", MISBEHAVE, "/break?how=alloc");
    too_much_cpu_time_amid_the_body: BrokenOff {
        flag: Some(("--cpu-time", "300ms")),
        ..breaks_off("cpu_time", MISBEHAVE, "/break?how=spin")
    };
    a_body_that_is_silent: BrokenOff {
        flag: Some(("--response-idle-timeout", "300ms")),
        ..breaks_off("response_idle_timeout", MISBEHAVE, "/slow-body?chunks=2&ms=60000")
    };
}

const ONLY_API: &str = "[[route]]\npath = \"/api\"\ncomponent = \"[guests]/hello.wasm\"\n";

/// An error, and how it comes about.
struct Row {
    status: u16,
    reason: &'static str,
    error: &'static str,
    config: Option<String>,
    guest: Option<Guest>,
    flags: Vec<(&'static str, &'static str)>,
    /// As what it is counted among the requests; what is refused before it is a request is
    /// not one of them.
    route: Option<&'static str>,
    closes: bool,
    protocols: &'static [Protocol],
    accepts: &'static [bool],
    before: Before,
    way: Way,
}

/// What occupies the server meanwhile.
enum Before {
    Nothing,
    /// A request that waits for its upstream.
    Held,
}

/// How the error comes about.
enum Way {
    /// By a whole request.
    Asked(fn(&Upstream) -> Ask),
    /// By a request whose body begins and does not go on.
    Stalled(fn(&Upstream) -> Ask),
    /// By bytes over HTTP/1.1. `[accept]` is where that field goes.
    Bytes(String),
}

const BOTH: &[Protocol] = &[Protocol::Http1, Protocol::Http2];

fn row(status: u16, reason: &'static str, error: &'static str) -> Row {
    Row {
        status,
        reason,
        error,
        config: None,
        guest: None,
        flags: Vec::new(),
        route: Some("/"),
        closes: false,
        protocols: BOTH,
        accepts: &[false, true],
        before: Before::Nothing,
        way: Way::Asked(|_| Ask::get("/")),
    }
}

impl Row {
    fn config(self, toml: impl Into<String>) -> Self {
        Self { config: Some(toml.into()), ..self }
    }

    fn guest(self, guest: Guest) -> Self {
        Self { guest: Some(guest), ..self }
    }

    fn flag(mut self, name: &'static str, value: &'static str) -> Self {
        self.flags.push((name, value));
        self
    }

    fn route(self, route: &'static str) -> Self {
        Self { route: Some(route), ..self }
    }

    fn unrouted(self) -> Self {
        self.route("")
    }

    /// HTTP/1.1 says so; a connection of HTTP/2 has other streams.
    fn closes(self) -> Self {
        Self { closes: true, ..self }
    }

    fn over(self, protocol: Protocol) -> Self {
        let protocols = if protocol == Protocol::Http1 { &BOTH[..1] } else { &BOTH[1..] };
        Self { protocols, ..self }
    }

    /// It is refused before it can be known what the client accepts.
    fn only_text(self) -> Self {
        Self { accepts: &[false], ..self }
    }

    fn while_one_is_held(self) -> Self {
        Self { before: Before::Held, ..self }
    }

    fn asked(self, ask: fn(&Upstream) -> Ask) -> Self {
        Self { way: Way::Asked(ask), ..self }
    }

    fn stalled(self, ask: fn(&Upstream) -> Ask) -> Self {
        Self { way: Way::Stalled(ask), ..self }
    }

    fn bytes(self, bytes: impl Into<String>) -> Self {
        let way = Way::Bytes(bytes.into());
        Self { way, route: None, closes: true, ..self }.over(Protocol::Http1)
    }
}

impl Row {
    async fn check(self) {
        let upstream = Upstream::start().await;
        let server = self.start(&upstream).await;
        let worker = server.worker();
        let _held = self.occupy(&server, &upstream).await;
        let before = server.metrics().await;
        let mut count = 0.0;
        for protocol in self.protocols {
            let mut connection = connect(&server, *protocol).await;
            for accepts_json in self.accepts {
                let reply = match &self.way {
                    Way::Bytes(bytes) => answer_to_bytes(&server, bytes, *accepts_json).await,
                    Way::Asked(ask) => {
                        connection.send(accepting(ask(&upstream), *accepts_json)).await
                    }
                    Way::Stalled(ask) => {
                        let ask = accepting(ask(&upstream), *accepts_json);
                        let mut exchange = connection.open(ask).await;
                        exchange.write("half").await;
                        exchange.reply().await
                    }
                };
                count += 1.0;
                self.is_told(&reply, *protocol, *accepts_json);
                if self.closes && *protocol == Protocol::Http1 && !self.is_of_bytes() {
                    connection.closed().await;
                    connection = connect(&server, *protocol).await;
                }
            }
        }
        self.is_counted(&server, &before, count).await;
        assert_eq!(server.worker(), worker);
    }

    fn is_of_bytes(&self) -> bool {
        matches!(self.way, Way::Bytes(_))
    }

    async fn start(&self, upstream: &Upstream) -> Server {
        let mut builder = Server::builder().flag("--outbound-allow", upstream.origin());
        if let Some(config) = &self.config {
            builder = builder.config(config);
        }
        if let Some(guest) = self.guest {
            builder = builder.guest(guest);
        }
        for (name, value) in &self.flags {
            builder = builder.flag(name, *value);
        }
        builder.start().await
    }

    async fn occupy(&self, server: &Server, upstream: &Upstream) -> Option<Held> {
        match self.before {
            Before::Nothing => None,
            Before::Held => Some(server.hold(upstream).await),
        }
    }

    /// By status, fields and body.
    fn is_told(&self, reply: &Reply, protocol: Protocol, accepts_json: bool) {
        assert_eq!(reply.status, self.status, "{reply:?}");
        let proxy_status = format!("remuda; error={}; details=\"{}\"", self.error, self.reason);
        assert_eq!(reply.header("proxy-status"), proxy_status);
        let retry_after = if self.status == 503 { "1" } else { "" };
        assert_eq!(reply.header("retry-after"), retry_after, "{reply:?}");
        let closes = self.closes && protocol == Protocol::Http1;
        assert_eq!(reply.header("connection"), if closes { "close" } else { "" }, "{reply:?}");
        assert!(reply.header("date").ends_with(" GMT"), "{reply:?}");
        if accepts_json {
            assert_eq!(reply.header("content-type"), "application/problem+json");
            let problem: serde_json::Value = serde_json::from_slice(&reply.body).expect("JSON");
            let title = StatusCode::from_u16(self.status).expect("a status").canonical_reason();
            assert_eq!(problem["type"], "about:blank");
            assert_eq!(problem["title"].as_str(), title);
            assert_eq!(problem["status"], self.status);
            assert_eq!(problem["reason"], self.reason);
            assert!(problem["detail"].as_str().is_some_and(is_a_sentence), "{problem}");
        } else {
            assert_eq!(reply.header("content-type"), "text/plain; charset=utf-8");
            assert!(reply.text().strip_suffix('\n').is_some_and(is_a_sentence), "{reply:?}");
        }
        tells_nothing_from_inside(reply);
    }

    /// As a rejection, as shed if there was no room, and among the responses of its route.
    async fn is_counted(&self, server: &Server, before: &Metrics, count: f64) {
        let status = self.status.to_string();
        let labels = [("route", self.route.unwrap_or_default()), ("status", &status)];
        let rejected = [("reason", self.reason)];
        let requests = if self.route.is_some() { count } else { 0.0 };
        let shed = if self.status == 503 { count } else { 0.0 };
        let expected = [count, shed, requests];
        wait::until_async("the counters to move", async || {
            let after = server.metrics().await;
            let moved = |name, labels: &[_]| after.sum(name, labels) - before.sum(name, labels);
            let moved = [
                moved("remuda_rejected_total", &rejected),
                moved("remuda_shed_total", &rejected),
                moved("remuda_requests_total", &labels),
            ];
            let too_much = moved.iter().zip(expected).any(|(moved, expected)| *moved > expected);
            assert!(!too_much, "moved by {moved:?} instead of {expected:?}");
            (moved == expected).then_some(())
        })
        .await;
    }
}

async fn connect(server: &Server, protocol: Protocol) -> Connection {
    Connection::to(&server.endpoint(), protocol).await.expect("a connection")
}

fn accepting(ask: Ask, json: bool) -> Ask {
    if json { ask.header("accept", "application/json") } else { ask }
}

async fn answer_to_bytes(server: &Server, bytes: &str, accepts_json: bool) -> Reply {
    let accept = if accepts_json { "Accept: text/html, application/problem+json\r\n" } else { "" };
    let mut client = server.connect_raw().await;
    client.send(bytes.replace("[accept]", accept)).await;
    Reply::parse(&client.read_to_end().await)
}

fn is_a_sentence(text: &str) -> bool {
    text.lines().count() == 1 && text.split(' ').count() >= 3 && !text.ends_with('.')
}

fn tells_nothing_from_inside(reply: &Reply) {
    let text = format!("{:?}{}", reply.headers, reply.text());
    let guests = sandbox::guests().display().to_string();
    for inside in [guests.as_str(), ".wasm", ".rs", "wasmtime", "backtrace", "misbehave", "0x"] {
        assert!(!text.contains(inside), "{inside} in {text}");
    }
}

/// A response that ends before its end, because its guest fails after the head was sent.
struct BrokenOff {
    reason: &'static str,
    guest: Guest,
    target: &'static str,
    flag: Option<(&'static str, &'static str)>,
}

fn breaks_off(reason: &'static str, guest: Guest, target: &'static str) -> BrokenOff {
    BrokenOff { reason, guest, target, flag: None }
}

impl BrokenOff {
    /// Never does it pass for a whole response; it is logged and counted, and others go on.
    async fn check(self) {
        let mut builder = Server::builder().guest(self.guest);
        if let Some((name, value)) = self.flag {
            builder = builder.flag(name, value);
        }
        let server = builder.start().await;
        let worker = server.worker();

        let mut http1 = server.connect().await;
        let _ = is_broken(http1.try_send(Ask::get(self.target)).await);
        http1.closed().await;
        let mut http2 = server.connect_http2().await;
        let broken = is_broken(http2.try_send(Ask::get(self.target)).await);
        assert!(broken.error.contains("stream error received"), "{broken}");
        assert_eq!(http2.get("/").await.status, 200, "other streams go on");

        let lines = server.wait_for_lines("response broke off", 2).await;
        for line in lines {
            assert_eq!(line.text("reason"), self.reason, "{line}");
            assert_eq!((line.text("level"), line.text("route")), ("WARN", "/"), "{line}");
            assert_eq!(line.text("request").len(), 16, "{line}");
        }
        let metrics = server.metrics().await;
        let reason = [("reason", self.reason)];
        assert_eq!(metrics.sum("remuda_responses_broken_off_total", &reason), 2.0, "{metrics}");
        assert_eq!(metrics.sum("remuda_responses_broken_off_total", &[]), 2.0, "{metrics}");
        assert_eq!(metrics.kind("remuda_responses_broken_off_total"), "counter");
        assert_eq!(metrics.sum("remuda_rejected_total", &[]), 0.0, "{metrics}");
        assert_eq!(server.worker(), worker);
    }
}

fn is_broken(result: Result<Reply, Broken>) -> Broken {
    let broken = result.expect_err("half of a response is not a whole one");
    assert_eq!(broken.status, Some(StatusCode::OK), "{broken}");
    assert!(!broken.body.is_empty(), "{broken}");
    broken
}

#[tokio::test]
async fn what_is_too_large_for_http2_itself_is_431_without_words() {
    let builder = Server::builder().guest(guests::HELLO).flag("--max-header-bytes", "8KiB");
    let server = builder.start().await;
    let mut connection = server.connect_http2().await;
    let reply = connection.send(Ask::get("/").header("x", &"x".repeat(20 * 1024))).await;
    assert_eq!((reply.status.as_u16(), reply.text().as_str()), (431, ""));
    assert_eq!(connection.get("/").await.status, 200);
}
