//! The harness of the end-to-end tests.
//!
//! Purpose: tests that read as sentences about real processes. `Server::builder()` starts
//! one, [`client`] and [`raw`] talk to it, [`upstream`] is what its guests talk to,
//! [`load`] keeps it busy, [`process`] looks at what the kernel knows of it, [`metrics`]
//! at what it says of itself, [`systemd`] stands in for a service manager, [`cli`] runs
//! the other commands. Invariants: nothing here waits for a time instead of a condition,
//! no wait is endless, and what a test has started ends with it.

pub mod cli;
pub mod client;
pub mod dev;
pub mod figure;
pub mod guests;
pub mod held;
pub mod http2;
pub mod load;
pub mod log;
pub mod metrics;
pub mod noise;
pub mod process;
pub mod raw;
pub mod sandbox;
pub mod server;
pub mod systemd;
pub mod upstream;
pub mod wait;

pub use cli::{Cli, Ended};
pub use client::{Ask, Broken, Connection, Exchange, Protocol, Reply, TlsClient};
pub use dev::Dev;
pub use figure::figure;
pub use held::Held;
pub use load::Load;
pub use log::Line;
pub use metrics::Metrics;
pub use raw::Raw;
pub use server::Server;
pub use systemd::Systemd;
pub use upstream::{Certificate, Upstream};
