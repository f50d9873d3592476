//! What operators order, by signal and by call.
//!
//! Owner: the [loop](super). Invariant: an order that is refused has changed nothing, and
//! whoever gave it hears why.

use std::time::Instant;

use remuda_control::ToWorker;
use rustix::process::getpid;

use super::Supervisor;
use crate::{
    admin::call::{Call, Done, Metrics, Order, Refused, RouteStatus, Status},
    fleet::Event,
    ledger::Asker,
    lifecycle::State,
    meter::cpu_time,
    orders::{CANNOT, Reply, USAGE, Wanted, counted},
    signals::Command,
    view,
};

const CANNOT_SCALE: &str = "the server is starting, or an upgrade is under way";

/// More workers than this are a slip of the finger.
const MAX_WORKERS: usize = 1024;

impl Supervisor {
    /// A signal other than one to end.
    pub(super) fn command(&mut self, command: Command, signal: &'static str) -> Option<Event> {
        tracing::info!(signal, "order received");
        let wanted = self.fleet.wanted();
        match command {
            Command::Reload => self.order_reload(None),
            Command::OneMore | Command::OneFewer if !self.can_scale() => {
                tracing::warn!("the number of workers stays: {CANNOT_SCALE}");
            }
            Command::OneMore if wanted < MAX_WORKERS => return Some(self.scale(wanted + 1)),
            Command::OneFewer if wanted > 1 => return Some(self.scale(wanted - 1)),
            Command::OneMore | Command::OneFewer => {
                tracing::warn!(workers = wanted, "workers can be from 1 to {MAX_WORKERS}");
            }
            Command::ReopenLogs => {
                tracing::info!("there is no log file: logs go to standard error and output");
            }
            Command::Upgrade => self.begin_upgrade(),
        }
        None
    }

    /// A question or an order from the admin server.
    pub(super) fn called(&mut self, call: Call) -> Option<Event> {
        let now = Instant::now();
        match call {
            Call::Status(reply) => self.scrape(Asker::Status(reply), now),
            Call::Metrics(reply) => self.scrape(Asker::Metrics(reply), now),
            Call::Order(_, reply) if !self.fleet.is_staying() => {
                // Whoever asked may have gone, here and below.
                let _ = reply.send(Err(Refused::stopping()));
            }
            Call::Order(order, reply) => return self.order(order, reply, now),
        }
        None
    }

    /// Has all workers tell what they have counted, for whoever asks.
    fn scrape(&mut self, asker: Asker, now: Instant) {
        let heard = self.fleet.workers().filter(|(_, worker)| worker.state() != State::Starting);
        for worker in self.ledger.scrape(heard.map(|(id, _)| id), asker, now) {
            // One that has left too much unread is noticed by its silence.
            self.roster.send(worker, ToWorker::Snapshot);
        }
    }

    /// Has all workers tell what they have counted, for later.
    pub(super) fn refresh(&mut self) {
        let heard = self.fleet.workers().filter(|(_, worker)| worker.state() != State::Starting);
        for worker in self.ledger.refresh(heard.map(|(id, _)| id)) {
            self.roster.send(worker, ToWorker::Snapshot);
        }
    }

    fn order(&mut self, order: Order, reply: Reply, now: Instant) -> Option<Event> {
        let boot = self.plan.config.workers.boot_timeout;
        let refuse =
            |reply: Reply, reason: String| drop(reply.send(Err(Refused::new(USAGE, reason))));
        match order {
            Order::Reload => self.order_reload(Some(reply)),
            Order::Drain => {
                let generation = self.fleet.generation().map_or(0, |generation| generation.0);
                let message = "draining".to_owned();
                let _ = reply.send(Ok(Done { message, generation }));
                return Some(Event::Drain);
            }
            Order::Scale(workers) if !(1..=MAX_WORKERS).contains(&workers) => {
                refuse(reply, format!("workers must be from 1 to {MAX_WORKERS}, got {workers}"));
            }
            Order::Scale(_) if !self.can_scale() => {
                let _ = reply.send(Err(Refused::new(CANNOT, CANNOT_SCALE)));
            }
            Order::Scale(workers) => {
                self.orders.wait_for(Wanted::Workers(workers), &self.fleet, boot, reply, now);
                return Some(self.scale(workers));
            }
            Order::Restart(slot) => match self.fleet.worker_of(slot) {
                Some(of) => {
                    let successor = Wanted::Successor { slot, of };
                    self.orders.wait_for(successor, &self.fleet, boot, reply, now);
                    return Some(Event::Restart { slot });
                }
                None if slot < self.fleet.wanted() => {
                    refuse(reply, format!("worker {slot} has died and is about to be replaced"));
                }
                None => {
                    let wanted = counted(self.fleet.wanted());
                    refuse(reply, format!("there is no worker {slot}: {wanted}, counted from 0"));
                }
            },
        }
        None
    }

    /// Whether the sockets of slots may come and go.
    fn can_scale(&self) -> bool {
        self.upgrading.is_none() && self.fleet.generation().is_some()
    }

    fn scale(&mut self, workers: usize) -> Event {
        if self.loading.is_some() {
            self.scaled = Some(workers);
        }
        Event::Scale(workers)
    }

    fn order_reload(&mut self, reply: Option<Reply>) {
        if self.upgrading.is_some() {
            let refused = Refused::new(CANNOT, "an upgrade is under way");
            tracing::warn!(reason = refused.reason, "no reload");
            // A service manager that asked for it waits for its end.
            self.notifier.reloading();
            self.notifier.ready(&self.summary());
            if let Some(reply) = reply {
                // Whoever asked may have gone.
                let _ = reply.send(Err(refused));
            }
            return;
        }
        if self.orders.is_reloading() || self.fleet.generation().is_none() {
            self.orders.reload_later(reply);
        } else {
            self.reload(reply.into_iter().collect());
        }
    }

    pub(super) fn status(&self, now: Instant) -> Status {
        Status {
            version: env!("CARGO_PKG_VERSION"),
            pid: std::process::id(),
            state: match view::state(&self.fleet) {
                "serving" if self.upgrading.is_some() => "upgrading",
                "serving" if self.orders.is_reloading() => "reloading",
                state => state,
            },
            generation: self.fleet.generation().map_or(0, |generation| generation.0),
            uptime_seconds: self.started.elapsed().as_secs_f64(),
            addresses: self.addresses(),
            workers_wanted: self.fleet.wanted(),
            reloads: self.orders.reloads.clone(),
            workers: view::workers(&self.fleet, &self.ledger, now),
            routes: RouteStatus::all(&self.ledger.total()),
        }
    }

    pub(super) fn metrics(&mut self, now: Instant) -> Metrics {
        self.read_meter();
        Metrics {
            uptime_seconds: self.started.elapsed().as_secs_f64(),
            total: self.ledger.total(),
            workers: view::workers(&self.fleet, &self.ledger, now),
            cpu: self.meter.slots(),
            own_cpu: cpu_time(getpid()).unwrap_or_default(),
            restarts: self.fleet.restarts().clone(),
            reloads: self.orders.reloads.clone(),
            throttled_periods: self.watch.throttled_periods(),
        }
    }
}
