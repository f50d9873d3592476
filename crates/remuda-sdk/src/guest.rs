//! The way to the server: `wasi:http` 0.3, WASI's clock, and `remuda:runtime`.
//!
//! Owner: the exports that `#[handler]` and its like write. Invariant: nothing else in this crate knows of
//! WASI.

mod bindings;
mod incoming;
mod outgoing;
mod runtime;
mod sending;

use std::time::Duration;

use wasip3::clocks::monotonic_clock;

pub(crate) use incoming::Incoming;
pub(crate) use runtime::offload;
pub(crate) use sending::send;

pub(crate) fn spawn(work: impl Future<Output = ()> + 'static) {
    wasip3::spawn_local(work);
}

pub(crate) async fn sleep(duration: Duration) {
    monotonic_clock::wait_for(nanoseconds(duration)).await;
}

/// A limit of more than 584 years is none.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// What the macros write.
pub(crate) mod __private {
    pub use wasip3::{
        self,
        exports::http::handler::Guest as HandlerGuest,
        http::{
            service::export as export_handler,
            types::{ErrorCode, Request as WasiRequest, Response as WasiResponse},
        },
    };

    pub use super::{
        bindings::{
            export_jobs, export_lifecycle, jobs,
            jobs::exports::remuda::runtime::jobs::{Error as JobError, Guest as JobsGuest},
            lifecycle,
            lifecycle::exports::remuda::runtime::lifecycle::Guest as LifecycleGuest,
        },
        runtime::{run_job, serve, serve_app},
    };
}
