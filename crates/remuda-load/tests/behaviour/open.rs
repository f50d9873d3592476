//! Arrivals, which wait for nobody.

use std::sync::atomic::Ordering;

use remuda_load::{
    report::{decode, html, text},
    threshold::Outcome,
};

use crate::{
    report,
    server::{Server, State},
};

#[test]
fn as_many_arrive_as_planned() {
    let server = Server::tcp();
    let report = report(&server.url, "rate = 300\nduration = '1s'\nthreads = 2");
    assert_eq!((report.summary.all.requests, server.requests()), (300, 300));
    assert!((report.summary.all.rate - 300.0).abs() < 15.0, "{:?}", report.summary.all);
    assert!(!report.warnings().iter().any(|text| text.contains("dropped")));
}

#[test]
fn rates_rise_and_fall() {
    let server = Server::tcp();
    let text = "rate = 400\nramp_up = '500ms'\nduration = '500ms'\nramp_down = '500ms'\n\
                fail_if = ['rate@steady<399']";
    let report = report(&server.url, text);
    // Each where it was due, though all of them end in two intervals of a second; and over the
    // stage's own time.
    let stages = report.summary.stages.iter().map(|stage| &stage.figures);
    let stages: Vec<_> = stages.map(|told| (told.requests, told.seconds, told.rate)).collect();
    assert_eq!(stages, [(100, 0.5, 200.0), (200, 0.5, 400.0), (100, 0.5, 200.0)]);
    assert_eq!(report.thresholds[0].outcome, Outcome::Held, "{:?}", report.thresholds);
}

/// Twenty in the warm-up, the others after it, in one interval.
#[test]
fn a_warm_up_is_as_long_as_it_is_said_to_be() {
    let server = Server::tcp();
    let report = report(&server.url, "rate = 100\nduration = '1s'\nwarmup = '200ms'");
    let all = &report.summary.all;
    assert_eq!((all.requests, server.requests()), (80, 100), "{all:?}");
    assert!((0.8..0.9).contains(&all.seconds), "{all:?}");
    let lag = decode(&report.histograms.lag).unwrap();
    assert_eq!(lag.len(), 80);
}

/// A server that stands still for a second delays all who arrive in it, and each by another
/// part of it (fewer than a backlog holds: whoever finds it full tries again after a second
/// of the kernel's own). Who waits for answers before it sends the next meets it but once.
#[test]
fn a_server_that_stands_still_is_charged_with_all_who_come() {
    let slow = |text: &str| {
        let server = Server::tcp();
        server.state.freeze.store(true, Ordering::SeqCst);
        let report = report(&server.url, text);
        assert_eq!(report.summary.all.errors, 0, "{:?}", report.summary);
        let latency = decode(&report.histograms.all.latency).unwrap();
        let above = |micros| latency.count_between(micros, u64::MAX);
        (above(100_000), above(500_000), latency)
    };
    let (most, half, latency) = slow("rate = 100\nduration = '2s'\nthreads = 1");
    assert!((80..=130).contains(&most), "{most}");
    assert!((40..=90).contains(&half), "{half}");
    assert!(latency.value_at_quantile(0.99) > 900_000);
    let (most, _, latency) = slow("users = 1\nduration = '2s'\nthink = '5ms'");
    // Of some hundred; others may be the machine's.
    assert!((1..=5).contains(&most), "{most}");
    assert!(latency.value_at_quantile(0.9) < 100_000);
}

#[test]
fn who_finds_no_room_is_dropped_and_counted() {
    let server = Server::tcp();
    let load = "rate = 100\nduration = '1s'\nmax_in_flight = 5\nthreads = 1";
    let report = report(&format!("{}/slow/500", server.url), load);
    let all = &report.summary.all;
    assert_eq!(all.requests, 100);
    assert_eq!(all.errors_by_kind.keys().collect::<Vec<_>>(), ["dropped"]);
    assert_eq!(all.ok, server.requests());
    assert!(State::get(&server.state.most_at_once) <= 5 && all.ok < 20, "{all:?}");
    // Nobody has to look for it: what was planned stands beside what was reached.
    let warning = format!("{} of 100 arrivals were dropped, for 5 were in flight", all.errors);
    assert!(report.warnings().iter().any(|told| told.contains(&warning)), "{report:?}");
    let planned = all.seconds.recip() * 100.0;
    let text = text(&report);
    let line = text.lines().find(|line| line.starts_with("rate")).unwrap();
    let told: f64 = line.split(" of ").nth(1).unwrap().split("/s").next().unwrap().parse().unwrap();
    assert!((told - planned).abs() < 2.0, "{told} for {planned}: {line}");
    assert!(html(&report).contains("per second, as expected, of "));
}

#[test]
fn connections_are_reused() {
    let server = Server::tcp();
    let report = report(&server.url, "rate = 100\nduration = '1s'\nthreads = 1");
    assert_eq!(report.summary.all.ok, 100);
    assert!(server.connections() < 50, "{}", server.connections());
}
