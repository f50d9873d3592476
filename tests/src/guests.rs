//! The guests as constants.
//!
//! Owner: the folder `guests/` at the root, which a test compares with [`ALL`]. Invariant:
//! a guest that is not listed here, or listed and used by no test, fails that test.

use std::path::PathBuf;

use crate::sandbox;

/// A component that has been built from the folder of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guest {
    pub name: &'static str,
}

/// JSON, events and hooks, with the SDK (0.3).
pub const API: Guest = Guest { name: "api" };
/// `ok`, from a component with a large table and several memories (0.2).
pub const BIG_TABLES: Guest = Guest { name: "big-tables" };
/// Routes and JSON in C (0.2).
pub const C_HELLO: Guest = Guest { name: "c-hello" };
/// Hashes, transforms, resizes: work that burns (0.3).
pub const CPU: Guest = Guest { name: "cpu" };
/// Sends body and trailers back as they arrive (0.3).
pub const ECHO: Guest = Guest { name: "echo" };
/// Makes the outgoing request that `x-url` and `x-method` ask for (0.3).
pub const FETCH: Guest = Guest { name: "fetch" };
/// Asks several upstreams at once, with the SDK (0.3).
pub const GATEWAY: Guest = Guest { name: "gateway" };
/// `Hello, world!` (0.3).
pub const HELLO: Guest = Guest { name: "hello" };
/// `Hello, world!` (0.2).
pub const HELLO_P2: Guest = Guest { name: "hello-p2" };
/// Routes and JSON in JavaScript (0.2).
pub const JS_HELLO: Guest = Guest { name: "js-hello" };
/// Keeps so many KiB of each request as the query says (0.3).
pub const LEAK: Guest = Guest { name: "leak" };
/// Traps, burns, leaks, hangs: whatever the path says (0.2).
pub const MISBEHAVE: Guest = Guest { name: "misbehave" };
/// A command, no handler.
pub const NOT_HTTP: Guest = Guest { name: "not-http" };
/// Leaves its work to jobs, and has hooks (0.3).
pub const OFFLOAD: Guest = Guest { name: "offload" };
/// Leaves its work to jobs, and has hooks (0.2).
pub const OFFLOAD_P2: Guest = Guest { name: "offload-p2" };
/// Routes and JSON in Python (0.3).
pub const PYTHON_HELLO: Guest = Guest { name: "python-hello" };
/// `Hello, world!`, with the SDK (0.3).
pub const SDK_HELLO: Guest = Guest { name: "sdk-hello" };
/// Leaves images to a job, with the SDK (0.3).
pub const THUMBNAIL: Guest = Guest { name: "thumbnail" };
/// Tells which instance answered, and what else that instance does (0.3).
pub const WITNESS: Guest = Guest { name: "witness" };

/// Every guest there is.
pub const ALL: &[Guest] = &[
    API,
    BIG_TABLES,
    C_HELLO,
    CPU,
    ECHO,
    FETCH,
    GATEWAY,
    HELLO,
    HELLO_P2,
    JS_HELLO,
    LEAK,
    MISBEHAVE,
    NOT_HTTP,
    OFFLOAD,
    OFFLOAD_P2,
    PYTHON_HELLO,
    SDK_HELLO,
    THUMBNAIL,
    WITNESS,
];

impl Guest {
    /// The component's file.
    ///
    /// # Panics
    /// When it has not been built.
    #[must_use]
    pub fn path(self) -> PathBuf {
        sandbox::needed(sandbox::guests().join(format!("{}.wasm", self.name)))
    }
}
