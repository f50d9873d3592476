//! What operators order, and who waits for an answer.
//!
//! Owner: the [loop](crate::run). Invariants: one reload at a time, and one more that comes
//! after it, however many asked; whoever waits is told in the end, also when the server
//! stops.

use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::{
    admin::call::{Done, Refused, Reloads},
    fleet::Fleet,
    lifecycle::{GenerationId, WorkerId},
};

/// How much longer than a boot may take somebody waits for workers.
const SOME_MORE: Duration = Duration::from_secs(5);

pub(crate) type Reply = oneshot::Sender<Result<Done, Refused>>;

/// Exit code for an order that makes no sense (`EX_USAGE`).
pub(crate) const USAGE: u8 = 64;
/// Exit code for a server that cannot do it now (`EX_SOFTWARE`).
pub(crate) const CANNOT: u8 = 70;

impl Refused {
    pub(crate) fn new(code: u8, reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), code }
    }

    /// The answer to every order from now on.
    pub(crate) fn stopping() -> Self {
        Self::new(CANNOT, "the server is stopping")
    }
}

/// Orders that take a while.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    /// The reload that is under way.
    reload: Option<Reload>,
    /// Who wants another one after it.
    next_reload: Option<Vec<Reply>>,
    waiting: Vec<Waiting>,
    pub(crate) reloads: Reloads,
}

#[derive(Debug)]
struct Reload {
    generation: GenerationId,
    began: Instant,
    replies: Vec<Reply>,
}

/// Somebody who waits for the fleet to be as ordered.
#[derive(Debug)]
struct Waiting {
    what: Wanted,
    until: Instant,
    /// Failed boots before; one more is what became of the order.
    failed_boots: u64,
    reply: Reply,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Workers(usize),
    /// Somebody else in this slot.
    Successor {
        slot: usize,
        of: WorkerId,
    },
}

impl Orders {
    // Reloads

    pub(crate) fn is_reloading(&self) -> bool {
        self.reload.is_some()
    }

    /// A reload has begun; for those that waited for it and for `replies`.
    pub(crate) fn reload_began(
        &mut self,
        generation: GenerationId,
        replies: Vec<Reply>,
        now: Instant,
    ) {
        self.reload = Some(Reload { generation, began: now, replies });
    }

    /// Somebody wants a reload while one is under way, or before the first start.
    pub(crate) fn reload_later(&mut self, reply: Option<Reply>) {
        self.next_reload.get_or_insert_default().extend(reply);
    }

    /// Who wants a reload now that none is under way.
    pub(crate) fn next_reload(&mut self) -> Option<Vec<Reply>> {
        if self.is_reloading() { None } else { self.next_reload.take() }
    }

    pub(crate) fn reloaded(&mut self, generation: GenerationId, workers: usize, now: Instant) {
        let Some(reload) = self.reload.take_if(|it| it.generation == generation) else { return };
        self.reloads.succeeded += 1;
        self.reloads.last_failure = None;
        let elapsed_ms = now.duration_since(reload.began).as_millis() as u64;
        tracing::info!(generation = generation.0, workers, elapsed_ms, "reloaded");
        let message = format!("generation {} serves: {}", generation.0, counted(workers));
        let done = Done { message, generation: generation.0 };
        answer_all(reload.replies, &Ok(done));
    }

    pub(crate) fn reload_failed(&mut self, generation: GenerationId, refused: &Refused) {
        let Some(reload) = self.reload.take_if(|it| it.generation == generation) else { return };
        self.reloads.failed += 1;
        self.reloads.last_failure = Some(refused.reason.clone());
        tracing::error!(reason = refused.reason, "reload failed");
        answer_all(reload.replies, &Err(refused.clone()));
    }

    // Waiting for workers

    pub(crate) fn wait_for(
        &mut self,
        what: Wanted,
        fleet: &Fleet,
        boot: Duration,
        reply: Reply,
        now: Instant,
    ) {
        let until = crate::lifecycle::later(now, boot.saturating_add(SOME_MORE));
        let (failed_boots, _) = fleet.failed_boots();
        self.waiting.push(Waiting { what, until, failed_boots, reply });
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.waiting.iter().map(|waiting| waiting.until).min()
    }

    /// Answers those whose wish has come true, or cannot any more.
    pub(crate) fn settle(&mut self, fleet: &Fleet, now: Instant) {
        let generation = fleet.generation().map_or(0, |generation| generation.0);
        let mut still_waiting = Vec::new();
        for waiting in self.waiting.drain(..) {
            let answer = match waiting.what.outcome(fleet) {
                _ if !fleet.is_staying() => Some(Err(Refused::stopping())),
                Some(Ok(message)) => Some(Ok(Done { message, generation })),
                Some(Err(reason)) => Some(Err(Refused::new(CANNOT, reason))),
                None if fleet.failed_boots().0 > waiting.failed_boots => {
                    let (_, why) = fleet.failed_boots();
                    let reason = format!("{why}; the server goes on trying");
                    Some(Err(Refused::new(CANNOT, reason)))
                }
                None if waiting.until <= now => {
                    let reason = "workers do not become ready; the server goes on trying";
                    Some(Err(Refused::new(CANNOT, reason)))
                }
                None => None,
            };
            match answer {
                // Whoever asked may have gone.
                Some(answer) => drop(waiting.reply.send(answer)),
                None => still_waiting.push(waiting),
            }
        }
        self.waiting = still_waiting;
    }

    /// The server stops: nobody is left without an answer.
    pub(crate) fn give_up(&mut self) {
        let refused = Err(Refused::stopping());
        let reload = self.reload.take().map(|reload| reload.replies).unwrap_or_default();
        answer_all(reload, &refused);
        answer_all(self.next_reload.take().unwrap_or_default(), &refused);
        answer_all(self.waiting.drain(..).map(|waiting| waiting.reply).collect(), &refused);
    }
}

impl Wanted {
    /// `None` while it is under way.
    fn outcome(self, fleet: &Fleet) -> Option<Result<String, String>> {
        match self {
            Self::Workers(wanted) if fleet.wanted() != wanted => {
                Some(Err(format!("meanwhile told to run {}", counted(fleet.wanted()))))
            }
            Self::Workers(wanted) => fleet.is_complete().then(|| Ok(counted(wanted))),
            Self::Successor { slot, of } => {
                let now = fleet.worker_of(slot).filter(|id| *id != of && fleet.is_ready(*id))?;
                let pid = fleet.workers().find(|(id, _)| *id == now)?.1.pid?.as_raw_pid();
                Some(Ok(format!("worker {slot} is process {pid} now")))
            }
        }
    }
}

fn answer_all(replies: Vec<Reply>, answer: &Result<Done, Refused>) {
    for reply in replies {
        // Whoever asked may have gone.
        let _ = reply.send(answer.clone());
    }
}

/// `1 worker`, `2 workers`
pub(crate) fn counted(workers: usize) -> String {
    format!("{workers} worker{}", if workers == 1 { "" } else { "s" })
}
