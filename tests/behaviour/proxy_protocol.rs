//! A header of the PROXY protocol before everything else tells who the client is.

use std::{net::Ipv6Addr, time::Duration};

use remuda_tests::{
    Certificate, Connection, Raw, Server, TlsClient, guests,
    log::Line,
    sandbox::Sandbox,
    server::Builder,
    wait::{self, timed},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UnixStream},
};

/// Much more than the timers below, less than those that are not set.
const SOON: Duration = Duration::from_secs(5);

const V1: &str = "PROXY TCP4 192.0.2.1 198.51.100.1 40000 443\r\n";
const GET: &str = "GET /seen HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

fn builder() -> Builder {
    let builder = Server::builder().guest(guests::MISBEHAVE).flag("--proxy-protocol", "on");
    builder.flag("--access-log", "json")
}

/// Version 2, with the command PROXY unless it is said to be LOCAL.
fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).expect("not so long").to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", &[command, family][..], &length, body].concat()
}

fn v2_tcp4() -> Vec<u8> {
    // An extension at the end, of a type that nobody knows.
    let body = [192, 0, 2, 2, 198, 51, 100, 1, 0x9c, 0x40, 0x01, 0xbb, 0xee, 0, 2, b'x', b'\n'];
    v2(0x21, 0x11, &body)
}

fn v2_tcp6() -> Vec<u8> {
    let source: Ipv6Addr = "2001:db8::1".parse().expect("an address");
    v2(0x21, 0x21, &[&source.octets()[..], &[0; 20]].concat())
}

/// The client of the last line of the access log, once there are so many.
async fn client(server: &Server, lines: usize) -> String {
    server.wait_for_output(lines).await;
    let log: Vec<Line> = server.access_log();
    assert_eq!(log.len(), lines);
    log[lines - 1].text("client").to_owned()
}

async fn headers(server: &Server, result: &str) -> f64 {
    server.metrics().await.sum("remuda_proxy_headers_total", &[("result", result)])
}

#[tokio::test]
async fn the_announced_client_is_the_client() {
    let server = builder().start().await;
    let announced = [
        (V1.as_bytes().to_vec(), "192.0.2.1"),
        (v2_tcp4(), "192.0.2.2"),
        (v2_tcp6(), "2001:db8::1"),
        (b"PROXY TCP6 2001:db8::2 ::1 1 2\r\n".to_vec(), "2001:db8::2"),
        // These leave it to the connection.
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
        (v2(0x20, 0x00, &[]), "127.0.0.1"),
        (v2(0x21, 0x00, &[1, 2, 3]), "127.0.0.1"),
    ];
    let count = announced.len();
    for (line, (header, expected)) in announced.into_iter().enumerate() {
        let mut raw = server.connect_raw().await;
        raw.send(&[&header, GET.as_bytes()].concat()).await;
        let answer = raw.read_to_end().await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{expected}: {answer}");
        assert_eq!(client(&server, line + 1).await, expected);
    }
    assert_eq!(headers(&server, "accepted").await, count as f64);
}

#[tokio::test]
async fn it_does_not_matter_how_the_bytes_were_cut() {
    // On a busy machine, seeing each byte read takes its time.
    let server = builder().flag("--header-timeout", "60s").start().await;
    let mut lines = 0;
    for (header, expected) in [(V1.as_bytes().to_vec(), "192.0.2.1"), (v2_tcp4(), "192.0.2.2")] {
        // Bit by bit.
        let mut raw = server.connect_raw().await;
        for byte in &header {
            raw.send_and_see_it_read([*byte]).await;
        }
        raw.send(GET).await;
        assert!(raw.read_to_end().await.starts_with("HTTP/1.1 200 OK\r\n"));
        lines += 1;
        assert_eq!(client(&server, lines).await, expected);
        // In two pieces, the first of which ends everywhere around the header's end.
        let whole = [&header, GET.as_bytes()].concat();
        for cut in header.len() - 2..header.len() + 3 {
            let mut raw = server.connect_raw().await;
            raw.send_and_see_it_read(&whole[..cut]).await;
            raw.send(&whole[cut..]).await;
            assert!(raw.read_to_end().await.starts_with("HTTP/1.1 200 OK\r\n"), "{cut}");
            lines += 1;
            assert_eq!(client(&server, lines).await, expected, "{cut}");
        }
    }
}

#[tokio::test]
async fn http2_and_bodies_follow_it() {
    let server = builder().guest(guests::ECHO).start().await;
    // More than is read together with the header.
    let body = "a body".repeat(10_000);
    let request =
        format!("{V1}POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", body.len());
    let mut raw = server.connect_raw().await;
    raw.send(format!("{request}{body}")).await;
    raw.read_head().await;
    // How it is framed is not what this is about.
    assert!(raw.read_through("a body").await.ends_with("a body"));
    let mut raw = server.connect_raw().await;
    raw.send(format!("{V1}PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")).await;
    // Its own settings.
    assert_eq!(raw.read_frame().await, 4);
}

#[tokio::test]
async fn without_a_header_there_is_no_connection() {
    let server = builder().start().await;
    let long = format!("PROXY UNKNOWN {}", "x".repeat(200));
    let huge = v2(0x21, 0x11, &[0; 5000]);
    let bytes: [&[u8]; 7] = [
        GET.as_bytes(),
        b"\x16\x03\x01",
        b"PROXY TCP4 nonsense\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.1 40000 443\n",
        b"\r\n\r\n\0\r\nQUIT\n\x11\x11\0\0",
        long.as_bytes(),
        &huge,
    ];
    for bytes in bytes {
        let mut raw = server.connect_raw().await;
        raw.try_send(bytes).await;
        let (elapsed, answer) = timed(raw.read_to_end()).await;
        assert_eq!(answer, "", "{bytes:?}");
        assert!(elapsed < SOON, "it was closed after {elapsed:?}");
    }
    assert_eq!(headers(&server, "malformed").await, bytes.len() as f64);
    // One now and then, however many there are.
    let said = server.lines("connection refused: no PROXY header").len();
    assert!((1..bytes.len()).contains(&said), "{said} lines");
    // A check that only connects.
    drop(server.connect_raw().await);
    wait::until_async("its end to be counted", async || {
        (headers(&server, "ended").await == 1.0).then_some(())
    })
    .await;
    assert_eq!(server.stdout(), "");
}

#[tokio::test]
async fn a_header_that_never_ends_is_given_up() {
    let server = builder().flag("--header-timeout", "500ms").start().await;
    for beginning in ["", &V1[..10]] {
        let mut raw = server.connect_raw().await;
        raw.send(beginning).await;
        let (elapsed, answer) = timed(raw.read_to_end()).await;
        assert_eq!(answer, "");
        assert!(elapsed >= Duration::from_millis(400), "it was closed after {elapsed:?}");
        assert!(elapsed < SOON, "it was closed after {elapsed:?}");
    }
    assert_eq!(headers(&server, "timeout").await, 2.0);
}

#[tokio::test]
async fn strangers_cannot_announce_anybody() {
    let server = builder().flag("--forwarded-allow-ips", "10.0.0.0/8").start().await;
    let mut raw = server.connect_raw().await;
    raw.try_send(format!("{V1}{GET}")).await;
    let (elapsed, answer) = timed(raw.read_to_end()).await;
    assert_eq!(answer, "");
    assert!(elapsed < SOON, "it was closed after {elapsed:?}");
    assert_eq!(headers(&server, "untrusted").await, 1.0);
    let line = server.wait_for_line("connection refused: no PROXY header").await;
    assert_eq!((line.text("level"), line.text("peer")), ("WARN", "127.0.0.1"), "{line}");
    assert!(line.text("reason").contains("forwarded_allow_ips"), "{line}");
    assert_eq!(server.stdout(), "");
}

#[tokio::test]
async fn a_client_that_was_announced_is_trusted_or_not_by_its_own_address() {
    let server = builder().flag("--forwarded-allow-ips", "127.0.0.1,192.0.2.2").start().await;
    let get = GET.replace("connection", "x-forwarded-for: 203.0.113.9\r\nconnection");
    for (line, (header, expected, is_kept)) in
        [(V1.as_bytes().to_vec(), "192.0.2.1", false), (v2_tcp4(), "203.0.113.9", true)]
            .into_iter()
            .enumerate()
    {
        let mut raw = server.connect_raw().await;
        raw.send(&[&header, get.as_bytes()].concat()).await;
        let answer = raw.read_to_end().await;
        assert_eq!(answer.contains("x-forwarded-for: 203.0.113.9\n"), is_kept, "{answer}");
        assert_eq!(client(&server, line + 1).await, expected);
    }
}

#[tokio::test]
async fn it_comes_before_tls() {
    let certificate = Certificate::of_localhost();
    let builder = builder().file("cert.pem", certificate.pem()).file("key.pem", certificate.key());
    let builder = builder.flag("--tls-cert", "cert.pem").flag("--tls-key", "key.pem");
    let server = builder.start().await;
    let tls = TlsClient::trusting(&[&certificate]);
    for (line, protocol) in ["http/1.1", "h2"].into_iter().enumerate() {
        let mut stream = TcpStream::connect(server.address()).await.expect("a connection");
        stream.write_all(V1.as_bytes()).await.expect("sent");
        let stream = tls.clone().offering(&[protocol]).over(stream).await.expect("a handshake");
        let mut connection = Connection::over_tls(stream).await.expect("a connection");
        assert!(connection.get("/seen").await.ok().starts_with("https://"));
        assert_eq!(client(&server, line + 1).await, "192.0.2.1");
    }
    // In one piece with the beginning of the handshake, which is none here.
    let mut raw = Raw::connect(server.address()).await;
    raw.send(format!("{V1}{GET}")).await;
    assert!(raw.read_to_end().await.contains("this port speaks HTTPS"));
    // And in the other order it is nothing.
    assert!(tls.connect(server.address()).await.is_err());
}

#[tokio::test]
async fn a_unix_socket_has_it_too() {
    let folder = Sandbox::default();
    let socket = folder.path("app.sock");
    let server = builder().bind(&format!("unix:{}", socket.display())).start().await;
    let ask = async |header: &str| {
        let mut stream = UnixStream::connect(&socket).await.expect("a connection");
        stream.write_all(format!("{header}{GET}").as_bytes()).await.expect("sent");
        let mut answer = String::new();
        // Its end may be a reset.
        let _ = stream.read_to_string(&mut answer).await;
        answer
    };
    assert!(ask(V1).await.starts_with("HTTP/1.1 200 OK\r\n"));
    assert_eq!(client(&server, 1).await, "192.0.2.1");
    assert_eq!(ask("").await, "");
}
