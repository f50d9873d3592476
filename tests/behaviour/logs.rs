//! What the logs say: guests' lines, and a line for every request when asked for.

use std::time::Duration;

use remuda_tests::{
    Ask, Line, Server, guests,
    http2::{HEADERS, INITIAL_WINDOW_SIZE, PING, frame, get, preface},
    wait,
};

const PRINTING: &str = r#"
[[route]]
path = "/print"
component = "[guests]/misbehave.wasm"

[[route]]
host = "b.example"
component = "[guests]/misbehave.wasm"
"#;

#[tokio::test]
async fn what_guests_print_is_logged_with_route_and_request() {
    let server = Server::builder().config(PRINTING).start().await;
    assert_eq!(server.get("/print?text=first").await.status, 200);
    assert_eq!(server.get("/print?text=second").await.status, 200);
    let third = Ask::get("/print?text=third").host("b.example");
    assert_eq!(server.send(third).await.status, 200);

    let (first, second) = (server.lines("first"), server.lines("second"));
    let streams: Vec<&str> = first.iter().map(|line| line.text("stream")).collect();
    assert_eq!(streams, ["stdout", "stderr"]);
    for line in first.iter().chain(&second) {
        assert_eq!((line.text("route"), line.text("target")), ("/print", "guest"), "{line}");
        assert_eq!(line.text("request").len(), 16, "{line}");
    }
    assert_eq!(first[0].text("request"), first[1].text("request"));
    assert_ne!(first[0].text("request"), second[0].text("request"));
    assert_eq!(server.lines("third")[0].text("route"), "b.example/");
}

#[tokio::test]
async fn what_guests_print_is_as_severe_as_its_first_word() {
    let server = Server::of(guests::MISBEHAVE).await;
    for (text, level) in
        [("ERROR%20shop:%20gone", "ERROR"), ("WARNING:shop:slow", "WARN"), ("gone", "INFO")]
    {
        assert_eq!(server.get(&format!("/print?text={text}")).await.status, 200);
        for line in server.lines(&text.replace("%20", " ")) {
            assert_eq!(line.text("level"), level, "{line}");
        }
        assert_eq!(server.lines(&text.replace("%20", " ")).len(), 2);
    }
}

/// Whoever wants fewer lines of the server still wants to know why a handler failed.
#[tokio::test]
async fn what_guests_print_has_a_level_of_its_own() {
    let server = Server::builder().config(PRINTING).start().await;
    for (key, is_said) in [("level", true), ("guest_level", false)] {
        // What the supervisor says, it goes on saying.
        server.configure(&format!("log.{key} = \"error\"\n{PRINTING}"));
        server.reload().await.expect("a reload");
        assert_eq!(server.get(&format!("/print?text=ordinary-{key}")).await.status, 200);
        assert_eq!(server.get(&format!("/print?text=ERROR%20{key}")).await.status, 200);
        assert_eq!(server.lines(&format!("ERROR {key}")).len(), 2);
        let ordinary = server.lines(&format!("ordinary-{key}")).len();
        assert_eq!(ordinary, if is_said { 2 } else { 0 }, "{key}");
    }
}

/// A guest that fails with every request would fill the log.
#[tokio::test]
async fn the_same_failure_is_named_only_some_times_a_second() {
    let server = Server::of(guests::MISBEHAVE).await;
    let load = server.load().kept(4).ask(Ask::get("/trap")).start();
    wait::until("failures", || (load.report().sent() >= 600).then_some(())).await;
    load.stop().await;
    // Those that were not named before are counted in the next line of their kind.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(server.get("/trap").await.status, 500);
    // A worker that is busy is asked again.
    let failed = wait::until_async("the metrics", async || {
        let metrics = server.metrics().await;
        Some(metrics.sum("remuda_requests_total", &[("status", "500")])).filter(|sum| *sum > 0.0)
    })
    .await;
    let is_named = |line: &&Line| line.message().starts_with("guest trapped");
    let log = server.log();
    let named: Vec<&Line> = log.iter().filter(is_named).collect();
    let unsaid: u64 =
        named.iter().filter(|line| line.has("unsaid")).map(|line| line.number("unsaid")).sum();
    assert!(unsaid > 0, "{} lines", named.len());
    assert_eq!(named.len() as f64 + unsaid as f64, failed);
    assert_eq!(server.get("/exit").await.status, 500, "another kind");
    server.wait_for_line("guest exited with code 1 instead of answering").await;
}

#[tokio::test]
async fn what_guests_print_does_not_forge_log_lines() {
    let server = Server::of(guests::MISBEHAVE).await;
    let forged = "%7B%22message%22:%22forged%22%7D%0A%1B%5B31mred";
    assert_eq!(server.get(&format!("/print?text={forged}")).await.status, 200);
    assert_eq!(server.lines("forged").len(), 0);
    assert_eq!(server.lines(r#"{"message":"forged"}"#).len(), 2);
    assert!(!server.stderr().contains('\x1b'));
}

#[tokio::test]
async fn nothing_is_written_to_standard_output_unless_asked_for() {
    let server = Server::of(guests::MISBEHAVE).await;
    assert_eq!(server.get("/print?text=hello").await.status, 200);
    assert_eq!(server.stdout(), "");
}

#[tokio::test]
async fn a_common_access_log_has_a_line_for_every_request() {
    let builder = Server::builder().guest(guests::HELLO).flag("--access-log", "common");
    let server = builder.start().await;
    assert_eq!(server.get("/some/path?and=query").await.status, 200);
    assert_eq!(server.send(Ask::post("/other")).await.status, 200);
    let lines = server.wait_for_output(2).await;
    // Before the date and after it.
    let (client, rest) = lines[0].split_once('[').expect("a date");
    let (date, request) = rest.split_once("] ").expect("a date");
    assert_eq!(client, "127.0.0.1 - - ");
    assert!(date.len() == 26 && date.ends_with(" +0000"), "{date}");
    assert_eq!(request, r#""GET /some/path?and=query HTTP/1.1" 200 14"#);
    assert!(lines[1].ends_with(r#""POST /other HTTP/1.1" 200 14"#), "{}", lines[1]);
    assert_eq!(lines.len(), 2);
}

#[tokio::test]
async fn a_json_access_log_names_the_request_that_the_guest_worked_on() {
    let builder = Server::builder().guest(guests::MISBEHAVE).flag("--access-log", "json");
    let server = builder.start().await;
    assert_eq!(server.get("/print?text=hello").await.status, 200);
    assert_eq!(server.connect_http2().await.get("/trap").await.status, 500);
    server.wait_for_output(2).await;
    let [print, trap] = &server.access_log()[..] else { panic!("two requests") };
    assert_eq!(print.text("request"), server.lines("hello")[0].text("request"));
    assert_eq!(print.text("target"), "/print?text=hello");
    assert_eq!((print.text("route"), print.text("method")), ("/", "GET"));
    assert_eq!((print.number("status"), print.number("bytes")), (200, 3));
    assert_eq!((trap.number("status"), trap.text("version")), (500, "HTTP/2.0"));
    assert!(print.has("seconds") && print.has("time"), "{print}");
}

#[tokio::test]
async fn requests_without_a_route_are_in_the_access_log_too() {
    let builder = Server::builder().config(PRINTING).flag("--access-log", "json");
    let server = builder.start().await;
    assert_eq!(server.get("/nowhere").await.status, 404);
    server.wait_for_output(1).await;
    let [line] = &server.access_log()[..] else { panic!("one request") };
    assert_eq!((line.number("status"), line.text("target")), (404, "/nowhere"));
}

/// Gives the server a pipe as standard error, and reads no more of it than the address.
const UNREAD: &str = r#"
mkfifo unread && exec 9<>unread
"$@" 2>&9 9>&- &
sed '/"listening"/q' <&9 >&2
wait $!
"#;

#[tokio::test]
async fn a_log_that_nobody_reads_holds_up_nothing() {
    let builder = Server::builder().guest(guests::MISBEHAVE);
    let mut server = builder.launched_by(&["sh", "-c", UNREAD, "sh"]).start().await;
    // Each of them logs a line; a pipe holds some hundred of those.
    for _ in 0..1000 {
        assert_eq!(server.get("/trap").await.status, 500);
    }
    server.terminate();
    assert_eq!(server.exit_code().await, Some(0));
}

#[tokio::test]
async fn a_request_without_a_response_in_time_is_logged_with_its_route() {
    let builder = Server::builder().guest(guests::MISBEHAVE).flag("--request-timeout", "300ms");
    let server = builder.start().await;
    assert_eq!(server.get("/never").await.status, 504);
    let lines = server.lines("no response within request_timeout");
    assert_eq!(lines.len(), 1, "{}", server.stderr());
    assert_eq!((lines[0].text("level"), lines[0].text("route")), ("WARN", "/"), "{}", lines[0]);
    assert_eq!(lines[0].text("request").len(), 16, "{}", lines[0]);
}

/// A library warns of each of these frames, which cost a client next to nothing.
#[tokio::test]
async fn what_libraries_say_of_clients_is_for_whoever_debugs() {
    const ACK: u8 = 1;
    for (level, is_said) in [("info", false), ("debug", true)] {
        let builder = Server::builder().guest(guests::HELLO).flag("--log-level", level);
        let server = builder.start().await;
        let mut client = server.connect_raw().await;
        let unasked = frame(PING, ACK, 0, &[7; 8]).repeat(500);
        let start = preface(INITIAL_WINDOW_SIZE, 65_535);
        client.send([start, unasked, get(1, "/")].concat()).await;
        while client.read_whole_frame().await.kind != HEADERS {}
        assert_eq!(server.stderr().contains("recv PING ack"), is_said, "{level}");
    }
}
