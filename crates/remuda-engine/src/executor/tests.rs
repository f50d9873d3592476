//! Calls of which every turn is known.

use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    task::{Context, Poll},
    thread,
    time::Duration,
};

use futures_util::FutureExt as _;
use remuda_config::Executor;

use super::{Executors, Movable, Ran, Site, Work};

const MS: Duration = Duration::from_millis(1);

/// What happens in a turn.
#[derive(Clone, Copy)]
enum Turn {
    /// It is interrupted after so many milliseconds.
    Burns(u32),
    /// It waits for something, which has happened already.
    Waits,
    Panics,
}

/// Ends with the threads that have run it, in the order of its turns.
struct Scripted {
    turns: VecDeque<Turn>,
    threads: Vec<thread::ThreadId>,
    begun: Arc<AtomicUsize>,
    ended: Arc<AtomicUsize>,
    /// Keeps each turn going until there is word.
    gate: Option<mpsc::Receiver<()>>,
}

impl Work for Scripted {
    type Output = Vec<thread::ThreadId>;

    fn turn(&mut self, cx: &mut Context<'_>) -> (Poll<Self::Output>, Ran) {
        self.begun.fetch_add(1, Ordering::SeqCst);
        self.threads.push(thread::current().id());
        if let Some(gate) = &self.gate {
            let _ = gate.recv();
        }
        match self.turns.pop_front() {
            Some(Turn::Burns(millis)) => {
                cx.waker().wake_by_ref();
                (Poll::Pending, Ran { used: MS * millis, interrupted: true })
            }
            Some(Turn::Waits) => {
                cx.waker().wake_by_ref();
                (Poll::Pending, Ran::default())
            }
            Some(Turn::Panics) => panic!("as the script says"),
            None => (Poll::Ready(std::mem::take(&mut self.threads)), Ran::default()),
        }
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.ended.fetch_add(1, Ordering::SeqCst);
    }
}

fn scripted(turns: &[Turn]) -> Scripted {
    let turns = turns.iter().copied().collect();
    let (begun, ended) = <(Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
    Scripted { turns, threads: Vec::new(), begun, ended, gate: None }
}

fn site(executors: &Executors, executor: Executor) -> Arc<Site> {
    Arc::new(Site::new(executors.clone(), 0, executor, MS * 5))
}

fn movable(executors: &Executors, executor: Executor, turns: &[Turn]) -> Movable<Scripted> {
    Movable::new(site(executors, executor), scripted(turns))
}

/// Where its turns were: on this thread or on another.
async fn places(mut call: Movable<Scripted>) -> Vec<bool> {
    let threads = poll_fn(|cx| call.poll(cx)).await.expect("room");
    let here = thread::current().id();
    threads.into_iter().map(|thread| thread == here).collect()
}

/// Lets it run until a turn of it has begun on another thread.
async fn runs(call: &mut Movable<Scripted>) {
    let begun = Arc::clone(&call.work().begun);
    assert!(poll_fn(|cx| Poll::Ready(call.poll(cx))).await.is_pending());
    while begun.load(Ordering::SeqCst) == 0 {
        thread::yield_now();
    }
}

#[tokio::test]
async fn what_burns_moves_and_comes_back_when_it_waits() {
    use Turn::{Burns, Waits};
    let executors = Executors::new(1, 10);
    let turns = [Waits, Burns(3), Waits, Burns(3), Burns(3), Burns(3), Waits, Burns(4)];
    let call = movable(&executors, Executor::Auto, &turns);
    let site = Arc::clone(&call.site);
    let expected = [true, true, true, true, true, false, false, true, true];
    assert_eq!(places(call).await, expected);
    assert_eq!(site.offloads(), 1);
    executors.blocking.stop();
}

#[tokio::test]
async fn what_is_to_stay_stays_and_what_is_to_block_blocks() {
    use Turn::{Burns, Waits};
    let executors = Executors::new(2, 10);
    let turns = [Burns(9), Waits, Burns(9), Burns(9)];
    let stays = movable(&executors, Executor::Async, &turns);
    assert_eq!(places(stays).await, [true; 5]);
    let blocks = movable(&executors, Executor::Blocking, &turns);
    assert_eq!(places(blocks).await, [false; 5]);
    executors.blocking.stop();
}

#[tokio::test]
async fn where_there_is_no_room_what_burns_stays_and_what_blocks_is_told() {
    let executors = Executors::new(1, 0);
    let (open, gate) = mpsc::channel();
    let mut first = movable(&executors, Executor::Blocking, &[]);
    first.work().gate = Some(gate);
    runs(&mut first).await;
    let burns = movable(&executors, Executor::Auto, &[Turn::Burns(9), Turn::Burns(9)]);
    assert_eq!(places(burns).await, [true; 3]);
    let mut blocks = movable(&executors, Executor::Blocking, &[]);
    assert!(poll_fn(|cx| blocks.poll(cx)).await.is_err());
    drop(open);
    executors.blocking.stop();
}

/// Says whether the work had ended when it was let go.
struct Held(Arc<AtomicUsize>, Arc<AtomicBool>);

impl Drop for Held {
    fn drop(&mut self) {
        self.1.store(self.0.load(Ordering::SeqCst) == 1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn what_is_held_is_let_go_after_the_work_that_waits() {
    let executors = Executors::new(1, 10);
    let mut call = movable(&executors, Executor::Auto, &[Turn::Waits]);
    assert!(poll_fn(|cx| Poll::Ready(call.poll(cx))).await.is_pending());
    let (ended, after) = (Arc::clone(&call.work().ended), Arc::new(AtomicBool::new(false)));
    call.end(Held(ended, Arc::clone(&after)));
    assert!(after.load(Ordering::SeqCst));
}

#[tokio::test]
async fn what_is_held_is_let_go_after_the_work_that_runs_and_not_before() {
    let executors = Executors::new(1, 10);
    let (open, gate) = mpsc::channel();
    let mut call = movable(&executors, Executor::Blocking, &[]);
    call.work().gate = Some(gate);
    let ended = Arc::clone(&call.work().ended);
    runs(&mut call).await;
    let after = Arc::new(AtomicBool::new(false));
    call.end(Held(Arc::clone(&ended), Arc::clone(&after)));
    assert_eq!(ended.load(Ordering::SeqCst), 0);
    open.send(()).expect("somebody waits");
    executors.blocking.stop();
    assert_eq!(ended.load(Ordering::SeqCst), 1);
    assert!(after.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_panic_reaches_whoever_waits() {
    let executors = Executors::new(1, 10);
    let call = movable(&executors, Executor::Blocking, &[Turn::Panics]);
    let panicked = std::panic::AssertUnwindSafe(places(call)).catch_unwind().await;
    assert!(panicked.is_err());
    // The thread lives on.
    assert_eq!(places(movable(&executors, Executor::Blocking, &[])).await, [false]);
    executors.blocking.stop();
}

#[tokio::test]
async fn turns_of_what_was_interrupted_come_one_at_a_time() {
    let executors = Executors::new(1, 10);
    let call = || movable(&executors, Executor::Async, &[Turn::Burns(1); 2]);
    let (mut first, mut second) = (call(), call());
    let poll = async |call: &mut Movable<Scripted>| poll_fn(|cx| Poll::Ready(call.poll(cx))).await;
    assert!(poll(&mut first).await.is_pending());
    assert!(poll(&mut second).await.is_pending());
    // Both were interrupted; the first one has its second turn, and keeps it until it is polled.
    assert!(poll(&mut first).await.is_pending());
    for _ in 0..9 {
        assert!(poll(&mut second).await.is_pending());
    }
    assert_eq!(second.turns_left(), 1);
    // Whoever may not be polled for long keeps nobody waiting.
    first.leave_alone();
    assert!(poll(&mut second).await.is_pending());
    assert_eq!(second.turns_left(), 0);
    assert!(poll(&mut first).await.is_ready());
}

#[tokio::test]
async fn what_burns_keeps_others_from_beginning_while_it_is_short_and_looked_after() {
    use Turn::{Burns, Waits};
    let executors = Executors::new(1, 10);
    let poll = async |call: &mut Movable<Scripted>| poll_fn(|cx| Poll::Ready(call.poll(cx))).await;
    let mut burns = movable(&executors, Executor::Async, &[Burns(1), Waits, Burns(1), Burns(1)]);
    let site = Arc::clone(&burns.site);
    for counts in [true, false, true] {
        assert!(poll(&mut burns).await.is_pending());
        assert_eq!(site.crowd().burns(), counts);
    }
    // Its client does not read: it may be interrupted for as long as that lasts.
    burns.leave_alone();
    assert!(!site.crowd().burns());
    assert!(poll(&mut burns).await.is_pending());
    assert!(burns.was_interrupted() && !site.crowd().burns());
    drop(burns);
    // Nor when it has come back, and nobody has looked.
    let mut moves = movable(&executors, Executor::Auto, &[Burns(9), Waits]);
    let site = Arc::clone(&moves.site);
    let (open, gate) = mpsc::channel();
    moves.work().gate = Some(gate);
    open.send(()).expect("the first turn waits for it");
    assert!(poll(&mut moves).await.is_pending());
    assert!(moves.is_away() && site.crowd().burns());
    open.send(()).expect("the second turn waits for it");
    while site.crowd().burns() {
        thread::yield_now();
    }
    assert!(moves.is_away());
    drop(open);
    executors.blocking.stop();
}

#[tokio::test]
async fn where_several_burn_one_moves_sooner_if_a_thread_is_idle() {
    use Turn::Burns;
    let executors = Executors::new(1, 10);
    let site = site(&executors, Executor::Auto);
    let call = || Movable::new(Arc::clone(&site), scripted(&[Burns(1), Burns(1)]));
    let poll = async |call: &mut Movable<Scripted>| poll_fn(|cx| Poll::Ready(call.poll(cx))).await;
    let (mut first, mut second, mut third) = (call(), call(), call());
    let (open, gate) = mpsc::channel();
    second.work().gate = Some(gate);
    assert!(poll(&mut first).await.is_pending());
    assert!(!first.is_away(), "it is the only one");
    open.send(()).expect("the first turn waits for it");
    assert!(poll(&mut second).await.is_pending());
    assert!(second.is_away());
    assert!(poll(&mut third).await.is_pending());
    assert!(!third.is_away(), "the thread is busy");
    drop(open);
    drop((first, second, third));
    executors.blocking.stop();
}

#[tokio::test]
async fn where_most_burn_and_one_does_the_next_begins_on_an_idle_thread() {
    use Turn::{Burns, Waits};
    let executors = Executors::new(1, 10);
    let site = site(&executors, Executor::Auto);
    let call = |turns: &[Turn]| Movable::new(Arc::clone(&site), scripted(turns));
    for _ in 0..20 {
        assert_eq!(places(call(&[Burns(1)])).await, [true; 2]);
    }
    let poll = async |call: &mut Movable<Scripted>| poll_fn(|cx| Poll::Ready(call.poll(cx))).await;
    assert_eq!(places(call(&[])).await, [true], "nobody burns");
    let mut burns = call(&[Burns(1), Burns(1)]);
    assert!(poll(&mut burns).await.is_pending());
    // What it waits for is waited for here.
    assert_eq!(places(call(&[Waits])).await, [false, true]);
    for _ in 0..20 {
        places(call(&[])).await;
    }
    assert_eq!(places(call(&[])).await, [true], "most do not burn");
    drop(burns);
    executors.blocking.stop();
}

impl Movable<Scripted> {
    fn work(&mut self) -> &mut Scripted {
        let super::movable::Place::Here(work) = &mut self.place else { panic!("it is away") };
        work
    }

    fn turns_left(&mut self) -> usize {
        self.work().turns.len()
    }
}
