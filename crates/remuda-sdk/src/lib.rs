//! Handlers of `wasi:http` in Rust, for Remuda and every other server of components.
//!
//! ```
//! use remuda_sdk::{Json, Path, Result, Router, handler};
//! use serde::Serialize;
//!
//! #[derive(Serialize)]
//! struct Greeting {
//!     hello: String,
//! }
//!
//! async fn greet(Path(name): Path<String>) -> Result<Json<Greeting>> {
//!     Ok(Json(Greeting { hello: name }))
//! }
//!
//! #[handler]
//! fn app() -> Router {
//!     Router::new().get("/hello/{name}", greet)
//! }
//!
//! let response = remuda_sdk::test::get("/hello/Ada").send_now(app());
//! assert_eq!(response.text(), r#"{"hello":"Ada"}"#);
//! ```
//!
//! Built for `wasm32-wasip2` as a `cdylib`, this is a component that exports `wasi:http/handler@0.3`.
//! Built for the machine you work on, it is a library whose handlers [`test`](mod@test) calls:
//! everything here but the way to the server is the same in both.
//!
//! - [`handler`] makes a component of a function or a [`Router`].
//! - Handlers take [`Path`], [`Query`], [`Json`], [`Form`], [`Header`], [`State`], [`Body`], [`Request`] and
//!   what implements [`FromRequestParts`] or [`FromRequest`]; they return what implements
//!   [`IntoResponse`], and [`Error`]s that become problem documents.
//! - [`Client`] calls others; [`spawn`] goes on after the response; [`sleep`] and [`timeout`] wait.
//! - [`job`] and [`offload!`] leave heavy work to another thread; [`startup`] and [`shutdown`] are called
//!   when an instance begins and ends.
//! - `tracing` and `log` write to the server's log: level from `REMUDA_LOG`, else `RUST_LOG`, else
//!   `info`. [`env`](fn@env) reads a configuration.
//!
//! One thread runs an instance, so that nothing here is `Send`, and a handler that computes without
//! awaiting holds up the other requests of its instance.
//!
//! Owner: nobody; a component links it. Invariant: it needs nothing of Remuda to be served, except for
//! jobs and hooks.

extern crate self as remuda_sdk;

mod body;
mod client;
mod env;
mod error;
mod extract;
#[cfg(target_family = "wasm")]
mod guest;
mod handler;
mod job;
mod log;
#[cfg(not(target_family = "wasm"))]
mod native;
mod pairs;
mod request;
mod response;
mod router;
mod task;
pub mod test;

pub use body::Body;
pub use bytes::Bytes;
pub use client::{Client, ClientError, ClientRequest, ClientResponse, Phase};
#[cfg(not(target_family = "wasm"))]
pub use client::{Sent, StubGuard};
pub use env::{EnvError, env, env_with_prefix};
pub use error::{Error, Result};
pub use extract::{
    Form, FromHeader, FromRequest, FromRequestParts, Header, Json, Path, Query, State,
};
pub use handler::Handler;
pub use http::{self, HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
pub use job::OffloadError;
pub use remuda_sdk_macros::{handler, job, offload, shutdown, startup};
pub use request::Request;
pub use response::{Event, Html, IntoResponse, Redirect, Response, Sse};
pub use router::Router;
pub use task::{Elapsed, sleep, spawn, timeout};

/// The methods of one path.
pub mod routing {
    pub use crate::router::{MethodRouter, any, delete, get, options, patch, post, put};
}

/// What the macros write. Not for use by hand.
#[doc(hidden)]
pub mod __private {
    #[cfg(target_family = "wasm")]
    pub use crate::guest::__private::*;
    pub use crate::{
        extract::{ViaParts, ViaRequest},
        job::{Job, Listed, codec, offload},
        router::ViaRouter,
        task::hooks::{self, HookResult},
    };
}
