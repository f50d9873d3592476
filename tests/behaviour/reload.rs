//! A reload replaces everything, or nothing, and no client notices.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use remuda_tests::{
    Ask, Reply, Server, Upstream,
    guests::{self, Guest},
    log::Line,
    process::{self, Pid, Signal},
    wait,
};

/// The component at `/`, which is replaced.
const APP: &str = "app.wasm";
const APPS: [(Guest, &str); 2] =
    [(guests::HELLO_P2, "Hello, world!\n"), (guests::MISBEHAVE, "ok\n")];

/// `/env?key=VERSION` tells which configuration an answer comes from.
fn version(number: usize) -> String {
    format!(
        r#"
        [[route]]
        component = "{APP}"

        [[route]]
        path = "/env"
        component = "[guests]/misbehave.wasm"
        env = {{ VERSION = "{number}" }}
        "#
    )
}

async fn serving_version_1() -> Server {
    let builder = Server::builder().install(APPS[0].0, APP).config(&version(1));
    builder.workers(2).with_admin().start().await
}

/// Which configurations an answer may come from.
#[derive(Default)]
struct Versions {
    written: AtomicUsize,
    serving: AtomicUsize,
}

impl Versions {
    /// Either generation of a reload that is under way. An answer of the generation before
    /// may have been on its way when the reload ended, and the next one has begun since.
    fn check(&self, reply: &Reply) -> Result<(), String> {
        let text = reply.text();
        if APPS.iter().any(|(_, body)| *body == text) {
            return Ok(());
        }
        let oldest = self.serving.load(Ordering::SeqCst).saturating_sub(2);
        let newest = self.written.load(Ordering::SeqCst);
        let version: usize = text.parse().map_err(|_| format!("the body is {text:?}"))?;
        let expected = (oldest..=newest).contains(&version);
        expected.then_some(()).ok_or_else(|| format!("{version} is not in {oldest}..={newest}"))
    }
}

const RELOADS: usize = 100;

#[tokio::test]
async fn a_hundred_reloads_under_load_fail_nothing() {
    let server = serving_version_1().await;
    let versions = Arc::new(Versions { written: 1.into(), serving: 1.into() });
    let load = |pause| {
        let versions = Arc::clone(&versions);
        let plan = server.load().mixed().pause(pause);
        let plan = plan.ask(Ask::get("/")).ask(Ask::get("/env?key=VERSION"));
        plan.check(move |reply| versions.check(reply)).start()
    };
    // Those that are idle most of the time meet the end of their connections there.
    let (busy, idle) = (load(Duration::ZERO), load(Duration::from_millis(20)));
    busy.wait_for_answers_to_each_kind(10).await;

    let last = RELOADS + 1;
    for number in 2..=last {
        versions.written.store(number, Ordering::SeqCst);
        server.configure(&version(number));
        if number.is_multiple_of(2) {
            server.install(APPS[number / 2 % 2].0, APP);
        }
        let reloaded = server.reload().await.unwrap_or_else(|line| panic!("{line}"));
        assert_eq!(reloaded.number("generation"), number as u64);
        assert_eq!(reloaded.number("workers"), 2);
        versions.serving.store(number, Ordering::SeqCst);
        busy.wait_for_answers_to_each_kind(1).await;
    }
    server.wait_for_workers(2).await;
    busy.wait_for_answers_to_each_kind(10).await;
    for (load, name) in [(busy, "busy"), (idle, "idle in between")] {
        let report = load.stop().await;
        report.print(&format!("{RELOADS} reloads, clients {name}"));
        report.assert_flawless();
        for (_, body) in APPS {
            assert!(report.with_body(body) > 0, "{report}");
        }
    }
    assert_eq!(server.get("/env?key=VERSION").await.ok(), last.to_string());
    assert_eq!(server.get("/").await.ok(), APPS[last / 2 % 2].1);
    let metrics = server.metrics().await;
    assert_eq!(metrics.value("remuda_reloads_total", &[("result", "success")]), RELOADS as f64);
    assert_eq!(metrics.sum("remuda_reloads_total", &[("result", "failure")]), 0.0);
}

/// What makes a reload fail, how that is done, and what the server names then.
type Failure = (&'static str, fn(&Server), &'static str);

const FAILURES: [Failure; 12] = [
    ("a syntax error", |server| server.configure("[[route]\n"), "remuda.toml"),
    ("an unknown key", |server| server.configure("[wrokers]\ncount = 1\n"), "workers"),
    ("a missing component", |server| server.configure(&without("app")), "missing.wasm"),
    ("a broken component", |server| server.write(APP, "\0asm and no more"), APP),
    ("no regular file", a_pipe_without_an_end, APP),
    ("no handler", |server| server.install(guests::NOT_HTTP, APP), APP),
    ("no instance", |server| server.configure(&without_memory()), "memory"),
    ("no time to boot", |server| server.configure(&in_no_time()), "boot"),
    ("a trap in startup", |server| server.configure(&with_startup("trap")), "in its startup"),
    ("an error of startup", |server| server.configure(&with_startup("error no keys")), "no keys"),
    ("a startup without end", |server| server.configure(&with_startup("spin")), "startup_timeout"),
    ("no file", |server| server.remove("remuda.toml"), "remuda.toml"),
];

fn without(app: &str) -> String {
    version(2).replace(app, "missing")
}

fn a_pipe_without_an_end(server: &Server) {
    server.remove(APP);
    let made = std::process::Command::new("mkfifo").arg(server.path(APP)).status();
    assert!(made.is_ok_and(|status| status.success()), "a pipe");
}

/// No instance can be started; the workers find out when they try.
fn without_memory() -> String {
    format!("[limits]\nmemory = \"64KiB\"\n{}", version(2))
}

fn in_no_time() -> String {
    format!("[workers]\nboot_timeout = \"1ms\"\n{}", version(2))
}

/// What its first instance does in its hook.
fn with_startup(what: &str) -> String {
    format!(
        r#"
        {}
        [[route]]
        path = "/hooked"
        component = "[guests]/offload-p2.wasm"
        env = {{ STARTUP = "{what}" }}
        instances = {{ startup_timeout = "100ms" }}
        "#,
        version(2)
    )
}

const ROUNDS: usize = 20;

#[tokio::test]
async fn reloads_that_fail_under_load_change_nothing() {
    let server = serving_version_1().await;
    let before = pids(&server.workers());
    let plan = server.load().mixed().ask(Ask::get("/")).ask(Ask::get("/env?key=VERSION"));
    let load = plan.expect(&[APPS[0].1, "1"]).start();
    load.wait_for_answers_to_each_kind(10).await;
    for round in 0..ROUNDS {
        for (what, spoil, named) in FAILURES {
            spoil(&server);
            let line = server.reload().await.expect_err(what);
            let reason = line.text("reason");
            assert!(reason.contains(named), "{what}: {reason}");
            // Nobody is left behind of those that were started in vain.
            assert_eq!(pids(&server.wait_for_workers(2).await), before, "{what}, round {round}");
            server.configure(&version(1));
            server.install(APPS[0].0, APP);
        }
    }
    load.wait_for_answers_to_each_kind(10).await;
    let report = load.stop().await;
    report.print(&format!("{} reloads that failed", ROUNDS * FAILURES.len()));
    report.assert_flawless();
    let failed = server.metrics().await.value("remuda_reloads_total", &[("result", "failure")]);
    assert_eq!(failed, (ROUNDS * FAILURES.len()) as f64);

    // None of it stands in the way of the next one.
    server.configure(&version(2));
    server.reload().await.unwrap_or_else(|line| panic!("{line}"));
    assert_eq!(server.get("/env?key=VERSION").await.ok(), "2");
}

fn pids(pids: &[Pid]) -> Vec<i32> {
    let mut pids: Vec<i32> = pids.iter().map(|pid| pid.as_raw_pid()).collect();
    pids.sort_unstable();
    pids
}

#[tokio::test]
async fn whoever_orders_a_reload_is_told_how_it_went() {
    let server = serving_version_1().await;
    server.configure(&version(2));
    assert!(server.ctl(&["reload"]).await.succeeded().contains("generation 2"));
    assert_eq!(server.get("/env?key=VERSION").await.ok(), "2");

    server.configure("[wrokers]\ncount = 1\n");
    let ended = server.ctl(&["reload"]).await;
    assert_eq!(ended.code, Some(78), "{ended}");
    assert!(ended.stderr.contains("wrokers") && ended.stderr.contains("workers"), "{ended}");

    server.configure(&version(3));
    server.write(APP, "\0asm and no more");
    let ended = server.ctl(&["reload"]).await;
    assert_eq!(ended.code, Some(65), "{ended}");
    assert!(ended.stderr.contains(APP), "{ended}");
    assert_eq!(server.get("/env?key=VERSION").await.ok(), "2");
    let status = server.status().await;
    assert_eq!(
        (&status["reloads"]["succeeded"], &status["reloads"]["failed"]),
        (&1.into(), &2.into())
    );
    assert!(status["reloads"]["last_failure"].as_str().is_some_and(|why| why.contains(APP)));
}

#[tokio::test]
async fn what_is_in_flight_is_finished_by_the_old_generation() {
    let upstream = Upstream::start().await;
    let builder = Server::builder().guest(guests::FETCH).with_admin();
    let server = builder.flag("--outbound-allow", upstream.origin()).start().await;
    let (old, held) = (server.worker(), server.hold(&upstream).await);
    server.reload().await.unwrap_or_else(|line| panic!("{line}"));
    assert_eq!(server.send(Ask::fetch(&upstream.url("/"))).await.ok(), "upstream\n");
    assert!(process::is_running(old));
    upstream.release();
    held.is_answered().await;
    wait::until("the old worker to end", || (!process::is_running(old)).then_some(())).await;
    assert_eq!(server.wait_for_workers(1).await.len(), 1);
}

#[tokio::test]
async fn a_request_is_answered_however_far_it_had_come() {
    let server = Server::builder().guest(guests::MISBEHAVE).with_admin().start().await;
    let mut half_read = server.connect_raw().await;
    half_read.send_and_see_it_read("GET / HTTP/1.1\r\nhost: a").await;
    let mut dispatched = server.connect_raw().await;
    dispatched.send_and_see_it_read("GET /sleep?ms=1500 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut connection = server.connect().await;
    let mut begun = connection.open(Ask::get("/slow-body?chunks=2&ms=1500")).await;
    assert_eq!(begun.read_exactly(8).await, b"chunk 0\n");

    server.reload().await.unwrap_or_else(|line| panic!("{line}"));
    half_read.send("\r\n\r\n").await;

    for client in [&mut half_read, &mut dispatched] {
        let response = client.read_to_end().await;
        assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
        assert!(response.contains("connection: close\r\n"), "{response}");
        assert!(response.ends_with("\r\n\r\nok\n"), "{response}");
    }
    assert_eq!(begun.read_exactly(8).await, b"chunk 1\n");
    assert_eq!(begun.read().await, None);
}

#[tokio::test]
async fn orders_that_come_during_a_reload_are_not_lost() {
    let server = serving_version_1().await;
    let load = server.load().mixed().start();
    load.wait_for_answers(100).await;
    for number in 2..=6 {
        server.configure(&version(number));
        server.signal(Signal::HUP);
    }
    // However many reloads it takes: the last one reads what was written last.
    wait::until_async("the last configuration to be served", async || {
        (server.get("/env?key=VERSION").await.ok() == "6").then_some(())
    })
    .await;
    server.wait_for_workers(2).await;
    load.stop().await.assert_flawless();
}

#[tokio::test]
async fn only_what_has_changed_is_compiled() {
    let builder = Server::builder().install(APPS[0].0, APP).config(&version(1)).own_cache();
    let server = builder.with_admin().start().await;
    assert_eq!(compiled(&server).len(), 2);
    server.install(guests::ECHO, APP);
    server.reload().await.unwrap_or_else(|line| panic!("{line}"));
    let compiled = compiled(&server);
    assert_eq!(compiled.len(), 3);
    assert!(compiled[2].text("component").ends_with(APP), "{}", compiled[2]);
}

/// What was compiled and not found in the cache.
fn compiled(server: &Server) -> Vec<Line> {
    let lines = server.lines("compiled").into_iter();
    lines.filter(|line| !line.to_string().contains(r#""cached":true"#)).collect()
}
