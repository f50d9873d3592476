//! What handlers take as arguments: [`FromRequestParts`] from the head, [`FromRequest`] with the body.
//!
//! Owner: [`Handler`](crate::Handler), which calls them in the order of the arguments. Invariant:
//! only the last argument may take the body.

mod form;
mod header;
mod json;
mod path;
mod query;
mod state;

use bytes::Bytes;
use http::{HeaderMap, Method, Uri};

pub use form::Form;
pub use header::{FromHeader, Header};
pub use json::Json;
pub use path::Path;
pub use query::Query;
pub use state::State;

use crate::{Body, Error, Request, Result};

/// An argument of a handler that is made from the head of a request: any but the last one.
///
/// ```
/// use remuda_sdk::{Error, FromRequestParts, Request, Result, test};
///
/// struct User(String);
///
/// impl<S> FromRequestParts<S> for User {
///     async fn from_request_parts(request: &Request, _: &S) -> Result<Self> {
///         let user = request.header("x-user").ok_or_else(|| Error::unauthorized("who are you?"))?;
///         Ok(Self(user.to_owned()))
///     }
/// }
///
/// async fn greet(User(name): User) -> String {
///     format!("Hello, {name}!")
/// }
///
/// assert_eq!(test::get("/").send_now(greet).status(), 401);
/// assert_eq!(test::get("/").header("x-user", "Ada").send_now(greet).text(), "Hello, Ada!");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no argument of a handler, or none before the last one",
    label = "this is not made from the head of a request",
    note = "what takes the body (`Request`, `Body`, `Bytes`, `String`, `Json`, `Form`) is the last \
            argument; `State<T>` is what the router was given with `with_state`"
)]
pub trait FromRequestParts<S>: Sized {
    /// Makes it, or says what is wrong with the request.
    fn from_request_parts(request: &Request, state: &S) -> impl Future<Output = Result<Self>>;
}

/// An argument of a handler that may take the body: the last one.
///
/// ```
/// use remuda_sdk::{FromRequest, Request, Result, test};
///
/// struct Lines(Vec<String>);
///
/// impl<S> FromRequest<S> for Lines {
///     async fn from_request(request: Request, _: &S) -> Result<Self> {
///         let text = request.into_body().text().await?;
///         Ok(Self(text.lines().map(str::to_owned).collect()))
///     }
/// }
///
/// async fn count(Lines(lines): Lines) -> String {
///     lines.len().to_string()
/// }
///
/// assert_eq!(test::post("/").body("a\nb\n").send_now(count).text(), "2");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no argument of a handler",
    label = "this is not made from a request",
    note = "`State<T>` is what the router was given with `with_state`"
)]
pub trait FromRequest<S, M = ViaRequest>: Sized {
    /// Makes it, or says what is wrong with the request.
    fn from_request(request: Request, state: &S) -> impl Future<Output = Result<Self>>;
}

/// Marks what is made from a whole request.
#[doc(hidden)]
pub struct ViaRequest;

/// Marks what is made from the head.
#[doc(hidden)]
pub struct ViaParts;

impl<S, T: FromRequestParts<S>> FromRequest<S, ViaParts> for T {
    async fn from_request(request: Request, state: &S) -> Result<Self> {
        T::from_request_parts(&request, state).await
    }
}

impl<S> FromRequest<S> for Request {
    async fn from_request(request: Request, _: &S) -> Result<Self> {
        Ok(request)
    }
}

impl<S> FromRequest<S> for http::Request<Body> {
    async fn from_request(request: Request, _: &S) -> Result<Self> {
        Ok(request.into_http())
    }
}

impl<S> FromRequest<S> for Body {
    async fn from_request(request: Request, _: &S) -> Result<Self> {
        Ok(request.into_body())
    }
}

impl<S> FromRequest<S> for Bytes {
    async fn from_request(request: Request, _: &S) -> Result<Self> {
        request.into_body().bytes().await
    }
}

impl<S> FromRequest<S> for Vec<u8> {
    async fn from_request(request: Request, _: &S) -> Result<Self> {
        Ok(request.into_body().bytes().await?.into())
    }
}

impl<S> FromRequest<S> for String {
    async fn from_request(request: Request, _: &S) -> Result<Self> {
        request.into_body().text().await
    }
}

/// What is wrong, for a handler that answers it in its own way.
impl<S, T: FromRequest<S, ViaRequest>> FromRequest<S, ViaRequest> for Result<T> {
    async fn from_request(request: Request, state: &S) -> Result<Self> {
        Ok(T::from_request(request, state).await)
    }
}

impl<S, T: FromRequestParts<S>> FromRequestParts<S> for Result<T, Error> {
    async fn from_request_parts(request: &Request, state: &S) -> Result<Self> {
        Ok(T::from_request_parts(request, state).await)
    }
}

impl<S> FromRequestParts<S> for Method {
    async fn from_request_parts(request: &Request, _: &S) -> Result<Self> {
        Ok(request.method().clone())
    }
}

impl<S> FromRequestParts<S> for Uri {
    async fn from_request_parts(request: &Request, _: &S) -> Result<Self> {
        Ok(request.uri().clone())
    }
}

impl<S> FromRequestParts<S> for HeaderMap {
    async fn from_request_parts(request: &Request, _: &S) -> Result<Self> {
        Ok(request.headers().clone())
    }
}

/// A content type without its parameters.
fn media_type(request: &Request) -> Option<&str> {
    let value = request.header("content-type")?;
    Some(value.split(';').next().unwrap_or_default().trim())
}
