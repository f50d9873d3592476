//! Requests that come when they come, however slowly those before them are answered.
//!
//! Owner: a thread of its own. Invariants: every request that was offered is in the
//! [`Outcome`]; none is held back because others wait (an open loop), so a server that
//! makes them wait has as many of them as came.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use http::StatusCode;
use tokio::{task::JoinSet, time::MissedTickBehavior};

use super::report::Times;
use crate::{
    client::{Ask, Connection, Endpoint, Fate, Protocol},
    server::Server,
    wait::{self, PATIENCE},
};

/// How often it is looked whether requests are due.
const TICK: Duration = Duration::from_millis(1);

/// Requests under way, and no longer than for so long.
pub struct Offered {
    began: Instant,
    time: Duration,
    thread: JoinHandle<Outcome>,
}

/// What has become of what was offered.
#[derive(Debug, Default)]
pub struct Outcome {
    pub offered: usize,
    /// Answered with 200.
    pub accepted: Times,
    /// Answered with 503 and a Retry-After.
    pub shed: Times,
    /// Whatever else there was.
    pub wrong: Vec<String>,
    /// Connections opened.
    pub connections: usize,
}

/// What all requests share.
struct Shared {
    endpoint: Endpoint,
    ask: Ask,
    idle: Mutex<Vec<Connection>>,
    outcome: Mutex<Outcome>,
}

impl Server {
    /// So many requests per second for so long.
    ///
    /// # Panics
    /// When no thread can be started.
    #[must_use]
    pub fn offer(&self, per_second: f64, time: Duration, ask: Ask) -> Offered {
        let shared = Arc::new(Shared {
            endpoint: self.endpoint(),
            ask,
            idle: Mutex::default(),
            outcome: Mutex::default(),
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime for the clients");
        let thread = std::thread::Builder::new().name("arrivals".to_owned());
        let began = Instant::now();
        let all = move || runtime.block_on(run(shared, began, per_second, time));
        let thread = thread.spawn(all).expect("a thread for the clients");
        Offered { began, time, thread }
    }
}

impl Offered {
    /// How long it still goes on; `None` when the last request has been sent.
    #[must_use]
    pub fn rest(&self) -> Option<Duration> {
        self.time.checked_sub(self.began.elapsed()).filter(|rest| !rest.is_zero())
    }

    /// Waits until everything is answered.
    ///
    /// # Panics
    /// When a client does.
    pub async fn outcome(self) -> Outcome {
        let ended = || self.thread.is_finished().then_some(());
        wait::until("an answer to everything that was offered", ended).await;
        self.thread.join().expect("a client has panicked")
    }
}

async fn run(shared: Arc<Shared>, began: Instant, per_second: f64, time: Duration) -> Outcome {
    let (mut requests, mut offered) = (JoinSet::new(), 0);
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        let elapsed = ticks.tick().await.into_std().saturating_duration_since(began);
        let due = (elapsed.min(time).as_secs_f64() * per_second) as usize;
        for _ in offered..due {
            requests.spawn(ask_once(Arc::clone(&shared)));
        }
        offered = due;
        while requests.try_join_next().is_some() {}
        if elapsed >= time {
            break;
        }
    }
    while requests.join_next().await.is_some() {}
    let outcome = std::mem::take(&mut *shared.outcome());
    Outcome { offered, ..outcome }
}

async fn ask_once(shared: Arc<Shared>) {
    let started = Instant::now();
    let answer = tokio::time::timeout(PATIENCE, shared.answer()).await;
    let elapsed = started.elapsed();
    let mut outcome = shared.outcome();
    match answer {
        Ok(Ok((StatusCode::OK, _))) => outcome.accepted.push(elapsed),
        Ok(Ok((StatusCode::SERVICE_UNAVAILABLE, true))) => outcome.shed.push(elapsed),
        Ok(Ok((status, _))) => outcome.wrong.push(format!("{status} after {elapsed:.1?}")),
        Ok(Err(error)) => outcome.wrong.push(format!("{error} after {elapsed:.1?}")),
        Err(_) => outcome.wrong.push(format!("no response within {PATIENCE:?}")),
    }
}

impl Shared {
    /// The status, and whether it says when to come again.
    async fn answer(&self) -> Result<(StatusCode, bool), String> {
        loop {
            let (mut connection, is_new) = match self.take_idle() {
                Some(connection) => (connection, false),
                None => {
                    let connecting = Connection::to(&self.endpoint, Protocol::Http1).await;
                    self.outcome().connections += 1;
                    (connecting.map_err(|error| error.to_string())?, true)
                }
            };
            match connection.attempt(self.ask.clone()).await {
                Ok(reply) => {
                    self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
                    return Ok((reply.status, !reply.header("retry-after").is_empty()));
                }
                // The server may close a connection that is idle.
                Err(broken) if broken.fate == Fate::NotSent && !is_new => {}
                Err(broken) => return Err(broken.to_string()),
            }
        }
    }

    fn take_idle(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        // The one that was used last, so that no more are used than are needed.
        std::iter::from_fn(|| idle.pop()).find(|connection| !connection.is_closed())
    }

    fn outcome(&self) -> MutexGuard<'_, Outcome> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
