//! The binary upgrade: this server's side of it.
//!
//! Owner: the [loop](super). Invariant: until the successor has said that it serves, nothing
//! here changes; afterwards this server drains and leaves what was taken alone.

use std::time::{Duration, Instant};

use super::{Supervisor, chain};
use crate::{
    fleet::Event,
    lifecycle::later,
    upgrade::{Upgrade, UpgradeOutcome},
};

/// How many times as long as a worker's boot a successor may take: it may have to compile.
const COMPILING: u32 = 10;

/// A successor that starts.
pub(super) struct Upgrading {
    upgrade: Upgrade,
    limit: Duration,
    until: Instant,
}

impl Upgrading {
    /// How it went; cancel safe.
    pub(super) async fn outcome(&mut self) -> UpgradeOutcome {
        let outcome = tokio::time::timeout_at(self.until.into(), self.upgrade.outcome()).await;
        let limit = self.limit;
        outcome.unwrap_or_else(|_| {
            UpgradeOutcome::Failed(format!("it was not ready {limit:.0?} after its start"))
        })
    }
}

impl Supervisor {
    /// Starts a successor, unless something else is under way.
    pub(super) fn begin_upgrade(&mut self) {
        let busy = match () {
            () if self.upgrading.is_some() => Some("an upgrade is under way"),
            () if self.orders.is_reloading() => Some("a reload is under way"),
            () if !self.fleet.is_staying() => Some("the server is stopping"),
            () if !self.fleet.is_complete() => Some("not all workers are ready"),
            () => None,
        };
        if let Some(reason) = busy {
            return upgrade_failed(reason);
        }
        let Some(listeners) = &self.listeners else { return };
        let (program, arguments) = (&self.plan.upgrade.executable, &self.plan.upgrade.arguments);
        match Upgrade::start(program, arguments, listeners, &self.sockets.extras()) {
            Ok(upgrade) => {
                self.successor = Some(upgrade.pid());
                let pid = upgrade.pid().as_raw_pid();
                tracing::info!(pid, program = %program.display(), "upgrading");
                let limit = self.plan.config.workers.boot_timeout.saturating_mul(COMPILING);
                let until = later(Instant::now(), limit);
                self.upgrading = Some(Upgrading { upgrade, limit, until });
            }
            Err(error) => upgrade_failed(&chain(&error)),
        }
    }

    pub(super) fn upgraded(&mut self, outcome: UpgradeOutcome) -> Option<Event> {
        let upgrading = self.upgrading.take()?;
        match outcome {
            UpgradeOutcome::Ready(taken) => {
                let pid = upgrading.upgrade.pid().as_raw_pid();
                tracing::info!(pid, "upgraded, the new server serves; draining");
                if let Some(listeners) = &mut self.listeners {
                    listeners.leave_to_successor(&taken);
                }
                self.sockets.leave_to_successor(&taken);
                self.answering.cancel();
                self.notifier.hand_over(pid.cast_unsigned());
                Some(Event::HandedOver)
            }
            UpgradeOutcome::Failed(reason) => {
                // It may be alive and only not ready.
                drop(upgrading);
                upgrade_failed(&reason);
                None
            }
        }
    }
}

fn upgrade_failed(reason: &str) {
    tracing::error!(reason, "upgrade failed");
}
