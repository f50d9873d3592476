//! What happens to an instance before its first request and after its last one.
//!
//! Purpose: call the hooks of a component that exports `remuda:runtime/lifecycle`, each
//! within its time, and remember that a startup failed, so that not every request tries it
//! again. Owner: the template of a route. Invariants: an instance of such a component takes
//! requests only after its `startup` returned ok; `shutdown` is called at most once, and
//! only for an instance that was started and never failed.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::time::timeout;
use wasmtime::component::ComponentExportIndex;

use crate::{
    Fault,
    blueprint::Hooks,
    call::{Instance, errand},
    program::Template,
};

/// The pause after a startup that failed; it doubles with each one that follows.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Bytes of a guest's own explanation that are kept.
const MAX_EXPLANATION: usize = 1000;

/// What an instance is started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A request, or the readiness of the worker: others make room for it.
    Request,
    /// Requests to come, as long as there is room.
    Stock,
}

/// Startups that have failed since the last one that did not.
#[derive(Default)]
pub(crate) struct Failures(Mutex<Option<Failure>>);

struct Failure {
    fault: Fault,
    at: Instant,
    pause: Duration,
}

impl Failures {
    /// Why no startup is tried now, and for how long.
    pub(crate) fn pause(&self) -> Option<(Fault, Duration)> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Failure { fault, at, pause } = last.as_ref()?;
        let left = pause.checked_sub(at.elapsed()).filter(|left| !left.is_zero())?;
        Some((fault.clone(), left))
    }

    /// How a startup went.
    fn note(&self, fault: Option<&Fault>) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *last = fault.map(|fault| {
            // Those that were under way at the same time count once.
            let pause = match &*last {
                Some(before) if before.at.elapsed() < before.pause => before.pause,
                Some(before) => (before.pause * 2).min(LONGEST_PAUSE),
                None => FIRST_PAUSE,
            };
            Failure { fault: fault.clone(), at: Instant::now(), pause }
        });
    }
}

impl Template {
    /// Whether an instance has something to do before its first request.
    pub(crate) fn has_hooks(&self) -> bool {
        self.blueprint.hooks.is_some()
    }

    /// Makes an instance that works for nobody yet, and has been started.
    ///
    /// # Errors
    /// When it cannot be made, its startup fails, or one failed just before.
    pub(crate) async fn start(self: &Arc<Self>, purpose: Purpose) -> Result<Instance, Fault> {
        if let Some((fault, _)) = self.failures.pause() {
            return Err(fault);
        }
        let instance = match purpose {
            Purpose::Request => self.instantiate(None).await?,
            Purpose::Stock => self.try_instantiate(None, purpose).await?,
        };
        let Some(Hooks { startup, .. }) = self.blueprint.hooks else { return Ok(instance) };
        let started = self.start_up(instance, startup).await;
        // That all threads are busy says nothing of the component.
        if started.as_ref().err() != Some(&Fault::NoThread) {
            self.failures.note(started.as_ref().err());
        }
        started
    }

    async fn start_up(
        self: &Arc<Self>,
        mut instance: Instance,
        startup: ComponentExportIndex,
    ) -> Result<Instance, Fault> {
        let limit = self.readiness.startup_timeout;
        let run = async move {
            let call = instance.call::<_, (Result<(), String>,)>(startup, ());
            match call.await {
                Ok((Ok(()),)) => {
                    instance.started = true;
                    // What it has set up does not wear it out.
                    instance.store.data_mut().limiter.account().begin();
                    Ok(instance)
                }
                Ok((Err(explanation),)) => Err(Fault::Startup(shortened(explanation))),
                Err(error) => {
                    let refused = instance.store.data().limiter.refused();
                    Err(match Fault::from_call(&error, refused) {
                        Fault::Trap(reason) => Fault::Trap(format!("in its startup: {reason}")),
                        other => other,
                    })
                }
            }
        };
        let started = timeout(limit, errand(self, &self.site, None, run)).await;
        started.unwrap_or_else(|_| {
            let setting = "instances.startup_timeout";
            Err(Fault::Startup(format!("it took longer than {setting} ({limit:?})")))
        })
    }

    /// Ends an instance that nobody uses any more, and that has never failed.
    pub(crate) async fn shut_down(&self, instance: &mut Instance) {
        if !std::mem::take(&mut instance.started) {
            return;
        }
        let Some(Hooks { shutdown, .. }) = self.blueprint.hooks else { return };
        let limit = self.readiness.shutdown_timeout;
        let route = &**self.route();
        let call = instance.call::<_, ()>(shutdown, ());
        match timeout(limit, self.in_turns(call)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                let fault = Fault::from_call(&error, instance.store.data().limiter.refused());
                tracing::warn!(route, %fault, "shutdown of an instance failed");
            }
            Err(_) => tracing::warn!(
                route,
                "shutdown of an instance ended by instances.shutdown_timeout ({limit:?})"
            ),
        }
    }

    /// Has an instance that is not needed any more shut down in the background.
    pub(crate) fn retire(self: &Arc<Self>, mut instance: Instance) {
        if !instance.started {
            return;
        }
        let template = Arc::clone(self);
        self.engine.spawn_hook(async move {
            let (ours, site) = (Arc::clone(&template), Arc::clone(&template.site));
            let run = async move {
                ours.shut_down(&mut instance).await;
                Ok(())
            };
            if let Err(fault) = errand(&template, &site, None, run).await {
                let route = &**template.route();
                tracing::warn!(route, %fault, "shutdown of an instance failed");
            }
        });
    }
}

fn shortened(mut explanation: String) -> String {
    if explanation.len() > MAX_EXPLANATION {
        explanation.truncate(explanation.floor_char_boundary(MAX_EXPLANATION));
        explanation.push('…');
    }
    explanation
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_failure_there_is_a_pause_that_grows() {
        let failures = Failures::default();
        assert!(failures.pause().is_none());
        let failed = Fault::Startup("no".to_owned());
        let mut pauses = Vec::new();
        for _ in 0..10 {
            failures.note(Some(&failed));
            let (fault, left) = failures.pause().expect("a pause");
            assert_eq!(fault, failed);
            // It is over.
            let mut last = failures.0.lock().expect("no panic");
            let last = last.as_mut().expect("a failure");
            assert!(left <= last.pause);
            pauses.push(last.pause);
            last.at -= last.pause;
        }
        assert_eq!(pauses[..3], [1, 2, 4].map(|factor| FIRST_PAUSE * factor));
        assert_eq!(pauses[9], LONGEST_PAUSE);
        failures.note(None);
        assert!(failures.pause().is_none());
    }

    #[test]
    fn failures_at_the_same_time_are_one() {
        let failures = Failures::default();
        let failed = Fault::Startup("no".to_owned());
        failures.note(Some(&failed));
        failures.note(Some(&failed));
        let (_, left) = failures.pause().expect("a pause");
        assert!(left <= FIRST_PAUSE);
    }

    #[test]
    fn a_long_explanation_is_cut_between_characters() {
        let cut = shortened("ä".repeat(MAX_EXPLANATION));
        assert!(cut.len() <= MAX_EXPLANATION + 3 && cut.ends_with("ä…"));
        assert_eq!(shortened("short".to_owned()), "short");
    }
}
