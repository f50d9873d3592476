//! Everything that touches wasmtime: components become code, code becomes instances,
//! instances answer requests.
//!
//! Purpose: hide wasmtime behind four types. [`compile`](component::compile) turns a
//! component file into an artifact in the cache (in a short-lived child process);
//! [`Engine`] belongs to a worker and loads artifacts; a [`Program`] is a loaded
//! component with the authority its route grants; [`Program::call`] answers one
//! request with a response whose [`GuestBody`] owns whatever still runs.
//!
//! Owner: one [`Engine`] per worker process. Invariants: a guest is never polled by two
//! threads, and only while somebody holds its lease; whoever drops a call or a body
//! ends the guest behind it, unless other requests share the instance; an instance
//! that trapped or was cancelled is never used again.

pub mod component;

mod blueprint;
mod call;
mod capacity;
mod engine;
mod epoch;
mod executor;
mod fault;
mod herd;
mod host;
mod jobs;
mod lifecycle;
mod memory;
mod outbound;
mod program;
mod room;
mod settings;
mod sys;

pub use call::GuestBody;
pub use engine::{BlockingLoad, Engine, EngineError};
pub use epoch::LongTurn;
pub use fault::Fault;
pub use jobs::{JobEnd, JobError};
pub use program::{InstanceCounts, Program, RequestId, Usage};
pub use wasmtime_wasi_http::Error as BodyError;
