//! From a listening socket to an answered request, whoever answers it.
//!
//! Purpose: connections, admission, routing, limits and rejections, around a
//! [`Handler`] that knows how to answer. This crate knows nothing of wasmtime.
//!
//! The way of a request: [`Listener`] → connection → request head → route → [`Permit`]
//! → [`Handler`] → response. Owner: one [`Server`] per worker. Invariants: nothing waits
//! without a bound; whoever answers holds the permit until all work for the request has
//! ended; a connection without a request in flight costs no place.

mod accept;
mod access_log;
mod admission;
mod clock;
mod complaint;
mod connection;
mod forwarded;
mod front;
mod handler;
mod http2_head;
mod listener;
mod metrics;
mod notice;
mod output;
mod rejection;
mod request_body;
mod response_body;
mod routes;
mod server;
mod service;
mod sys;
mod tls;

pub use accept::{LastAccepts, Peers};
pub use admission::{Admission, Permit};
pub use complaint::Complaints;
pub use connection::Piece;
/// For benches, tests and fuzzing: what parses bytes that anybody may have sent.
#[doc(hidden)]
pub use connection::{Framing, Refusal};
#[doc(hidden)]
pub use front::proxy as proxy_protocol;
pub use handler::{Failure, Handler, Ticket};
pub use listener::Listener;
pub use metrics::{Histogram, Load, Observer, Reading, RequestInFlight, RouteReading};
pub use output::takes_bytes;
pub use rejection::{Fault, Rejection};
pub use request_body::{RequestBody, RequestBodyError, Verdict};
pub use response_body::ResponseBody;
pub use routes::RouteTable;
pub use server::Server;
pub use tls::{Tls, TlsError};
