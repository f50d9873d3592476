//! How many workers, how large, and when one is replaced.

use std::time::Duration;

use super::Given;
use crate::{Accept, Loaded, Machine, Source};

fn app() -> Given {
    Given::component("app.wasm")
}

fn pod(quota: f64, memory_limit: u64) -> Given {
    let mut given = app();
    let machine = Machine::with_cores(64);
    given.0.machine = Machine { quota: Some(quota), memory_limit: Some(memory_limit), ..machine };
    given
}

fn setting(loaded: &Loaded, key: &str) -> String {
    let found = loaded.settings.iter().find(|setting| setting.key == key);
    found.expect("a setting").to_string()
}

const MIB: u64 = 1 << 20;

#[test]
fn a_container_is_not_filled_with_more_workers_than_fit() {
    for (limit, workers) in [(128, 1), (256, 1), (512, 2), (1024, 4), (4096, 6)] {
        let loaded = pod(4.0, limit * MIB).loaded();
        assert_eq!(loaded.config.workers.count, workers, "{limit} MiB");
    }
    // Smaller instances take less.
    let small = pod(4.0, 512 * MIB).flag("limits.memory", &["32MiB"]).loaded();
    assert_eq!(small.config.workers.count, 4);
}

#[test]
fn the_budget_of_a_worker_is_its_part_of_what_there_is() {
    let workers = |given: Given| given.loaded().config.workers;
    assert_eq!(workers(pod(2.0, 1024 * MIB)).memory, 256 * MIB);
    assert_eq!(workers(pod(2.0, 1024 * MIB).flag("workers.count", &["2"])).memory, 384 * MIB);
    assert_eq!(workers(app()).memory, 2048 * MIB, "of the machine's 8 GiB");
    let loaded = pod(2.0, 1024 * MIB).loaded();
    insta::assert_snapshot!(setting(&loaded, "workers.memory"), @"workers.memory = 256MiB (default: 75% of the memory limit 1GiB / 3 workers)");

    let mut unknown = app();
    unknown.0.machine = Machine::with_cores(2);
    let loaded = unknown.loaded();
    assert_eq!(loaded.config.workers.memory, 1 << 50);
    insta::assert_snapshot!(setting(&loaded, "workers.memory"), @"workers.memory = 1024TiB (default: no limit, for none is known)");
}

#[test]
fn thresholds_follow_the_budget() {
    let workers = |given: Given| given.loaded().config.workers;
    let given = |recycle: &str, kill: &str| {
        app()
            .flag("workers.memory", &["1000MiB"])
            .flag("workers.recycle_rss", &[recycle])
            .flag("workers.kill_rss", &[kill])
    };
    let defaults = workers(app().flag("workers.memory", &["1000MiB"]));
    assert_eq!((defaults.recycle_rss, defaults.kill_rss), (850 * MIB, 950 * MIB));
    let sizes = workers(given("300MiB", "40%"));
    assert_eq!((sizes.recycle_rss, sizes.kill_rss), (300 * MIB, 400 * MIB));
    let beyond = workers(given("100%", "2GiB"));
    assert_eq!((beyond.recycle_rss, beyond.kill_rss), (1000 * MIB, 2048 * MIB));
    for (recycle, kill) in [("95%", "85%"), ("85%", "85%"), ("500MiB", "50%")] {
        let errors = given(recycle, kill).errors();
        assert!(errors.starts_with("--kill-rss: a worker would be killed at "), "{errors}");
    }
    insta::assert_snapshot!(given("900MiB", "800MiB").errors(), @"--kill-rss: a worker would be killed at 800MiB before it is replaced at 900MiB; raise workers.kill_rss above workers.recycle_rss");
    let errors = app().flag("workers.recycle_rss", &["95%"]).errors();
    assert!(errors.starts_with("--recycle-rss: a worker would be killed"), "{errors}");
}

#[test]
fn a_budget_that_kills_every_worker_is_refused() {
    let errors = app().flag("workers.memory", &["32MiB"]).errors();
    assert!(errors.starts_with("--worker-memory: must be at least 48MiB, got 32MiB"), "{errors}");
    let own = app().flag("workers.memory", &["1000MiB"]).flag("workers.recycle_rss", &["1MiB"]);
    let errors = own.flag("workers.kill_rss", &["2MiB"]).errors();
    assert!(errors.starts_with("--kill-rss: every worker would be killed at 2MiB"), "{errors}");
    // What nobody has chosen is never too little.
    let tiny = pod(1.0, 16 * MIB).loaded().config.workers;
    assert!(tiny.recycle_rss > 32 * MIB && tiny.kill_rss > tiny.recycle_rss);
}

#[test]
fn nothing_is_replaced_by_number_or_age_unless_it_is_asked_for() {
    let workers = app().loaded().config.workers;
    assert_eq!((workers.max_requests, workers.max_requests_jitter), (None, 0));
    assert_eq!(workers.max_lifetime, None);
    assert_eq!(workers.heartbeat_timeout, Duration::from_secs(30));
    let workers = app()
        .flag("workers.max_requests", &["1000"])
        .flag("workers.max_requests_jitter", &["50"])
        .flag("workers.max_lifetime", &["1h"])
        .flag("workers.heartbeat_timeout", &["5"])
        .loaded()
        .config
        .workers;
    assert_eq!((workers.max_requests, workers.max_requests_jitter), (Some(1000), 50));
    assert_eq!(workers.max_lifetime, Some(Duration::from_secs(3600)));
    assert_eq!(workers.heartbeat_timeout, Duration::from_secs(5));
}

#[test]
fn threads_for_guests_that_burn_are_a_share_of_the_cores() {
    let given = |cores, workers| app().cores(cores).flag("workers.count", &[workers]);
    for (cores, workers, threads) in [
        (4.0, "1", 4),
        (4.0, "3", 2),
        (4.0, "4", 1),
        (4.0, "6", 1),
        (2.5, "1", 3),
        (2.5, "2", 2),
        (0.5, "1", 1),
        (64.0, "1024", 1),
    ] {
        let section = given(cores, workers).loaded().config.workers;
        assert_eq!(section.blocking_threads, threads, "{cores} cores, {workers} workers");
        assert_eq!(section.blocking_queue, 1000);
    }
    let reason = |given: Given| setting(&given.loaded(), "workers.blocking_threads");
    insta::assert_snapshot!(reason(given(4.0, "3")), @"workers.blocking_threads = 2 (default: 4 cores for 3 workers)");
    insta::assert_snapshot!(reason(given(2.5, "1")), @"workers.blocking_threads = 3 (default: 2.5 cores for 1 worker)");
    let auto = given(4.0, "1").variable("REMUDA_WORKERS__BLOCKING_THREADS", "auto");
    insta::assert_snapshot!(reason(auto), @"workers.blocking_threads = 4 (REMUDA_WORKERS__BLOCKING_THREADS: 4 cores for 1 worker)");

    let chosen = given(4.0, "3").flag("workers.blocking_threads", &["9"]);
    let chosen = chosen.flag("workers.blocking_queue", &["0"]).loaded();
    let section = &chosen.config.workers;
    assert_eq!((section.blocking_threads, section.blocking_queue), (9, 0));
    insta::assert_snapshot!(setting(&chosen, "workers.blocking_threads"), @"workers.blocking_threads = 9 (--blocking-threads)");
}

#[test]
fn sockets_are_shared_unless_each_worker_shall_have_its_own() {
    let accept = |given: Given| given.loaded().config.workers.accept;
    assert_eq!(accept(app()), Accept::Shared);
    assert_eq!(accept(app().flag("workers.accept", &["reuseport"])), Accept::ReusePort);
}

#[test]
fn more_than_two_workers_for_each_core_of_the_quota_are_warned_about() {
    let warnings = |count| pod(4.0, 1 << 40).flag("workers.count", &[count]).loaded().warnings;
    assert!(warnings("8").is_empty());
    insta::assert_snapshot!(warnings("9").join("\n"), @"9 workers contend for 4 cores: more than 2 for each; try 8 or fewer");
}

#[test]
fn one_worker_is_warned_about_where_nobody_watches() {
    let warnings = |mut given: Given, terminal| {
        given.0.terminal = terminal;
        given.loaded().warnings.join("\n")
    };
    let one = || app().flag("workers.count", &["1"]);
    assert_eq!(warnings(one(), true), "");
    assert_eq!(warnings(app(), false), "", "there are several");
    insta::assert_snapshot!(warnings(one(), false), @"one worker: nobody answers while it is stuck, or replaced after a crash; try --workers 2");
    // Advice that would lead to the next warning is none.
    let loaded = warnings(pod(0.5, 1024 * MIB), false);
    insta::assert_snapshot!(loaded, @"one worker: nobody answers while it is stuck, or replaced after a crash; give it the cores and the memory for two");
    assert_eq!(warnings(pod(4.0, 256 * MIB), false), loaded);
}

#[test]
fn a_budget_below_what_one_instance_needs_is_warned_about() {
    let warnings = |memory| app().flag("workers.memory", &[memory]).loaded().warnings.join("\n");
    assert_eq!(warnings("192MiB"), "");
    insta::assert_snapshot!(warnings("191MiB"), @"workers.memory (191MiB) is less than what a worker with one large instance may need (192MiB), and it may be replaced again and again; lower limits.memory or workers.count, or give it more");
    assert_eq!(pod(4.0, 128 * MIB).loaded().warnings.len(), 1);
}

#[test]
fn budgets_that_exceed_the_machine_are_told() {
    let warnings = |memory| {
        let given = pod(4.0, 2 << 30).flag("workers.count", &["4"]);
        given.flag("workers.memory", &[memory]).loaded().warnings.join("\n")
    };
    assert_eq!(warnings("512MiB"), "");
    insta::assert_snapshot!(warnings("600MiB"), @"4 workers may take 600MiB each, 2.3GiB together, and there are only 2GiB: the kernel would kill one before its budget is spent; lower workers.memory or workers.count");
}

#[test]
fn jitter_without_a_number_is_warned_about() {
    let warnings = app().flag("workers.max_requests_jitter", &["5"]).loaded().warnings;
    insta::assert_snapshot!(warnings.join("\n"), @"workers.max_requests_jitter is added to nothing: workers.max_requests is 0, never");
}

#[test]
fn a_drain_delay_may_be_zero() {
    let delay = |given: Given| given.loaded().config.shutdown.drain_delay;
    assert_eq!(delay(app()), Duration::ZERO);
    assert_eq!(delay(app().flag("shutdown.drain_delay", &["0"])), Duration::ZERO);
    assert_eq!(delay(app().flag("shutdown.drain_delay", &["5s"])), Duration::from_secs(5));
}

#[test]
fn a_derived_value_keeps_its_source() {
    let loaded = app().variable("REMUDA_WORKERS__MEMORY", "auto").loaded();
    let memory = loaded.settings.iter().find(|setting| setting.key == "workers.memory");
    let source = memory.map(|setting| setting.source.clone());
    assert_eq!(source, Some(Source::Environment("REMUDA_WORKERS__MEMORY".to_owned())));
}
