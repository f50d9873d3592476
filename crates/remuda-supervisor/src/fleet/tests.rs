//! A fleet without processes.

mod recycling;
mod reload;
mod sequences;
mod silence;
mod world;

use remuda_control::{FromWorker, Queue};
use rustix::process::Signal::{self as Sig};

use super::*;
use world::{BOOT_TIMEOUT, GRACE, SECOND, World, policy};

const KILL: Sig = Sig::KILL;

fn serve(worker: u64) -> Action {
    Action::Send { worker: WorkerId(worker), message: ToWorker::Serve }
}

fn drain(worker: u64, queue: Queue) -> Action {
    let message = ToWorker::Drain { grace: GRACE, queue };
    Action::Send { worker: WorkerId(worker), message }
}

fn spawn(worker: u64, slot: usize) -> Action {
    Action::Spawn { worker: WorkerId(worker), slot, generation: GenerationId(1) }
}

fn killed(worker: u64) -> Action {
    Action::Kill { worker: WorkerId(worker), signal: KILL }
}

#[test]
fn every_slot_gets_a_worker_at_the_start() {
    let world = World::started(3);
    assert_eq!(world.live_slots(), [0, 1, 2]);
}

#[test]
fn the_fleet_is_announced_once_and_only_when_all_are_ready() {
    let mut world = World::started(2);
    assert_eq!(world.says(0, FromWorker::Ready), [serve(0)]);
    assert_eq!(world.says(1, FromWorker::Ready), [serve(1), Action::LogReady]);
    world.passes_well(10 * SECOND);
    world.exits(1, 1);
    let replacement = world.newest();
    assert_eq!(world.says(replacement, FromWorker::Ready), [serve(replacement)]);
}

#[test]
fn a_worker_that_lived_long_is_replaced_at_once() {
    let mut world = World::ready(2);
    world.passes_well(6 * SECOND);
    assert_eq!(world.exits(0, 0), [spawn(2, 0)]);
}

#[test]
fn a_worker_that_died_early_is_replaced_after_a_pause() {
    let mut world = World::ready(2);
    world.passes(SECOND / 2);
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
    assert_eq!(world.passes(BOOT_TIMEOUT), [killed(0)]);
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
    let mut world = World::started(1);
    world.spawns_fail = true;
    world.exits(0, 1);
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
        world.passes_well(30 * SECOND);
    }
    assert_eq!(world.finished, None);
    assert_eq!(world.live_slots(), [0, 1]);
}

#[test]
fn a_worker_that_was_killed_does_not_serve() {
    let mut world = World::ready(2);
    world.exits(1, 1);
    world.passes(SECOND / 2);
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
    world.passes_well(10 * SECOND);
    let broken = || Event::Broken { worker: WorkerId(0), reason: "no message".into() };
    assert_eq!(world.happens(broken()), [killed(0)]);
    assert_eq!(world.happens(broken()), []);
    assert_eq!(world.exits(0, 9), [spawn(1, 0)]);
}

#[test]
fn a_worker_that_fails_has_a_moment_to_leave() {
    let mut world = World::started(1);
    assert_eq!(world.says(0, FromWorker::Failed { reason: "x".into() }), []);
    assert_eq!(world.until_next_deadline(), Some(PATIENCE));
    assert_eq!(world.passes(PATIENCE), [killed(0)]);
}

#[test]
fn a_worker_that_hangs_up_is_replaced_at_once_and_has_a_moment_to_leave() {
    let mut world = World::ready(1);
    world.passes_well(6 * SECOND);
    assert_eq!(world.happens(Event::HungUp { worker: WorkerId(0) }), [spawn(1, 0)]);
    world.says(1, FromWorker::Ready);
    assert!(world.passes_well(PATIENCE).contains(&killed(0)));
}

#[test]
fn what_a_worker_died_of_counts_also_if_its_socket_closed_first() {
    let mut world = World::ready(1);
    world.passes_well(6 * SECOND);
    assert_eq!(world.happens(Event::HungUp { worker: WorkerId(0) }), [spawn(1, 0)]);
    assert!(world.fleet.restarts().is_empty(), "nobody knows yet");
    world.live.remove(&WorkerId(0));
    world.happens(Event::Exited { worker: WorkerId(0), exit: Exit::Signal(9) });
    assert_eq!(world.fleet.restarts().iter().collect::<Vec<_>>(), [(&"killed", &1)]);
}

#[test]
fn a_worker_that_drains_by_itself_is_replaced_at_once_and_finishes() {
    let mut world = World::ready(1);
    world.passes_well(6 * SECOND);
    assert_eq!(world.says(0, FromWorker::Draining), [spawn(1, 0)]);
    assert_eq!(world.says(1, FromWorker::Ready), [serve(1)]);
    assert_eq!(world.exits(0, 0), []);
    assert_eq!(world.fleet.restarts()["exited"], 1);
}

#[test]
fn an_order_to_end_drains_every_worker_and_waits_for_the_last() {
    for signal in [Signal::Terminate, Signal::Interrupt] {
        let mut world = World::ready(2);
        let stop = Action::StopListening;
        let actions = world.happens(Event::Signal(signal));
        assert_eq!(actions, [drain(0, Queue::CLOSING), drain(1, Queue::CLOSING), stop]);
        assert_eq!(world.exits(1, 0), []);
        assert_eq!(world.exits(0, 0), [Action::Finish(Outcome::AsAsked)]);
    }
}

#[test]
fn a_server_whose_successor_serves_drains_without_a_delay() {
    let mut world = World::with(Policy { drain_delay: 10 * SECOND, ..policy(1) });
    world.says(0, FromWorker::Ready);
    let actions = world.happens(Event::HandedOver);
    assert_eq!(actions, [drain(0, Queue::CLOSING), Action::StopListening]);
    assert_eq!(world.exits(0, 0), [Action::Finish(Outcome::AsAsked)]);
}

#[test]
fn with_a_delay_it_serves_on_after_the_order_and_then_drains() {
    let mut world = World::with(Policy { drain_delay: 10 * SECOND, ..policy(2) });
    world.says(0, FromWorker::Ready);
    world.says(1, FromWorker::Ready);
    assert_eq!(world.happens(Event::Signal(Signal::Terminate)), []);
    assert!(world.fleet.is_draining() && world.fleet.is_serving());
    assert_eq!(world.passes_well(6 * SECOND), []);
    assert_eq!(world.exits(0, 1), [spawn(2, 0)], "it is served until the end of the delay");
    world.says(2, FromWorker::Ready);
    let actions = world.passes_well(4 * SECOND);
    let stop = Action::StopListening;
    assert_eq!(actions, [drain(1, Queue::CLOSING), drain(2, Queue::CLOSING), stop]);
}

#[test]
fn a_second_order_within_the_delay_ends_at_once() {
    let mut world = World::with(Policy { drain_delay: 10 * SECOND, ..policy(1) });
    world.says(0, FromWorker::Ready);
    world.happens(Event::Signal(Signal::Terminate));
    assert_eq!(world.happens(Event::Signal(Signal::Terminate)), [killed(0)]);
    assert_eq!(world.exits(0, 9), [Action::Finish(Outcome::AsAsked)]);
}

#[test]
fn scaling_starts_and_retires_workers_and_knows_when_it_is_done() {
    let mut world = World::ready(2);
    assert_eq!(world.happens(Event::Scale(3)), [spawn(2, 2)]);
    assert!(!world.fleet.is_complete());
    world.says(2, FromWorker::Ready);
    assert!(world.fleet.is_complete());
    let shrink = Action::Shrink { slots: 1 };
    assert_eq!(
        world.happens(Event::Scale(1)),
        [shrink, drain(1, Queue::Leave), drain(2, Queue::Leave)]
    );
    assert!(world.fleet.is_complete());
    assert_eq!(world.exits(1, 0), []);
    assert_eq!(world.live_slots(), [0]);
}

#[test]
fn slots_with_sockets_of_their_own_empty_the_queues_they_leave() {
    let mut world = World::with(Policy { own_sockets: true, ..policy(2) });
    world.says(0, FromWorker::Ready);
    world.says(1, FromWorker::Ready);
    let shrink = Action::Shrink { slots: 1 };
    assert_eq!(world.happens(Event::Scale(1)), [shrink, drain(1, Queue::RETIRED)]);
}

#[test]
fn a_drain_that_takes_too_long_is_cut_off() {
    let mut world = World::ready(2);
    world.happens(Event::Signal(Signal::Terminate));
    world.exits(0, 0);
    assert_eq!(world.passes_beating(1, GRACE), []);
    assert_eq!(world.passes_beating(1, PATIENCE), [killed(1)]);
    assert_eq!(world.exits(1, 9), [Action::Finish(Outcome::AsAsked)]);
}

#[test]
fn a_worker_that_is_still_starting_has_little_time_unless_it_was_about_to_serve() {
    let mut world = World::started(2);
    world.happens(Event::Signal(Signal::Terminate));
    world.says(1, FromWorker::Ready);
    assert_eq!(world.passes_beating(1, PATIENCE), [killed(0)]);
    assert_eq!(world.passes_beating(1, GRACE), [killed(1)]);
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
        assert_eq!(actions, [killed(0), killed(1)], "{signals:?}");
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
    let stop = Action::StopListening;
    assert_eq!(actions, [stop, Action::Finish(Outcome::AsAsked)]);
}

#[test]
fn messages_of_the_dead_are_ignored() {
    let mut world = World::ready(1);
    world.passes_well(10 * SECOND);
    world.exits(0, 1);
    assert_eq!(world.says(0, FromWorker::Ready), []);
    assert_eq!(world.happens(Event::Broken { worker: WorkerId(0), reason: String::new() }), []);
    assert_eq!(world.live_slots(), [0]);
}
