//! Instances that are kept ready for requests to come.
//!
//! Purpose: `instances.min_idle` started, idle instances, made in the background when a
//! request has taken one, so that the next one finds its instance ready. Owner: each pool has
//! a [`Floor`]. Invariants: one at a time is made, with a turn for everybody else in between;
//! nothing is made any more once the pool has gone, and for a while after a failure.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio_util::sync::{CancellationToken, DropGuard};

use super::Instance;
use crate::{Fault, lifecycle::Purpose, program::Template};

/// The pause after an instance could not be made for another reason than its startup.
const PAUSE: Duration = Duration::from_secs(1);

/// So many pauses for want of room are no peak of requests any more.
const LONG: u32 = 5;

pub(super) struct Floor {
    min_idle: usize,
    filling: Arc<AtomicBool>,
    closed: CancellationToken,
    _close: DropGuard,
}

/// Whoever keeps idle instances.
pub(super) trait Stock: Send + Sync + 'static {
    fn floor(&self) -> &Floor;
    fn template(&self) -> &Arc<Template>;
    fn idle(&self) -> usize;

    /// Takes one more, which is ready for requests.
    fn keep(self: &Arc<Self>, instance: Instance);
}

impl Floor {
    pub(super) fn of(template: &Template) -> Self {
        let default = usize::from(template.has_hooks());
        let min_idle = template.readiness.min_idle.unwrap_or(default);
        let closed = CancellationToken::new();
        let _close = closed.clone().drop_guard();
        Self { min_idle, filling: Arc::default(), closed, _close }
    }

    /// How many of so many idle ones may go.
    pub(super) fn spare(&self, idle: usize) -> usize {
        idle.saturating_sub(self.min_idle)
    }
}

/// Makes what is missing, in the background.
pub(super) fn refill<S: Stock>(stock: &Arc<S>) {
    let floor = stock.floor();
    if floor.min_idle == 0 || stock.idle() >= floor.min_idle {
        return;
    }
    if floor.filling.swap(true, Ordering::Relaxed) {
        return;
    }
    let (weak, template) = (Arc::downgrade(stock), Arc::clone(stock.template()));
    let (closed, filling) = (floor.closed.clone(), Filling(Arc::clone(&floor.filling)));
    stock.template().engine.spawn(async move {
        let _filling = filling;
        closed.run_until_cancelled(fill(weak, template)).await;
    });
}

/// Holds no pool that is to go while it waits for anything.
async fn fill<S: Stock>(stock: Weak<S>, template: Arc<Template>) {
    let is_missing = |stock: &Arc<S>| stock.idle() < stock.floor().min_idle;
    let mut in_vain = 0;
    while stock.upgrade().as_ref().is_some_and(is_missing) {
        tokio::task::yield_now().await;
        match (template.start(Purpose::Stock).await, stock.upgrade()) {
            (Ok(instance), Some(stock)) => {
                in_vain = 0;
                stock.keep(instance);
            }
            (Ok(instance), None) => template.retire(instance),
            // Those who need the room more have it.
            (Err(fault @ (Fault::NoCapacity(_) | Fault::MemoryBudget)), stock) => {
                in_vain += 1;
                if let Some(stock) = stock.filter(|_| in_vain == LONG) {
                    let (ready, min_idle) = (stock.idle(), stock.floor().min_idle);
                    let route = &**template.route();
                    tracing::warn!(
                        route,
                        ready,
                        min_idle,
                        %fault,
                        "no room for all instances that are to be ready; lower \
                         instances.min_idle, or raise workers.memory"
                    );
                }
                tokio::time::sleep(PAUSE).await;
            }
            (Err(fault), _) => {
                let pause = template.failures.pause().map_or(PAUSE, |(_, left)| left);
                tracing::warn!(
                    route = &**template.route(),
                    %fault,
                    "failed to keep an instance ready, tried again in {pause:?}"
                );
                tokio::time::sleep(pause).await;
            }
        }
    }
}

/// Cleared also when the task ends early.
struct Filling(Arc<AtomicBool>);

impl Drop for Filling {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}
