//! Where the server listens, and how long it keeps a connection that is not used.

use std::{os::unix::net::UnixListener, time::Duration};

use remuda_tests::{
    Ask, Connection, Raw, Reply, Server, guests,
    sandbox::Sandbox,
    wait::{self, timed},
};

/// Much more than the timers below, less than those that are not set.
const SOON: Duration = Duration::from_secs(5);

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let builder = Server::builder().guest(guests::HELLO).flag("--keep-alive-timeout", "500ms");
    let server = builder.start().await;
    let mut client = server.connect_raw().await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    client.read_through("Hello, world!\n").await;
    let (elapsed, rest) = timed(client.read_to_end()).await;
    assert_eq!(rest, "");
    assert!(elapsed >= Duration::from_millis(400), "it was closed after {elapsed:?}");
    assert!(elapsed < SOON, "it was closed after {elapsed:?}");
}

#[tokio::test]
async fn a_connection_that_never_asks_is_closed() {
    let builder = Server::builder().guest(guests::HELLO).flag("--keep-alive-timeout", "500ms");
    let server = builder.start().await;
    let mut client = server.connect_raw().await;
    let (elapsed, rest) = timed(client.read_to_end()).await;
    assert_eq!(rest, "");
    assert!(elapsed < SOON, "it was closed after {elapsed:?}");
}

#[tokio::test]
async fn an_idle_connection_of_http2_is_closed() {
    let builder = Server::builder().guest(guests::HELLO).flag("--keep-alive-timeout", "500ms");
    let server = builder.start().await;
    let mut connection = server.connect_http2().await;
    assert_eq!(connection.get("/").await.status, 200);
    let (elapsed, ()) = timed(connection.closed()).await;
    assert!(elapsed < SOON, "it was closed after {elapsed:?}");
}

#[tokio::test]
async fn a_connection_in_use_is_not_closed() {
    let builder = Server::builder().guest(guests::MISBEHAVE).flag("--keep-alive-timeout", "300ms");
    let server = builder.start().await;
    stays_open(server.connect().await).await;
    stays_open(server.connect_http2().await).await;
}

async fn stays_open(mut connection: Connection) {
    assert_eq!(connection.get("/sleep?ms=1000").await.ok(), "ok\n");
    let slow = connection.get("/slow-body?chunks=2&ms=1000").await;
    assert_eq!(slow.ok(), "chunk 0\nchunk 1\n");
}

#[tokio::test]
async fn a_head_that_never_ends_is_408() {
    let builder = Server::builder().guest(guests::HELLO).flag("--header-timeout", "500ms");
    let server = builder.start().await;
    let mut client = server.connect_raw().await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\nx-slow:").await;
    let (elapsed, response) = timed(client.read_to_end()).await;
    assert!(elapsed >= Duration::from_millis(400), "it was given up after {elapsed:?}");
    assert!(elapsed < SOON, "it was given up after {elapsed:?}");
    assert!(response.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{response:?}");
    assert!(response.contains("details=\"header_timeout\"\r\n"), "{response}");
}

/// Whatever of it has come: hyper reads more than once to find out which protocol it is.
#[tokio::test]
async fn a_head_that_never_ends_is_408_once() {
    let builder = Server::builder().guest(guests::HELLO).flag("--header-timeout", "300ms");
    let server = builder.start().await;
    for start in ["G", "GET / HT", "GET / HTTP/1.1\r\n", "PRI", "PRI * HTTP/2.0\r\n"] {
        let mut client = server.connect_raw().await;
        client.send(start).await;
        let response = client.read_to_end().await;
        assert_eq!(Reply::parse(&response).status, 408, "{start:?}: {response:?}");
    }
}

#[tokio::test]
async fn a_head_that_trickles_in_is_given_up() {
    let builder = Server::builder().guest(guests::HELLO).flag("--header-timeout", "500ms");
    let server = builder.start().await;
    let mut client = server.connect_raw().await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n").await;
    let trickle = async {
        while client.try_send("x: y\r\n").await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let (elapsed, ()) = timed(trickle).await;
    assert!(elapsed < SOON, "it was given up after {elapsed:?}");
}

#[tokio::test]
async fn a_second_head_has_the_same_time() {
    let builder = Server::builder().guest(guests::HELLO).flag("--header-timeout", "500ms");
    let server = builder.start().await;
    let mut client = server.connect_raw().await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    client.read_through("Hello, world!\n").await;
    client.send("GET / HTTP").await;
    let (elapsed, _) = timed(client.read_to_end()).await;
    assert!(elapsed < SOON, "it was given up after {elapsed:?}");
}

/// Its first bytes were read together with the first request, so that its own time cannot
/// be told from the idle time of the connection.
#[tokio::test]
async fn a_second_head_that_came_with_the_first_ends_with_the_connection() {
    let builder = Server::builder().guest(guests::HELLO).flag("--keep-alive-timeout", "500ms");
    let server = builder.start().await;
    let mut client = server.connect_raw().await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\nGET / HTTP").await;
    let (elapsed, response) = timed(client.read_to_end()).await;
    assert!(response.contains("Hello, world!\n"), "{response}");
    assert!(elapsed < SOON, "it was given up after {elapsed:?}");
}

#[tokio::test]
async fn several_addresses_are_served() {
    let folder = Sandbox::default();
    let socket = folder.path("app.sock");
    let builder = Server::builder().guest(guests::HELLO).bind("127.0.0.1:0").bind("127.0.0.1:0");
    let server = builder.bind(&format!("unix:{}", socket.display())).start().await;
    let addresses = server.tcp_addresses();
    assert_eq!(addresses.len(), 2);
    assert_ne!(addresses[0], addresses[1]);
    for address in addresses {
        let mut connection = Connection::http1(address).await.expect("a connection");
        assert_eq!(connection.get("/").await.ok(), "Hello, world!\n");
    }
    let mut connection = Connection::unix(&socket).await.expect("a connection");
    assert_eq!(connection.send(Ask::get("/")).await.ok(), "Hello, world!\n");
}

#[tokio::test]
async fn a_unix_socket_is_removed_at_the_end() {
    let folder = Sandbox::default();
    let socket = folder.path("app.sock");
    let builder = Server::builder().guest(guests::HELLO_P2).workers(2);
    let mut server = builder.bind(&format!("unix:{}", socket.display())).start().await;
    for _ in 0..10 {
        let mut connection = Connection::unix(&socket).await.expect("a connection");
        assert_eq!(connection.get("/").await.ok(), "Hello, world!\n");
    }
    server.terminate();
    assert_eq!(server.exit_code().await, Some(0));
    assert!(!socket.exists());
}

#[tokio::test]
async fn a_stale_unix_socket_is_replaced() {
    let folder = Sandbox::default();
    let socket = folder.path("app.sock");
    drop(UnixListener::bind(&socket).expect("a socket"));
    assert!(socket.exists());
    let builder = Server::builder().guest(guests::HELLO);
    let _server = builder.bind(&format!("unix:{}", socket.display())).start().await;
    let mut connection = Connection::unix(&socket).await.expect("a connection");
    assert_eq!(connection.get("/").await.ok(), "Hello, world!\n");
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_their_turn() {
    let builder = Server::builder().guest(guests::HELLO).flag("--max-connections", "2");
    let server = builder.start().await;
    let mut open = [server.connect().await, server.connect().await];
    for connection in &mut open {
        assert_eq!(connection.get("/").await.status, 200);
    }
    let mut third = server.connect_raw().await;
    third.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    for connection in &mut open {
        assert_eq!(connection.get("/").await.status, 200);
    }
    assert_eq!(third.received(), "");
    drop(open);
    third.read_through("Hello, world!\n").await;
}

/// A guest that does not read the body has nobody notice what becomes of it.
#[tokio::test]
async fn a_client_that_leaves_before_its_body_is_complete_is_noticed() {
    type Leave = fn(Raw);
    let leaves: [(&str, Leave); 2] = [("closes", drop), ("resets", Raw::reset)];
    for path in ["/never", "/spin"] {
        let builder = Server::builder().guest(guests::MISBEHAVE).flag("--cpu-time", "60s");
        let server = builder.flag("--request-timeout", "60s").start().await;
        for (how, leave) in leaves {
            // The last is no request yet, and more than is kept of one.
            let garbage = format!("content-length: 3\r\n\r\nabc{}", "G".repeat(100_000));
            for body in [
                "content-length: 3\r\n\r\nab",
                "transfer-encoding: chunked\r\n\r\n5\r\nab",
                &garbage,
            ] {
                let mut client = server.connect_raw().await;
                client.send(format!("POST {path} HTTP/1.1\r\nhost: a\r\n{body}")).await;
                in_flight(&server, 1.0).await;
                let (elapsed, ()) = timed(async {
                    leave(client);
                    in_flight(&server, 0.0).await;
                })
                .await;
                assert!(elapsed < LONG, "{path}, a client that {how}: {elapsed:?}");
            }
        }
    }
}

/// Less than the time limits above.
const LONG: Duration = Duration::from_secs(30);

async fn in_flight(server: &Server, count: f64) {
    wait::until_async("so many requests to be in flight", async || {
        (server.metrics().await.value("remuda_in_flight", &[]) == count).then_some(())
    })
    .await;
}

/// One that is answered before it has sent everything, and reads only then.
#[tokio::test]
async fn a_client_that_sends_more_than_is_read_gets_its_answer() {
    let server = Server::of(guests::MISBEHAVE).await;
    let head = |length| format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n");
    let large = vec![b'x'; 8 << 20];
    let long_head = format!("GET / HTTP/1.1\r\nhost: a\r\na: {}", "a".repeat(8 << 20));
    for (request, answer) in [
        ([head(large.len()).as_bytes(), &large].concat(), "HTTP/1.1 200 OK"),
        ([head(large.len() + 1).as_bytes(), &large].concat(), "HTTP/1.1 200 OK"),
        (long_head.into_bytes(), "HTTP/1.1 431 Request Header Fields Too Large"),
    ] {
        let mut client = server.connect_raw().await;
        assert!(client.try_send(&request).await, "the server has reset the connection");
        let head = client.read_head().await;
        assert!(head.starts_with(answer), "{head}");
    }
    in_flight(&server, 0.0).await;
}

/// One that has sent a part of its body and takes its time.
#[tokio::test]
async fn a_client_that_pauses_amid_its_body_is_waited_for() {
    let server = Server::of(guests::MISBEHAVE).await;
    let mut client = server.connect_raw().await;
    client.send("POST /sleep?ms=3500 HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nab").await;
    client.read_through("ok\n").await;
}
