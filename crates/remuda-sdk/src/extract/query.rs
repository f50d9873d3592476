//! Queries.

use serde::de::DeserializeOwned;

use super::FromRequestParts;
use crate::{Error, Request, Result, pairs};

/// The query as a struct or a map. A name that comes several times is a `Vec`. What does not fit is
/// a 400 that names the parameter.
///
/// ```
/// use remuda_sdk::{Query, test};
/// use serde::Deserialize;
///
/// #[derive(Deserialize)]
/// struct Page {
///     #[serde(default)]
///     page: u32,
/// }
///
/// async fn list(Query(Page { page }): Query<Page>) -> String {
///     format!("page {page}")
/// }
///
/// assert_eq!(test::get("/?page=2").send_now(list).text(), "page 2");
/// assert_eq!(test::get("/?page=two").send_now(list).status(), 400);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Query<T>(pub T);

impl<S, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    async fn from_request_parts(request: &Request, _: &S) -> Result<Self> {
        let pairs = pairs::decode(request.query().unwrap_or_default().as_bytes());
        let value = pairs::from_pairs(&pairs);
        value.map(Self).map_err(|error| Error::bad_request(format!("in the query, {error}")))
    }
}
