//! Requests that two parsers could understand in two ways are refused, in the spirit of the
//! published collections on request smuggling.

use remuda_tests::{Ask, Server, guests};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n";
const POST: &str = "POST / HTTP/1.1\r\nhost: a\r\n";
const CHUNKED: &str = "transfer-encoding: chunked\r\n";

/// What is wrong, and the request.
fn ambiguous() -> Vec<(&'static str, String)> {
    let fields = |start: &str, fields: &str| format!("{start}{fields}\r\n");
    let chunks = "0\r\n\r\n";
    vec![
        ("CL.TE", fields(POST, &format!("content-length: 6\r\n{CHUNKED}")) + chunks + "G"),
        ("TE.CL", fields(POST, &format!("{CHUNKED}content-length: 4\r\n")) + chunks),
        ("TE.TE, twice", fields(POST, &format!("{CHUNKED}{CHUNKED}")) + chunks),
        ("TE.TE, x", fields(POST, &format!("{CHUNKED}transfer-encoding: x\r\n")) + chunks),
        ("TE, identity", fields(POST, "transfer-encoding: identity\r\n") + "x"),
        ("TE, list", fields(POST, "transfer-encoding: gzip, chunked\r\n") + chunks),
        ("TE, twice in one", fields(POST, "transfer-encoding: chunked, chunked\r\n") + chunks),
        ("TE, quoted", fields(POST, "transfer-encoding: \"chunked\"\r\n") + chunks),
        ("TE, vertical tab", fields(POST, "transfer-encoding:\x0bchunked\r\n") + chunks),
        ("TE, space before the colon", fields(POST, "transfer-encoding : chunked\r\n") + chunks),
        ("TE, tab before the colon", fields(POST, "transfer-encoding\t: chunked\r\n") + chunks),
        ("TE, on a second line", fields(POST, "transfer-encoding:\r\n chunked\r\n") + chunks),
        ("TE, NUL", fields(POST, "transfer-encoding: chunked\0\r\n") + chunks),
        ("TE in HTTP/1.0", format!("POST / HTTP/1.0\r\n{CHUNKED}\r\n{chunks}")),
        ("CL, twice, the same", fields(POST, "content-length: 1\r\ncontent-length: 1\r\n") + "x"),
        ("CL, twice", fields(POST, "content-length: 1\r\ncontent-length: 2\r\n") + "xx"),
        ("CL, list", fields(POST, "content-length: 1, 1\r\n") + "x"),
        ("CL, plus", fields(POST, "content-length: +1\r\n") + "x"),
        ("CL, minus", fields(POST, "content-length: -1\r\n") + "x"),
        ("CL, hexadecimal", fields(POST, "content-length: 0x1\r\n") + "x"),
        ("CL, two words", fields(POST, "content-length: 1 2\r\n") + "x"),
        ("CL, empty", fields(POST, "content-length:\r\n") + "x"),
        ("CL, 2^63", fields(POST, "content-length: 9223372036854775808\r\n")),
        ("CL, the largest number", fields(POST, "content-length: 18446744073709551615\r\n")),
        ("CL, the one before it", fields(POST, "content-length: 18446744073709551614\r\n")),
        ("CL, too many digits", fields(POST, "content-length: 99999999999999999999\r\n")),
        ("CL, space before the colon", fields(POST, "content-length : 1\r\n") + "x"),
        ("CL, on a second line", fields(POST, "content-length:\r\n 1\r\n") + "x"),
        ("a field on a second line", fields(GET, "x: y\r\n z\r\n")),
        ("a field on a second line, tab", fields(GET, "x: y\r\n\tz\r\n")),
        ("a first field that begins with a space", "GET / HTTP/1.1\r\n host: a\r\n\r\n".into()),
        ("bare LF after the request line", "GET / HTTP/1.1\nhost: a\r\n\r\n".into()),
        ("bare LF after a field", fields(GET, "x: y\n")),
        ("bare LF at the end", format!("{GET}\n")),
        ("bare LF everywhere", "GET / HTTP/1.1\nhost: a\n\n".into()),
        ("bare CR in a value", fields(GET, "x: a\rb\r\n")),
        ("NUL in a value", fields(GET, "x: a\0b\r\n")),
        ("NUL in a name", fields(GET, "x\0: y\r\n")),
        ("a control character", fields(GET, "x: \x01\r\n")),
        ("DEL", fields(GET, "x: \x7f\r\n")),
        ("no colon", fields(GET, "x\r\n")),
        ("no name", fields(GET, ": y\r\n")),
        ("a space in a name", fields(GET, "x y: z\r\n")),
        ("two spaces after the method", "GET  / HTTP/1.1\r\nhost: a\r\n\r\n".into()),
        ("a space after the version", "GET / HTTP/1.1 \r\nhost: a\r\n\r\n".into()),
        ("a space in the target", "GET /a b HTTP/1.1\r\nhost: a\r\n\r\n".into()),
        ("a tab in the target", "GET /\ta HTTP/1.1\r\nhost: a\r\n\r\n".into()),
        ("no version", "GET /\r\nhost: a\r\n\r\n".into()),
        ("an unknown version", "GET / HTTP/1.2\r\nhost: a\r\n\r\n".into()),
        ("a version in small letters", "GET / http/1.1\r\nhost: a\r\n\r\n".into()),
        ("HTTP/2 without its preface", "GET / HTTP/2.0\r\nhost: a\r\n\r\n".into()),
        ("a method that is none", "G(T / HTTP/1.1\r\nhost: a\r\n\r\n".into()),
        ("a space before the method", " GET / HTTP/1.1\r\nhost: a\r\n\r\n".into()),
        ("empty lines before", format!("\r\n\r\n\r\n{GET}\r\n")),
        ("no Host", "GET / HTTP/1.1\r\n\r\n".into()),
        ("two Hosts", fields(GET, "host: a\r\n")),
        ("a Host that is none", "GET / HTTP/1.1\r\nhost: a b\r\n\r\n".into()),
        ("target and Host disagree", "GET http://b/ HTTP/1.1\r\nhost: a\r\n\r\n".into()),
        ("target and two Hosts", "GET http://a/ HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n".into()),
        ("a user in Host", "GET / HTTP/1.1\r\nhost: u@a\r\n\r\n".into()),
        ("a user in the target", "GET http://u@a/ HTTP/1.1\r\nhost: u@a\r\n\r\n".into()),
        ("a port that is no number", "GET / HTTP/1.1\r\nhost: a:b\r\n\r\n".into()),
        ("a port beyond the last", "GET / HTTP/1.1\r\nhost: a:65536\r\n\r\n".into()),
        ("such a port in the target", "GET http://a:65536/ HTTP/1.1\r\n\r\n".into()),
        ("a target of another scheme", "GET ftp://a/ HTTP/1.1\r\nhost: a\r\n\r\n".into()),
        ("CONNECT", "CONNECT a:80 HTTP/1.1\r\nhost: a:80\r\n\r\n".into()),
        ("TLS", "\x16\x03\x01\x02\0\x01\0\r\n".into()),
    ]
}

#[tokio::test]
#[expect(clippy::print_stderr, reason = "the number is worth knowing")]
async fn what_could_mean_two_things_is_400_and_ends_the_connection() {
    let server = Server::builder().guest(guests::ECHO).with_admin().start().await;
    let requests = ambiguous();
    for (what, request) in &requests {
        let mut client = server.connect_raw().await;
        client.send(request).await;
        let response = client.read_to_end().await;
        assert!(response.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{what}: {response:?}");
        for part in [
            "proxy-status: remuda; error=http_request_error; details=\"bad_request\"\r\n",
            "connection: close\r\n",
            "\r\n\r\nthe request is not valid HTTP: ",
        ] {
            assert!(response.contains(part), "{what}: {response:?} lacks {part:?}");
        }
        assert_eq!(response.matches("HTTP/1.1 ").count(), 1, "{what}: {response:?}");
    }
    let counted = server.metrics().await;
    let counted = counted.sum("remuda_rejected_total", &[("reason", "bad_request")]);
    assert_eq!(counted, requests.len() as f64);
    eprintln!("{} ambiguous or malformed requests refused", requests.len());
    assert_eq!(server.get("/").await.status, 200);
}

#[tokio::test]
async fn what_comes_before_is_answered_and_nothing_after() {
    let server = Server::of(guests::HELLO_P2).await;
    for (what, request) in ambiguous() {
        let mut client = server.connect_raw().await;
        client.send(format!("{GET}\r\n{request}{GET}\r\n")).await;
        let responses = client.read_to_end().await;
        assert!(responses.starts_with("HTTP/1.1 200 OK\r\n"), "{what}: {responses:?}");
        assert_eq!(responses.matches("HTTP/1.1 400 ").count(), 1, "{what}: {responses:?}");
        assert_eq!(responses.matches("HTTP/1.1 200 ").count(), 1, "{what}: {responses:?}");
    }
}

#[tokio::test]
async fn nothing_is_answered_after_a_body_that_is_malformed() {
    for guest in [guests::ECHO, guests::HELLO_P2] {
        let server = Server::of(guest).await;
        for body in [
            "4;x=\x01\r\nGET \r\n0\r\n\r\n",
            "4;x=\r;\r\nGET \r\n0\r\n\r\n",
            "4\nGET \r\n0\r\n\r\n",
            "4\r\nGET /\r\n0\r\n\r\n",
            "0\r\nx: y\n\r\n\r\n",
            "0\r\nx: y\n\nGET / HTTP/1.1\nhost: a\r\n\r\n",
            "0\r\nx y: z\r\n\r\n",
        ] {
            let mut client = server.connect_raw().await;
            client.send(format!("{POST}{CHUNKED}\r\n{body}{GET}\r\n{GET}\r\n")).await;
            let responses = client.read_to_end().await;
            assert_eq!(responses.matches("HTTP/1.1 ").count(), 1, "{body:?}: {responses:?}");
        }
        assert_eq!(server.get("/").await.status, 200);
    }
}

#[tokio::test]
async fn pipelined_requests_with_bodies_keep_their_borders() {
    let server = Server::of(guests::ECHO).await;
    let mut client = server.connect_raw().await;
    let sized = format!("{POST}content-length: 5\r\n\r\nGET /");
    let chunked = format!("{POST}{CHUNKED}\r\n4;x=y\r\nGET \r\n1\r\n/\r\n0\r\nx: y\r\n\r\n");
    let last = format!("{GET}connection: close\r\n\r\n");
    client.send(format!("\r\n{sized}{chunked}{sized}{last}")).await;
    let responses = client.read_to_end().await;
    assert_eq!(responses.matches("HTTP/1.1 200 OK\r\n").count(), 4, "{responses:?}");
    assert_eq!(responses.matches("\r\n\r\nGET /HTTP/1.1 ").count(), 2, "{responses:?}");
    assert!(responses.contains("4\r\nGET \r\n1\r\n/\r\n0\r\n"), "{responses:?}");
}

#[tokio::test]
async fn a_request_that_comes_byte_by_byte_is_understood() {
    let server = Server::of(guests::ECHO).await;
    let mut client = server.connect_raw().await;
    for byte in format!("{POST}{CHUNKED}connection: close\r\n\r\n5\r\nhello\r\n0\r\n\r\n").bytes() {
        client.send([byte]).await;
    }
    let response = client.read_to_end().await;
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response:?}");
    let mut http2 = server.connect_http2().await;
    assert_eq!(http2.send(Ask::post("/").body("hello")).await.ok(), "hello");
}
