//! A fleet without processes.

mod sequences;
mod world;

use remuda_control::FromWorker;
use rustix::process::Signal::{self as Sig};

use super::*;
use world::{BOOT_TIMEOUT, GRACE, SECOND, World};

const KILL: Sig = Sig::KILL;

#[test]
fn every_slot_gets_a_worker_at_the_start() {
    let world = World::started(3);
    assert_eq!(world.live_slots(), [0, 1, 2]);
}

#[test]
fn the_fleet_is_announced_once_and_only_when_all_are_ready() {
    let mut world = World::started(2);
    assert_eq!(world.says(0, FromWorker::Ready), []);
    assert_eq!(world.says(1, FromWorker::Ready), [Action::LogReady]);
    world.passes(10 * SECOND);
    world.exits(1, 1);
    let replacement = world.newest();
    assert_eq!(world.says(replacement, FromWorker::Ready), []);
}

#[test]
fn a_worker_that_lived_long_is_replaced_at_once() {
    let mut world = World::ready(2);
    world.passes(6 * SECOND);
    let actions = world.exits(0, 0);
    assert_eq!(actions, [Action::Spawn { worker: WorkerId(2), slot: 0 }]);
}

#[test]
fn a_worker_that_died_early_is_replaced_after_a_pause() {
    let mut world = World::ready(2);
    world.passes(SECOND);
    assert_eq!(world.exits(0, 0), []);
    let pause = world.until_next_deadline().expect("an attempt is planned");
    assert!(pause <= SECOND / 10, "{pause:?}");
    world.passes(pause);
    assert_eq!(world.live_slots(), [0, 1]);
}

#[test]
fn a_worker_that_is_not_ready_in_time_is_killed_once() {
    let mut world = World::started(1);
    assert_eq!(world.until_next_deadline(), Some(BOOT_TIMEOUT));
    let actions = world.passes(BOOT_TIMEOUT);
    assert_eq!(actions, [Action::Kill { worker: WorkerId(0), signal: KILL }]);
    assert_eq!(world.passes(BOOT_TIMEOUT), []);
    assert_eq!(world.fleet.failed_boots, 0);
    world.exits(0, 9);
    assert_eq!(world.fleet.failed_boots, 1);
}

#[test]
fn six_failed_boots_in_a_row_end_the_server() {
    let mut world = World::started(1);
    let mut last = Vec::new();
    for attempt in 0..6 {
        assert_eq!(world.newest(), attempt);
        last = world.exits(attempt, 1);
        world.passes(30 * SECOND);
    }
    let reason = "exited with code 1".to_owned();
    assert_eq!(last, [Action::Finish(Outcome::NoWorkerStarts { attempts: 6, reason })]);
}

#[test]
fn processes_that_cannot_be_started_count_as_failed_boots() {
    let mut world = World::new(1);
    world.spawns_fail = true;
    world.passes(SECOND);
    for _ in 0..6 {
        world.passes(30 * SECOND);
    }
    assert!(world.finished.is_some());
}

#[test]
fn the_workers_own_reason_is_the_servers() {
    let mut world = World::started(1);
    for attempt in 0..6 {
        world.says(attempt, FromWorker::Failed { reason: "out of memory".into() });
        world.exits(attempt, 70);
        world.passes(30 * SECOND);
    }
    let reason = "out of memory (exited with code 70)".to_owned();
    assert_eq!(world.finished, Some(Outcome::NoWorkerStarts { attempts: 6, reason }));
}

#[test]
fn failed_boots_do_not_end_a_server_that_serves() {
    let mut world = World::started(2);
    world.says(0, FromWorker::Ready);
    for _ in 0..20 {
        world.exits(world.newest(), 1);
        world.passes(30 * SECOND);
    }
    assert_eq!(world.finished, None);
    assert_eq!(world.live_slots(), [0, 1]);
}

#[test]
fn a_worker_that_was_killed_does_not_serve() {
    let mut world = World::ready(2);
    world.exits(1, 1);
    world.passes(SECOND);
    world.happens(Event::Broken { worker: WorkerId(0), reason: "no message".into() });
    world.exits(2, 1);
    assert_eq!(world.fleet.failed_boots, 1);
}

#[test]
fn a_worker_that_becomes_ready_makes_failed_boots_forgotten() {
    let mut world = World::started(1);
    for attempt in 0..20 {
        if attempt % 5 == 4 {
            world.says(attempt, FromWorker::Ready);
        }
        world.exits(attempt, 1);
        world.passes(30 * SECOND);
    }
    assert_eq!(world.finished, None);
}

#[test]
fn a_worker_that_sends_garbage_is_killed_and_replaced() {
    let mut world = World::ready(1);
    world.passes(10 * SECOND);
    let broken = || Event::Broken { worker: WorkerId(0), reason: "no message".into() };
    assert_eq!(world.happens(broken()), [Action::Kill { worker: WorkerId(0), signal: KILL }]);
    assert_eq!(world.happens(broken()), []);
    assert_eq!(world.exits(0, 9), [Action::Spawn { worker: WorkerId(1), slot: 0 }]);
}

#[test]
fn a_worker_that_hangs_up_or_fails_has_a_moment_to_leave() {
    for event in [
        Event::HungUp { worker: WorkerId(0) },
        Event::Said { worker: WorkerId(0), message: FromWorker::Failed { reason: "x".into() } },
    ] {
        let mut world = World::ready(1);
        assert_eq!(world.happens(event), []);
        assert_eq!(world.until_next_deadline(), Some(PATIENCE));
        assert_eq!(world.passes(PATIENCE), [Action::Kill { worker: WorkerId(0), signal: KILL }]);
    }
}

#[test]
fn a_worker_that_drains_by_itself_keeps_its_slot_until_it_is_gone() {
    let mut world = World::ready(1);
    world.says(0, FromWorker::Draining);
    assert_eq!(world.until_next_deadline(), Some(GRACE + PATIENCE));
    world.passes(GRACE);
    assert_eq!(world.exits(0, 0), [Action::Spawn { worker: WorkerId(1), slot: 0 }]);
}

#[test]
fn an_order_to_end_drains_every_worker_and_waits_for_the_last() {
    for signal in [Signal::Terminate, Signal::Interrupt] {
        let mut world = World::ready(2);
        let drain = |worker| Action::Send {
            worker: WorkerId(worker),
            message: ToWorker::Drain { grace: GRACE },
        };
        assert_eq!(
            world.happens(Event::Signal(signal)),
            [drain(0), drain(1), Action::StopListening]
        );
        assert_eq!(world.exits(1, 0), []);
        assert_eq!(world.exits(0, 0), [Action::Finish(Outcome::AsAsked)]);
    }
}

#[test]
fn a_drain_that_takes_too_long_is_cut_off() {
    let mut world = World::ready(2);
    world.happens(Event::Signal(Signal::Terminate));
    world.exits(0, 0);
    assert_eq!(world.passes(GRACE), []);
    assert_eq!(world.passes(PATIENCE), [Action::Kill { worker: WorkerId(1), signal: KILL }]);
    assert_eq!(world.exits(1, 9), [Action::Finish(Outcome::AsAsked)]);
}

#[test]
fn a_worker_that_is_still_starting_has_little_time_unless_it_was_about_to_serve() {
    let mut world = World::started(2);
    world.happens(Event::Signal(Signal::Terminate));
    world.says(1, FromWorker::Ready);
    assert_eq!(world.passes(PATIENCE), [Action::Kill { worker: WorkerId(0), signal: KILL }]);
    assert_eq!(world.until_next_deadline(), Some(GRACE));
}

#[test]
fn a_second_order_or_quit_ends_at_once() {
    use Signal::{Interrupt, Quit, Terminate};
    for signals in
        [&[Terminate, Terminate][..], &[Interrupt, Terminate], &[Terminate, Quit], &[Quit]]
    {
        let mut world = World::ready(2);
        let mut actions = Vec::new();
        for signal in signals {
            actions = world.happens(Event::Signal(*signal));
        }
        let kill = |worker| Action::Kill { worker: WorkerId(worker), signal: KILL };
        assert_eq!(actions, [kill(0), kill(1)], "{signals:?}");
        assert_eq!(world.happens(Event::Signal(Quit)), []);
        world.exits(0, 9);
        assert_eq!(world.exits(1, 9), [Action::Finish(Outcome::AsAsked)]);
    }
}

#[test]
fn an_order_to_end_between_two_attempts_ends_at_once() {
    let mut world = World::started(1);
    world.exits(0, 1);
    let actions = world.happens(Event::Signal(Signal::Terminate));
    assert_eq!(actions, [Action::StopListening, Action::Finish(Outcome::AsAsked)]);
}

#[test]
fn messages_of_the_dead_are_ignored() {
    let mut world = World::ready(1);
    world.passes(10 * SECOND);
    world.exits(0, 1);
    assert_eq!(world.says(0, FromWorker::Ready), []);
    assert_eq!(world.happens(Event::Broken { worker: WorkerId(0), reason: String::new() }), []);
    assert_eq!(world.live_slots(), [0]);
}
