//! Path parameters.

use serde::de::DeserializeOwned;

use super::FromRequestParts;
use crate::{
    Error, Request, Result,
    pairs::{self, Pair},
};

/// The parameters of the route's path: the only one, a tuple in their order, or a struct with
/// their names. They are decoded; one that is not what is wanted is a 400.
///
/// ```
/// use remuda_sdk::{Path, Router, test};
///
/// async fn item(Path((user, item)): Path<(String, u32)>) -> String {
///     format!("{user}'s {item}")
/// }
///
/// let app = Router::new().get("/users/{user}/items/{item}", item);
/// assert_eq!(test::get("/users/ada/items/7").send_now(&app).text(), "ada's 7");
/// assert_eq!(test::get("/users/ada/items/x").send_now(&app).status(), 400);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Path<T>(pub T);

impl<S, T: DeserializeOwned> FromRequestParts<S> for Path<T> {
    async fn from_request_parts(request: &Request, _: &S) -> Result<Self> {
        let params = request.params().iter();
        let params: Vec<Pair<'_>> = params.map(|(name, text)| (name.into(), text.into())).collect();
        match pairs::from_texts(&params) {
            Ok(value) => Ok(Self(value)),
            // The route, not the client, is to blame.
            Err(error) if error.is_missing || error.name.is_none() => {
                Err(Error::internal(format!("failed to read the path parameters: {error}")))
            }
            Err(error) => Err(Error::bad_request(format!("in the path, {error}"))),
        }
    }
}
