//! Whatever happens in whatever order, the rules of the [`World`] hold.

use proptest::{prelude::*, sample::Index};

use remuda_control::Heartbeat;

use super::{
    super::*,
    World,
    world::{MIB, Role, SECOND, policy},
};

#[derive(Clone, Debug)]
enum Step {
    Ready(Index),
    Draining(Index),
    Fails(Index),
    SendsGarbage(Index),
    HangsUp(Index),
    Exits(Index),
    Beats(Index, u64),
    Measures(Index, u64),
    SpawnsFail(bool),
    Load(usize),
    Scale(usize),
    Restart(usize),
    HandedOver,
    Late,
    Passes(Duration),
    NextDeadline,
    Order(Signal),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => any::<Index>().prop_map(Step::Ready),
        1 => any::<Index>().prop_map(Step::Draining),
        1 => any::<Index>().prop_map(Step::Fails),
        1 => any::<Index>().prop_map(Step::SendsGarbage),
        1 => any::<Index>().prop_map(Step::HangsUp),
        4 => any::<Index>().prop_map(Step::Exits),
        2 => (any::<Index>(), 0_u64..1500).prop_map(|(index, served)| Step::Beats(index, served)),
        1 => (any::<Index>(), 0_u64..100).prop_map(|(index, mib)| Step::Measures(index, mib * MIB)),
        1 => any::<bool>().prop_map(Step::SpawnsFail),
        1 => (1_usize..5).prop_map(Step::Load),
        1 => (1_usize..5).prop_map(Step::Scale),
        1 => (0_usize..5).prop_map(Step::Restart),
        1 => Just(Step::Late),
        2 => (0_u64..40_000).prop_map(|millis| Step::Passes(Duration::from_millis(millis))),
        4 => Just(Step::NextDeadline),
    ]
}

fn order() -> impl Strategy<Value = Step> {
    let signals = prop_oneof![Just(Signal::Terminate), Just(Signal::Interrupt), Just(Signal::Quit)];
    prop_oneof![3 => signals.prop_map(Step::Order), 1 => Just(Step::HandedOver)]
}

fn take(world: &mut World, step: Step) {
    let live: Vec<_> = world.live.keys().copied().collect();
    let pick = |index: Index| (!live.is_empty()).then(|| *index.get(&live));
    let said = |worker, message| Event::Said { worker, message };
    let event = match step {
        Step::Ready(index) => pick(index).map(|worker| said(worker, FromWorker::Ready)),
        Step::Draining(index) => pick(index).map(|worker| {
            world.leaves(worker);
            said(worker, FromWorker::Draining)
        }),
        Step::Fails(index) => pick(index).map(|worker| {
            world.leaves(worker);
            said(worker, FromWorker::Failed { reason: "so it is".into() })
        }),
        Step::SendsGarbage(index) => {
            pick(index).map(|worker| Event::Broken { worker, reason: "garbage".into() })
        }
        Step::HangsUp(index) => pick(index).map(|worker| {
            world.leaves(worker);
            Event::HungUp { worker }
        }),
        Step::Exits(index) => pick(index).map(|worker| {
            world.live.remove(&worker);
            Event::Exited { worker, exit: Exit::Code(1) }
        }),
        Step::Beats(index, served) => pick(index).map(|worker| {
            let heartbeat = Heartbeat { served, ..Heartbeat::default() };
            said(worker, FromWorker::Heartbeat(heartbeat))
        }),
        Step::Measures(index, rss) => pick(index).map(|worker| Event::Measured { worker, rss }),
        Step::Load(workers) => {
            // The loop loads one at a time.
            if world.reloading.is_none() && world.finished.is_none() {
                world.load(policy(workers));
            }
            None
        }
        Step::Scale(workers) => Some(Event::Scale(workers)),
        Step::Restart(slot) => Some(Event::Restart { slot }),
        Step::HandedOver => Some(Event::HandedOver),
        Step::Late => Some(Event::Late),
        Step::SpawnsFail(fail) => {
            world.spawns_fail = fail;
            None
        }
        Step::Passes(time) => {
            world.now += time;
            Some(Event::Timer)
        }
        Step::NextDeadline => {
            world.now += world.until_next_deadline().unwrap_or_default();
            Some(Event::Timer)
        }
        Step::Order(signal) => Some(Event::Signal(signal)),
    };
    if let Some(event) = event {
        world.happens(event);
    }
}

fn serve(workers: usize, steps: Vec<Step>) -> World {
    let mut world = World::started(workers);
    for step in steps {
        take(&mut world, step);
    }
    world
}

/// Everybody starts, finishes and leaves as they should.
fn calm_down(world: &mut World) {
    world.spawns_fail = false;
    for _ in 0..10 {
        for (worker, process) in world.live.clone() {
            match process.role {
                Role::Waits if !world.fleet.is_ready(worker) => {
                    world.says(worker.0, FromWorker::Ready);
                }
                Role::Leaves => {
                    world.exits(worker.0, 0);
                }
                Role::Waits | Role::Serves => {}
            }
        }
        world.passes_well(31 * SECOND);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn as_long_as_it_serves_every_slot_is_filled_again(
        workers in 1_usize..5,
        steps in prop::collection::vec(step(), 0..80),
    ) {
        let mut world = serve(workers, steps);
        calm_down(&mut world);
        if world.fleet.is_serving() {
            prop_assert!(world.fleet.is_complete());
            prop_assert_eq!(world.live_slots(), (0..world.fleet.wanted()).collect::<Vec<_>>());
            prop_assert_eq!(world.serving(), world.fleet.wanted());
            prop_assert_eq!(world.reloading, None);
        }
    }

    /// Where nobody dies, hangs up or is killed, there are always as many workers that
    /// serve as were asked for, whatever is reloaded, recycled or restarted.
    #[test]
    fn never_fewer_serve_than_asked_while_a_replacement_is_possible(
        workers in 1_usize..5,
        steps in prop::collection::vec(peaceful_step(), 0..80),
    ) {
        let mut world = World::ready(workers);
        let mut asked = workers;
        for step in steps {
            if let Step::Load(other) | Step::Scale(other) = &step {
                // With fewer it serves with fewer at once; with more, once they are ready.
                asked = asked.min(*other);
            }
            take(&mut world, step);
            world.passes_well(SECOND / 2);
            prop_assert!(world.serving() >= asked, "{} of {asked}", world.serving());
        }
    }

    #[test]
    fn once_told_to_end_it_ends_when_the_last_worker_is_gone(
        workers in 1_usize..5,
        before in prop::collection::vec(step(), 0..40),
        order in order(),
        after in prop::collection::vec(prop_oneof![8 => step(), 1 => self::order()], 0..40),
    ) {
        let mut world = serve(workers, before);
        take(&mut world, order);
        for step in after {
            take(&mut world, step);
        }
        while let Some(worker) = world.live.keys().next() {
            world.exits(worker.0, 0);
        }
        prop_assert!(world.finished.is_some());
    }
}

/// Workers become ready, do their work, and those that were told to leave end.
fn peaceful_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => any::<Index>().prop_map(Step::Ready),
        3 => (any::<Index>(), 0_u64..1500).prop_map(|(index, served)| Step::Beats(index, served)),
        2 => (any::<Index>(), 0_u64..90).prop_map(|(index, mib)| Step::Measures(index, mib * MIB)),
        2 => (1_usize..5).prop_map(Step::Load),
        1 => (1_usize..5).prop_map(Step::Scale),
        1 => (0_usize..5).prop_map(Step::Restart),
        4 => Just(Step::NextDeadline),
    ]
}
