//! Work that keeps a processor busy, by the same measure for every server.
//!
//! `/burn?ROUNDS` does the same rounds everywhere, but what a round takes differs by a hundred
//! times between languages. So each server is asked first how many of them it does in a time.

use std::{net::SocketAddr, time::Duration};

use anyhow::Result;
use tokio::task::JoinSet;

use crate::load::ask_once;

/// Times below this say more of HTTP than of rounds.
const LEAST: Duration = Duration::from_millis(20);

/// Trials of a number of rounds, of which the shortest counts.
const TRIALS: usize = 3;

/// How fast a server burns.
#[derive(Clone, Copy)]
pub(super) struct Pace {
    per_second: f64,
}

impl Pace {
    /// Asks a server that does nothing else.
    pub(super) async fn of(address: SocketAddr) -> Result<Self> {
        let mut rounds = 8.0;
        loop {
            let mut shortest = Duration::MAX;
            for _ in 0..TRIALS {
                shortest = shortest.min(ask_once(address, &path(rounds)).await?);
            }
            if shortest >= LEAST {
                return Ok(Self { per_second: rounds / shortest.as_secs_f64() });
            }
            rounds *= 4.0;
        }
    }

    /// What burns for so long while nothing else does.
    pub(super) fn path(self, time: Duration) -> String {
        path((self.per_second * time.as_secs_f64()).max(1.0))
    }
}

fn path(rounds: f64) -> String {
    format!("/burn?{rounds:.0}")
}

/// Callers who ask again as soon as they are answered, until they are dropped.
pub(super) fn callers(address: SocketAddr, path: &str, count: usize) -> JoinSet<()> {
    let mut callers = JoinSet::new();
    for _ in 0..count {
        let path = path.to_owned();
        callers.spawn(async move {
            loop {
                if ask_once(address, &path).await.is_err() {
                    // One that is refused must not become a flood.
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        });
    }
    callers
}
