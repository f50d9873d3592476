//! Workers that are not heard any more.

use remuda_control::Heartbeat;

use super::{super::*, KILL, World, serve, spawn, world::*};
use crate::lifecycle::LAST_REPORT;

const ASK: process::Signal = process::Signal::USR1;
const ABORT: process::Signal = process::Signal::ABORT;

fn signalled(worker: u64, signal: process::Signal) -> Action {
    Action::Kill { worker: WorkerId(worker), signal }
}

#[test]
fn a_silent_worker_is_asked_then_aborted_and_replaced_then_killed() {
    let mut world = World::ready(1);
    assert_eq!(world.passes(SECOND), [signalled(0, ASK)]);
    assert_eq!(world.passes(SILENCE - 2 * SECOND), []);
    assert!(!world.fleet.accepts(world.now));
    assert_eq!(world.passes(SECOND), [signalled(0, ABORT), spawn(1, 0)]);
    assert_eq!(world.says(1, FromWorker::Ready), [serve(1)]);
    assert!(world.fleet.accepts(world.now));
    let actions = world.passes_beating(1, LAST_REPORT);
    assert_eq!(actions, [signalled(0, KILL)]);
    assert_eq!(world.exits(0, 9), []);
    assert_eq!(world.fleet.restarts()["silent"], 1);
    assert_eq!(world.live_slots(), [0]);
}

#[test]
fn one_that_ends_on_being_aborted_is_not_killed() {
    let mut world = World::ready(1);
    world.passes(SILENCE);
    world.says(1, FromWorker::Ready);
    assert_eq!(world.exits(0, 1), []);
    assert_eq!(world.passes_well(10 * SECOND), []);
}

#[test]
fn one_that_speaks_again_stays() {
    let mut world = World::ready(1);
    world.passes(10 * SECOND);
    assert_eq!(world.beats(0, 0), []);
    assert!(world.fleet.accepts(world.now));
    assert_eq!(world.passes(SECOND), [signalled(0, ASK)], "the next silence is asked for anew");
}

#[test]
fn a_supervisor_that_did_not_listen_blames_nobody() {
    let mut world = World::ready(2);
    world.now += 10 * SILENCE;
    assert_eq!(world.happens(Event::Late), []);
    assert_eq!(world.happens(Event::Timer), []);
}

#[test]
fn one_that_starts_may_be_silent() {
    let mut world = World::started(1);
    assert_eq!(world.passes(BOOT_TIMEOUT - SECOND), []);
}

#[test]
fn one_that_drains_is_watched_too() {
    let mut world = World::with(Policy { grace: 100 * SILENCE, ..policy(1) });
    world.says(0, FromWorker::Ready);
    world.happens(Event::Signal(Signal::Terminate));
    world.says(0, FromWorker::Heartbeat(Heartbeat::default()));
    assert_eq!(world.passes(SECOND), [signalled(0, ASK)]);
    assert_eq!(world.passes(SILENCE), [signalled(0, ABORT)]);
    assert_eq!(world.passes(LAST_REPORT), [signalled(0, KILL)]);
}
