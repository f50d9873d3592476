//! How a guest can fail to answer.

use crate::{
    call::{Exhausted, Stop},
    memory::Refused,
};

/// Why there is no response, or no more of it.
///
/// `Display` is for the operator's log; what a client may read is decided by whoever
/// turns a fault into a response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It executed something illegal, for example after a panic.
    #[error("guest trapped: {0}")]
    Trap(String),
    #[error("guest exited with code {0} instead of answering")]
    Exit(i32),
    /// It returned without a response.
    #[error("guest returned without setting a response")]
    NoResponse,
    /// It answered with an error code of wasi:http.
    #[error("guest returned the error {0}")]
    ErrorCode(String),
    /// Its response is one that HTTP cannot carry.
    #[error("guest produced an invalid response: {0}")]
    InvalidResponse(String),
    /// It needed more than `limits.memory` and ended because of that.
    #[error("guest ended after it was refused memory beyond limits.memory")]
    MemoryLimit,
    /// All guests together have what `workers.memory` leaves them.
    #[error("guests of this worker hold as much memory as workers.memory allows")]
    MemoryBudget,
    /// It used up `limits.cpu_time`.
    #[error("guest used more CPU than limits.cpu_time ({0:?}) and was ended")]
    CpuTime(std::time::Duration),
    /// It was still busy when its response was due.
    #[error("guest was ended at its deadline")]
    Deadline,
    /// The worker holds as many instances as it has room for.
    #[error("no room for another instance: {0}")]
    NoCapacity(String),
    /// As many guests wait for a blocking thread as may.
    #[error("guest found workers.blocking_queue full")]
    NoThread,
    /// There was still none after so long.
    #[error("no room for another instance within {0:?}")]
    NoRoom(std::time::Duration),
    /// Its guest could not begin within so long: too many of its route burn already.
    #[error(
        "guests of this route that have begun want more CPU than there is; \
         it has waited {0:?} to begin"
    )]
    Crowded(std::time::Duration),
    /// So many wait for room that one more would be too many.
    #[error("too many requests wait for room for an instance")]
    QueueFull,
    /// Its hook `startup` said no, or said nothing in time.
    #[error("startup of an instance failed: {0}")]
    Startup(String),
    /// An instance could not be made although there was room.
    #[error("failed to instantiate: {0}")]
    Instantiate(String),
}

impl Fault {
    /// Classifies an error of a guest call.
    pub(crate) fn from_call(error: &wasmtime::Error, refused: Option<Refused>) -> Self {
        if let Some(exit) = error.downcast_ref::<wasmtime_wasi::I32Exit>() {
            return Self::Exit(exit.0);
        }
        if let Some(stop) = error.downcast_ref::<Stop>() {
            return Self::from(stop.exhausted);
        }
        if let Some(refused) = refused {
            return Self::from(refused);
        }
        Self::Trap(describe(error))
    }

    /// Classifies an error of an instantiation.
    pub(crate) fn from_instantiation(error: &wasmtime::Error, refused: Option<Refused>) -> Self {
        if error.is::<wasmtime::PoolConcurrencyLimitError>() {
            Self::NoCapacity(describe(error))
        } else if let Some(stop) = error.downcast_ref::<Stop>() {
            Self::from(stop.exhausted)
        } else if let Some(refused) = refused {
            Self::from(refused)
        } else if error.is::<wasmtime::Trap>() {
            Self::Trap(describe(error))
        } else {
            Self::Instantiate(describe(error))
        }
    }
}

impl From<Refused> for Fault {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Cap => Self::MemoryLimit,
            Refused::Budget => Self::MemoryBudget,
        }
    }
}

impl From<Exhausted> for Fault {
    fn from(exhausted: Exhausted) -> Self {
        match exhausted {
            Exhausted::CpuTime(limit) => Self::CpuTime(limit),
            Exhausted::Deadline => Self::Deadline,
        }
    }
}

/// The root cause first, then where in the guest it happened, in one line.
fn describe(error: &wasmtime::Error) -> String {
    let cause = error.root_cause().to_string();
    let Some(backtrace) = error.downcast_ref::<wasmtime::WasmBacktrace>() else { return cause };
    let mut names = backtrace.frames().iter().filter_map(wasmtime::FrameInfo::func_name);
    let shown: Vec<&str> = names.by_ref().take(MAX_FRAMES).collect();
    if shown.is_empty() { cause } else { format!("{cause} in {}", shown.join(" < ")) }
}

/// Frames of a guest's backtrace that are logged.
const MAX_FRAMES: usize = 8;
