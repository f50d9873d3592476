//! From an admin request to its answer.
//!
//! Owner: each [connection](super::connection) asks it. Invariants: health comes from the
//! watch and from nowhere else; an order reaches the loop before it is waited for, so that
//! it is carried out whether or not its client stays.

use std::time::Duration;

use http::{Method, Request, StatusCode};
use tokio::sync::{
    mpsc::error::TrySendError,
    oneshot::{self, Receiver},
};
use tokio_util::sync::CancellationToken;

use super::{
    Access, Admin,
    call::{Call, Done, Refused},
    exposition,
    order::{self, ORDERS},
    reply::{self, Problem, Reply},
};

/// Longest wait for the loop's answer to a question.
const PATIENCE: Duration = Duration::from_secs(3);

/// The paths that only tell, and what they tell.
const QUESTIONS: [(&str, &str); 6] = [
    ("/", "this list"),
    ("/livez", "200 while the supervisor lives"),
    ("/startupz", "200 once the first workers were ready"),
    ("/readyz", "200 while a worker accepts and no drain has begun"),
    ("/metrics", "OpenMetrics, for Prometheus"),
    ("/status", "workers, routes and reloads as JSON"),
];

/// What answers the clients of one listener; clones are the same one.
#[derive(Clone, Debug)]
pub(super) struct Service {
    admin: Admin,
    access: Access,
    shutdown: CancellationToken,
}

impl Service {
    pub(super) fn new(admin: Admin, access: Access, shutdown: CancellationToken) -> Self {
        Self { admin, access, shutdown }
    }

    /// When it is cancelled, nobody answers any more.
    pub(super) fn shutdown(&self) -> CancellationToken {
        self.shutdown.clone()
    }

    pub(super) async fn answer<B>(&self, request: &Request<B>) -> Reply {
        let orders = self.access == Access::Full && request.method() == Method::POST;
        let to_program = orders || reply::accepts_json(request.headers());
        let answer = match self.order_in(request) {
            Ok(true) => self.order(request).await,
            Ok(false) => self.question(request.uri().path()).await,
            Err(problem) => Err(problem),
        };
        answer.unwrap_or_else(|problem| problem.reply(to_program))
    }

    /// Whether it is an order (or else a question), made in the right way.
    fn order_in<B>(&self, request: &Request<B>) -> Result<bool, Problem> {
        let (method, path) = (request.method(), request.uri().path());
        let is_order = ORDERS.iter().any(|(order, ..)| *order == path);
        let is_question = QUESTIONS.iter().any(|(question, _)| *question == path);
        if self.access == Access::ReadOnly && (is_order || method == Method::POST) {
            return Err(Problem::request(StatusCode::FORBIDDEN, self.elsewhere()));
        }
        match (is_order, is_question) {
            (true, _) if method == Method::POST => Ok(true),
            (true, _) => Err(Problem::method("POST")),
            (_, true) if matches!(*method, Method::GET | Method::HEAD) => Ok(false),
            (_, true) => Err(Problem::method("GET, HEAD")),
            (false, false) => {
                let detail = format!("no such path; there are\n{}", self.index());
                Err(Problem::request(StatusCode::NOT_FOUND, detail))
            }
        }
    }

    async fn question(&self, path: &str) -> Result<Reply, Problem> {
        let health = || self.admin.health.borrow().clone();
        Ok(match path {
            "/livez" => reply::text(StatusCode::OK, "alive"),
            "/startupz" if health().started => reply::text(StatusCode::OK, "started"),
            "/startupz" => unavailable("starting"),
            "/readyz" => match health().ready {
                Ok(()) => reply::text(StatusCode::OK, "ready"),
                Err(reason) => unavailable(reason),
            },
            "/status" => reply::json(&self.ask(Call::Status).await?),
            "/metrics" => {
                let text = exposition::encode(self.ask(Call::Metrics).await?);
                let text = text.map_err(|error| Problem::unavailable(error.to_string()))?;
                reply::reply(StatusCode::OK, exposition::CONTENT_TYPE, text)
            }
            _ => reply::text(StatusCode::OK, &self.index()),
        })
    }

    async fn order<B>(&self, request: &Request<B>) -> Result<Reply, Problem> {
        let (path, query) = (request.uri().path(), request.uri().query());
        let order = order::parse(path, query)
            .map_err(|reason| Problem::request(StatusCode::BAD_REQUEST, reason))?;
        tracing::info!(?order, "order received on the control socket");
        let (sender, answer) = oneshot::channel();
        self.admin.calls.try_send(Call::Order(order, sender)).map_err(|error| match error {
            TrySendError::Full(_) => Problem::unavailable("too many orders wait; try again later"),
            TrySendError::Closed(_) => self.ended(),
        })?;
        let outcome: Result<Done, Refused> =
            self.answered(answer).await.ok_or_else(|| self.ended())?;
        Ok(reply::json(&outcome?))
    }

    /// Asks the loop.
    async fn ask<T>(&self, call: impl FnOnce(oneshot::Sender<T>) -> Call) -> Result<T, Problem> {
        let (sender, answer) = oneshot::channel();
        let asked = async {
            self.admin.calls.send(call(sender)).await.ok()?;
            self.answered(answer).await
        };
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(answer) => answer.ok_or_else(|| self.ended()),
            Err(_) => {
                let detail = format!("the supervisor has not answered within {PATIENCE:?}");
                Err(Problem::unavailable(detail))
            }
        }
    }

    /// `None` when there will be no answer.
    async fn answered<T>(&self, answer: Receiver<T>) -> Option<T> {
        tokio::select! {
            biased;
            answer = answer => answer.ok(),
            () = self.shutdown.cancelled() => None,
        }
    }

    fn ended(&self) -> Problem {
        Problem::unavailable("the server has ended")
    }

    /// What those read who give orders on the read-only side.
    fn elsewhere(&self) -> String {
        let here = "this side is read-only";
        match &self.admin.control {
            Some(path) => format!(
                "{here}; orders are taken by the control socket {}, with remuda ctl",
                path.display()
            ),
            None => format!(
                "{here}; orders are taken by the control socket, with remuda ctl, but this \
                 server has none; set control, or send signals"
            ),
        }
    }

    fn index(&self) -> String {
        let questions = QUESTIONS.iter().map(|(path, about)| (format!("GET {path}"), *about));
        let orders = ORDERS.iter().map(|(_, form, about)| (format!("POST {form}"), *about));
        let orders = orders.filter(|_| self.access == Access::Full);
        let lines = questions.chain(orders).map(|(line, about)| format!("{line:24} {about}"));
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// Probes read the status, people the reason.
fn unavailable(reason: &str) -> Reply {
    reply::text(StatusCode::SERVICE_UNAVAILABLE, reason)
}
