//! Changes, for those who watch.

use std::cell::RefCell;

use futures_channel::mpsc::{Sender, channel};
use futures_util::{Stream, StreamExt as _};
use remuda_sdk::{Event, Result};
use serde::Serialize;

use crate::items::Item;

/// As many events may wait for a slow client; then it misses some, and is sent away.
const WAITING: usize = 64;

#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Change {
    Created(Item),
    Replaced(Item),
    Removed { id: u32 },
}

impl Change {
    fn name(&self) -> &'static str {
        match self {
            Self::Created(_) => "created",
            Self::Replaced(_) => "replaced",
            Self::Removed { .. } => "removed",
        }
    }
}

/// Who watches.
#[derive(Default)]
pub(crate) struct Events(RefCell<Vec<Sender<Event>>>);

impl Events {
    /// Tells everybody. Those who have gone, or do not keep up, are told nothing any more.
    pub(crate) fn send(&self, change: &Change) {
        let Ok(event) = Event::json(change) else { return };
        let event = event.name(change.name());
        self.0.borrow_mut().retain_mut(|watcher| watcher.try_send(event.clone()).is_ok());
    }

    /// Begins with an event `ready`, so that a client knows from when on it misses nothing.
    pub(crate) fn subscribe(&self) -> impl Stream<Item = Result<Event>> + use<> {
        let (mut sender, events) = channel(WAITING);
        let _ = sender.try_send(Event::new("").name("ready"));
        self.0.borrow_mut().push(sender);
        events.map(Ok)
    }
}
