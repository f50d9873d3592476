//! Taking connections from a listening socket.
//!
//! Owner: the server, one task per listener. Invariants: a connection is taken only when
//! there is a place for it; a worker that has more than others leaves it to them for a
//! moment at most; in a drain, either somebody else accepts from the same socket or its
//! queue is emptied before it is closed.

mod balance;
mod company;

use std::{io, sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    time::{sleep, timeout},
};

use self::balance::Balance;
pub(crate) use self::company::Company;

use crate::{
    Handler, Listener, complaint::Complaint, connection, listener::Accepted, server::Shared,
};

/// How long a listener rests after an error such as a full table of open files
/// (EMFILE, ENFILE, ENOBUFS, ENOMEM), which goes away by itself.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// The same while little time is left.
const LAST_ACCEPT_BACKOFF: Duration = Duration::from_millis(10);

/// Connections taken in a row before other tasks get their turn.
const MAX_ACCEPTS: usize = 16;

/// The other workers that accept from the same sockets.
pub trait Peers: Send + Sync + 'static {
    /// This worker has so many connections open now.
    fn set_connections(&self, connections: usize);

    /// The fewest connections that another one has that accepts; a hint. `None` when there
    /// is no other.
    fn fewest_elsewhere(&self) -> Option<usize>;
}

/// What becomes of the connections in the listeners' queues when a drain begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastAccepts {
    /// They are taken, for nobody else accepts from these sockets, until none has come for so
    /// long; where new clients keep coming, for twice as long at most.
    Take { wait: Duration },
    /// They are left to whoever else accepts from these sockets.
    Leave,
}

/// Accepts connections until `drain` says what becomes of the last ones.
pub(crate) async fn accept_until_drained<H: Handler>(
    shared: &Arc<Shared<H>>,
    listener: Listener,
    mut drain: watch::Receiver<Option<LastAccepts>>,
) {
    let last = tokio::select! {
        last = drain.wait_for(Option::is_some) => last.map_or(None, |last| *last),
        () = accept_forever(shared, &listener) => None,
    };
    let Some(LastAccepts::Take { wait }) = last else { return };
    // Connections that the kernel has accepted would be reset with the socket.
    let rest = async {
        while let Ok(accepted) = timeout(wait, accept_one(shared, &listener)).await {
            if accepted.is_err() {
                sleep(LAST_ACCEPT_BACKOFF).await;
            }
        }
    };
    let _ = timeout(2 * wait, rest).await;
}

async fn accept_forever<H: Handler>(shared: &Arc<Shared<H>>, listener: &Listener) {
    let (mut balance, mut complaint) = (Balance::default(), Complaint::default());
    loop {
        match accept_some(shared, listener, &mut balance).await {
            Ok(()) => tokio::task::yield_now().await,
            // The peer of a connection that was never ours has gone.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                complaint.failed(&error);
                sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
}

/// Waits for connections and takes some of them, as long as that is fair.
async fn accept_some<H: Handler>(
    shared: &Arc<Shared<H>>,
    listener: &Listener,
    balance: &mut Balance,
) -> io::Result<()> {
    let mut place = Some(place(shared).await);
    let mut readiness = listener.readiness().await?;
    for _ in 0..MAX_ACCEPTS {
        let place = match place.take() {
            Some(place) => place,
            // Whoever waits for a place looks at the socket afresh.
            None => match Arc::clone(&shared.places).try_acquire_owned() {
                Ok(place) => place,
                Err(_) => return Ok(()),
            },
        };
        if !shared.company.takes_next(&mut readiness, balance).await {
            return Ok(());
        }
        match readiness.try_accept()? {
            Some(accepted) => serve(shared, accepted, place),
            None => return Ok(()),
        }
    }
    Ok(())
}

/// Takes one connection as soon as there is a place for it.
async fn accept_one<H: Handler>(shared: &Arc<Shared<H>>, listener: &Listener) -> io::Result<()> {
    let place = place(shared).await;
    loop {
        if let Some(accepted) = listener.readiness().await?.try_accept()? {
            serve(shared, accepted, place);
            return Ok(());
        }
    }
}

async fn place<H>(shared: &Shared<H>) -> OwnedSemaphorePermit {
    match Arc::clone(&shared.places).acquire_owned().await {
        Ok(place) => place,
        Err(_) => unreachable!("this semaphore is never closed"),
    }
}

fn serve<H: Handler>(shared: &Arc<Shared<H>>, accepted: Accepted, place: OwnedSemaphorePermit) {
    let Accepted { stream, client } = accepted;
    let open = shared.company.open();
    let serving = connection::serve(Arc::clone(shared), stream, client);
    shared.tasks.spawn(async move {
        let _held = (place, open);
        serving.await;
    });
}
