//! One header, with a type.

use super::FromRequestParts;
use crate::{Error, Request, Result};

/// A type that a header's value is parsed into.
///
/// ```
/// use remuda_sdk::{FromHeader, Header, test};
///
/// struct IfMatch(String);
///
/// impl FromHeader for IfMatch {
///     const NAME: &'static str = "if-match";
///     fn from_header(value: &str) -> Result<Self, String> {
///         let tag = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
///         Ok(Self(tag.ok_or("an entity tag is quoted")?.to_owned()))
///     }
/// }
///
/// async fn update(Header(IfMatch(tag)): Header<IfMatch>) -> String {
///     tag
/// }
///
/// assert_eq!(test::put("/").header("if-match", "\"v1\"").send_now(update).text(), "v1");
/// assert_eq!(test::put("/").send_now(update).status(), 400);
/// ```
pub trait FromHeader: Sized {
    /// The header's name, in lower case.
    const NAME: &'static str;

    /// Parses it.
    ///
    /// # Errors
    /// What is wrong with it, for the client.
    fn from_header(value: &str) -> Result<Self, String>;
}

/// A header that must be there, or with `Option<Header<T>>` may be; see [`FromHeader`]. What is missing
/// or makes no sense is a 400.
///
/// ```
/// # use remuda_sdk::{FromHeader, Header, test};
/// # struct Depth(u32);
/// # impl FromHeader for Depth {
/// #     const NAME: &'static str = "depth";
/// #     fn from_header(value: &str) -> Result<Self, String> {
/// #         value.parse().map(Depth).map_err(|_| "is no number".to_owned())
/// #     }
/// # }
/// async fn handle(depth: Option<Header<Depth>>) -> String {
///     depth.map_or(0, |Header(Depth(depth))| depth).to_string()
/// }
///
/// assert_eq!(test::get("/").send_now(handle).text(), "0");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Header<T>(pub T);

impl<T: FromHeader> Header<T> {
    fn find(request: &Request) -> Result<Option<Self>> {
        let Some(value) = request.headers().get(T::NAME) else { return Ok(None) };
        let parsed = value.to_str().map_err(|_| "is no text".to_owned()).and_then(T::from_header);
        let wrong = |why| Error::bad_request(format!("the header {}: {why}", T::NAME));
        parsed.map(|value| Some(Self(value))).map_err(wrong)
    }
}

impl<S, T: FromHeader> FromRequestParts<S> for Header<T> {
    async fn from_request_parts(request: &Request, _: &S) -> Result<Self> {
        let missing = || Error::bad_request(format!("the header {} is missing", T::NAME));
        Self::find(request)?.ok_or_else(missing)
    }
}

impl<S, T: FromHeader> FromRequestParts<S> for Option<Header<T>> {
    async fn from_request_parts(request: &Request, _: &S) -> Result<Self> {
        Header::find(request)
    }
}
