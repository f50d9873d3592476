//! Sending a scenario.
//!
//! Purpose: threads that send, and one that watches: it gathers what they count, asks the
//! server how it is, and shows both. Owner: the thread that calls [`run`]. Invariant: the
//! sending threads share nothing but a bound on requests, where there is one; when [`run`]
//! returns, all of them have ended.

mod budget;
mod closed;
mod crew;
mod files;
mod gather;
mod open;
mod schedule;
mod timer;

use std::{
    future::Future,
    io,
    pin::pin,
    sync::Arc,
    thread,
    time::{Duration, Instant, SystemTime},
};

use budget::Budget;
use crew::Crew;
use gather::Gatherer;
use tokio::sync::{mpsc, watch};

use crate::{
    client::{Connector, Protocol, TlsError},
    record::{Book, Kind, Row},
    scenario::{Model, Scenario},
    watch::{Sample, Watcher},
};

/// For all threads to be there before the first request.
const HEAD_START: Duration = Duration::from_millis(20);
/// Fewer users than this are not worth a thread.
const USERS_PER_THREAD: f64 = 8.0;
/// Nor are fewer arrivals per second.
const ARRIVALS_PER_THREAD: f64 = 2000.0;

/// Why nothing, or not all, was sent.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("failed to find the address of {target}: {source}; check the name")]
    LookUp { target: String, source: io::Error },
    /// The problem has its remedy with it.
    #[error("failed to connect to {target}: {problem}")]
    Unreachable { target: String, problem: String },
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("failed to start: {0}; allow more threads or open files")]
    Start(#[source] io::Error),
    #[error(
        "failed to start: {users} users need {needed} open files, and this process may have \
         {allowed}; raise the limit (ulimit -Hn, LimitNOFILE=), or let fewer users come"
    )]
    Files { users: usize, needed: u64, allowed: u64 },
    #[error("failed to go on: a thread of the load generator ended early; this is a defect")]
    Thread,
}

impl RunError {
    /// Whether it is the server that is not there.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::LookUp { .. } | Self::Unreachable { .. })
    }
}

/// Why a run was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Its time was up.
    Plan,
    /// All requests were sent.
    Requests,
    /// Somebody wanted it so.
    Interrupted,
}

impl Ended {
    /// As in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Requests => "requests",
            Self::Interrupted => "interrupted",
        }
    }
}

/// What a run has come to.
#[derive(Debug)]
pub struct Outcome {
    pub book: Book,
    pub ended: Ended,
    pub started: SystemTime,
    pub threads: usize,
    /// As it was agreed on: `HTTP/1.1` or `HTTP/2`.
    pub protocol: &'static str,
    /// In flight when the run was interrupted; they count nowhere else.
    pub unfinished: u64,
    /// Why the server has told nothing of itself, if it was asked and never did.
    pub metrics_problem: Option<String>,
}

/// Shows a run while it goes on.
pub trait Observer {
    /// An interval has ended; `book` is what was counted until then.
    fn row(&mut self, row: &Row, book: &Book);

    /// Something is not as it was asked for, and the run goes on.
    fn notice(&mut self, _text: &str) {}
}

impl Observer for () {
    fn row(&mut self, _: &Row, _: &Book) {}
}

/// Sends a scenario, until it has ended or `interrupt` is ready.
///
/// # Errors
/// When the server cannot be reached at the start, or this process may not do enough.
pub fn run(
    scenario: &Arc<Scenario>,
    observer: &mut dyn Observer,
    interrupt: impl Future<Output = ()>,
) -> Result<Outcome, RunError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(RunError::Start)?;
    runtime.block_on(conduct(scenario, observer, interrupt))
}

async fn conduct(
    scenario: &Arc<Scenario>,
    observer: &mut dyn Observer,
    interrupt: impl Future<Output = ()>,
) -> Result<Outcome, RunError> {
    let (connector, protocol) = reach(scenario).await?;
    let threads = threads(scenario);
    files::allow(scenario, protocol, threads)?;
    let budget = scenario.requests.map(|requests| Arc::new(Budget::new(requests)));
    let (stop, stopped) = watch::channel(false);
    let (sender, mut reports) = mpsc::unbounded_channel();
    let (start, started) = (Instant::now() + HEAD_START, SystemTime::now());
    let mut handles = Vec::with_capacity(threads);
    for index in 0..threads {
        let crew = Crew {
            index,
            threads,
            scenario: Arc::clone(scenario),
            connector: connector.clone(),
            protocol,
            start,
            budget: budget.clone(),
            stopped: stopped.clone(),
            reports: sender.clone(),
        };
        let thread = thread::Builder::new().name(format!("load-{index}"));
        handles.push(thread.spawn(move || crew.work()).map_err(RunError::Start)?);
    }
    drop(sender);
    let mut gatherer = Gatherer::new(scenario, threads);
    let mut watcher = Watcher::start(scenario);
    let mut interrupt = pin!(interrupt);
    let mut is_interrupted = false;
    let mut sample: Option<Sample> = None;
    let (mut has_sample, mut metrics_problem) = (false, None);
    loop {
        tokio::select! {
            report = reports.recv() => match report {
                None => break,
                Some(report) => {
                    gatherer.take(report);
                    while gatherer.enter(&mut sample) {
                        if let Some(row) = gatherer.book().rows.last() {
                            observer.row(row, gatherer.book());
                        }
                    }
                }
            },
            new = watcher.next() => match new {
                Ok(new) => (sample, has_sample) = (Some(new), true),
                Err(problem) if metrics_problem.is_none() && !has_sample => {
                    observer.notice(&problem);
                    metrics_problem = Some(problem);
                }
                // One that does not answer for a while has enough to do.
                Err(_) => {}
            },
            () = &mut interrupt, if !is_interrupted => {
                is_interrupted = true;
                // The threads listen as long as they live.
                let _ = stop.send(true);
            }
        }
    }
    for handle in handles {
        handle.join().map_err(|_| RunError::Thread)?.map_err(RunError::Start)?;
    }
    let is_spent = budget.is_some_and(|budget| budget.is_spent());
    let ended = match (is_interrupted, is_spent) {
        (true, _) => Ended::Interrupted,
        (false, true) => Ended::Requests,
        (false, false) => Ended::Plan,
    };
    let protocol = if protocol == Protocol::Http1 { "HTTP/1.1" } else { "HTTP/2" };
    let (book, unfinished) = gatherer.close();
    let metrics_problem = metrics_problem.filter(|_| !has_sample);
    Ok(Outcome { book, ended, started, threads, protocol, unfinished, metrics_problem })
}

/// Connects once: better one message now than a million errors.
async fn reach(scenario: &Scenario) -> Result<(Connector, Protocol), RunError> {
    let target = &scenario.target;
    let addresses = Connector::look_up(target)
        .await
        .map_err(|source| RunError::LookUp { target: target.to_string(), source })?;
    let connector = Connector::new(target, &scenario.connection, addresses)?;
    match connector.connect().await {
        Ok((_, protocol, _)) => Ok((connector, protocol)),
        Err(failure) => {
            let problem = match failure.kind {
                Kind::Tls => failure.detail.into_owned(),
                _ => format!("{}; is the server running there?", failure.detail),
            };
            Err(RunError::Unreachable { target: target.to_string(), problem })
        }
    }
}

/// As many as the load can keep busy and the machine has cores for.
fn threads(scenario: &Scenario) -> usize {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let peak = scenario.plan.peak();
    let (useful, most) = match scenario.model {
        Model::Closed { .. } => (peak / USERS_PER_THREAD, peak),
        Model::Open { max_in_flight, .. } => (peak / ARRIVALS_PER_THREAD, max_in_flight as f64),
    };
    let wanted = scenario.threads.unwrap_or_else(|| (useful.ceil() as usize).min(cores));
    wanted.clamp(1, (most as usize).max(1))
}
