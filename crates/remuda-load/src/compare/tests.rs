//! What is better, worse and noise, of runs that are made up.

use std::{sync::Arc, time::Duration};

use super::*;
use crate::{
    record::{Book, Counts, Interval, Kind},
    run::{Ended, Outcome},
    scenario::{Raw, Scenario},
};

/// A run of so many seconds, whose rate and times wander as those of a busy machine do;
/// its times are `slower` than usual, and this share of requests fails.
fn report(seed: u64, seconds: u32, slower: f64, failing: f64) -> Report {
    let raw = Raw {
        target: Some("http://localhost:1".to_owned()),
        users: Some(10),
        duration: Some(format!("{seconds}s")),
        ..Raw::default()
    };
    let scenario = Arc::new(Scenario::validate(raw).unwrap());
    let mut book = Book::new(&scenario);
    let mut random = fastrand::Rng::with_seed(seed);
    let mut drift = 0.0;
    for second in 1..=seconds {
        // What a second was like, the next is half.
        drift = 0.5 * drift + 0.04 * (random.f64() - 0.5);
        let slow = slower * (1.0 + drift);
        let mut counts = Counts::new(1);
        for _ in 0..(2000.0 / slow) as u32 {
            let tally = &mut counts.tallies[0];
            if random.f64() < failing {
                tally.errors[Kind::Status as usize] += 1;
                continue;
            }
            // An exponential distribution beyond a minimum.
            let micros = slow * (2000.0 - 1000.0 * (1.0 - random.f64()).ln());
            tally.latency.record(micros as u64).unwrap();
        }
        let interval = Interval { counts: [(0, counts)].into(), ..Interval::default() };
        book.enter(&scenario, Duration::from_secs(second.into()), &[interval], None);
    }
    let outcome = Outcome {
        book,
        ended: Ended::Plan,
        started: std::time::SystemTime::UNIX_EPOCH,
        threads: 1,
        protocol: "HTTP/1.1",
        unfinished: 0,
        metrics_problem: None,
    };
    Report::new(&scenario, &outcome).unwrap()
}

fn verdicts(before: &Report, after: &Report) -> Vec<(&'static str, Change)> {
    let comparison = compare(before, after, Options::default()).unwrap();
    assert!(comparison.steady_only);
    comparison.figures.iter().map(|figure| (figure.figure, figure.verdict)).collect()
}

#[test]
fn a_tenth_more_is_found() {
    let (before, after) = (report(1, 40, 1.0, 0.0), report(2, 40, 1.1, 0.0));
    let worse = ["rate", "p50", "p95", "p99"].map(|figure| (figure, Change::Worse));
    let same = [("error_rate", Change::Noise)];
    assert_eq!(verdicts(&before, &after), [&worse[..], &same].concat());
    let better = ["rate", "p50", "p95", "p99"].map(|figure| (figure, Change::Better));
    assert_eq!(verdicts(&after, &before), [&better[..], &same].concat());
}

#[test]
fn the_same_again_is_noise() {
    for seed in 0..20 {
        let (before, after) = (report(seed, 40, 1.0, 0.01), report(seed + 100, 40, 1.0, 0.01));
        let verdicts = verdicts(&before, &after);
        assert!(verdicts.iter().all(|(_, verdict)| *verdict == Change::Noise), "{verdicts:?}");
    }
}

#[test]
fn nobody_disagrees_about_no_change() {
    let same = report(1, 10, 1.0, 0.0);
    let text = compare(&same, &same, Options::default()).unwrap().text();
    assert!(text.contains("noise") && !text.contains("agree"), "{text}");
    let after = report(2, 10, 1.0, 0.0);
    let text = compare(&same, &after, Options::default()).unwrap().text();
    assert!(text.contains("of resamples agree"), "{text}");
}

#[test]
fn intervals_cover_the_truth_as_often_as_they_say() {
    let (mut covered, mut all) = (0, 0);
    for seed in 0..60 {
        let (before, after) = (report(seed, 60, 1.0, 0.0), report(seed + 500, 60, 1.1, 0.0));
        let comparison = compare(&before, &after, Options::default()).unwrap();
        let p50 = comparison.figures.iter().find(|figure| figure.figure == "p50").unwrap();
        all += 1;
        covered += u32::from((p50.low..=p50.high).contains(&0.1));
    }
    // 99 % for endless runs; blocks of a short one know less.
    assert!(covered * 100 >= all * 88, "{covered} of {all}");
}

#[test]
fn medians_of_other_figures_are_judged_alike() {
    let values = |center: f64| -> Vec<f64> {
        (0..12).map(|slice| center * (1.0 + 0.01 * f64::from(slice % 3))).collect()
    };
    let judge = Judge { figure: "cpu/request", least: 0.05, ..Judge::default() };
    let verdict =
        |before, after| judge.medians(&values(before), &values(after)).map(|it| it.verdict);
    assert_eq!(verdict(50.0, 60.0), Some(Change::Worse));
    assert_eq!(verdict(60.0, 50.0), Some(Change::Better));
    assert_eq!(verdict(50.0, 51.0), Some(Change::Noise));
    assert_eq!(judge.medians(&[], &[]).map(|it| it.verdict), None);
}

#[test]
fn more_errors_are_worse() {
    let (before, after) = (report(1, 30, 1.0, 0.001), report(2, 30, 1.0, 0.02));
    assert!(verdicts(&before, &after).contains(&("error_rate", Change::Worse)));
    assert!(compare(&before, &after, Options::default()).unwrap().is_worse());
}

#[test]
fn other_loads_are_refused_unless_wanted() {
    let before = report(1, 10, 1.0, 0.0);
    let mut after = report(1, 10, 1.0, 0.0);
    after.scenario.target = "http://elsewhere".to_owned();
    assert!(compare(&before, &after, Options::default()).is_ok());
    after.scenario.endpoints[0].path = "/other".to_owned();
    let error = compare(&before, &after, Options::default()).unwrap_err();
    assert!(error.to_string().contains("(endpoints)"), "{error}");
    let anyway = Options { any_scenario: true, ..Options::default() };
    assert!(compare(&before, &after, anyway).is_ok());
}

#[test]
fn a_few_seconds_tell_nothing() {
    let short = report(1, 7, 1.0, 0.0);
    let error = compare(&short, &short, Options::default()).unwrap_err();
    assert!(matches!(error, CompareError::TooShort { rows: 7, .. }), "{error}");
}
