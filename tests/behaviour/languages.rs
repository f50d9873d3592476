//! Handlers in Python, JavaScript and C run with the default settings.

use std::{
    fs,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use remuda_tests::{
    Ask, Cli, Line, Server, Upstream, figure,
    guests::{self, Guest},
    process, sandbox, wait,
};

/// Each with how its instances are used, the default first.
const LANGUAGES: [(Guest, &[&str]); 3] = [
    (guests::PYTHON_HELLO, &["reuse", "fresh"]),
    // Its engine answers one request per instance:
    // https://github.com/bytecodealliance/StarlingMonkey/issues/247
    (guests::JS_HELLO, &["fresh"]),
    (guests::C_HELLO, &["fresh", "reuse"]),
];

const REQUESTS: u32 = 100;

#[tokio::test]
async fn a_hundred_requests_are_answered_in_every_mode() {
    for (guest, modes) in LANGUAGES {
        for mode in modes {
            let started = Instant::now();
            let builder = Server::builder().guest(guest).flag("--instances", *mode);
            let server = builder.with_admin().start().await;
            let start = started.elapsed();
            let mut connection = server.connect().await;
            // Not of interest: what only the first request pays for.
            assert_eq!(connection.get("/").await.ok(), "Hello, world!\n");
            let before = process::processor_time(server.worker());
            for _ in 0..REQUESTS {
                assert_eq!(connection.get("/").await.ok(), "Hello, world!\n");
            }
            let cpu = (process::processor_time(server.worker()) - before) / REQUESTS;
            let resident = process::resident_bytes(server.worker()) >> 20;
            let held = server.metrics().await.sum("remuda_guest_memory_bytes", &[]) as u64 >> 20;
            figure(format_args!(
                "{} {mode}: ready after {start:.1?}, {cpu:.1?} of CPU per request, guests hold \
                 {held} MiB, the worker {resident} MiB",
                guest.name
            ));
        }
    }
}

#[tokio::test]
async fn the_default_is_a_mode_that_works() {
    for (guest, modes) in LANGUAGES {
        let server = Server::builder().guest(guest).with_admin().start().await;
        for _ in 0..3 {
            assert_eq!(server.get("/").await.ok(), "Hello, world!\n");
        }
        let is_kept = wait::until_async("instances to be idle or gone", async || {
            let metrics = server.metrics().await;
            let of = |state| metrics.sum("remuda_instances", &[("state", state)]);
            (of("busy") == 0.0).then(|| of("idle") > 0.0)
        })
        .await;
        assert_eq!(is_kept, modes[0] == "reuse", "{}", guest.name);
    }
}

#[tokio::test]
async fn paths_bodies_and_errors_are_what_the_handler_makes_of_them() {
    for (guest, _) in LANGUAGES {
        let server = Server::of(guest).await;
        let greeting = server.get("/hello/J%C3%B8rn").await;
        assert_eq!(greeting.header("content-type"), "application/json", "{}", guest.name);
        let greeting: serde_json::Value = serde_json::from_str(&greeting.ok()).expect("JSON");
        assert_eq!(greeting["hello"], "Jørn");
        // More than any of the buffers in between.
        let body = "0123456789abcdef".repeat(32 * 1024);
        let echo = server.send(Ask::post("/echo").body(body.clone())).await.ok();
        assert!(echo == body, "{}: {} bytes of {}", guest.name, echo.len(), body.len());
        assert_eq!(server.get("/nowhere").await.status, 404);
        assert_eq!(server.get("/echo").await.status, 405);
    }
}

/// What the default of `http.max_body` admits.
#[tokio::test]
async fn bodies_of_any_admitted_size_are_read() {
    const SIZE: usize = 16 << 20;
    for guest in [guests::PYTHON_HELLO, guests::JS_HELLO] {
        let server = Server::of(guest).await;
        let body = "0123456789abcdef".repeat(SIZE / 16);
        let echo = server.send(Ask::post("/echo").body(body.clone())).await.ok();
        assert!(echo == body, "{}: {} bytes of {SIZE}", guest.name, echo.len());
    }
}

#[tokio::test]
async fn heads_are_answered_and_other_methods_are_told_which_are_allowed() {
    for guest in [guests::PYTHON_HELLO, guests::JS_HELLO] {
        let server = Server::of(guest).await;
        let head = server.send(Ask::head("/")).await;
        assert_eq!((head.status.as_u16(), &*head.text()), (200, ""), "{}", guest.name);
        for (target, ask, allow) in [
            ("/", Ask::post("/"), "GET, HEAD"),
            ("/echo", Ask::get("/echo"), "POST"),
            ("/echo", Ask::head("/echo"), "POST"),
        ] {
            let reply = server.send(ask).await;
            assert_eq!((reply.status.as_u16(), reply.header("allow")), (405, allow), "{target}");
        }
    }
}

/// What may go wrong in a handler in Python, each by itself.
const FAULTS: &str = r#"
import asyncio
import gc
import sys

asked = 0
lock = asyncio.Lock()


@app.get("/count")
async def count(request):
    global asked
    asked += 1
    return str(asked)


@app.get("/object")
async def return_an_object(request):
    return {"x": object()}


@app.get("/header")
async def split_the_head(request):
    return web.Response("x", headers=[("x-a", "b\r\nset-cookie: x")])


@app.get("/forbidden")
async def set_what_is_the_servers(request):
    return web.Response("x", headers=[("connection", "close")])


@app.get("/status")
async def answer_with_no_status(request):
    return web.Response("x", status=7)


async def work(what):
    await web.sleep(0.01)
    raise ValueError(what)


@app.get("/later")
async def fail_later(request):
    web.spawn(work("spawned"))
    return "fine"


@app.get("/timer")
async def limit_with_asyncio(request):
    await asyncio.wait_for(web.sleep(0.01), 1)


@app.get("/fetch")
async def fetch(request):
    reply = await web.fetch(request.query["url"], timeout=5)
    return f"{reply.status} {reply.body.decode()}"


@app.get("/post")
async def post(request):
    reply = await web.fetch(request.query["url"], "POST", [("x-a", "b")], b"ping" * 50_000)
    return f"{reply.status} {len(reply.body)}"


@app.get("/task")
async def forget_a_task(request):
    asyncio.create_task(work("forgotten"))
    await web.sleep(0.1)
    gc.collect()  # what raised it and what was raised hold each other
    return "fine"


@app.get("/left")
async def leave_a_task(request):
    asyncio.create_task(web.sleep(0.1))
    return "fine"


@app.get("/cancel")
async def cancel_a_task(request):
    task = asyncio.create_task(web.sleep(0.2))
    await web.sleep(0.01)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return "fine"


@app.get("/cancelled")
async def await_what_was_cancelled(request):
    task = asyncio.create_task(web.sleep(0.2))
    task.cancel()
    await task


@app.get("/gather")
async def gather(request):
    await asyncio.gather(web.fetch("http://127.0.0.1:9/"), web.sleep(0.2))


@app.get("/group")
async def group(request):
    async with asyncio.TaskGroup() as group:
        group.create_task(web.fetch("http://127.0.0.1:9/"))
        group.create_task(web.sleep(0.2))


@app.get("/locked")
async def hold_the_lock(request):
    async with lock:
        await web.sleep(0.1)
    return "fine"


@app.get("/exit")
async def leave(request):
    sys.exit("leaving")


@app.get("/exit-later")
async def leave_later(request):
    async def leave():
        sys.exit("leaving later")

    web.spawn(leave())
    asyncio.create_task(leave())
    return "fine"


@app.get("/body")
async def set_the_body(request):
    response = web.Response()
    response.body = "text"
    return response


@app.get("/rejection")
async def split_the_head_of_a_rejection(request):
    raise web.Rejection(401, "x", [("www-authenticate", "a\r\nb")])


@app.get("/text")
async def post_text(request):
    reply = await web.fetch(request.query["url"], "POST", {"x-a": "b"}, "ping")
    return reply.body
"#;

#[tokio::test]
async fn what_fails_in_python_fails_alone() {
    let mut new = Cli::remuda("new faults --template python");
    let _ = new.run().await.succeeded();
    let source = new.path("faults/app.py");
    let text = fs::read_to_string(&source).expect("a source");
    fs::write(&source, text + FAULTS).expect("written");
    let config = new.path("faults/remuda.toml");
    let mut build = new.then("build faults").with_tools();
    let _ = build.run().await.succeeded();
    let upstream = Upstream::start().await;
    let builder = Server::builder().flag("--config", config);
    let builder = builder.flag("--outbound-allow", "http://127.0.0.1:9");
    let builder = builder.flag("--outbound-allow", upstream.origin());
    let server = builder.flag("--log-guest-level", "error").start().await;

    let url = upstream.url("/");
    assert_eq!(server.get(&format!("/fetch?url={url}")).await.ok(), "200 upstream\n");
    let url = upstream.url("/echo");
    assert_eq!(server.get(&format!("/post?url={url}")).await.ok(), "200 200000");
    assert_eq!(server.get(&format!("/text?url={url}")).await.ok(), "ping");
    assert_eq!(server.get("/count").await.ok(), "1");
    let mut waiting = server.connect().await;
    let waiting = tokio::spawn(async move { waiting.get("/sleep/1500").await });
    let half = format!("/fetch?url={}", upstream.url("/cut"));
    for fault in [
        "/object",
        "/header",
        "/forbidden",
        "/status",
        "/timer",
        "/fetch?url=http://127.0.0.1:9/",
        "/fetch?url=http://[",
        &half,
        "/cancelled",
        "/gather",
        "/group",
        "/exit",
        "/body",
        "/rejection",
    ] {
        let reply = server.get(fault).await;
        let told = (reply.status.as_u16(), reply.header("content-type"));
        assert_eq!(told, (500, "application/problem+json"), "{fault}");
    }
    for fault in ["/later", "/task", "/left", "/cancel", "/exit-later"] {
        assert_eq!(server.get(fault).await.ok(), "fine", "{fault}");
    }
    for reply in join_all((0..3).map(|_| server.get("/locked"))).await {
        assert_eq!(reply.ok(), "fine");
    }
    for fault in ["/sleep/-1", "/sleep/99999999999999999999", "/sleep/abc"] {
        assert_eq!(server.get(fault).await.status, 400, "{fault}");
    }
    assert_eq!(waiting.await.expect("no panic").ok(), "slept 1500 ms\n");
    for why in [
        "not JSON serializable",
        "not a header",
        "Forbidden",
        "spawned",
        "forgotten",
        "web.sleep",
        "failed to fetch",
        "SystemExit: leaving",
        "leaving later",
        "is bytes, not str",
        // Of a traceback, not of what names the exception.
        "in split_the_head",
    ] {
        let said = || server.printed().iter().any(|line| line.message().contains(why));
        wait::until(why, || said().then_some(())).await;
    }
    assert_eq!(server.get("/count").await.ok(), "2", "in the same instance");
}

#[tokio::test]
async fn settings_come_from_the_environment() {
    for (guest, _) in LANGUAGES {
        let server = Server::builder().guest(guest).flag("--env", "GREETING=goodbye").start().await;
        let greeting = server.get("/hello/you").await.ok();
        let greeting: serde_json::Value = serde_json::from_str(&greeting).expect("JSON");
        assert_eq!(greeting["goodbye"], "you", "{}", guest.name);
    }
}

/// How long a handler waits, and how many of them at the same time.
const WAIT: Duration = Duration::from_millis(300);
const WAITING: u32 = 10;

#[tokio::test]
async fn handlers_wait_at_the_same_time() {
    for (guest, modes) in LANGUAGES {
        let server = Server::builder().guest(guest).with_admin().start().await;
        assert_eq!(server.get("/").await.ok(), "Hello, world!\n");
        let target = format!("/sleep/{}", WAIT.as_millis());
        let asking = (0..WAITING).map(|_| server.get(&target));
        let (elapsed, replies) = wait::timed(join_all(asking)).await;
        for reply in replies {
            assert_eq!(reply.ok(), format!("slept {} ms\n", WAIT.as_millis()));
        }
        assert!(elapsed < WAIT * WAITING / 2, "{} took {elapsed:?}", guest.name);
        if modes[0] == "reuse" {
            // Few for all of them: while one starts, those who come then start another.
            let instances = wait::until_async("the instances to be counted", async || {
                let counted = server.metrics().await.sum("remuda_instances", &[]);
                (counted > 0.0).then_some(counted)
            });
            assert!(instances.await < f64::from(WAITING) / 2.0, "{}", guest.name);
        }
    }
}

#[tokio::test]
async fn a_limit_that_is_too_low_is_named_before_anything_starts() {
    for guest in [guests::PYTHON_HELLO, guests::JS_HELLO] {
        let serve = Cli::remuda("serve --admin off --bind 127.0.0.1:0 --limit-memory 4MiB");
        let ended = serve.arg(guest.path()).shared_cache().run().await;
        assert!(matches!(ended.code, Some(65 | 70)), "{ended}");
        assert!(ended.stderr.contains("limits.memory"), "{ended}");
    }
}

/// What may go wrong in a handler in JavaScript, each by itself.
const FAULTS_IN_JS: &str = r#"
const pause = (time) => new Promise((resolve) => setTimeout(resolve, time));

function stream(...chunks) {
  const pull = async (controller) => {
    await pause(50);
    const chunk = chunks.shift();
    if (chunk instanceof Error) throw chunk;
    if (chunk === undefined) return controller.close();
    controller.enqueue(chunk);
  };
  return new Response(new ReadableStream({ pull }));
}

async function used() {
  const response = new Response("x");
  await response.text();
  return response;
}

routes.push(
  ["GET", "/whole", () => stream(new Uint8Array([104]), new Uint8Array([105]))],
  ["GET", "/half", () => stream(new Uint8Array(4000), new Error("half-way"))],
  ["GET", "/string", () => stream(new Uint8Array(4000), "a string")],
  ["GET", "/used", used],
  ["GET", "/cause", () => { throw new Error("outer", { cause: new TypeError("inner") }); }],
  ["GET", "/timer", () => new Promise(() => setTimeout(() => { throw new Error("late"); }, 10))],
  ["GET", "/warn", () => { console.warn("first\nsecond", { a: 1 }.a); return text("fine"); }],
);
"#;

#[tokio::test]
async fn what_fails_in_javascript_is_told_to_both_sides() {
    let mut new = Cli::remuda("new faults --template js");
    let _ = new.run().await.succeeded();
    let modules = new.path("faults/node_modules");
    std::os::unix::fs::symlink(sandbox::node_modules(), modules).expect("a link");
    let source = new.path("faults/src/handler.js");
    let text = fs::read_to_string(&source).expect("a source");
    fs::write(&source, text + FAULTS_IN_JS).expect("written");
    let config = new.path("faults/remuda.toml");
    let mut build = new.then("build faults").with_tools();
    let _ = build.run().await.succeeded();
    let server = Server::builder().flag("--config", config).start().await;

    assert_eq!(server.get("/whole").await.ok(), "hi");
    for incomplete in ["/half", "/string"] {
        let reply = server.connect().await.try_send(Ask::get(incomplete)).await;
        assert!(reply.is_err(), "{incomplete} looks complete");
    }
    for fault in ["/used", "/cause", "/timer"] {
        let reply = server.get(fault).await;
        assert_eq!(reply.status, 500, "{fault}");
        assert!(!reply.text().contains("fetch-event"), "{fault}: {}", reply.text());
    }
    assert_eq!(server.get("/warn").await.ok(), "fine");
    for (level, text) in [
        ("ERROR", "Error: half-way"),
        ("ERROR", "TextEncoderStream"),
        ("ERROR", "body was read already"),
        ("ERROR", "Error: outer"),
        ("ERROR", "caused by: TypeError: inner"),
        ("ERROR", "src/handler.js:"),
        ("ERROR", "Error: late"),
        ("WARN", "first"),
        ("WARN", "second 1"),
    ] {
        let is_it = |line: &Line| line.message().contains(text) && line.text("level") == level;
        let said = || server.printed().iter().any(is_it);
        wait::until(&format!("{level}: {text}"), || said().then_some(())).await;
    }
}
