//! `remuda load`, from outside: what it prints and writes, and how it ends.

use remuda_tests::{
    Cli, Ended, Server, Upstream, guests,
    process::{self, Pid, Signal},
    wait,
};
use serde_json::Value;

/// A run of some requests, with flags.
fn load(target: &str, flags: &str) -> Cli {
    Cli::remuda(&format!("load {target} {flags}"))
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

#[tokio::test]
async fn a_summary_is_printed_and_reports_are_written() {
    let upstream = Upstream::start().await;
    let mut cli =
        load(&upstream.url("/"), "-c 4 -n 200 --json run.json --html run.html --fail-if errors>0");
    let summary = cli.run().await.succeeded();
    assert!(summary.contains("requests   200  ok 200  errors 0 (0 %)"), "{summary}");
    assert!(summary.contains("held     errors>0  (0)"), "{summary}");
    let report = json(&std::fs::read_to_string(cli.path("run.json")).expect("a report"));
    assert_eq!(report["summary"]["all"]["ok"], 200);
    let page = std::fs::read_to_string(cli.path("run.html")).expect("a page");
    assert!(page.contains("<svg") && page.contains(upstream.origin().as_str()), "{page}");
    assert_eq!(upstream.requests(), 200);
}

#[tokio::test]
async fn thresholds_decide_how_it_ends() {
    let upstream = Upstream::start().await;
    let ended = load(&upstream.url("/"), "-n 100 --fail-if p50>1us -q").run().await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{ended}");
    assert!(ended.stderr.contains("remuda: broken: p50>1us"), "{ended}");
    let ended =
        load(&upstream.url("/"), "-n 100 --fail-if p50>1us --fail-if max>1us -q").run().await;
    assert!(ended.stderr.contains("remuda: broken: max>1us"), "each says so: {ended}");
    let ended = load(&upstream.url("/"), "-n 10 --fail-if error_rate>0.1% -q").run().await;
    assert_eq!(ended.code, Some(3), "{ended}");
    assert!(ended.stderr.contains("too few requests to tell"), "{ended}");
    // More requests would tell no more.
    let flags = "-n 200 --expect 418 --fail-if p50>1s -q";
    let ended = load(&upstream.url("/"), flags).run().await;
    assert_eq!(ended.code, Some(3), "{ended}");
    assert!(ended.stderr.contains("all of 200 requests failed"), "{ended}");
    assert!(!ended.stderr.contains("run for longer"), "{ended}");
    // Answers all the same.
    let ended = load(&upstream.url("/"), "-n 20 --expect 418 -q").run().await;
    assert_eq!(ended.code, Some(0), "{ended}");
}

#[tokio::test]
async fn a_run_without_an_answer_fails_and_is_reported() {
    // It takes connections, and leaves them alone.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let mut cli = load(&url, "-c 1 -n 2 --request-timeout 50ms -q --json run.json");
    let ended = cli.run().await;
    assert_eq!(ended.code, Some(69), "{ended}");
    assert!(ended.stderr.contains("not one of 2 requests was answered (timeout 2)"), "{ended}");
    let report = json(&std::fs::read_to_string(cli.path("run.json")).expect("a report"));
    assert_eq!(report["summary"]["all"]["errors"], 2);
    let upstream = Upstream::start().await;
    let ended = load(&upstream.url("/"), "-r 0.01 -d 100ms -q").run().await;
    assert_eq!(ended.code, Some(3), "{ended}");
    assert!(ended.stderr.contains("no request has ended"), "{ended}");
}

#[tokio::test]
async fn mistakes_are_told_before_anything_is_sent() {
    let upstream = Upstream::start().await;
    let told = async |ended: &mut Cli, code: i32, texts: &[&str]| {
        let ended: Ended = ended.run().await;
        assert_eq!(ended.code, Some(code), "{ended}");
        for text in texts {
            assert!(ended.stderr.contains(text), "{text}: {ended}");
        }
    };
    let url = upstream.url("/");
    told(&mut load(&url, "--users 0 --think fast"), 64, &["users: ", "think: "]).await;
    told(&mut load(&url, "--users x"), 64, &["--users"]).await;
    told(&mut load(&url, "-r -5"), 64, &["rate: failed to use \"-5\""]).await;
    told(&mut load(&url, "-d -1s"), 64, &["duration: failed to use \"-1s\""]).await;
    told(&mut load(&url, "--target http://127.0.0.1:1"), 64, &["it is for scenarios"]).await;
    told(&mut load("s.toml", &url), 64, &["--target ", &url]).await;
    told(&mut load("", ""), 64, &["name a URL"]).await;
    told(&mut load("", "").arg(""), 64, &["name a URL"]).await;
    told(&mut load("127.0.0.1:1", ""), 78, &["or a URL such as http://127.0.0.1:1"]).await;
    told(&mut load("http://127.0.0.1:1/", "-n 1"), 69, &["is the server running there?"]).await;
    told(&mut load(&url, "-n 1 --json no/such/folder"), 70, &["name another"]).await;
    told(&mut load(&url, "-n 1 --html -"), 64, &["name a file"]).await;
    told(&mut load(&url, "-n 1 --json a --html a"), 64, &["--json goes there"]).await;
    told(&mut load(&url, "-n 1 --fail-if p99>50"), 64, &["p99>50", "such as 50ms"]).await;
    let tls = url.replace("http://", "https://");
    told(&mut load(&tls, "-n 1"), 69, &["speaks no TLS; write http://"]).await;
    let mut file =
        load("bad.toml", "").file("bad.toml", "target = 'http://a'\nuserz = 5\nthink = 'fast'");
    told(&mut file, 78, &["bad.toml", "userz", "think"]).await;
    assert_eq!(upstream.requests(), 0);
}

#[tokio::test]
async fn a_run_that_comes_to_nothing_leaves_no_report_and_takes_none_away() {
    let flags = "-n 1 --json old.json --html new.html";
    let mut cli = load("http://127.0.0.1:1/", flags).file("old.json", "precious");
    let ended = cli.run().await;
    assert_eq!(ended.code, Some(69), "{ended}");
    assert_eq!(std::fs::read_to_string(cli.path("old.json")).expect("a file"), "precious");
    assert!(!cli.path("new.html").exists());
    // A longer one is replaced whole.
    let upstream = Upstream::start().await;
    let mut cli = load(&upstream.url("/"), flags).file("old.json", "x".repeat(1 << 20));
    let _ = cli.run().await.succeeded();
    json(&std::fs::read_to_string(cli.path("old.json")).expect("a report"));
    assert!(cli.path("new.html").exists());
}

#[tokio::test]
async fn one_report_that_cannot_be_written_does_not_cost_the_other() {
    let upstream = Upstream::start().await;
    let mut cli = load(&upstream.url("/"), "-n 20 --json /dev/full --html run.html");
    let ended = cli.run().await;
    assert_eq!(ended.code, Some(70), "{ended}");
    assert!(ended.stderr.contains("/dev/full: failed to write the report"), "{ended}");
    assert!(ended.stdout.contains("requests   20"), "{ended}");
    let page = std::fs::read_to_string(cli.path("run.html")).expect("a page");
    assert!(page.ends_with("</html>\n"), "{page}");
}

#[tokio::test]
async fn metrics_that_are_not_there_are_told_at_once_and_at_the_end() {
    let upstream = Upstream::start().await;
    let flags = "-c 1 -d 1s --metrics http://127.0.0.1:1/metrics";
    let ended = load(&upstream.url("/"), flags).run().await;
    assert_eq!(ended.code, Some(0), "{ended}");
    let problem = "metrics: failed to read http://127.0.0.1:1/metrics: ";
    assert!(ended.stderr.contains(problem) && ended.stdout.contains(problem), "{ended}");
}

#[tokio::test]
async fn a_scenario_file_says_what_is_sent_and_flags_win() {
    let upstream = Upstream::start().await;
    let scenario = format!(
        "target = '{}'\nusers = 2\nrequests = 1000000\n\
         [[endpoint]]\nname = 'first'\npath = '/'\n\
         [[endpoint]]\nname = 'echo'\npath = '/echo'\nbody_file = 'body.txt'\nexpect_body = 'text'",
        upstream.origin()
    );
    let flags = "-n 300 --json - --fail-if echo.errors>0";
    let cli = load("sub/scenario.toml", flags).file("sub/scenario.toml", scenario);
    // Beside the file, wherever the command runs.
    let report = json(&cli.file("sub/body.txt", "a text").run().await.succeeded());
    let of = |index: usize| report["summary"]["endpoints"][index]["figures"]["ok"].as_u64();
    assert_eq!(of(0).zip(of(1)).map(|(first, echo)| first + echo), Some(300));
    assert!(of(0) > Some(50) && of(1) > Some(50), "{report}");
}

#[tokio::test]
async fn a_scenario_can_be_sent_to_another_server() {
    let upstream = Upstream::start().await;
    let scenario = "target = 'http://127.0.0.1:1/echo'\nrequests = 20";
    let flags = format!("--json - --target {}", upstream.origin());
    let report = json(&load("s.toml", &flags).file("s.toml", scenario).run().await.succeeded());
    assert_eq!(report["summary"]["all"]["ok"], 20);
    assert_eq!(report["scenario"]["endpoints"][0]["path"], "/echo");
}

#[tokio::test]
async fn two_runs_are_compared() {
    let upstream = Upstream::start().await;
    let mut cli = load(&upstream.url("/"), "-c 2 -d 1s --interval 50ms -q --json one.json");
    assert_eq!(cli.run().await.succeeded(), "");
    let slower = upstream.url("/sleep?ms=5");
    let one = cli.path("one.json");
    let mut cli = load(&slower, "-c 2 -d 1s --interval 50ms -q --json two.json");
    assert_eq!(cli.run().await.succeeded(), "");
    let compare = |before: &std::path::Path, after: &std::path::Path, flags: &str| {
        Cli::remuda(&format!("load compare {flags}")).arg(before).arg(after)
    };
    let two = cli.path("two.json");
    let same = compare(&one, &one, "--fail-if-worse").run().await.succeeded();
    assert!(same.contains("rate        noise") && !same.contains("WORSE"), "{same}");
    // Two intervals tell nothing.
    let flags = "-c 2 -d 1s --interval 500ms -q --json short.json";
    let mut short = load(&upstream.url("/"), flags);
    assert_eq!(short.run().await.succeeded(), "");
    let short = short.path("short.json");
    let ended = compare(&short, &short, "").run().await;
    assert_eq!(ended.code, Some(3), "{ended}");
    // Another path is another load.
    let ended = compare(&one, &two, "").run().await;
    assert_eq!(ended.code, Some(78), "{ended}");
    assert!(ended.stderr.contains("--any-scenario"), "{ended}");
    let ended = compare(&one, &two, "--any-scenario --fail-if-worse").run().await;
    assert_eq!(ended.code, Some(1), "{ended}");
    assert!(ended.stdout.contains("p50         WORSE"), "{ended}");
    let better = compare(&two, &one, "--any-scenario --json").run().await.succeeded();
    assert_eq!(json(&better)["figures"][0]["verdict"], "better");
}

#[tokio::test]
async fn an_interrupted_run_tells_what_it_has() {
    // Whoever presses Ctrl-C, and a job that has run out of time.
    for signal in [Signal::INT, Signal::TERM] {
        interrupted_by(signal).await;
    }
}

async fn interrupted_by(signal: Signal) {
    let upstream = Upstream::start().await;
    let mut cli = load(&upstream.url("/"), "-c 2 -d 60s --json run.json --html run.html");
    let interrupt = async {
        upstream.wait_for_requests(50).await;
        let load = wait::until("the load generator", || {
            let children = process::children(Pid::from_raw(std::process::id() as i32)?);
            children.into_iter().find(|pid| {
                process::arguments(*pid).get(1).is_some_and(|argument| argument == "load")
            })
        });
        process::signal(load.await, signal);
    };
    let (ended, ()) = tokio::join!(cli.run(), interrupt);
    assert_eq!(ended.code, Some(130), "{ended}");
    assert!(ended.stdout.contains("interrupted"), "{ended}");
    let report = json(&std::fs::read_to_string(cli.path("run.json")).expect("a report"));
    assert_eq!(report["ended"], "interrupted");
    assert!(report["summary"]["all"]["ok"].as_u64() >= Some(48), "{report}");
    let page = std::fs::read_to_string(cli.path("run.html")).expect("a page");
    assert!(page.contains("interrupted") && page.ends_with("</html>\n"), "{page}");
}

#[tokio::test]
async fn the_servers_own_metrics_are_in_the_report() {
    let server = Server::builder().guest(guests::HELLO).with_admin().start().await;
    let flags =
        format!("-c 2 -d 4s -q --json - --html run.html --metrics http://{}", server.admin());
    let mut cli = load(&format!("http://{}/", server.address()), &flags);
    let report = json(&cli.run().await.succeeded());
    let rows = report["series"].as_array().expect("rows");
    let sample = rows.iter().map(|row| &row["server"]).find(|sample| !sample.is_null());
    let sample = sample.expect("a sample");
    for known in ["in_flight", "queue", "shed_total", "rss_bytes", "cpu_seconds_total"] {
        assert!(sample[known].is_number(), "{known}: {sample}");
    }
    assert!(sample["rss_bytes"].as_f64() > Some(1e6), "{sample}");
    let cpu: Vec<_> =
        rows.iter().filter_map(|row| row["server"]["cpu_seconds_total"].as_f64()).collect();
    assert!(cpu.is_sorted() && cpu.last() > cpu.first(), "it has worked: {cpu:?}");
    let page = std::fs::read_to_string(cli.path("run.html")).expect("a page");
    let chart = page.split("<figcaption>").find(|part| part.starts_with("Server: CPU"));
    assert!(chart.is_some_and(|chart| chart.contains("d=\"M")), "{page}");
}
