//! What a guest does beside requests: its hooks and its jobs.
//!
//! Purpose: run such a call where it disturbs nobody, as a request's would. Owner: whoever
//! waits for the [`errand`]; dropping it ends the guest, at once or at the next epoch.
//! Invariant: the instance belongs to the errand's future, so that it is where the call is.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use super::Allowance;
use crate::{
    Fault, epoch,
    executor::{Movable, Ran, Site, Work},
    program::Template,
};

type Run<T> = Pin<Box<dyn Future<Output = Result<T, Fault>> + Send>>;

struct Errand<T> {
    run: Run<T>,
    template: Arc<Template>,
    allowance: Option<Arc<Allowance>>,
}

/// Lets `run` have its turns at `site`; what it uses is charged to `allowance`.
///
/// # Errors
/// Those of `run`, and when nothing is left to use, or there is no thread for it.
pub(crate) async fn errand<T: Send + 'static>(
    template: &Arc<Template>,
    site: &Arc<Site>,
    allowance: Option<Arc<Allowance>>,
    run: impl Future<Output = Result<T, Fault>> + Send + 'static,
) -> Result<T, Fault> {
    let errand = Errand { run: Box::pin(run), template: Arc::clone(template), allowance };
    let mut movable = Movable::new(Arc::clone(site), errand);
    let ended = std::future::poll_fn(|cx| movable.poll(cx)).await;
    ended.unwrap_or(Err(Fault::NoThread))
}

impl<T: Send + 'static> Work for Errand<T> {
    type Output = Result<T, Fault>;

    fn turn(&mut self, cx: &mut Context<'_>) -> (Poll<Self::Output>, Ran) {
        let Self { run, template, allowance } = self;
        let who = || (Arc::clone(template.route()), allowance.as_ref().map(|request| request.id));
        let (polled, used) = template.engine.ticker.turn(who, || run.as_mut().poll(cx));
        template.count(used.all);
        let ran = Ran { used: used.all, interrupted: epoch::was_interrupted() };
        let charged = allowance.as_ref().map_or(Ok(()), |request| request.charge(used.uncharged));
        match (polled, charged) {
            (Poll::Pending, Err(stop)) => (Poll::Ready(Err(stop.exhausted.into())), ran),
            (polled, _) => (polled, ran),
        }
    }
}
