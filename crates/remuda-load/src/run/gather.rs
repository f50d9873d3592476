//! From what threads report to rows of all threads.
//!
//! Owner: the thread that watches. Invariant: a row is entered when every thread has told
//! its part of it, or will tell nothing more.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use super::crew::Report;
use crate::{
    record::{Book, Interval},
    scenario::Scenario,
    watch::Sample,
};

pub(super) struct Gatherer {
    scenario: Arc<Scenario>,
    book: Book,
    threads: Vec<Thread>,
    entered: u32,
    unfinished: u64,
}

#[derive(Default)]
struct Thread {
    waiting: VecDeque<Interval>,
    /// When it ended.
    ended: Option<Duration>,
}

impl Gatherer {
    pub(super) fn new(scenario: &Arc<Scenario>, threads: usize) -> Self {
        Self {
            book: Book::new(scenario),
            scenario: Arc::clone(scenario),
            threads: (0..threads).map(|_| Thread::default()).collect(),
            entered: 0,
            unfinished: 0,
        }
    }

    pub(super) fn book(&self) -> &Book {
        &self.book
    }

    pub(super) fn take(&mut self, report: Report) {
        let thread = &mut self.threads[report.thread];
        if report.ended.is_some() {
            self.unfinished += report.interval.in_flight;
        }
        thread.ended = report.ended;
        thread.waiting.push_back(report.interval);
    }

    /// Enters the next row, if all have told their part.
    pub(super) fn enter(&mut self, sample: &mut Option<Sample>) -> bool {
        let is_known = |thread: &Thread| !thread.waiting.is_empty() || thread.ended.is_some();
        let is_over = |thread: &Thread| thread.waiting.is_empty();
        if !self.threads.iter().all(is_known) || self.threads.iter().all(is_over) {
            return false;
        }
        let nominal = self.scenario.interval * (self.entered + 1);
        // The last row ends when the last thread does.
        let is_last =
            self.threads.iter().all(|thread| thread.ended.is_some() && thread.waiting.len() <= 1);
        let ended = self.threads.iter().filter_map(|thread| thread.ended).max();
        let end = if is_last { ended.unwrap_or(nominal).min(nominal) } else { nominal };
        let parts: Vec<_> =
            self.threads.iter_mut().filter_map(|thread| thread.waiting.pop_front()).collect();
        self.book.enter(&self.scenario, end, &parts, sample.take());
        self.entered += 1;
        true
    }

    /// The book, and what was in flight at the end.
    pub(super) fn close(self) -> (Book, u64) {
        (self.book, self.unfinished)
    }
}
