//! Workers that are well and are replaced all the same.

use remuda_control::Queue;

use super::{super::*, World, drain, killed, serve, spawn, world::*};

#[test]
fn a_worker_that_has_served_enough_leaves_when_its_successor_serves() {
    let mut world = World::ready(2);
    world.passes_well(6 * SECOND);
    assert_eq!(world.beats(0, 999), []);
    assert_eq!(world.beats(0, 1000), [spawn(2, 0)]);
    assert_eq!(world.beats(0, 1500), [], "it serves on");
    assert_eq!(world.serving(), 2);
    assert_eq!(world.says(2, FromWorker::Ready), [serve(2), drain(0, Queue::Leave)]);
    assert_eq!(world.exits(0, 0), []);
    assert_eq!(world.live_slots(), [0, 1]);
    assert_eq!(world.fleet.restarts()["max_requests"], 1);
}

#[test]
fn they_are_replaced_one_at_a_time() {
    let mut world = World::ready(3);
    world.passes_well(6 * SECOND);
    assert_eq!(world.beats(0, 1000), [spawn(3, 0)]);
    assert_eq!(world.beats(1, 1000), []);
    assert_eq!(world.beats(2, 1000), []);
    assert_eq!(world.says(3, FromWorker::Ready), [serve(3), drain(0, Queue::Leave), spawn(4, 1)]);
    assert_eq!(world.says(4, FromWorker::Ready), [serve(4), drain(1, Queue::Leave), spawn(5, 2)]);
}

#[test]
fn jitter_is_added_and_differs() {
    let mut world = World::with(Policy { max_requests_jitter: 1000, ..policy(8) });
    for worker in 0..8 {
        world.says(worker, FromWorker::Ready);
    }
    let most: Vec<_> = world.fleet.workers().filter_map(|(_, it)| it.limits.max_requests).collect();
    assert!(most.iter().all(|most| (1000..=2000).contains(most)), "{most:?}");
    assert!(most.iter().any(|other| *other != most[0]), "{most:?}");
}

#[test]
fn a_worker_that_has_lived_long_enough_is_replaced() {
    let mut world = World::with(Policy { max_lifetime: Some(60 * SECOND), ..policy(1) });
    world.says(0, FromWorker::Ready);
    assert_eq!(world.passes_well(59 * SECOND), []);
    assert_eq!(world.passes_well(SECOND), [spawn(1, 0)]);
    world.says(1, FromWorker::Ready);
    assert_eq!(world.fleet.restarts()["max_lifetime"], 1);
}

#[test]
fn memory_is_a_reason_to_be_replaced_and_too_much_of_it_to_be_killed() {
    let mut world = World::ready(1);
    world.passes_well(6 * SECOND);
    let measured = |rss| Event::Measured { worker: WorkerId(0), rss };
    assert_eq!(world.happens(measured(84 * MIB)), []);
    assert_eq!(world.happens(measured(85 * MIB)), [spawn(1, 0)]);
    assert_eq!(world.happens(measured(95 * MIB)), [killed(0)]);
    assert_eq!(world.exits(0, 9), [], "its successor starts already");
    assert_eq!(world.says(1, FromWorker::Ready), [serve(1)]);
    assert_eq!(world.fleet.restarts()["rss"], 1);
}

#[test]
fn each_generation_has_its_own_limits() {
    let mut world = World::ready(1);
    world.passes_well(6 * SECOND);
    world.load(Policy { recycle_rss: 850 * MIB, kill_rss: 950 * MIB, ..policy(1) });
    let measured = |worker, mib| Event::Measured { worker: WorkerId(worker), rss: mib * MIB };
    assert_eq!(world.happens(measured(1, 500)), [], "more than the old one may have");
    world.says(1, FromWorker::Ready);
    assert_eq!(world.happens(measured(1, 500)), []);
    assert_eq!(world.happens(measured(0, 90)), [], "it leaves already");
    assert!(world.happens(measured(0, 95)).contains(&killed(0)));
    assert_eq!(world.happens(measured(1, 950)), [killed(1)]);
}

#[test]
fn a_successor_that_does_not_start_is_tried_again_while_the_old_one_serves() {
    let mut world = World::ready(1);
    world.passes_well(6 * SECOND);
    world.beats(0, 1000);
    assert_eq!(world.exits(1, 1), []);
    assert!(world.passes_well(SECOND).contains(&spawn(2, 0)));
    assert_eq!(world.serving(), 1);
    assert_eq!(world.says(2, FromWorker::Ready), [serve(2), drain(0, Queue::Leave)]);
}

#[test]
fn a_limit_that_is_reached_at_once_does_not_keep_the_fleet_busy() {
    let mut world = World::ready(1);
    for successor in 1..8 {
        let measured = Event::Measured { worker: WorkerId(successor - 1), rss: 90 * MIB };
        world.happens(measured);
        while !world.live.contains_key(&WorkerId(successor)) {
            let pause = world.until_next_deadline().expect("an attempt is planned");
            world.passes_well(pause.min(SECOND / 2));
        }
        world.says(successor, FromWorker::Ready);
        world.exits(successor - 1, 0);
    }
    let pause =
        world.fleet.current.as_ref().expect("a generation").slots[0].next_attempt - world.now;
    assert!(pause > SECOND, "{pause:?}");
}

#[test]
fn an_operator_can_have_a_worker_replaced() {
    let mut world = World::ready(2);
    world.passes_well(6 * SECOND);
    assert_eq!(world.happens(Event::Restart { slot: 1 }), [spawn(2, 1)]);
    assert_eq!(world.happens(Event::Restart { slot: 7 }), []);
    world.says(2, FromWorker::Ready);
    assert_eq!(world.fleet.worker_of(1), Some(WorkerId(2)));
}
