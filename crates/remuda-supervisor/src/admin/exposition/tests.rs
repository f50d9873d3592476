//! The text, read back by a parser that is stricter than Prometheus.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use remuda_control::{Connections, Histogram, InstanceCounts, RouteSnapshot, Snapshot};

use super::*;
use crate::admin::call::Reloads;

fn histogram(counts: &[u64], sum: f64) -> Histogram {
    Histogram { bounds: vec![0.005, 0.1], counts: counts.to_vec(), sum }
}

fn worker(slot: usize, age_seconds: f64, state: &'static str, rss_bytes: u64) -> WorkerStatus {
    WorkerStatus {
        slot,
        pid: 100 + slot as i32,
        generation: 1,
        state,
        age_seconds,
        silent_seconds: 0.1,
        rss_bytes,
        guest_memory_bytes: rss_bytes / 2,
        lag_seconds: 0.002,
        in_flight: 1,
        queued: 0,
        connections: 1,
        served: 10,
    }
}

fn used(user: u64, system: u64) -> CpuTime {
    CpuTime { user: Duration::from_millis(user), system: Duration::from_millis(system) }
}

fn metrics() -> Metrics {
    let route = RouteSnapshot {
        route: "a\"b\\c\nd/".to_owned(),
        responses: [(200, 7), (504, 1)].into(),
        seconds: histogram(&[4, 3, 1], 1.5),
        instances: InstanceCounts { busy: 1, idle: 3 },
        guest_cpu_seconds: 0.25,
        offloads: 12,
        offload_wait_seconds: 1.25,
        jobs: [("trapped".to_owned(), 2)].into(),
    };
    Metrics {
        uptime_seconds: 12.5,
        total: Snapshot {
            routes: vec![route],
            rejected: [("queue_full".to_owned(), 5), ("no_route".to_owned(), 2)].into(),
            broken_off: [("guest_trap".to_owned(), 6)].into(),
            tls_handshakes: [("success".to_owned(), 6)].into(),
            proxy_headers: [("accepted".to_owned(), 8)].into(),
            connections: Connections { active: 2, idle: 9 },
            in_flight: 50,
            capacity: 200,
            queue_depth: 4,
            queue_seconds: Histogram::default(),
            blocking_busy: 1,
            blocking_queue: 13,
            guest_memory: 5_500_000,
            stalls: 3,
            outbound_seconds: [("api.example.com".to_owned(), histogram(&[0, 1, 0], 0.05))].into(),
        },
        workers: vec![
            worker(0, 90.0, "draining", 7_000_000),
            worker(0, 2.0, "ready", 5_000_000),
            worker(1, 90.0, "ready", 6_000_000),
        ],
        // Of the last one there has been a worker, and there is none any more.
        cpu: [(0, used(1500, 250)), (1, used(20, 0)), (2, used(70, 10))].into(),
        own_cpu: used(30, 40),
        restarts: [("silent", 1)].into(),
        reloads: Reloads { succeeded: 4, failed: 1, last_failure: None },
        throttled_periods: Some(17),
    }
}

/// Samples by name and labels, as they stand in the text.
struct Parsed(BTreeMap<String, f64>);

impl Parsed {
    /// Panics where the text is not OpenMetrics as Remuda should write it.
    fn new(text: &str) -> Self {
        let body = text.strip_suffix("# EOF\n").expect("the end is marked");
        let mut samples = BTreeMap::new();
        let (mut names, mut name, mut kind) = (BTreeSet::new(), "", "");
        for line in body.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                name = help.split_once(' ').expect("a help text").0;
                assert!(names.insert(name), "{name} is described twice");
            } else if let Some(described) = line.strip_prefix("# TYPE ") {
                kind = described.strip_prefix(name).expect("the same name").trim();
            } else if let Some(unit) = line.strip_prefix("# UNIT ") {
                let unit = unit.strip_prefix(name).expect("the same name").trim();
                assert!(name.ends_with(&format!("_{unit}")), "{name} is not in {unit}");
            } else {
                let (sample, value) = line.rsplit_once(' ').expect("a value");
                let suffix = sample.split('{').next().and_then(|s| s.strip_prefix(name));
                let allowed: &[&str] = match kind {
                    "counter" => &["_total"],
                    "gauge" => &[""],
                    "info" => &["_info"],
                    "histogram" => &["_bucket", "_sum", "_count"],
                    other => panic!("{name} is of the type {other}"),
                };
                assert!(allowed.contains(&suffix.expect("the family's name")), "{line}");
                let value = value.parse().expect("a number");
                assert!(samples.insert(sample.to_owned(), value).is_none(), "{sample} twice");
            }
        }
        Self(samples)
    }

    fn value(&self, sample: &str) -> f64 {
        *self.0.get(sample).unwrap_or_else(|| panic!("{sample} is missing: {:#?}", self.0))
    }
}

#[test]
fn every_metric_has_its_name_labels_and_value() {
    let parsed = Parsed::new(&encode(metrics()).expect("encoded"));
    let route = r#"route="a\"b\\c\nd/""#;
    for (sample, value) in [
        (format!("remuda_requests_total{{{route},status=\"200\"}}"), 7.0),
        (format!("remuda_requests_total{{{route},status=\"504\"}}"), 1.0),
        (format!("remuda_request_seconds_count{{{route}}}"), 8.0),
        (format!("remuda_request_seconds_sum{{{route}}}"), 1.5),
        (format!("remuda_request_seconds_bucket{{le=\"0.005\",{route}}}"), 4.0),
        (format!("remuda_request_seconds_bucket{{le=\"0.1\",{route}}}"), 7.0),
        (format!("remuda_request_seconds_bucket{{le=\"+Inf\",{route}}}"), 8.0),
        (format!("remuda_instances{{{route},state=\"busy\"}}"), 1.0),
        (format!("remuda_instances{{{route},state=\"idle\"}}"), 3.0),
        (format!("remuda_guest_cpu_seconds_total{{{route}}}"), 0.25),
        (format!("remuda_offloads_total{{{route}}}"), 12.0),
        (format!("remuda_offload_wait_seconds_total{{{route}}}"), 1.25),
        (format!("remuda_jobs_total{{{route},outcome=\"trapped\"}}"), 2.0),
        ("remuda_build_info{version=\"0.1.0\"}".to_owned(), 1.0),
        ("remuda_uptime_seconds".to_owned(), 12.5),
        ("remuda_in_flight".to_owned(), 50.0),
        ("remuda_capacity".to_owned(), 200.0),
        ("remuda_utilization".to_owned(), 0.25),
        ("remuda_queue_depth".to_owned(), 4.0),
        ("remuda_blocking_busy".to_owned(), 1.0),
        ("remuda_blocking_queue".to_owned(), 13.0),
        ("remuda_queue_seconds_bucket{le=\"+Inf\"}".to_owned(), 0.0),
        ("remuda_queue_seconds_count".to_owned(), 0.0),
        ("remuda_shed_total{reason=\"queue_full\"}".to_owned(), 5.0),
        ("remuda_shed_total{reason=\"draining\"}".to_owned(), 0.0),
        ("remuda_rejected_total{reason=\"no_route\"}".to_owned(), 2.0),
        ("remuda_rejected_total{reason=\"queue_full\"}".to_owned(), 5.0),
        ("remuda_responses_broken_off_total{reason=\"guest_trap\"}".to_owned(), 6.0),
        ("remuda_tls_handshakes_total{result=\"success\"}".to_owned(), 6.0),
        ("remuda_proxy_headers_total{result=\"accepted\"}".to_owned(), 8.0),
        ("remuda_connections{state=\"active\"}".to_owned(), 2.0),
        ("remuda_connections{state=\"idle\"}".to_owned(), 9.0),
        ("remuda_workers{state=\"ready\"}".to_owned(), 2.0),
        ("remuda_workers{state=\"starting\"}".to_owned(), 0.0),
        ("remuda_workers{state=\"draining\"}".to_owned(), 1.0),
        ("remuda_worker_restarts_total{reason=\"silent\"}".to_owned(), 1.0),
        // Of the slot's two workers the one that came last.
        ("remuda_worker_rss_bytes{worker=\"0\"}".to_owned(), 5_000_000.0),
        ("remuda_worker_rss_bytes{worker=\"1\"}".to_owned(), 6_000_000.0),
        ("remuda_worker_cpu_seconds_total{worker=\"0\",mode=\"user\"}".to_owned(), 1.5),
        ("remuda_worker_cpu_seconds_total{worker=\"0\",mode=\"system\"}".to_owned(), 0.25),
        ("remuda_worker_cpu_seconds_total{worker=\"1\",mode=\"user\"}".to_owned(), 0.02),
        ("remuda_worker_cpu_seconds_total{worker=\"2\",mode=\"system\"}".to_owned(), 0.01),
        ("remuda_supervisor_cpu_seconds_total{mode=\"user\"}".to_owned(), 0.03),
        ("remuda_supervisor_cpu_seconds_total{mode=\"system\"}".to_owned(), 0.04),
        ("remuda_guest_memory_bytes{worker=\"0\"}".to_owned(), 2_500_000.0),
        ("remuda_guest_memory_bytes{worker=\"1\"}".to_owned(), 3_000_000.0),
        ("remuda_loop_lag_seconds{worker=\"1\"}".to_owned(), 0.002),
        ("remuda_loop_stalls_total".to_owned(), 3.0),
        ("remuda_reloads_total{result=\"success\"}".to_owned(), 4.0),
        ("remuda_reloads_total{result=\"failure\"}".to_owned(), 1.0),
        ("remuda_outbound_seconds_count{host=\"api.example.com\"}".to_owned(), 1.0),
        ("remuda_cpu_throttled_periods_total".to_owned(), 17.0),
    ] {
        assert_eq!(parsed.value(&sample), value, "{sample}");
    }
}

#[test]
fn a_server_without_workers_has_every_family() {
    let text = encode(Metrics::default()).expect("encoded");
    let parsed = Parsed::new(&text);
    assert_eq!(parsed.value("remuda_utilization"), 0.0);
    let described = |text: &str| -> BTreeSet<String> {
        let types = text.lines().filter(|line| line.starts_with("# TYPE "));
        types.map(str::to_owned).collect()
    };
    assert_eq!(described(&text), described(&encode(metrics()).expect("encoded")));
}

#[test]
fn a_family_is_described_before_its_samples() {
    let text = encode(metrics()).expect("encoded");
    let family: Vec<_> = text.lines().filter(|line| line.contains("remuda_worker_rss")).collect();
    assert_eq!(
        family,
        [
            "# HELP remuda_worker_rss_bytes Resident memory",
            "# TYPE remuda_worker_rss_bytes gauge",
            "# UNIT remuda_worker_rss_bytes bytes",
            "remuda_worker_rss_bytes{worker=\"0\"} 5000000.0",
            "remuda_worker_rss_bytes{worker=\"1\"} 6000000.0",
        ]
    );
}
