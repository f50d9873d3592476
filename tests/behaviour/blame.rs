//! Whose fault it is that a request fails: what clients do wrong is not logged as their
//! guest's, nor counted as that.

use remuda_tests::{Ask, Connection, Server, guests, log::Line, noise::noise, server::Builder};

fn builder() -> Builder {
    let builder = Server::builder().flag("--body-timeout", "300ms").flag("--max-body", "1KiB");
    builder.flag("--log-level", "debug")
}

const POST: &str = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";

/// About a request; there is one about the number of workers.
fn assert_nobody_is_warned(server: &Server) {
    let is_warning = |line: &Line| line.text("level") == "WARN" && line.has("request");
    let warnings: Vec<Line> = server.log().into_iter().filter(is_warning).collect();
    assert!(warnings.is_empty(), "{warnings:?}");
}

/// The echo has begun to answer when the body breaks its limit.
#[tokio::test]
async fn a_response_that_breaks_off_for_its_requests_body_is_the_clients_fault() {
    let server = builder().guest(guests::ECHO).start().await;
    let mut stalled = server.connect().await;
    let (mut http1, mut http2) = (server.connect().await, server.connect_http2().await);
    breaks_off(&mut stalled, None).await;
    breaks_off(&mut http1, Some(2000)).await;
    breaks_off(&mut http2, Some(2000)).await;
    let mut malformed = server.connect_raw().await;
    malformed.send(format!("{POST}3\r\none\r\n")).await;
    malformed.read_through("3\r\none\r\n").await;
    malformed.send("no number\r\n").await;
    malformed.read_to_end().await;

    let lines = server.wait_for_lines("response broke off", 4).await;
    for line in &lines {
        assert_eq!((line.text("level"), line.text("route")), ("DEBUG", "/"), "{line}");
        assert_eq!(line.text("request").len(), 16, "{line}");
    }
    let metrics = server.metrics().await;
    for (reason, count) in
        [("body_timeout", 1.0), ("body_too_large", 2.0), ("bad_request", 1.0), ("guest_error", 0.0)]
    {
        let counted = metrics.sum("remuda_responses_broken_off_total", &[("reason", reason)]);
        assert_eq!(counted, count, "{reason}: {metrics}");
    }
    assert_nobody_is_warned(&server);
}

/// Has the echo begin, then sends so much more, or nothing.
async fn breaks_off(connection: &mut Connection, more: Option<usize>) {
    let mut exchange = connection.open(Ask::post("/")).await;
    exchange.write("one").await;
    assert_eq!(exchange.read_exactly(3).await, b"one");
    if let Some(more) = more {
        exchange.write(noise(more)).await;
    }
    while let Ok(read) = exchange.try_read().await {
        assert!(read.is_some(), "it looks complete");
    }
}

/// It is wrong before the echo has begun to answer, and makes it fail.
#[tokio::test]
async fn a_guest_is_not_blamed_for_a_body_that_its_client_got_wrong() {
    let server = builder().guest(guests::ECHO).start().await;
    let large = format!("800\r\n{}\r\n", "x".repeat(0x800));
    for (body, status) in [("no number\r\n", "400"), (&large, "413")] {
        let mut client = server.connect_raw().await;
        client.send(format!("{POST}{body}")).await;
        let answer = client.read_to_end().await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
    let rejected = server.wait_for_lines("rejected", 2).await;
    let reasons: Vec<&str> = rejected.iter().map(|line| line.text("reason")).collect();
    assert_eq!(reasons, ["bad_request", "body_too_large"]);
    assert_nobody_is_warned(&server);
}
