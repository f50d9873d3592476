//! How many idle connections a worker keeps (S22).

use std::time::Duration;

use remuda_tests::{Ask, Raw, Server, guests, guests::Guest, wait, wait::timed};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

/// Less than the keep-alive timeout, which is not set.
const SOON: Duration = Duration::from_secs(8);

async fn server(guest: Guest, cap: usize) -> Server {
    Server::builder().guest(guest).flag("--max-keep-alive", cap.to_string()).start().await
}

/// Asks once; whether the server says that it closes the connection.
async fn is_told_to_close(client: &mut Raw) -> bool {
    client.send(GET).await;
    let head = client.read_head().await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    client.read_through("Hello, world!\n").await;
    head.contains("connection: close\r\n")
}

#[tokio::test]
async fn one_connection_too_many_is_told_to_close() {
    let server = server(guests::HELLO, 2).await;
    let mut kept = [server.connect_raw().await, server.connect_raw().await];
    for client in &mut kept {
        assert!(!is_told_to_close(client).await);
    }
    let mut third = server.connect_raw().await;
    assert!(is_told_to_close(&mut third).await);
    let (elapsed, rest) = timed(third.read_to_end()).await;
    assert_eq!(rest, "");
    assert!(elapsed < SOON, "it was closed after {elapsed:?}");
    // Those that are kept stay, for as many requests as they like.
    for client in &mut kept {
        assert!(!is_told_to_close(client).await);
        assert!(!is_told_to_close(client).await);
    }
    // And leave their places to others.
    drop(kept);
    wait::until_async("a place among the idle connections", async || {
        (!is_told_to_close(&mut server.connect_raw().await).await).then_some(())
    })
    .await;
}

#[tokio::test]
async fn without_a_cap_all_are_kept() {
    let server = Server::of(guests::HELLO).await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = server.connect_raw().await;
        assert!(!is_told_to_close(&mut client).await);
        clients.push(client);
    }
}

#[tokio::test]
async fn connections_in_use_are_not_touched() {
    let server = server(guests::MISBEHAVE, 1).await;
    let _idle = server.connect_raw().await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = server.connect().await;
        let ask = Ask::get("/slow-body?chunks=3&ms=700");
        clients.push(tokio::spawn(async move { client.send(ask).await.ok() }));
        let mut client = server.connect_http2().await;
        let asks = ["/sleep?ms=2000", "/slow-body?chunks=3&ms=700"];
        clients.push(tokio::spawn(async move {
            let mut other = client.multiplexed();
            let (first, second) = tokio::join!(client.get(asks[0]), other.get(asks[1]));
            assert_eq!(first.ok(), "ok\n");
            second.ok()
        }));
    }
    for client in clients {
        assert_eq!(client.await.expect("no panic"), "chunk 0\nchunk 1\nchunk 2\n");
    }
}

#[tokio::test]
async fn one_too_many_that_never_asks_is_closed() {
    let server = server(guests::HELLO, 1).await;
    let mut first = server.connect_raw().await;
    assert!(!is_told_to_close(&mut first).await);
    let mut second = server.connect_raw().await;
    let (elapsed, rest) = timed(second.read_to_end()).await;
    assert_eq!(rest, "");
    assert!(elapsed >= Duration::from_millis(500), "it was closed after {elapsed:?}");
    assert!(elapsed < SOON, "it was closed after {elapsed:?}");
    assert!(!is_told_to_close(&mut first).await);
}

#[tokio::test]
async fn one_too_many_of_http2_is_told_to_go_away() {
    let server = server(guests::HELLO, 1).await;
    let mut kept = server.connect_raw().await;
    assert!(!is_told_to_close(&mut kept).await);
    let mut connection = server.connect_http2().await;
    assert_eq!(connection.get("/").await.ok(), "Hello, world!\n");
    let (elapsed, ()) = timed(connection.closed()).await;
    assert!(elapsed < Duration::from_millis(900), "it went away after {elapsed:?}");
    assert!(!is_told_to_close(&mut kept).await);
}

#[tokio::test]
async fn one_of_http2_that_does_not_go_away_is_closed() {
    use remuda_tests::http2::{self, GOAWAY, HEADERS, INITIAL_WINDOW_SIZE};

    let server = server(guests::HELLO, 1).await;
    let mut kept = server.connect_raw().await;
    assert!(!is_told_to_close(&mut kept).await);
    let mut client = server.connect_raw().await;
    client.send([http2::preface(INITIAL_WINDOW_SIZE, 65_535), http2::get(1, "/")].concat()).await;
    // It answers no PING, by which the server would see that it knows.
    let (elapsed, frames) = timed(client.read_frames_to_end()).await;
    assert!(elapsed < SOON, "it was closed after {elapsed:?}");
    let kinds: Vec<u8> = frames.iter().map(|frame| frame.kind).collect();
    assert!(kinds.contains(&HEADERS) && kinds.contains(&GOAWAY), "{kinds:?}");
}
