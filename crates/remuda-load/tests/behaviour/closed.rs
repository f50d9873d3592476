//! Users who wait for their answers.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use remuda_load::Ended;

use crate::{
    report, run, scenario,
    server::{Server, State},
};

#[test]
fn users_keep_their_connections() {
    let server = Server::tcp();
    let report = report(&server.url, "users = 4\nthreads = 2\nduration = '300ms'");
    let all = &report.summary.all;
    assert!(all.ok > 0 && all.bytes_per_second > 0.0, "{all:?}");
    assert_eq!((all.ok, server.requests(), server.connections()), (all.requests, all.ok, 4));
    assert_eq!((report.summary.connections, report.ended.as_str()), (4, "plan"));
    // Each has one request at a time.
    assert!(State::get(&server.state.most_at_once) <= 4);
}

#[test]
fn no_more_are_sent_than_asked_for() {
    let server = Server::tcp();
    let report = report(&server.url, "users = 4\nthreads = 2\nrequests = 501");
    assert_eq!((report.summary.all.ok, server.requests()), (501, 501));
    assert_eq!(report.ended, "requests");
}

#[test]
fn fresh_connections_take_one_request_each() {
    let server = Server::tcp();
    let report = report(&server.url, "users = 3\nrequests = 60\nconnection.reuse = false");
    assert_eq!((report.summary.all.ok, server.connections()), (60, 60));
    assert_eq!(report.summary.connect_ms.map(|connect| connect.max > 0.0), Some(true));
}

#[test]
fn users_think() {
    let server = Server::tcp();
    let report =
        report(&server.url, "users = 2\nduration = '600ms'\nthink = '100ms'\ninterval = '100ms'");
    // At most one for each pause that has begun.
    assert!(report.summary.all.ok <= 14, "{:?}", report.summary.all);
    assert!(report.summary.all.ok >= 4, "{:?}", report.summary.all);
}

#[test]
fn users_come_and_go() {
    let server = Server::tcp();
    let text = "users = 10\nthreads = 2\nramp_up = '500ms'\nduration = '500ms'\n\
                ramp_down = '500ms'\nthink = '5ms'\ninterval = '100ms'";
    let began = Instant::now();
    let report = report(&server.url, text);
    assert!(began.elapsed() >= Duration::from_millis(1500));
    assert_eq!(report.ended, "plan");
    let at = |seconds: f64| {
        report.series.iter().find(|row| row.at >= seconds - 0.01).map(|row| row.level).unwrap()
    };
    assert!(at(0.1) < 5.0 && at(0.8) == 10.0 && at(1.4) < 5.0, "{:?}", report.series);
    let names: Vec<_> = report.summary.stages.iter().map(|stage| stage.name.as_str()).collect();
    assert_eq!(names, ["ramp up", "steady", "ramp down"]);
    let steady = &report.summary.stages[1].figures;
    assert!((steady.seconds - 0.5).abs() < 0.01 && steady.ok > 0, "{steady:?}");
    let stages: u64 = report.summary.stages.iter().map(|stage| stage.figures.requests).sum();
    assert_eq!((stages, server.requests()), (report.summary.all.requests, stages));
}

#[test]
fn a_warm_up_is_shown_and_not_counted() {
    let server = Server::tcp();
    let text = "users = 1\nduration = '600ms'\nwarmup = '300ms'\ninterval = '100ms'";
    let report = report(&server.url, text);
    let rows: u64 = report.series.iter().map(|row| row.requests).sum();
    let measured = report.series.iter().filter(|row| row.measured);
    let measured: u64 = measured.map(|row| row.requests).sum();
    // Threads hand rows over when they have the time, the warm-up ends to the microsecond.
    assert!(measured.abs_diff(report.summary.all.requests) < rows / 5, "{measured} of {rows}");
    assert!(report.summary.all.requests < rows && rows == server.requests());
    assert!((report.summary.all.seconds - 0.3).abs() < 0.02);
}

#[test]
fn endpoints_come_by_their_weight() {
    let server = Server::tcp();
    let text = "users = 2\nrequests = 2000\n\
                [[endpoint]]\nname = 'three'\nweight = 3\npath = '/'\n\
                [[endpoint]]\nname = 'one'\npath = '/status/404'\nexpect = 404\n\
                [[endpoint]]\nname = 'none'\nweight = 0\npath = '/hang-up'";
    let report = report(&server.url, text);
    let ok: Vec<_> = report.summary.endpoints.iter().map(|each| each.figures.ok).collect();
    // Five standard deviations.
    assert!((1403..=1597).contains(&ok[0]) && ok[0] + ok[1] == 2000 && ok[2] == 0, "{ok:?}");
    assert_eq!(report.summary.all.statuses["404"], ok[1]);
}

#[test]
fn a_connection_that_the_server_closes_is_replaced() {
    let server = Server::tcp();
    let report = report(&format!("{}/last", server.url), "users = 2\nrequests = 50");
    assert_eq!((report.summary.all.ok, report.summary.all.errors), (50, 0));
    assert_eq!(server.connections(), 50);
}

#[test]
fn bodies_are_sent_and_checked() {
    let server = Server::tcp();
    let text = "users = 1\nrequests = 10\n\
                [[endpoint]]\npath = '/echo'\nbody = 'a body'\nexpect_body = 'body'\n\
                headers = { Host = 'other.example' }";
    let report = report(&server.url, text);
    assert_eq!((report.summary.all.ok, report.scenario.endpoints[0].method.as_str()), (10, "POST"));
}

#[test]
fn large_bodies_are_read_to_their_end() {
    for http in ["1", "2"] {
        let server = Server::tcp();
        let text = format!("users = 2\nrequests = 20\nconnection.http = '{http}'");
        let scenario = scenario(&format!("{}/large", server.url), &text);
        let (tally, _) = run(&scenario).unwrap().book.sum(None, None);
        assert_eq!((tally.latency.len(), tally.bytes), (20, 20 << 20), "HTTP/{http}");
    }
}

#[test]
fn an_interruption_keeps_what_was_measured() {
    let server = Server::tcp();
    let scenario = scenario(&format!("{}/slow/20", server.url), "users = 5\nduration = '60s'");
    let state = std::sync::Arc::clone(&server.state);
    let interrupt = async move {
        while state.requests.load(Ordering::SeqCst) < 50 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let began = Instant::now();
    let outcome = remuda_load::run(&scenario, &mut (), interrupt).unwrap();
    assert!(began.elapsed() < Duration::from_secs(30));
    assert_eq!(outcome.ended, Ended::Interrupted);
    let (tally, _) = outcome.book.sum(None, None);
    assert_eq!(tally.latency.len() + outcome.unfinished, server.requests());
    assert!(outcome.unfinished > 0 && tally.latency.len() >= 40);
}
