//! Whatever happens in whatever order, the rules of the [`World`] hold.

use proptest::{prelude::*, sample::Index};

use super::{super::*, World, world::SECOND};

#[derive(Clone, Debug)]
enum Step {
    Ready(Index),
    Draining(Index),
    Fails(Index),
    SendsGarbage(Index),
    HangsUp(Index),
    Exits(Index),
    SpawnsFail(bool),
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
        1 => any::<bool>().prop_map(Step::SpawnsFail),
        2 => (0_u64..40_000).prop_map(|millis| Step::Passes(Duration::from_millis(millis))),
        4 => Just(Step::NextDeadline),
    ]
}

fn order() -> impl Strategy<Value = Step> {
    prop_oneof![Just(Signal::Terminate), Just(Signal::Interrupt), Just(Signal::Quit)]
        .prop_map(Step::Order)
}

fn take(world: &mut World, step: Step) {
    let live: Vec<_> = world.live.keys().copied().collect();
    let pick = |index: Index| (!live.is_empty()).then(|| *index.get(&live));
    let said = |worker, message| Event::Said { worker, message };
    let event = match step {
        Step::Ready(index) => pick(index).map(|worker| said(worker, FromWorker::Ready)),
        Step::Draining(index) => pick(index).map(|worker| said(worker, FromWorker::Draining)),
        Step::Fails(index) => {
            pick(index).map(|worker| said(worker, FromWorker::Failed { reason: "so it is".into() }))
        }
        Step::SendsGarbage(index) => {
            pick(index).map(|worker| Event::Broken { worker, reason: "garbage".into() })
        }
        Step::HangsUp(index) => pick(index).map(|worker| Event::HungUp { worker }),
        Step::Exits(index) => pick(index).map(|worker| {
            world.live.remove(&worker);
            Event::Exited { worker, exit: Exit::Code(1) }
        }),
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

proptest! {
    #[test]
    fn as_long_as_it_serves_every_slot_is_filled_again(
        workers in 1_usize..5,
        steps in prop::collection::vec(step(), 0..80),
    ) {
        let mut world = serve(workers, steps);
        world.spawns_fail = false;
        world.passes(30 * SECOND);
        if world.fleet.is_serving() {
            prop_assert_eq!(world.live_slots(), (0..workers).collect::<Vec<_>>());
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
