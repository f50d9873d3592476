//! Forms.

use serde::de::DeserializeOwned;

use super::{FromRequest, media_type};
use crate::{Error, Request, Result, StatusCode, pairs};

/// A body of `application/x-www-form-urlencoded` as a struct or a map. Another content type is a
/// 415, what does not fit a 422 that names the field.
///
/// ```
/// use remuda_sdk::{Form, test};
/// use serde::Deserialize;
///
/// #[derive(Deserialize)]
/// struct Login {
///     user: String,
/// }
///
/// async fn login(Form(login): Form<Login>) -> String {
///     format!("Hello, {}!", login.user)
/// }
///
/// let request = test::post("/").form(&[("user", "Ada Lovelace")]);
/// assert_eq!(request.send_now(login).text(), "Hello, Ada Lovelace!");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Form<T>(pub T);

impl<S, T: DeserializeOwned> FromRequest<S> for Form<T> {
    async fn from_request(request: Request, _: &S) -> Result<Self> {
        const FORM: &str = "application/x-www-form-urlencoded";
        if !media_type(&request).is_some_and(|kind| kind.eq_ignore_ascii_case(FORM)) {
            let detail = format!("the body is to be a form: content-type: {FORM}");
            return Err(Error::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
        }
        let body = request.into_body().bytes().await?;
        let value = pairs::from_pairs(&pairs::decode(&body));
        value.map(Self).map_err(|error| {
            let invalid = Error::unprocessable(format!("in the form, {error}"));
            match error.name {
                Some(name) => invalid.with("field", name),
                None => invalid,
            }
        })
    }
}
