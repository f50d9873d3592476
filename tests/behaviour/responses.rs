//! What a guest may not say in its response.

use remuda_tests::{Server, guests};

/// Fields that are for the connection (RFC 9110, section 7.6.1), and a value of each.
const FOR_THE_CONNECTION: [(&str, &str); 7] = [
    ("connection", "close"),
    ("keep-alive", "timeout=9"),
    ("proxy-connection", "close"),
    ("te", "trailers"),
    ("transfer-encoding", "chunked"),
    ("upgrade", "h2c"),
    ("http2-settings", "AAMAAABkAAQAAP__"),
];

#[tokio::test]
async fn fields_for_the_connection_are_not_a_guests_to_set() {
    let server = Server::of(guests::MISBEHAVE).await;
    let (mut http1, mut http2) = (server.connect_raw().await, server.connect_http2().await);
    // All on the same connections, which would be out of step if one were believed.
    for (name, value) in FOR_THE_CONNECTION {
        let target = format!("/set?name={name}&value={value}");
        http1.send(format!("GET {target} HTTP/1.1\r\nhost: a\r\n\r\n")).await;
        let head = http1.read_head().await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{name}: {head}");
        assert!(!head.contains(&format!("\r\n{name}: ")), "{name}: {head}");
        assert!(head.contains("content-length: "), "{name}: {head}");
        http1.read_through(")\n").await;
        let reply = http2.get(&target).await;
        assert_eq!((reply.status.as_u16(), reply.header(name)), (200, ""), "{name}");
    }
    http1.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    http1.read_through("ok\n").await;
}

#[tokio::test]
async fn a_length_that_is_not_the_bodys_is_no_valid_response() {
    let server = Server::of(guests::MISBEHAVE).await;
    // The body is `Ok(())` and a line feed.
    for length in ["6", "8", "99999", "0"] {
        let target = format!("/set?name=content-length&value={length}");
        for mut connection in [server.connect().await, server.connect_http2().await] {
            match connection.try_send(remuda_tests::Ask::get(&target)).await {
                Ok(reply) => assert_eq!(reply.status, 500, "{length}: {reply:?}"),
                // What was sent before that turned out must not look complete.
                Err(broken) => assert!(broken.body.len() < 8, "{length}: {broken}"),
            }
        }
    }
    let log = server.stderr();
    assert!(log.contains("is not as long as its content-length says"), "{log}");
    assert_eq!(server.get("/set?name=content-length&value=7").await.ok(), "Ok(())\n");
    for no_number in ["x", "-7", "%2B7", "7,7"] {
        let target = format!("/set?name=content-length&value={no_number}");
        assert_eq!(server.get(&target).await.ok(), "Err(HeaderError::InvalidSyntax)\n");
    }
}

#[tokio::test]
async fn what_comes_before_an_answer_is_no_answer() {
    let server = Server::of(guests::MISBEHAVE).await;
    let (mut http1, mut http2) = (server.connect().await, server.connect_http2().await);
    for status in ["100", "101", "103"] {
        let target = format!("/status?code={status}");
        http1.get(&target).await.assert_rejected(500, "guest_error");
        http2.get(&target).await.assert_rejected(500, "guest_error");
    }
    for status in ["100 Continue", "101 Switching Protocols", "103 Early Hints"] {
        let message = format!("guest answered with {status}, which is no final status");
        let lines = server.lines(&message);
        assert_eq!(lines.len(), 2, "{}", server.stderr());
        for line in lines {
            assert_eq!((line.text("level"), line.text("route")), ("WARN", "/"), "{line}");
            assert_eq!(line.text("request").len(), 16, "{line}");
        }
    }
}
