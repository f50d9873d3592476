//! The configuration file: routes, and what each grants to its guests.

use remuda_tests::{Ask, Server};

const ROUTES: &str = r#"
[[route]]
path = "/"
component = "[guests]/hello.wasm"

[[route]]
path = "/api"
component = "[guests]/echo.wasm"

[[route]]
path = "/api/v2"
component = "[guests]/misbehave.wasm"

[[route]]
host = "b.example"
path = "/"
component = "[guests]/hello-p2.wasm"
limits = { request_timeout = "300ms" }

[[route]]
host = "b.example"
path = "/misbehave"
component = "[guests]/misbehave.wasm"
"#;

#[tokio::test]
async fn the_longest_path_of_the_host_answers() {
    let server = Server::builder().config(ROUTES).start().await;
    let post = |target: &str| Ask::post(target).body("ping");
    for (ask, answer) in [
        (post("/"), "Hello, world!\n"),
        (post("/apiary"), "Hello, world!\n"),
        (post("/api"), "ping"),
        (post("/api/v1"), "ping"),
        (post("/api/v2/x?y=z"), "ok\n"),
        (post("/api").host("b.example"), "Hello, world!\n"),
        (post("/misbehave").host("B.EXAMPLE:8000"), "ok\n"),
        (post("/api").host("c.example"), "ping"),
    ] {
        let what = format!("{ask:?}");
        assert_eq!(server.send(ask.clone()).await.ok(), answer, "{what}");
        assert_eq!(server.connect_http2().await.send(ask).await.ok(), answer, "{what}");
    }
}

#[tokio::test]
async fn what_no_route_matches_is_404() {
    let config = "[[route]]\npath = \"/api\"\ncomponent = \"[guests]/hello.wasm\"\n";
    let server = Server::builder().config(config).start().await;
    assert_eq!(server.get("/api").await.ok(), "Hello, world!\n");
    for target in ["/", "/apiary", "/ap"] {
        server.get(target).await.assert_rejected(404, "no_route");
    }
    let problem = server.send(Ask::get("/").header("accept", "application/problem+json")).await;
    problem.assert_rejected(404, "no_route");
    assert_eq!(problem.header("content-type"), "application/problem+json");
}

const GRANTS: &str = r#"
[[route]]
host = "granted"
component = "[guests]/misbehave.wasm"
env = { SECRET = "sesame" }
mounts = [{ host = "files", guest = "/files" }]

[[route]]
host = "bare"
component = "[guests]/misbehave.wasm"
"#;

#[tokio::test]
async fn variables_and_folders_are_seen_only_where_they_are_granted() {
    let builder = Server::builder().file("files/note.txt", "hello from the host\n");
    let builder = builder.environment("OF_THE_SERVER", "hidden").config(GRANTS);
    let server = builder.start().await;
    let ask = async |host: &str, target: &str| server.send(Ask::get(target).host(host)).await;

    assert_eq!(ask("granted", "/env?key=SECRET").await.ok(), "sesame");
    assert_eq!(ask("granted", "/read?path=/files/note.txt").await.ok(), "hello from the host\n");
    assert_eq!(ask("bare", "/env?key=SECRET").await.status, 404);
    assert_eq!(ask("bare", "/read?path=/files/note.txt").await.status, 500);
    for host in ["granted", "bare"] {
        for variable in ["PATH", "HOME", "OF_THE_SERVER"] {
            assert_eq!(ask(host, &format!("/env?key={variable}")).await.status, 404, "{variable}");
        }
        for path in ["/etc/passwd", "/files/../secret.txt", "/files/../../etc/passwd", "files"] {
            assert_eq!(ask(host, &format!("/read?path={path}")).await.status, 500, "{path}");
        }
    }
}

#[tokio::test]
async fn a_link_does_not_lead_out_of_a_granted_folder() {
    let builder = Server::builder().file("files/note.txt", "").file("secret.txt", "secret");
    let link = builder.path("files/link");
    std::os::unix::fs::symlink(builder.path("secret.txt"), link).expect("a link");
    std::os::unix::fs::symlink("../secret.txt", builder.path("files/relative")).expect("a link");
    let server = builder.config(GRANTS).start().await;
    for name in ["link", "relative"] {
        let ask = Ask::get(&format!("/read?path=/files/{name}")).host("granted");
        assert_eq!(server.send(ask).await.status, 500, "{name}");
    }
}

#[tokio::test]
async fn a_route_has_limits_of_its_own() {
    let config = r#"
[[route]]
host = "slow"
component = "[guests]/misbehave.wasm"

[[route]]
host = "quick"
component = "[guests]/misbehave.wasm"
limits = { request_timeout = "200ms" }
"#;
    let server = Server::builder().config(config).start().await;
    let ask = async |host| server.send(Ask::get("/sleep?ms=600").host(host)).await;
    let (slow, quick) = tokio::join!(ask("slow"), ask("quick"));
    assert_eq!(slow.ok(), "ok\n");
    quick.assert_rejected(504, "deadline");
}

#[tokio::test]
async fn a_full_route_leaves_the_others_their_places() {
    let config = r#"
[limits]
queue = 0

[[route]]
host = "full"
component = "[guests]/misbehave.wasm"
limits = { concurrency = 1 }

[[route]]
host = "free"
component = "[guests]/misbehave.wasm"
"#;
    let server = Server::builder().config(config).start().await;
    let mut client = server.connect_raw().await;
    client.send_and_see_it_read("GET /sleep?ms=1500 HTTP/1.1\r\nhost: full\r\n\r\n").await;
    server.send(Ask::get("/").host("full")).await.assert_rejected(503, "queue_full");
    assert_eq!(server.send(Ask::get("/").host("free")).await.ok(), "ok\n");
    assert!(client.read_head().await.starts_with("HTTP/1.1 200 OK\r\n"));
}
