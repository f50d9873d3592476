//! One client: connect, ask, check, count, and connect again when told to go.

use std::{io::ErrorKind, sync::Arc, time::Instant};

use futures_util::future::join_all;

use super::{
    Shared,
    report::{Fault, Kind},
};
use crate::{
    client::{Ask, Connection, Fate, Protocol},
    process::{self, Pid},
    wait::PATIENCE,
};

/// What follows from a connection, or from one request on it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    /// The connection goes on.
    Same,
    /// Another connection is needed.
    Reconnect,
    Stop,
}

/// Asks until it is told to stop, or nobody listens any more.
pub(super) async fn run(shared: Arc<Shared>, kind: Kind) {
    let mut turn = 0;
    while shared.may_go_on() {
        let connection = match connect(&shared, kind).await {
            Ok(connection) => connection,
            Err(Next::Stop) => return,
            Err(_) => continue,
        };
        let next = match kind {
            Kind::Kept | Kind::Fresh => use_http1(&shared, kind, connection, &mut turn).await,
            Kind::Http2 { streams } => use_http2(&shared, kind, &connection, streams).await,
        };
        if next == Next::Stop {
            return;
        }
    }
}

async fn connect(shared: &Shared, kind: Kind) -> Result<Connection, Next> {
    let connecting = Connection::to(&shared.plan.endpoint, kind.protocol());
    let error = match tokio::time::timeout(PATIENCE, connecting).await {
        Ok(Ok(connection)) => {
            shared.report().tally(kind).connections += 1;
            return Ok(connection);
        }
        Ok(Err(error)) => error,
        Err(_) => ErrorKind::TimedOut.into(),
    };
    // A unix socket that is removed is one that nobody listens on.
    if matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound) {
        shared.report().tally(kind).refused += 1;
    } else {
        shared.report().failed(kind, Fault::NoConnection, None, error.to_string());
    }
    Err(Next::Stop)
}

async fn use_http1(
    shared: &Shared,
    kind: Kind,
    mut connection: Connection,
    turn: &mut usize,
) -> Next {
    let watched = shared.plan.knows_workers && kind == Kind::Kept;
    let (mut worker, mut is_new, mut next) = (None, true, Next::Same);
    while next == Next::Same {
        let mut ask = shared.plan.asks[*turn % shared.plan.asks.len()].clone();
        if kind == Kind::Fresh {
            ask = ask.header("connection", "close");
        }
        *turn += 1;
        next = ask_once(shared, &mut connection, Asked { ask, kind, is_new, worker }).await;
        is_new = false;
        if kind == Kind::Fresh && next == Next::Same {
            next = Next::Reconnect;
        }
        if watched && worker.is_none() && next == Next::Same {
            worker = holder(shared, &connection);
            let (local, _) = connection.ends();
            shared.report().workers.extend(worker.map(|worker| (local, worker)));
        }
        next = pause(shared, next).await;
    }
    if worker.is_some() {
        shared.report().workers.remove(&connection.ends().0);
    }
    next
}

/// Streams that each ask one request after the other, until all of them need another
/// connection: those that are under way when the server says goodbye are to be answered.
async fn use_http2(shared: &Shared, kind: Kind, connection: &Connection, streams: usize) -> Next {
    let stream = async |stream: usize| {
        let mut connection = connection.multiplexed();
        let mut next = Next::Same;
        for turn in stream.. {
            let ask = shared.plan.asks[turn % shared.plan.asks.len()].clone();
            let asked = Asked { ask, kind, is_new: turn == stream, worker: None };
            next = ask_once(shared, &mut connection, asked).await;
            next = pause(shared, next).await;
            if next != Next::Same {
                break;
            }
        }
        next
    };
    let all = join_all((0..streams).map(stream)).await;
    if all.contains(&Next::Stop) { Next::Stop } else { Next::Reconnect }
}

async fn pause(shared: &Shared, next: Next) -> Next {
    if !shared.may_go_on() {
        return Next::Stop;
    }
    if !shared.plan.pause.is_zero() {
        let mut order = shared.order.subscribe();
        let ordered = order.wait_for(|order| *order != super::Order::GoOn);
        // Whichever comes first.
        let _ = tokio::time::timeout(shared.plan.pause, ordered).await;
    }
    if shared.may_go_on() { next } else { Next::Stop }
}

/// A request, and on what kind of connection it is sent.
struct Asked {
    ask: Ask,
    kind: Kind,
    /// Nothing was sent on the connection before.
    is_new: bool,
    /// Which worker holds it, if that is known.
    worker: Option<Pid>,
}

async fn ask_once(shared: &Shared, connection: &mut Connection, asked: Asked) -> Next {
    let Asked { ask, kind, is_new, worker } = asked;
    let started = Instant::now();
    let answer = tokio::time::timeout(PATIENCE, connection.attempt(ask)).await;
    let elapsed = started.elapsed();
    let mut report = shared.report();
    let Ok(answer) = answer else {
        report.failed(kind, Fault::Silence, worker, format!("no response within {PATIENCE:?}"));
        return Next::Reconnect;
    };
    match answer {
        Ok(reply) => {
            let fault = if reply.status != 200 {
                Some((Fault::Status, format!("{} {:?}", reply.status, reply.text())))
            } else {
                (shared.plan.check)(&reply).err().map(|reason| (Fault::Content, reason))
            };
            match fault {
                None => report.tally(kind).answered(reply.text(), elapsed),
                Some((fault, reason)) => report.failed(kind, fault, worker, reason),
            }
            let closes = reply.header("connection").eq_ignore_ascii_case("close");
            if closes { Next::Reconnect } else { Next::Same }
        }
        Err(broken) => {
            match broken.fate {
                // Between two requests a connection may end; a new one is there for one.
                Fate::NotSent if is_new && kind.protocol() == Protocol::Http1 => {
                    report.failed(kind, Fault::Reset, worker, broken.to_string());
                }
                Fate::NotSent => {}
                Fate::Refused => report.retried(kind),
                Fate::Lost => report.failed(kind, Fault::Reset, worker, broken.to_string()),
            }
            Next::Reconnect
        }
    }
}

fn holder(shared: &Shared, connection: &Connection) -> Option<Pid> {
    let (local, peer) = connection.ends();
    process::holder(peer, local, &process::children(shared.plan.supervisor))
}

impl Kind {
    fn protocol(self) -> Protocol {
        match self {
            Self::Kept | Self::Fresh => Protocol::Http1,
            Self::Http2 { .. } => Protocol::Http2,
        }
    }
}
