//! How many requests an instance serves.
//!
//! Purpose: `instances = { … }` with its defaults, and what keeps instances ready. Owner: validation of a route.
//! Invariant: what bounds reuse is not accepted where nothing is reused.

use crate::{
    config::{Instances, Readiness},
    source::Source,
    validate::Reader,
    value::{Auto, Choice, Number, Time},
};

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Fresh,
    Reuse,
}

const MODE: &str = "instances.mode";
/// What bounds reuse.
const BOUNDS: [&str; 3] =
    ["instances.max_requests", "instances.max_concurrency", "instances.idle_timeout"];

/// The outer `None` is not valid, the inner one the default of the component's kind.
pub(crate) fn instances(read: &mut Reader<'_>) -> Option<Option<Instances>> {
    const MODES: Auto<Choice<Mode>> =
        Auto(Choice(&[("fresh", Mode::Fresh), ("reuse", Mode::Reuse)]));
    let mode = read.take(MODE, &MODES);
    let max_requests = read.take(BOUNDS[0], &Number(1, u32::MAX.into()));
    let max_concurrency = read.take(BOUNDS[1], &Number(1, 10_000));
    let idle_timeout = read.take(BOUNDS[2], &Time);

    let (mode, max_requests, max_concurrency, idle_timeout) =
        (mode?, max_requests?, max_concurrency?, idle_timeout?);
    let given: Vec<(&str, Source)> = BOUNDS
        .into_iter()
        .map(|bound| (bound, read.source(bound)))
        .filter(|(_, source)| *source != Source::Default)
        .collect();

    if let (None, Some((bound, source))) = (mode, given.first()) {
        let reason = format!("{bound} is set");
        read.record(MODE, "reuse".to_owned(), source, Some(reason));
    } else if mode.is_none() {
        let reason = "fresh for 0.2 without lifecycle hooks, else reuse".to_owned();
        let source = read.source(MODE);
        read.record(MODE, "auto".to_owned(), &source, Some(reason));
    }
    if mode == Some(Mode::Reuse) || (mode.is_none() && !given.is_empty()) {
        let max_concurrency = max_concurrency as usize;
        return Some(Some(Instances::Reuse { max_requests, max_concurrency, idle_timeout }));
    }
    BOUNDS.iter().for_each(|bound| read.forget(bound));
    if mode.is_none() {
        return Some(None);
    }
    for (bound, source) in &given {
        let remedy = "remove it, or set the mode to reuse";
        read.fail(bound, source.clone(), "means nothing to a fresh instance", remedy);
    }
    given.is_empty().then_some(Some(Instances::Fresh))
}

/// Most instances that a route keeps idle.
const MOST_IDLE: u64 = 1000;

/// What is done for instances beside their requests.
pub(crate) fn readiness(read: &mut Reader<'_>) -> Option<Readiness> {
    let min_idle = read.take("instances.min_idle", &Auto(Number(0, MOST_IDLE)));
    let startup_timeout = read.take("instances.startup_timeout", &Time);
    let shutdown_timeout = read.take("instances.shutdown_timeout", &Time);
    Some(Readiness {
        min_idle: min_idle?.map(|number| number as usize),
        startup_timeout: startup_timeout?,
        shutdown_timeout: shutdown_timeout?,
    })
}
