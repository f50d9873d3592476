//! HTTP as its clients expect it, and a clear no to what is not HTTP.

use remuda_tests::{Ask, Server, guests, noise::noise};

#[tokio::test]
async fn head_is_answered_with_a_length_and_no_body() {
    for guest in [guests::HELLO, guests::HELLO_P2] {
        let server = Server::of(guest).await;
        let mut client = server.connect_raw().await;
        // Had the response a body, the next one would not begin where it must.
        for _ in 0..2 {
            client.send("HEAD / HTTP/1.1\r\nhost: a\r\n\r\n").await;
            let head = client.read_head().await;
            assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
            assert!(head.contains("content-length: 14\r\n"), "{}: {head}", guest.name);
        }
        let reply = server.connect_http2().await.send(Ask::head("/")).await;
        assert_eq!((reply.header("content-length"), reply.text().as_str()), ("14", ""));
    }
}

#[tokio::test]
async fn a_short_response_has_a_content_length() {
    for guest in [guests::HELLO, guests::HELLO_P2] {
        let server = Server::of(guest).await;
        let mut client = server.connect_raw().await;
        client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let head = client.read_head().await;
        assert!(head.contains("content-length: 14\r\n"), "{}: {head}", guest.name);
        assert!(!head.contains("transfer-encoding"), "{}: {head}", guest.name);
        assert_eq!(client.read_exactly(14).await, "Hello, world!\n");
    }
}

#[tokio::test]
async fn requests_that_come_together_are_answered_in_their_order() {
    let server = Server::of(guests::ECHO).await;
    let mut client = server.connect_raw().await;
    let post = |body| format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\n{body}");
    client.send([post("ping"), post("pong")].concat()).await;
    for body in ["ping", "pong"] {
        assert!(client.read_head().await.starts_with("HTTP/1.1 200 OK\r\n"));
        client.read_through(body).await;
    }
}

#[tokio::test]
async fn a_client_that_expects_it_is_told_to_continue() {
    let server = Server::of(guests::ECHO).await;
    let mut client = server.connect_raw().await;
    let head = "POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n";
    client.send(head).await;
    assert_eq!(client.read_head().await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("ping").await;
    assert!(client.read_head().await.starts_with("HTTP/1.1 200 OK\r\n"));
    client.read_through("ping").await;
}

#[tokio::test]
async fn http_1_0_is_answered_without_chunks_and_closed() {
    let server = Server::of(guests::HELLO).await;
    let mut client = server.connect_raw().await;
    client.send("GET / HTTP/1.0\r\n\r\n").await;
    let response = client.read_to_end().await;
    let (head, body) = response.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.0 200 OK\r\n"), "{head}");
    assert!(!head.contains("transfer-encoding"), "{head}");
    assert_eq!(body, "Hello, world!\n");
}

#[tokio::test]
async fn a_long_response_to_http_1_0_ends_with_the_connection() {
    let server = Server::of(guests::MISBEHAVE).await;
    let mut client = server.connect_raw().await;
    client.send("GET /slow-body?chunks=3&ms=100 HTTP/1.0\r\n\r\n").await;
    let response = client.read_to_end().await;
    assert!(response.ends_with("\r\n\r\nchunk 0\nchunk 1\nchunk 2\n"), "{response}");
}

#[tokio::test]
async fn a_head_within_its_size_is_served() {
    let server = Server::of(guests::HELLO).await;
    let ask = Ask::get("/").header("x-long", &"x".repeat(50 * 1024));
    assert_eq!(server.send(ask.clone()).await.ok(), "Hello, world!\n");
    assert_eq!(server.connect_http2().await.send(ask).await.ok(), "Hello, world!\n");
}

#[tokio::test]
async fn a_body_that_is_declared_too_large_is_not_waited_for() {
    let server = server_with_a_small_body().await;
    let mut client = server.connect_raw().await;
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000000\r\n\r\n").await;
    let response = client.read_to_end().await;
    assert!(response.starts_with("HTTP/1.1 413 Payload Too Large\r\n"), "{response}");
    assert!(response.contains("connection: close\r\n"), "{response}");
}

#[tokio::test]
async fn a_client_that_sends_on_can_read_its_413_all_the_same() {
    let server = server_with_a_small_body().await;
    let mut client = server.connect_raw().await;
    let length = 1024 * 1024;
    client.send(format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n")).await;
    // Whether all of it is taken is up to the server.
    client.try_send(noise(length)).await;
    let response = client.read_to_end().await;
    assert!(response.starts_with("HTTP/1.1 413 Payload Too Large\r\n"), "{response:?}");
}

#[tokio::test]
async fn a_body_of_exactly_the_size_is_served() {
    let server = server_with_a_small_body().await;
    let body = noise(1024);
    assert_eq!(server.send(Ask::post("/").body(body.clone())).await.body, body);
    assert_eq!(server.send(Ask::post("/").chunked(&body, 100)).await.body, body);
}

async fn server_with_a_small_body() -> Server {
    Server::builder().guest(guests::ECHO).flag("--max-body", "1KiB").start().await
}
