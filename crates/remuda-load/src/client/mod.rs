//! One client: a connection, and one request after the other on it.
//!
//! Purpose: a [`Lane`] sends a request and tells how it ended. Owner: a user of the closed
//! model, a place in flight of the open one. Invariant: a lane has one request at a time,
//! and every way to fail is a [`Failure`](crate::record::Failure) of one kind.
//!
//! An HTTP/1 connection is polled by the task that waits for its response: there is no
//! second task to wake. HTTP/2 connections have a task each, for lanes share them.

mod connect;
mod deadline;
mod failure;
mod h1;
mod h2;
mod lane;
mod stream;
mod template;
mod tls;
mod trust;

pub(crate) use connect::{Connector, Protocol};
pub(crate) use lane::{Lane, Shared};
pub use tls::TlsError;
pub use trust::Trusted;

/// One name for hyper's error, which HTTP/1 and HTTP/2 share.
type HyperError = hyper::Error;
