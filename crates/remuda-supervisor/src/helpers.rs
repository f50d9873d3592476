//! Children that are no workers: compilers.
//!
//! Owner: the [loop](crate::run) reaps every child and says here which; whoever started a
//! helper waits for it. Invariant: a helper is expected before the loop can have reaped it,
//! for both happen on one thread with nothing awaited in between.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustix::process::Pid;
use tokio::sync::oneshot;

use crate::reap::Exit;

#[derive(Clone, Debug, Default)]
pub(crate) struct Helpers(Arc<Mutex<HashMap<i32, oneshot::Sender<Exit>>>>);

impl Helpers {
    /// How a child that has just been started will have ended.
    pub(crate) fn expect(&self, pid: Pid) -> oneshot::Receiver<Exit> {
        let (told, exit) = oneshot::channel();
        self.expected().insert(pid.as_raw_pid(), told);
        exit
    }

    /// A child was reaped; whether it was expected here.
    pub(crate) fn reaped(&self, pid: Pid, exit: Exit) -> bool {
        let told = self.expected().remove(&pid.as_raw_pid());
        // Whoever started it may have given it up.
        told.map(|told| told.send(exit)).is_some()
    }

    fn expected(&self) -> MutexGuard<'_, HashMap<i32, oneshot::Sender<Exit>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
