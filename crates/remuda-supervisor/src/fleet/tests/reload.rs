//! From one generation to the next.

use remuda_control::Queue;

use super::{super::*, World, drain, killed, serve, spawn, world::*};

/// Two workers serve, and two of the next generation start.
fn reloading() -> World {
    let mut world = World::ready(2);
    let generation = GenerationId(2);
    let spawn = |worker, slot| Action::Spawn { worker: WorkerId(worker), slot, generation };
    assert_eq!(world.load(policy(2)), [spawn(2, 0), spawn(3, 1)]);
    world
}

#[test]
fn the_old_generation_leaves_when_all_of_the_new_one_is_ready() {
    let mut world = reloading();
    assert_eq!(world.says(2, FromWorker::Ready), [], "it waits for the other");
    let actions = world.says(3, FromWorker::Ready);
    assert_eq!(actions, [serve(2), serve(3), drain(0, Queue::Leave), drain(1, Queue::Leave)]);
    assert_eq!(world.says(0, FromWorker::Draining), []);
    let reloaded = Action::Reloaded { generation: GenerationId(2) };
    assert_eq!(world.says(1, FromWorker::Draining), [reloaded], "nobody of before accepts");
    assert_eq!(world.fleet.generation(), Some(GenerationId(2)));
    assert!(world.fleet.uses(GenerationId(1)));
    world.exits(0, 0);
    assert_eq!(world.exits(1, 0), []);
    assert!(!world.fleet.uses(GenerationId(1)));
}

#[test]
fn those_that_wait_to_serve_do_not_count_as_accepting() {
    let mut world = reloading();
    world.says(2, FromWorker::Ready);
    for worker in [0, 1] {
        world.says(worker, FromWorker::Draining);
    }
    assert!(!world.fleet.accepts(world.now));
}

#[test]
fn an_old_worker_that_is_stuck_does_not_hold_up_the_end_of_a_reload() {
    let mut world = reloading();
    world.says(2, FromWorker::Ready);
    world.says(3, FromWorker::Ready);
    world.exits(0, 0);
    assert_eq!(world.passes(SECOND / 2), []);
    let reloaded = Action::Reloaded { generation: GenerationId(2) };
    assert!(world.passes(SECOND / 2).contains(&reloaded));
}

#[test]
fn a_new_worker_that_does_not_start_ends_the_reload_and_nothing_else() {
    let mut world = reloading();
    world.says(2, FromWorker::Ready);
    let actions = world.exits(3, 1);
    let reason = "worker 1: exited with code 1".to_owned();
    let failed = Action::ReloadFailed { generation: GenerationId(2), reason };
    assert_eq!(actions, [drain(2, Queue::Leave), failed]);
    assert_eq!(world.serving(), 2);
    assert_eq!(world.fleet.generation(), Some(GenerationId(1)));
    world.exits(2, 0);
    assert!(!world.fleet.uses(GenerationId(2)));
}

#[test]
fn one_that_is_not_ready_in_time_ends_the_reload() {
    let mut world = reloading();
    world.says(2, FromWorker::Ready);
    let actions = world.passes_well(BOOT_TIMEOUT);
    assert_eq!(actions, [killed(3)]);
    let actions = world.exits(3, 9);
    assert!(
        matches!(&actions[..], [_, Action::ReloadFailed { reason, .. }]
        if reason.contains("not ready")),
        "{actions:?}"
    );
}

#[test]
fn those_that_still_start_are_killed_with_the_reload() {
    let mut world = reloading();
    let actions = world.exits(2, 1);
    assert_eq!(actions[0], killed(3));
    assert_eq!(world.exits(3, 9), []);
    assert_eq!(world.fleet.failed_boots, 0);
}

#[test]
fn a_worker_of_the_old_generation_that_dies_meanwhile_is_replaced() {
    let mut world = World::ready(2);
    world.passes_well(6 * SECOND);
    world.load(policy(2));
    assert_eq!(world.exits(0, 1), [spawn(4, 0)]);
    world.says(2, FromWorker::Ready);
    world.says(3, FromWorker::Ready);
    assert_eq!(world.live_slots(), [0, 1]);
}

#[test]
fn a_reload_can_change_the_number_of_workers() {
    let mut world = World::ready(3);
    world.load(policy(1));
    let actions = world.says(3, FromWorker::Ready);
    assert_eq!(actions[..2], [serve(3), Action::Shrink { slots: 1 }]);
    assert_eq!(world.fleet.wanted(), 1);
}

#[test]
fn scaling_during_a_reload_is_for_both_generations() {
    let mut world = reloading();
    world.says(2, FromWorker::Ready);
    let actions = world.happens(Event::Scale(1));
    assert!(actions.contains(&serve(2)), "{actions:?}");
    assert_eq!(world.live_slots(), [0]);
}

#[test]
fn an_order_to_end_ends_a_reload_too() {
    let mut world = reloading();
    let actions = world.happens(Event::Signal(Signal::Terminate));
    let reason = "the server was told to stop".to_owned();
    let failed = Action::ReloadFailed { generation: GenerationId(2), reason };
    assert!(actions.contains(&failed), "{actions:?}");
    for worker in 0..4 {
        world.exits(worker, 0);
    }
    assert_eq!(world.finished, Some(Outcome::AsAsked));
}

#[test]
fn nobody_is_recycled_during_a_reload() {
    let mut world = World::ready(1);
    world.passes_well(6 * SECOND);
    world.load(policy(1));
    assert_eq!(world.beats(0, 5000), []);
    world.says(1, FromWorker::Ready);
    assert_eq!(world.live_slots(), [0]);
}

#[test]
fn a_generation_that_comes_too_late_is_refused() {
    let mut world = World::ready(1);
    world.happens(Event::Signal(Signal::Terminate));
    let actions = world.load(policy(1));
    assert!(matches!(actions[..], [Action::ReloadFailed { .. }]), "{actions:?}");
}
