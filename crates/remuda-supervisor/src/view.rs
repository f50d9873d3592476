//! The server as others see it: health, status, metrics.
//!
//! Pure. Owner: the [loop](crate::run), which asks after every event.

use std::time::Instant;

use rustix::process::Pid;

use crate::{
    admin::call::{Health, WorkerStatus},
    fleet::Fleet,
    ledger::Ledger,
    lifecycle::{State, Worker},
};

pub(crate) fn health(fleet: &Fleet, now: Instant) -> Health {
    let ready = match () {
        () if fleet.is_draining() => Err("draining"),
        () if !fleet.is_serving() => Err("stopping"),
        () if !fleet.has_started() => Err("starting"),
        () if !fleet.accepts(now) => Err("no worker accepts connections"),
        () => Ok(()),
    };
    Health { started: fleet.has_started(), ready }
}

/// In one word, what the server does.
pub(crate) fn state(fleet: &Fleet) -> &'static str {
    match () {
        () if fleet.is_draining() => "draining",
        () if !fleet.is_serving() => "stopping",
        () if !fleet.has_started() => "starting",
        () if fleet.is_reloading() => "reloading",
        () => "serving",
    }
}

pub(crate) fn workers(fleet: &Fleet, ledger: &Ledger, now: Instant) -> Vec<WorkerStatus> {
    let status = |(id, worker)| status(worker, ledger.guest_memory(id), now);
    let mut workers: Vec<_> = fleet.workers().map(status).collect();
    workers.sort_by_key(|worker| (worker.slot, worker.generation, worker.pid));
    workers
}

fn status(worker: &Worker, guest_memory: u64, now: Instant) -> WorkerStatus {
    WorkerStatus {
        slot: worker.slot,
        pid: worker.pid.map_or(0, Pid::as_raw_pid),
        generation: worker.generation.0,
        state: match worker.state() {
            State::Starting => "starting",
            State::Ready => "ready",
            State::Draining | State::Exited => "draining",
        },
        age_seconds: worker.age(now).as_secs_f64(),
        silent_seconds: worker.silent_for(now).as_secs_f64(),
        rss_bytes: worker.rss,
        guest_memory_bytes: guest_memory,
        lag_seconds: worker.heartbeat.lag.as_secs_f64(),
        in_flight: worker.heartbeat.in_flight,
        queued: worker.heartbeat.queued,
        connections: worker.heartbeat.connections,
        served: worker.heartbeat.served,
    }
}
