//! What guests hold is counted, bounded, and given back.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use insta::assert_snapshot;
use remuda_tests::{
    Ask, Cli, Connection, Load, Reply, Server, Upstream, figure, guests,
    process::{self, Pid},
    server::Builder,
    wait,
};

const MIB: u64 = 1 << 20;

/// `workers.memory` of these tests; guests have three quarters of it, and one of several routes
/// three quarters of that.
const WORKER: u64 = 256 * MIB;
const GUESTS: u64 = WORKER / 4 * 3;

/// A small worker that is not replaced, whatever its guests do.
fn small() -> Builder {
    let builder = Server::builder().with_admin().setting("workers.memory", "256MiB");
    builder.setting("workers.recycle_rss", "99%").setting("workers.kill_rss", "2GiB")
}

/// Guests that allocate at `/alloc`, beside others that have nothing to do with it.
fn beside_others() -> Builder {
    small().config(
        r#"
        [[route]]
        component = "[guests]/hello-p2.wasm"
        [[route]]
        path = "/alloc"
        component = "[guests]/misbehave.wasm"
        [[route]]
        host = "kept"
        component = "[guests]/misbehave.wasm"
        instances = { mode = "reuse", max_requests = 1000000, idle_timeout = "1h" }
        [[route]]
        path = "/leak"
        component = "[guests]/leak.wasm"
        instances = { mode = "reuse", max_requests = 1000000, max_concurrency = 16, idle_timeout = "1h" }
        [[route]]
        path = "/big"
        component = "[guests]/big-tables.wasm"
        "#,
    )
}

async fn guest_memory(server: &Server) -> u64 {
    server.metrics().await.sum("remuda_guest_memory_bytes", &[]) as u64
}

/// Waits until guests hold no more than this, and nothing is in flight.
async fn everything_is_given_back(server: &Server, before: u64) {
    wait::until_async("everything to be given back", async || {
        let metrics = server.metrics().await;
        let sum = |name| metrics.sum(name, &[]) as u64;
        let holds_nothing = sum("remuda_guest_memory_bytes") <= before;
        (holds_nothing && sum("remuda_in_flight") == 0).then_some(())
    })
    .await;
}

/// What guests hold that only wait for work.
async fn at_rest(server: &Server) -> u64 {
    let mut last = u64::MAX;
    wait::until_async("idle instances to be looked at", async || {
        let now = guest_memory(server).await;
        (std::mem::replace(&mut last, now) == now).then_some(now)
    })
    .await
}

/// The most that was resident while so many more requests were answered or failed.
async fn most_resident(load: &Load, worker: Pid, answers: usize) -> u64 {
    let wanted = load.report().sent() + answers;
    let mut most = 0;
    wait::until("answers", || {
        most = most.max(process::resident_bytes(worker));
        (load.report().sent() >= wanted).then_some(())
    })
    .await;
    most
}

fn was_refused_for(reply: &Reply, reason: &str) -> bool {
    reply.header("proxy-status").ends_with(&format!("details=\"{reason}\""))
}

#[tokio::test]
async fn fifty_guests_that_allocate_without_end_leave_the_worker_within_its_budget() {
    let server = beside_others().start().await;
    let (worker, before) = (server.worker(), at_rest(&server).await);
    let others = server.load().kept(4).expect(&["Hello, world!\n"]).start();
    others.wait_for_answers(20).await;
    let greedy = server.load().kept(50).ask(Ask::get("/alloc")).start();
    let most = most_resident(&greedy, worker, 100).await;
    others.wait_for_answers(20).await;
    figure(format_args!("50 guests that allocate without end: {} MiB resident of 256", most / MIB));
    assert!(most < WORKER / 5 * 6, "{} MiB resident", most / MIB);
    assert!(most > GUESTS / 2, "they have not got far: {} MiB resident", most / MIB);
    drop(greedy);
    others.stop().await.assert_flawless();
    // A worker that is busy is asked again.
    wait::until_async("somebody to be refused memory", async || {
        let metrics = server.metrics().await;
        let shed = metrics.sum("remuda_shed_total", &[("reason", "memory_budget")]);
        (shed > 0.0).then_some(())
    })
    .await;
    everything_is_given_back(&server, before).await;
    assert_eq!(server.worker(), worker);
}

/// What the host keeps for guests is allocated on whichever thread runs them.
#[tokio::test]
async fn guests_that_hoard_fields_on_many_threads_leave_the_worker_within_its_budget() {
    let builder = small().guest(guests::LEAK).flag("--blocking-threads", "8");
    let server = builder.start().await;
    let worker = server.worker();
    let greedy = server.load().kept(50).ask(Ask::get("/fields")).start();
    let most = most_resident(&greedy, worker, 400).await;
    figure(format_args!("50 guests that hoard fields: {} MiB resident of 256", most / MIB));
    assert!(most < WORKER / 5 * 6, "{} MiB resident", most / MIB);
    drop(greedy);
    assert_eq!(server.worker(), worker);

    // Now guests take what the host has freed, of which the heap keeps nothing.
    let greedy = server.load().kept(50).ask(Ask::get("/?1024")).start();
    let most = most_resident(&greedy, worker, 400).await;
    figure(format_args!("guests that allocate after them: {} MiB resident of 256", most / MIB));
    assert!(most < WORKER / 5 * 6, "{} MiB resident", most / MIB);
    drop(greedy);
    assert_eq!(server.worker(), worker);
}

#[tokio::test]
async fn what_traps_fails_or_succeeds_gives_everything_back() {
    let small = small().guest(guests::MISBEHAVE).flag("--limit-memory", "16MiB");
    let server = small.start().await;
    let asks = ["/alloc?mib=20", "/trap", "/", "/exit", "/alloc?mib=8", "/break?how=alloc"];
    let load = asks.iter().fold(server.load().kept(8), |load, path| load.ask(Ask::get(path)));
    let load = load.start();
    wait::until("2000 requests", || (load.report().sent() >= 2000).then_some(())).await;
    let report = load.stop().await;
    assert!(report.with_body("ok\n") >= 600, "{report}");
    everything_is_given_back(&server, 0).await;
}

#[tokio::test]
async fn an_instance_that_cannot_be_made_is_a_memory_budget_that_is_spent() {
    let server = beside_others().start().await;
    let before = at_rest(&server).await;
    let mut holders = Vec::new();
    for host in ["a", "kept"] {
        let mut holder = server.connect_raw().await;
        let request = format!("GET /alloc?mib=85&ms=60000 HTTP/1.1\r\nhost: {host}\r\n\r\n");
        holder.send_and_see_it_read(&request).await;
        holders.push(holder);
    }
    wait::until_async("two guests to hold most of it", async || {
        (guest_memory(&server).await > 170 * MIB).then_some(())
    })
    .await;
    let refused = server.get("/big").await;
    assert_eq!(refused.status, 503);
    assert!(was_refused_for(&refused, "memory_budget"), "{refused:?}");
    assert!(refused.headers.contains_key("retry-after"));
    // One that needs little still fits.
    assert_eq!(server.get("/").await.ok(), "Hello, world!\n");
    // One that grows does not, for its route has had its share.
    let grown = server.get("/alloc?mib=60").await;
    assert_eq!(grown.status, 503);
    assert!(was_refused_for(&grown, "memory_budget"), "{grown:?}");
    drop(holders);
    wait::until_async("room", async || (server.get("/big").await.status == 200).then_some(()))
        .await;
    everything_is_given_back(&server, before).await;
}

#[tokio::test]
async fn idle_instances_leave_before_a_request_is_refused() {
    // One request at a time in an instance, and many.
    let asks = [Ask::get("/alloc?mib=40&ms=500").host("kept"), Ask::get("/leak?40960")];
    for (idle, times) in asks.iter().zip([3, 2]) {
        let server = beside_others().start().await;
        let replies = join_all((0..times).map(|_| server.send(idle.clone()))).await;
        assert!(replies.iter().all(|reply| reply.status == 200), "{replies:?}");
        let before = guest_memory(&server).await;
        assert!(before > 75 * MIB, "{} MiB", before / MIB);
        assert_eq!(server.get("/alloc?mib=120").await.ok(), "ok\n");
        let after = at_rest(&server).await;
        assert!(after < 60 * MIB, "{} MiB", after / MIB);
    }
}

#[tokio::test]
async fn a_slow_leak_ends_in_fresh_instances_and_no_failure() {
    let builder = small().guest(guests::LEAK).flag("--limit-memory", "32MiB");
    let server = builder.flag("--instance-max-requests", "1000000").start().await;
    let worker = server.worker();
    let load = server.load().mixed().expect(&["kept\n"]).start();
    load.wait_for_answers_to_each_kind(10).await;
    let most = most_resident(&load, worker, 8000).await;
    let report = load.stop().await;
    report.print("instances that leak 64 KiB per request, replaced at their cap");
    report.assert_flawless();
    let leaked = report.answered() as u64 * 64 * 1024;
    assert!(leaked > WORKER, "only {} MiB leaked", leaked / MIB);
    figure(format_args!("{} MiB leaked: {} MiB resident of 256", leaked / MIB, most / MIB));
    assert!(most < WORKER, "{} MiB resident", most / MIB);
}

#[tokio::test]
async fn what_an_instance_sets_up_for_its_first_request_is_no_leak() {
    // Most of what it may have, of both kinds of instances.
    for (guest, first) in [(guests::MISBEHAVE, "/alloc?mib=28"), (guests::LEAK, "/?28672")] {
        let builder = small().guest(guest).flag("--limit-memory", "32MiB");
        let server = builder.flag("--instances", "reuse").start().await;
        assert_eq!(server.get(first).await.status, 200);
        for _ in 0..5 {
            assert_eq!(server.get("/?1").await.status, 200);
        }
        let held = at_rest(&server).await;
        assert!(held > 28 * MIB, "the instance of {} is gone: {held}", guest.name);
    }
}

#[tokio::test]
async fn a_slow_leak_that_no_cap_stops_ends_in_recycling_and_no_failure() {
    let builder = Server::builder().guest(guests::LEAK).with_admin().workers(2);
    let builder = builder.setting("workers.memory", "400MiB").flag("--limit-memory", "400MiB");
    let builder = builder.setting("workers.recycle_rss", "40%");
    let server = builder.flag("--instance-max-requests", "1000000").start().await;
    let load = server.load().mixed().ask(Ask::get("/?128")).expect(&["kept\n"]).start();
    wait::until_async("workers to be recycled", async || {
        let metrics = server.metrics().await;
        let recycled = metrics.sum("remuda_worker_restarts_total", &[("reason", "rss")]);
        (recycled >= 3.0).then_some(())
    })
    .await;
    let report = load.stop().await;
    report.print("workers that leak 128 KiB per request, recycled 3 times by recycle_rss");
    report.assert_flawless();
}

#[tokio::test]
async fn a_component_with_large_tables_and_several_memories_is_served() {
    let server = Server::of(guests::BIG_TABLES).await;
    let replies = join_all((0..20).map(|_| server.get("/"))).await;
    assert!(replies.into_iter().all(|reply| reply.ok() == "ok\n"));
}

/// How a command of this component ends under these settings.
async fn ends(command: &str, settings: &str) -> String {
    let command = format!("{command} --log-level error --bind 127.0.0.1:0 {settings}");
    let ended = Cli::remuda(&command).arg(guests::BIG_TABLES.path()).shared_cache().run().await;
    let ended = ended.to_string();
    let lines = ended.lines().filter(|line| line.starts_with("exit") || line.starts_with("remuda"));
    lines.collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn a_component_that_cannot_fit_is_refused_with_the_key_that_would_admit_it() {
    let by_limit = ends("serve", "--limit-memory 32MiB").await;
    assert_snapshot!(by_limit, @r"
    exit code 65
    remuda: cannot serve [guests]/big-tables.wasm at /: an instance needs 40.5MiB from its start (5 memories with 25.2MiB, 7 tables with 2000093 elements), and limits.memory is 32MiB; raise limits.memory
    ");
    assert_eq!(ends("check", "--limit-memory 32MiB").await, by_limit);
    let by_worker = ends("serve", "--worker-memory 72MiB --limit-memory 64MiB").await;
    assert_snapshot!(by_worker, @r"
    exit code 65
    remuda: cannot serve [guests]/big-tables.wasm at /: an instance needs 40.5MiB from its start (5 memories with 25.2MiB, 7 tables with 2000093 elements), and the guests of its route have 40MiB together, of workers.memory 72MiB; raise workers.memory
    ");
    assert_eq!(ends("check", "--worker-memory 72MiB --limit-memory 64MiB").await, by_worker);
    let floor = "--worker-memory 256MiB --limit-memory 64MiB --instance-min-idle 5";
    let by_floor = ends("serve", floor).await;
    assert_snapshot!(by_floor, @r"
    exit code 65
    remuda: cannot keep 5 instances of [guests]/big-tables.wasm ready at /: they need 202.8MiB together from their start, and the guests of their route have 192MiB, of workers.memory 256MiB; lower instances.min_idle, or raise workers.memory
    ");
    assert_eq!(ends("check", floor).await, by_floor);
}

#[tokio::test]
async fn a_reload_to_a_component_that_cannot_fit_changes_nothing() {
    let builder = Server::builder().install(guests::HELLO_P2, "app.wasm");
    let builder = builder.flag("--limit-memory", "32MiB");
    let server = builder.config("[[route]]\ncomponent = \"app.wasm\"").with_admin().start().await;
    server.install(guests::BIG_TABLES, "app.wasm");
    let refused = server.reload().await.expect_err("it does not fit");
    assert!(refused.to_string().contains("raise limits.memory"), "{refused}");
    assert_eq!(server.get("/").await.ok(), "Hello, world!\n");
}

/// What the guest got out of the host, which it says at the end if it gets there.
async fn hoarded(server: &Server, what: &str) -> Reply {
    server.get(&format!("/hoard?what={what}")).await
}

#[tokio::test]
async fn what_guests_have_the_host_keep_is_bounded() {
    let server = small().guest(guests::MISBEHAVE).start().await;
    let worker = server.worker();
    assert_eq!(server.get("/").await.ok(), "ok\n");
    let before = process::resident_bytes(worker);
    assert_eq!(hoarded(&server, "write").await.ok(), "16384\n");
    assert_eq!(hoarded(&server, "list&kib=40").await.ok(), "true\n");
    for what in ["list&kib=8192", "timers", "field-bytes"] {
        assert_eq!(hoarded(&server, what).await.status, 500, "{what}");
    }
    let replies = join_all((0..20).map(|_| hoarded(&server, "fields"))).await;
    assert!(replies.iter().all(|reply| reply.status.is_server_error()), "{replies:?}");
    let after = process::resident_bytes(worker);
    figure(format_args!(
        "20 guests that hoard fields: {} MiB resident, {} before",
        after / MIB,
        before / MIB
    ));
    assert!(after < WORKER / 5 * 6, "{} MiB resident", after / MIB);
    everything_is_given_back(&server, 0).await;
}

#[tokio::test]
async fn an_instance_has_only_so_many_requests_under_way() {
    let upstream = Upstream::start().await;
    let builder =
        Server::builder().guest(guests::MISBEHAVE).setting("outbound.max_per_host", "1000");
    let builder = builder.flag("--outbound-allow", upstream.origin());
    let server = builder.flag("--cpu-time", "60s").start().await;
    let authority = upstream.origin().replace("http://", "");
    let reply = hoarded(&server, &format!("requests&authority={authority}")).await;
    assert_eq!(reply.ok(), "128\n");
    upstream.release();
}

#[tokio::test]
async fn fields_are_on_the_account_of_the_guest_that_made_them() {
    for (guest, path) in [(guests::MISBEHAVE, "/hoard?what=fields"), (guests::LEAK, "/fields")] {
        let server = small().guest(guest).flag("--limit-memory", "16MiB").start().await;
        let ended = server.get(path).await;
        assert_eq!(ended.status, 500);
        assert!(was_refused_for(&ended, "memory_limit"), "{}: {ended:?}", guest.name);
        assert_eq!(server.get("/").await.status, 200);
    }
}

#[tokio::test]
async fn fields_that_a_guest_leaves_to_the_host_stay_on_its_account() {
    let builder = small().guest(guests::LEAK).flag("--limit-memory", "8MiB");
    let server = builder.flag("--instance-max-requests", "100000").start().await;
    let mut connection = server.connect().await;
    let mut held = Vec::new();
    for _ in 0..30 {
        assert_eq!(connection.get("/field").await.ok(), "kept\n");
        held.push(guest_memory(&server).await);
    }
    let (first, last) = (held[0], held[29]);
    // The guest itself keeps 64 KiB of each.
    assert!(last - first > 29 * 80 * 1024, "{first} and {last} bytes");
    // An instance that has nearly all it may have leaves before a request fails of it.
    for _ in 0..500 {
        assert_eq!(connection.get("/field").await.ok(), "kept\n");
    }
}

/// More than a worker should ever keep of what passes through it.
const PASSING: u64 = 32 * MIB;

#[tokio::test]
async fn what_guests_print_is_not_kept() {
    let server = small().guest(guests::MISBEHAVE).flag("--cpu-time", "60s").start().await;
    let load = server.load().kept(1).pause(Duration::from_millis(5)).start();
    let before = process::resident_bytes(server.worker());
    let mut most = before;
    let flood = server.get("/flood?mib=64");
    let watched = async {
        loop {
            most = most.max(process::resident_bytes(server.worker()));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        reply = flood => assert_eq!(reply.ok(), "ok\n"),
        () = watched => {}
    }
    let report = load.stop().await;
    report.assert_flawless();
    assert!(most < before + PASSING, "{} MiB more resident", (most - before) / MIB);
}

#[tokio::test]
async fn an_upstream_is_not_read_from_when_the_client_does_not_read() {
    let upstream = Upstream::start().await;
    let builder = Server::builder().guest(guests::FETCH);
    let server = builder.flag("--outbound-allow", upstream.origin()).start().await;
    assert_eq!(server.send(Ask::fetch(&upstream.url("/"))).await.status, 200);
    let before = process::resident_bytes(server.worker());
    let client = Connection::http1_with_buffers(server.address(), 64 << 10).await;
    let mut client = client.expect("a connection");
    let mut exchange = client.open(Ask::fetch(&upstream.url("/endless"))).await;
    exchange.finish();
    // The kernel has buffers on both sides.
    let (mut last, mut since) = (u64::MAX, Instant::now());
    wait::until("the upstream to stall", || {
        let now = upstream.sent();
        if std::mem::replace(&mut last, now) != now {
            since = Instant::now();
        }
        assert!(now < 4 * PASSING, "the upstream has sent {} MiB", now / MIB);
        (now > 0 && since.elapsed() > Duration::from_secs(1)).then_some(())
    })
    .await;
    let after = process::resident_bytes(server.worker());
    assert!(after < before + PASSING, "{} MiB more resident", (after - before) / MIB);
}
