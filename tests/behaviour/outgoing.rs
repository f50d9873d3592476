//! Guests' own requests: only where they are allowed, within their limits, as they come.

use std::{net::TcpListener, time::Duration};

use remuda_tests::{
    Ask, Server, Upstream, guests,
    noise::{assert_same, noise},
    upstream::Certificate,
    wait::timed,
};

/// More than a timeout of 300 ms, less than those that are not set.
const SOON: Duration = Duration::from_secs(3);

/// A server of fetch that may call this upstream, with one more setting.
async fn server(upstream: &Upstream, flag: &str, value: &str) -> Server {
    let builder = Server::builder().guest(guests::FETCH);
    builder.flag("--outbound-allow", upstream.origin()).flag(flag, value).start().await
}

async fn server_for(upstream: &Upstream) -> Server {
    server(upstream, "--limit-concurrency", "1000").await
}

#[tokio::test]
async fn what_is_not_allowed_is_denied_and_logged_once() {
    let upstream = Upstream::start().await;
    let server = Server::of(guests::FETCH).await;
    for _ in 0..3 {
        let reply = server.send(Ask::fetch(&upstream.url("/"))).await;
        assert_eq!((reply.status.as_u16(), reply.text().as_str()), (502, "HTTP-request-denied\n"));
    }
    assert_eq!(upstream.accepted(), 0);
    let mut log = server.log();
    log.retain(|line| line.message().contains("outbound.allow"));
    assert_eq!(log.len(), 1, "{log:?}");
    assert!(log[0].message().contains(&upstream.origin()), "{}", log[0]);
}

#[tokio::test]
async fn only_the_very_origin_that_is_allowed_is_called() {
    let (allowed, other) = (Upstream::start().await, Upstream::start().await);
    let server = server_for(&allowed).await;
    for url in [
        other.url("/"),
        format!("https://127.0.0.1:{}/", allowed.port()),
        format!("http://localhost:{}/", allowed.port()),
        format!("http://127.0.0.1:{}@127.0.0.1:{}/", allowed.port(), other.port()),
        "http://127.0.0.1/".to_owned(),
    ] {
        let reply = server.send(Ask::fetch(&url)).await;
        assert_eq!(reply.status, 502, "{url}");
        assert_eq!(reply.text(), "HTTP-request-denied\n", "{url}");
    }
    assert_eq!((allowed.accepted(), other.accepted()), (0, 0));
    assert_eq!(server.send(Ask::fetch(&allowed.url("/"))).await.ok(), "upstream\n");
}

#[tokio::test]
async fn a_refused_connection_is_an_error_of_its_own() {
    let closed = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("a port");
    let origin = format!("http://{closed}");
    let builder = Server::builder().guest(guests::FETCH).flag("--outbound-allow", origin.as_str());
    let server = builder.start().await;
    let reply = server.send(Ask::fetch(&format!("{origin}/"))).await;
    assert_eq!((reply.status.as_u16(), reply.text().as_str()), (502, "connection-refused\n"));
}

#[tokio::test]
async fn an_upstream_that_hangs_up_is_an_error_of_its_own() {
    let upstream = Upstream::start().await;
    let server = server_for(&upstream).await;
    let reply = server.send(Ask::fetch(&upstream.url("/close"))).await;
    assert_eq!((reply.status.as_u16(), reply.text().as_str()), (502, "HTTP-response-incomplete\n"));
}

#[tokio::test]
async fn an_upstream_that_does_not_answer_is_given_up() {
    let upstream = Upstream::start().await;
    let server = server(&upstream, "--outbound-first-byte-timeout", "300ms").await;
    let (elapsed, reply) = timed(server.send(Ask::fetch(&upstream.url("/held")))).await;
    assert_eq!((reply.status.as_u16(), reply.text().as_str()), (502, "connection-read-timeout\n"));
    assert!(elapsed >= Duration::from_millis(300), "it was given up after {elapsed:?}");
    assert!(elapsed < SOON, "it was given up only after {elapsed:?}");
    upstream.wait_until_left_alone().await;
}

#[tokio::test]
async fn an_upstream_that_falls_silent_is_given_up() {
    let upstream = Upstream::start().await;
    let server = server(&upstream, "--outbound-between-bytes-timeout", "300ms").await;
    let mut connection = server.connect().await;
    let asking = connection.try_send(Ask::fetch(&upstream.url("/half")));
    let (elapsed, result) = timed(asking).await;
    let broken = result.expect_err("half of a response is not a whole one");
    assert_eq!(broken.body, "first", "{broken}");
    assert!(elapsed < SOON, "it was given up only after {elapsed:?}");
    upstream.wait_until_left_alone().await;
}

#[tokio::test]
async fn a_response_cut_short_upstream_is_cut_short_here() {
    let upstream = Upstream::start().await;
    let server = server_for(&upstream).await;
    let result = server.connect().await.try_send(Ask::fetch(&upstream.url("/cut"))).await;
    let broken = result.expect_err("half of a response is not a whole one");
    assert_eq!(broken.body, "upstream\n", "{broken}");
}

#[tokio::test]
async fn connections_are_used_again() {
    let upstream = Upstream::start().await;
    let server = server_for(&upstream).await;
    for _ in 0..20 {
        assert_eq!(server.send(Ask::fetch(&upstream.url("/"))).await.ok(), "upstream\n");
    }
    assert_eq!((upstream.requests(), upstream.accepted()), (20, 1));
}

#[tokio::test]
async fn one_upstream_takes_only_so_many_places() {
    let (upstream, other) = (Upstream::start().await, Upstream::start().await);
    let builder = Server::builder().guest(guests::FETCH).flag("--outbound-max-per-host", "2");
    let builder = builder.flag("--outbound-connect-timeout", "300ms");
    let both = format!("{},{}", upstream.origin(), other.origin());
    let server = builder.flag("--outbound-allow", both).start().await;

    let held = [server.hold(&upstream).await, server.hold(&upstream).await];
    let third = server.send(Ask::fetch(&upstream.url("/"))).await;
    assert_eq!((third.status.as_u16(), third.text().as_str()), (502, "connection-limit-reached\n"));
    assert_eq!(server.send(Ask::fetch(&other.url("/"))).await.ok(), "upstream\n");
    upstream.release();
    for held in held {
        held.is_answered().await;
    }
    assert_eq!(server.send(Ask::fetch(&upstream.url("/"))).await.ok(), "upstream\n");
}

#[tokio::test]
async fn a_response_comes_through_as_it_comes() {
    let upstream = Upstream::start().await;
    let server = server_for(&upstream).await;
    let mut connection = server.connect().await;
    let mut response = connection.open(Ask::fetch(&upstream.url("/half"))).await;
    response.finish();
    assert_eq!(response.read_exactly(5).await, b"first");
    upstream.release();
    assert_eq!(response.read_exactly(6).await, b"second");
    assert_eq!(response.read().await, None);
}

#[tokio::test]
async fn a_request_goes_out_as_it_comes() {
    let upstream = Upstream::start().await;
    let server = server_for(&upstream).await;
    let mut connection = server.connect().await;
    let mut exchange = connection.open(Ask::fetch_post(&upstream.url("/echo"))).await;
    for chunk in ["one", "and another"] {
        exchange.write(chunk).await;
        assert_eq!(exchange.read_exactly(chunk.len()).await, chunk.as_bytes());
    }
    exchange.finish();
    assert_eq!(exchange.read().await, None);
}

#[tokio::test]
async fn a_long_body_passes_both_ways() {
    let upstream = Upstream::start().await;
    let server = server_for(&upstream).await;
    let body = noise(10 * 1024 * 1024);
    let reply = server.send(Ask::fetch_post(&upstream.url("/echo")).body(body.clone())).await;
    assert_eq!(reply.status, 200);
    assert_same(&reply.body, &body);
}

#[tokio::test]
async fn a_client_that_goes_away_takes_the_request_to_the_upstream_along() {
    let upstream = Upstream::start().await;
    let server = server_for(&upstream).await;
    drop(server.hold(&upstream).await);
    upstream.wait_until_left_alone().await;
}

#[tokio::test]
async fn a_client_that_goes_away_amid_the_response_takes_it_along() {
    let upstream = Upstream::start().await;
    let server = server_for(&upstream).await;
    let mut connection = server.connect().await;
    let mut exchange = connection.open(Ask::fetch(&upstream.url("/half"))).await;
    exchange.finish();
    assert_eq!(exchange.read_exactly(5).await, b"first");
    drop((exchange, connection));
    upstream.wait_until_left_alone().await;
}

#[tokio::test]
async fn a_certificate_that_nobody_trusts_is_an_error_of_its_own() {
    let upstream = Upstream::start_tls(&Certificate::of_localhost()).await;
    let server = server_for(&upstream).await;
    let reply = server.send(Ask::fetch(&upstream.url("/"))).await;
    assert_eq!((reply.status.as_u16(), reply.text().as_str()), (502, "TLS-certificate-error\n"));
    assert_eq!(upstream.requests(), 0);
}

#[tokio::test]
async fn a_certificate_that_the_machine_trusts_is_enough() {
    let certificate = Certificate::of_localhost();
    let upstream = Upstream::start_tls(&certificate).await;
    let builder = Server::builder().guest(guests::FETCH).file("roots.pem", certificate.pem());
    let roots = builder.path("roots.pem");
    let builder = builder.environment("SSL_CERT_FILE", roots);
    let server = builder.flag("--outbound-allow", upstream.origin()).start().await;
    assert_eq!(server.send(Ask::fetch(&upstream.url("/"))).await.ok(), "upstream\n");
}
