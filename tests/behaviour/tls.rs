//! TLS in front of HTTP: versions, protocols, slow and wrong clients, and certificates that
//! are exchanged while requests come.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use http::Version;
use remuda_tests::{
    Ask, Certificate, Cli, Connection, Raw, Server, TlsClient,
    client::{Endpoint, certificate_of},
    guests,
    process::{self, Signal},
    sandbox::Sandbox,
    server::Builder,
    wait::{self, timed, within_patience},
};
use rustls::{ProtocolVersion, version};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// Much more than the timers below, less than those that are not set.
const SOON: Duration = Duration::from_secs(5);

fn builder(certificate: &Certificate) -> Builder {
    let builder = Server::builder().guest(guests::MISBEHAVE);
    let builder = builder.file("cert.pem", certificate.pem()).file("key.pem", certificate.key());
    builder.flag("--tls-cert", "cert.pem").flag("--tls-key", "key.pem")
}

async fn https(server: &Server, client: &TlsClient) -> Connection {
    Connection::https(server.address(), client).await.expect("a connection")
}

async fn handshakes(server: &Server, result: &str) -> f64 {
    server.metrics().await.sum("remuda_tls_handshakes_total", &[("result", result)])
}

#[tokio::test]
async fn the_protocol_is_agreed_on() {
    let certificate = Certificate::of_localhost();
    let server = builder(&certificate).start().await;
    let client = TlsClient::trusting(&[&certificate]);
    for (offered, agreed, spoken) in [
        (&["h2", "http/1.1"][..], Some("h2"), Version::HTTP_2),
        (&["http/1.1", "h2"], Some("h2"), Version::HTTP_2),
        (&["http/1.1"], Some("http/1.1"), Version::HTTP_11),
        (&[], None, Version::HTTP_11),
    ] {
        let stream = client.clone().offering(offered).connect(server.address()).await;
        let stream = stream.expect("a handshake");
        assert_eq!(stream.get_ref().1.alpn_protocol(), agreed.map(str::as_bytes), "{offered:?}");
        let mut connection = Connection::over_tls(stream).await.expect("a connection");
        for _ in 0..3 {
            let reply = connection.get("/seen").await;
            assert_eq!(reply.version, spoken, "{offered:?}");
            let seen = reply.ok();
            assert!(seen.starts_with(&format!("https://{}\n", server.address())), "{seen}");
        }
    }
    let refused = client.offering(&["acme-tls/1"]).connect(server.address()).await;
    let refused = refused.expect_err("nothing in common").to_string();
    assert!(refused.contains("NoApplicationProtocol"), "{refused}");
    assert_eq!(handshakes(&server, "success").await, 4.0);
    assert_eq!(handshakes(&server, "failure").await, 1.0);
    // What the operator reads says where clients connect to, and nothing that is secret.
    let shown = &server.lines("listening")[0];
    assert_eq!(shown.text("addresses"), format!("https://{}", server.address()));
    let secret = certificate.key().lines().nth(1).expect("a line of the key");
    assert!(!server.stderr().contains(secret));
    assert!(server.stderr().contains("everybody on this machine can read"), "{}", server.stderr());
}

#[tokio::test]
async fn bodies_are_as_they_were_sent() {
    let certificate = Certificate::of_localhost();
    let server = builder(&certificate).guest(guests::ECHO).start().await;
    let body: bytes::Bytes = (0..3_000_000_u32).map(|at| (at ^ at >> 11) as u8).collect();
    for protocol in ["h2", "http/1.1"] {
        let client = TlsClient::trusting(&[&certificate]).offering(&[protocol]);
        let mut connection = https(&server, &client).await;
        for ask in [Ask::post("/").body(body.clone()), Ask::post("/").chunked(&body, 70_001)] {
            let reply = connection.send(ask).await;
            assert_eq!(reply.status, 200);
            assert!(reply.body == body, "{protocol}: {} bytes came back", reply.body.len());
        }
    }
}

#[tokio::test]
async fn tls_1_2_and_1_3_are_spoken() {
    let certificate = Certificate::of_localhost();
    let server = builder(&certificate).start().await;
    for (offered, spoken) in
        [(&version::TLS12, ProtocolVersion::TLSv1_2), (&version::TLS13, ProtocolVersion::TLSv1_3)]
    {
        let client = TlsClient::with_versions(&[&certificate], &[offered]);
        let stream = client.connect(server.address()).await.expect("a handshake");
        assert_eq!(stream.get_ref().1.protocol_version(), Some(spoken));
        let mut connection = Connection::over_tls(stream).await.expect("a connection");
        assert_eq!(connection.get("/").await.ok(), "ok\n");
    }
}

/// A ClientHello (RFC 4346, section 7.4.1.2) with this newest version, and what both sides
/// would need to agree on.
fn client_hello(version: [u8; 2]) -> Vec<u8> {
    let extensions = [
        // supported_groups: secp256r1, x25519
        &[0x00, 0x0a, 0x00, 0x06, 0x00, 0x04, 0x00, 0x17, 0x00, 0x1d][..],
        // ec_point_formats: uncompressed
        &[0x00, 0x0b, 0x00, 0x02, 0x01, 0x00],
        // signature_algorithms: ecdsa_secp256r1_sha256
        &[0x00, 0x0d, 0x00, 0x04, 0x00, 0x02, 0x04, 0x03],
        // extended_master_secret
        &[0x00, 0x17, 0x00, 0x00],
    ]
    .concat();
    let mut hello = version.to_vec();
    hello.extend([7; 32]);
    // No session, two cipher suites (of TLS 1.2 and 1.0), no compression.
    hello.extend([0, 0, 4, 0xc0, 0x2b, 0xc0, 0x09, 1, 0, 0, extensions.len() as u8]);
    hello.extend(extensions);
    let message = [&[1, 0, 0, hello.len() as u8][..], &hello].concat();
    [&[0x16, 3, 1, 0, message.len() as u8][..], &message].concat()
}

#[tokio::test]
async fn tls_1_1_is_refused() {
    let certificate = Certificate::of_localhost();
    let server = builder(&certificate).start().await;
    let answer = async |version| {
        let mut stream = TcpStream::connect(server.address()).await.expect("a connection");
        stream.write_all(&client_hello(version)).await.expect("sent");
        let mut answer = [0; 7];
        let read = within_patience("an answer", stream.read_exact(&mut answer)).await;
        read.expect("an answer");
        answer
    };
    // A fatal alert, protocol_version (RFC 8446, section 6.2).
    let refusal = answer([3, 2]).await;
    assert_eq!((refusal[0], &refusal[5..]), (0x15, &[2, 70][..]), "{refusal:?}");
    // It is the version that it did not like.
    assert_eq!(answer([3, 3]).await[0], 0x16);
    wait::until_async("the failure to be counted", async || {
        (handshakes(&server, "failure").await >= 1.0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn silent_clients_delay_nobody() {
    let certificate = Certificate::of_localhost();
    let server = builder(&certificate).flag("--header-timeout", "60s").start().await;
    let mut silent = Vec::new();
    for turn in 0..100 {
        let mut client = server.connect_raw().await;
        if turn % 2 == 0 {
            // The beginning of a handshake.
            client.send([0x16, 3, 1]).await;
        }
        silent.push(client);
    }
    let client = TlsClient::trusting(&[&certificate]);
    for _ in 0..20 {
        let (elapsed, reply) = timed(async { https(&server, &client).await.get("/").await }).await;
        assert_eq!(reply.ok(), "ok\n");
        assert!(elapsed < SOON, "it took {elapsed:?}");
    }
    let metrics = server.metrics().await;
    assert!(metrics.value("remuda_connections", &[("state", "idle")]) >= 100.0, "{metrics}");
}

#[tokio::test]
async fn a_silent_client_is_given_up() {
    let certificate = Certificate::of_localhost();
    let server = builder(&certificate).flag("--header-timeout", "500ms").start().await;
    for beginning in [&[][..], &[0x16, 3, 1]] {
        let mut client = server.connect_raw().await;
        client.send(beginning).await;
        let (elapsed, rest) = timed(client.read_to_end()).await;
        assert_eq!(rest, "");
        assert!(elapsed >= Duration::from_millis(400), "it was closed after {elapsed:?}");
        assert!(elapsed < SOON, "it was closed after {elapsed:?}");
    }
    assert_eq!(handshakes(&server, "timeout").await, 2.0);
}

#[tokio::test]
async fn a_handshake_takes_the_place_of_a_connection() {
    let certificate = Certificate::of_localhost();
    let builder = builder(&certificate).flag("--header-timeout", "1s");
    let server = builder.flag("--max-connections", "1").start().await;
    let opened = Instant::now();
    let _silent = server.connect_raw().await;
    let mut connection = https(&server, &TlsClient::trusting(&[&certificate])).await;
    assert!(opened.elapsed() >= Duration::from_millis(900), "{:?}", opened.elapsed());
    assert_eq!(connection.get("/").await.ok(), "ok\n");
}

#[tokio::test]
async fn plain_http_is_told_so() {
    let certificate = Certificate::of_localhost();
    let server = builder(&certificate).start().await;
    for request in ["GET / HTTP/1.1\r\nhost: a\r\n\r\n", "P", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut client = server.connect_raw().await;
        client.send(request).await;
        let (elapsed, answer) = timed(client.read_to_end()).await;
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
        assert!(answer.contains("this port speaks HTTPS"), "{answer}");
        assert!(answer.contains("details=\"bad_request\""), "{answer}");
        assert!(elapsed < SOON, "it was closed after {elapsed:?}");
    }
    assert_eq!(handshakes(&server, "plain_http").await, 3.0);
    assert_eq!(server.get_over(&certificate).await, "ok\n");
}

trait GetOver {
    async fn get_over(&self, certificate: &Certificate) -> String;
}

impl GetOver for Server {
    /// GET on a connection of its own.
    async fn get_over(&self, certificate: &Certificate) -> String {
        https(self, &TlsClient::trusting(&[certificate])).await.get("/").await.ok()
    }
}

#[tokio::test]
async fn what_is_neither_is_closed() {
    let certificate = Certificate::of_localhost();
    let server = builder(&certificate).start().await;
    for garbage in [&b"\0\x01\x02"[..], b"get / http/1.1\r\n\r\n", &[0x16, 3, 1, 0, 4, 9, 9, 9, 9]]
    {
        let mut client = server.connect_raw().await;
        client.send(garbage).await;
        // An alert at most.
        let answer = client.read_to_end().await;
        assert!(!answer.contains("HTTP"), "{answer:?}");
    }
    // Somebody goes away in the middle of it.
    server.connect_raw().await.send([0x16, 3, 1, 0, 200, 1]).await;
    wait::until_async("all four to be counted", async || {
        (handshakes(&server, "failure").await == 4.0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_unix_socket_stays_plain() {
    let (certificate, folder) = (Certificate::of_localhost(), Sandbox::default());
    let socket = folder.path("app.sock");
    let builder = builder(&certificate).bind("127.0.0.1:0");
    let server = builder.bind(&format!("unix:{}", socket.display())).start().await;
    let mut connection = Connection::unix(&socket).await.expect("a connection");
    assert!(connection.get("/seen").await.ok().starts_with("http://localhost\n"));
    assert_eq!(server.get_over(&certificate).await, "ok\n");
}

/// Sends bytes over TLS and reads to the end, which must be said.
async fn to_the_end(address: SocketAddr, certificate: &Certificate, bytes: &str) -> String {
    let client = TlsClient::trusting(&[certificate]).offering(&["http/1.1"]);
    let mut stream = client.connect(address).await.expect("a handshake");
    stream.write_all(bytes.as_bytes()).await.expect("sent");
    let mut text = String::new();
    let read = within_patience("the end", stream.read_to_string(&mut text)).await;
    // Without close_notify it would be an error.
    read.unwrap_or_else(|error| panic!("{error} after {text:?}"));
    text
}

#[tokio::test]
async fn every_end_is_announced() {
    let certificate = Certificate::of_localhost();
    let builder = builder(&certificate).flag("--keep-alive-timeout", "500ms");
    let server = builder.flag("--header-timeout", "500ms").start().await;
    let get = "GET / HTTP/1.1\r\nhost: a\r\n";
    for (sent, status) in [
        (format!("{get}connection: close\r\n\r\n"), "200"),
        // Idle, then closed.
        (format!("{get}\r\n"), "200"),
        (get.to_owned(), "408"),
        (format!("{get} folded: 1\r\n\r\n"), "400"),
    ] {
        let answer = to_the_end(server.address(), &certificate, &sent).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{sent:?}: {answer}");
    }
    assert_eq!(to_the_end(server.address(), &certificate, "").await, "");
    // The same for HTTP/2, where a frame may come before it.
    let mut stream = TlsClient::trusting(&[&certificate]).connect(server.address()).await;
    let stream = stream.as_mut().expect("a handshake");
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    stream.write_all(preface).await.expect("sent");
    let read = within_patience("the end", stream.read_to_end(&mut Vec::new())).await;
    read.expect("close_notify");
}

#[tokio::test]
async fn a_response_that_breaks_off_does_not_look_whole() {
    let certificate = Certificate::of_localhost();
    let server = builder(&certificate).guest(guests::WITNESS).start().await;
    let client = TlsClient::trusting(&[&certificate]).offering(&["http/1.1"]);
    let mut stream = client.connect(server.address()).await.expect("a handshake");
    let request = b"GET /break HTTP/1.1\r\nhost: a\r\n\r\n";
    stream.write_all(request).await.expect("sent");
    let mut text = Vec::new();
    let read = within_patience("the end", stream.read_to_end(&mut text)).await;
    assert!(String::from_utf8_lossy(&text).contains("instance="));
    assert!(read.is_err(), "close_notify after {} bytes", text.len());
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_cut_off() {
    let certificate = Certificate::of_localhost();
    let builder = builder(&certificate).guest(guests::ECHO);
    let builder = builder.flag("--max-body", "64MiB");
    let server = builder.flag("--response-idle-timeout", "1s").start().await;
    let client = TlsClient::trusting(&[&certificate]).offering(&["http/1.1"]);
    let stream = client.connect(server.address()).await.expect("a handshake");
    let (mut reading, mut writing) = tokio::io::split(stream);
    let length = 64 << 20;
    let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n");
    writing.write_all(head.as_bytes()).await.expect("sent");
    // Everything is full by and by, and then nobody moves until the server gives up.
    let sending = async {
        let piece = vec![7; 1 << 16];
        while writing.write_all(&piece).await.is_ok() {}
    };
    let (elapsed, ()) = timed(within_patience("the server to give up", sending)).await;
    assert!(elapsed >= Duration::from_millis(900), "it was cut off after {elapsed:?}");
    let mut rest = Vec::new();
    let _ = within_patience("the end", reading.read_to_end(&mut rest)).await;
    assert!(rest.len() < length, "{} bytes came back", rest.len());
}

#[tokio::test]
async fn sessions_are_resumed() {
    let certificate = Certificate::of_localhost();
    let server = builder(&certificate).start().await;
    for version in [&version::TLS12, &version::TLS13] {
        let client = TlsClient::with_versions(&[&certificate], &[version]).resuming();
        let client = client.offering(&["http/1.1"]);
        let kind = async || {
            let mut stream = client.connect(server.address()).await.expect("a handshake");
            let request = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
            stream.write_all(request).await.expect("sent");
            // Tickets come with what is read.
            stream.read_to_end(&mut Vec::new()).await.expect("an answer");
            stream.get_ref().1.handshake_kind().expect("a handshake")
        };
        assert_eq!(kind().await, rustls::HandshakeKind::Full);
        assert_eq!(kind().await, rustls::HandshakeKind::Resumed, "{version:?}");
    }
}

#[tokio::test]
async fn a_certificate_is_exchanged_under_load() {
    let old = Certificate::of_localhost();
    let server = builder(&old).guest(guests::HELLO_P2).workers(2).start().await;
    let mut certificates = vec![old];
    certificates.extend((0..5).map(|_| Certificate::of_localhost()));
    let all: Vec<&Certificate> = certificates.iter().collect();
    let client = TlsClient::trusting(&all);
    let endpoint = Endpoint::Tls(server.address(), client.clone());
    let load = server.load().of(endpoint).mixed().expect(&["Hello, world!\n"]).start();
    load.wait_for_answers_to_each_kind(10).await;
    for certificate in &certificates[1..] {
        server.write("key.pem", certificate.key());
        server.write("cert.pem", certificate.pem());
        server.reload().await.unwrap_or_else(|line| panic!("{line}"));
        load.wait_for_answers_to_each_kind(1).await;
        // The old workers accept no more, so that every new connection sees it.
        wait::until_async("connections to see the new certificate", async || {
            let stream = client.connect(server.address()).await.expect("a handshake");
            (certificate_of(&stream) == *certificate.der()).then_some(())
        })
        .await;
        server.wait_for_workers(2).await;
        for _ in 0..20 {
            let stream = client.connect(server.address()).await.expect("a handshake");
            assert_eq!(certificate_of(&stream), *certificate.der());
        }
    }
    load.wait_for_answers_to_each_kind(10).await;
    let report = load.stop().await;
    report.print("5 exchanges of a certificate");
    report.assert_flawless();
}

#[tokio::test]
async fn a_broken_certificate_changes_nothing() {
    let (certificate, other) = (Certificate::of_localhost(), Certificate::of_localhost());
    let server = builder(&certificate).start().await;
    let half = &other.pem()[..other.pem().len() / 2];
    for (file, content, named) in [
        ("cert.pem", "garbage", "cert.pem"),
        ("cert.pem", half, "cert.pem"),
        ("cert.pem", other.pem(), "is not the key of the first certificate"),
        ("key.pem", other.key(), "is not the key of the first certificate"),
        ("key.pem", "", "key.pem"),
    ] {
        server.write(file, content);
        let line = server.reload().await.expect_err(named);
        assert!(line.text("reason").contains(named), "{line}");
        assert_eq!(server.get_over(&certificate).await, "ok\n");
        server.write("cert.pem", certificate.pem());
        server.write("key.pem", certificate.key());
    }
    // Workers never read the files: a new one has what was checked.
    server.remove("cert.pem");
    server.remove("key.pem");
    let worker = server.worker();
    process::signal(worker, Signal::KILL);
    wait::until("another worker", || server.workers().into_iter().find(|other| *other != worker))
        .await;
    server.wait_for_workers(1).await;
    assert_eq!(server.get_over(&certificate).await, "ok\n");
    let line = server.reload().await.expect_err("no file");
    assert!(line.text("reason").contains("http.tls_cert: failed to read"), "{line}");

    server.write("cert.pem", other.pem());
    server.write("key.pem", other.key());
    server.reload().await.unwrap_or_else(|line| panic!("{line}"));
    server.wait_for_workers(1).await;
    assert_eq!(server.get_over(&other).await, "ok\n");
}

#[tokio::test]
async fn what_cannot_be_used_is_refused_at_the_start() {
    let (certificate, other) = (Certificate::of_localhost(), Certificate::of_localhost());
    for (cert, key, told) in [
        (certificate.pem(), other.key(), "http.tls_key: failed to use"),
        (certificate.key(), certificate.key(), "http.tls_cert: failed to find a certificate"),
        (certificate.pem(), certificate.pem(), "http.tls_key: failed to find a private key"),
    ] {
        for command in ["serve --bind 127.0.0.1:0 --admin off --control off", "check"] {
            let command = Cli::remuda(command).arg(guests::HELLO_P2.path()).shared_cache();
            let command = command.file("cert.pem", cert).file("key.pem", key);
            let flags = ["--certfile", "cert.pem", "--keyfile", "key.pem"];
            let ended = flags.into_iter().fold(command, Cli::arg).run().await;
            assert_eq!(ended.code, Some(78), "{ended}");
            assert!(ended.stderr.contains(told) && ended.stderr.contains("; "), "{ended}");
        }
    }
    let command = Cli::remuda("check --tls-cert nowhere.pem --tls-key .");
    let ended = command.arg(guests::HELLO_P2.path()).shared_cache().run().await;
    assert_eq!(ended.code, Some(78), "{ended}");
    assert!(
        ended.stderr.contains("http.tls_cert: failed to read [sandbox]/nowhere.pem"),
        "{ended}"
    );
}

#[tokio::test]
async fn a_drain_waits_a_moment_for_handshakes() {
    let certificate = Certificate::of_localhost();
    let mut server = builder(&certificate).flag("--header-timeout", "60s").start().await;
    let begun = TcpStream::connect(server.address()).await.expect("a connection");
    let silent = Raw::connect(server.address()).await;
    wait::until_async("both to be accepted", async || {
        let idle = server.metrics().await.value("remuda_connections", &[("state", "idle")]);
        (idle >= 2.0).then_some(())
    })
    .await;
    server.terminate();
    wait::until_async("the drain to begin", async || {
        (TcpStream::connect(server.address()).await.is_err()).then_some(())
    })
    .await;
    let stream = TlsClient::trusting(&[&certificate]).over(begun).await.expect("a handshake");
    let mut connection = Connection::over_tls(stream).await.expect("a connection");
    assert_eq!(connection.get("/").await.ok(), "ok\n");
    let (elapsed, code) = timed(server.exit_code()).await;
    assert_eq!(code, Some(0));
    assert!(elapsed < Duration::from_secs(10), "it took {elapsed:?}");
    drop(silent);
}
