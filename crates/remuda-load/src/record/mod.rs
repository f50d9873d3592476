//! What has happened, counted.
//!
//! Purpose: every thread counts into a [`Recorder`] of its own and hands over what it has
//! at the end of each interval; the [`Book`] adds up what all threads have handed over.
//! Invariant: a request is counted once: in the series in the interval in which it ended, in the
//! summary in the stage in which it began; and nothing on its way takes a lock or is seen by two
//! threads.

mod book;
mod kind;
mod recorder;
mod stretch;
mod tally;

pub use book::{Book, Row, RowOfEndpoint};
pub use kind::Kind;
#[cfg(test)]
pub(crate) use recorder::Counts;
pub(crate) use recorder::{Failure, Interval, Recorder, Success};
pub(crate) use stretch::Stretches;
pub(crate) use tally::milliseconds;
pub use tally::{Figures, Spread, Tally};
