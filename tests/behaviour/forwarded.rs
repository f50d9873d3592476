//! What proxies say of their clients is believed when they are trusted, and nobody else is
//! heard.

use remuda_tests::{Ask, Connection, Reply, Server, guests, sandbox::Sandbox, server::Builder};

fn builder() -> Builder {
    Server::builder().guest(guests::MISBEHAVE).flag("--access-log", "json")
}

/// Everything that a proxy may say, and that a client may forge.
fn telling(client: &str) -> Ask {
    Ask::get("/seen")
        .header("x-forwarded-for", client)
        .header("x-forwarded-proto", "https")
        .header("x-forwarded-host", "shop.example")
        .header("forwarded", "for=203.0.113.1;proto=http")
        .header("x-real-ip", "203.0.113.2")
        .header("x-other", "kept")
}

/// The client of the last line of the access log, once there are so many.
async fn client(server: &Server, lines: usize) -> String {
    server.wait_for_output(lines).await;
    server.access_log()[lines - 1].text("client").to_owned()
}

/// What the guest has seen: the scheme, and names of fields.
fn seen(reply: &Reply) -> (String, Vec<String>) {
    let text = reply.ok_text();
    let (first, fields) = text.split_once('\n').expect("a line");
    let scheme = first.split("://").next().unwrap_or_default().to_owned();
    let names = fields.lines().filter_map(|line| line.split_once(": ")).map(|(name, _)| name);
    (scheme, names.map(str::to_owned).collect())
}

trait OkText {
    fn ok_text(&self) -> String;
}

impl OkText for Reply {
    fn ok_text(&self) -> String {
        assert_eq!(self.status, 200, "{self:?}");
        self.text()
    }
}

const TOLD: [&str; 5] =
    ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"];

#[tokio::test]
async fn a_trusted_proxy_is_believed() {
    // Loopback is trusted unless it is said otherwise.
    let server = builder().start().await;
    let connections = [server.connect().await, server.connect_http2().await];
    for (index, mut connection) in connections.into_iter().enumerate() {
        let ask = telling("198.51.100.7, 192.0.2.1, 127.0.0.1");
        let (scheme, names) = seen(&connection.send(ask).await);
        assert_eq!(scheme, "https");
        for name in TOLD {
            assert!(names.iter().any(|seen| seen == name), "{name} is not in {names:?}");
        }
        // What was left of it was written by the client itself.
        assert_eq!(client(&server, 2 * index + 1).await, "192.0.2.1");
        let (scheme, _) = seen(&connection.send(Ask::get("/seen")).await);
        assert_eq!(scheme, "http");
        assert_eq!(client(&server, 2 * index + 2).await, "127.0.0.1");
    }
}

#[tokio::test]
async fn the_standard_field_is_enough() {
    let server = builder().start().await;
    let forwarded = "for=198.51.100.7;proto=http, for=\"[2001:db8::1]:4711\";proto=https";
    let reply = server.send(Ask::get("/seen").header("forwarded", forwarded)).await;
    assert_eq!(seen(&reply).0, "https");
    assert_eq!(client(&server, 1).await, "2001:db8::1");
}

#[tokio::test]
async fn a_stranger_is_not_believed_and_not_heard() {
    for trusted in ["none", "10.0.0.0/8,192.0.2.1"] {
        let server = builder().flag("--forwarded-allow-ips", trusted).start().await;
        let connections = [server.connect().await, server.connect_http2().await];
        for (index, mut connection) in connections.into_iter().enumerate() {
            let (scheme, names) = seen(&connection.send(telling("192.0.2.1")).await);
            assert_eq!(scheme, "http");
            for name in TOLD {
                assert!(!names.iter().any(|seen| seen == name), "{name} is in {names:?}");
            }
            assert!(names.iter().any(|seen| seen == "x-other"), "{names:?}");
            assert_eq!(client(&server, index + 1).await, "127.0.0.1");
        }
    }
}

#[tokio::test]
async fn a_star_believes_everybody() {
    let server = builder().flag("--forwarded-allow-ips", "*").start().await;
    let reply = server.send(telling("198.51.100.7, 192.0.2.1")).await;
    assert_eq!(seen(&reply).0, "https");
    assert_eq!(client(&server, 1).await, "198.51.100.7");
}

#[tokio::test]
async fn what_is_malformed_says_nothing() {
    let server = builder().start().await;
    let values = ["unknown", "192.0.2.1, nonsense", ",", "192.0.2.1;", "[::1", "999.1.1.1"];
    for (line, value) in values.into_iter().enumerate() {
        let ask = Ask::get("/seen").header("x-forwarded-for", value);
        let reply = server.send(ask.header("x-forwarded-proto", "gopher")).await;
        assert_eq!(seen(&reply).0, "http", "{value}");
        assert_eq!(client(&server, line + 1).await, "127.0.0.1", "{value}");
    }
}

#[tokio::test]
async fn the_host_of_a_proxy_does_not_choose_the_route() {
    let routes = "[[route]]\ncomponent = \"[guests]/misbehave.wasm\"\n\
                  [[route]]\nhost = \"shop.example\"\ncomponent = \"[guests]/hello.wasm\"\n";
    let server = Server::builder().config(routes).start().await;
    let reply = server.send(telling("192.0.2.1")).await;
    assert!(reply.ok_text().contains("x-forwarded-host: shop.example\n"));
    assert_eq!(
        server.send(telling("192.0.2.1").host("shop.example")).await.ok(),
        "Hello, world!\n"
    );
}

#[tokio::test]
async fn whoever_connects_to_a_unix_socket_is_local() {
    let folder = Sandbox::default();
    let socket = folder.path("app.sock");
    let address = format!("unix:{}", socket.display());
    for (trusted, scheme, expected) in
        [("127.0.0.0/8,::1", "https", "192.0.2.1"), ("10.0.0.0/8", "http", "-")]
    {
        let builder = builder().flag("--forwarded-allow-ips", trusted);
        let server = builder.bind(&address).start().await;
        let mut connection = Connection::unix(&socket).await.expect("a connection");
        assert_eq!(seen(&connection.send(telling("192.0.2.1")).await).0, scheme);
        assert_eq!(client(&server, 1).await, expected);
    }
}

#[tokio::test]
async fn a_client_cannot_choose_its_scheme() {
    let server = builder().start().await;
    let mut raw = server.connect_raw().await;
    raw.send("GET https://a/seen HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    let answer = raw.read_to_end().await;
    assert!(answer.contains("\r\n\r\nhttp://a\n"), "{answer}");
}
