//! JSON, in both directions.

use serde::de::DeserializeOwned;

use super::{FromRequest, media_type};
use crate::{Error, Request, Result, StatusCode};

/// JSON: as an argument, the body of a request; returned, that of a response.
///
/// A content type that is not JSON is a 415, a body that is not JSON a 400, a value that does not fit
/// a 422 whose member `field` is the path to what is wrong in it.
///
/// ```
/// use remuda_sdk::{Json, test};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Deserialize, Serialize)]
/// struct Point {
///     x: i32,
///     y: i32,
/// }
///
/// async fn mirror(Json(point): Json<Point>) -> Json<Point> {
///     Json(Point { x: point.y, y: point.x })
/// }
///
/// let response = test::post("/").json(&Point { x: 1, y: 2 }).send_now(mirror);
/// assert_eq!(response.text(), r#"{"x":2,"y":1}"#);
/// let response = test::post("/").json(&serde_json::json!({"x": 1, "y": "b"})).send_now(mirror);
/// assert_eq!(response.status(), 422);
/// assert_eq!(response.json::<serde_json::Value>()["field"], "y");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Json<T>(pub T);

impl<S, T: DeserializeOwned> FromRequest<S> for Json<T> {
    async fn from_request(request: Request, _: &S) -> Result<Self> {
        if !media_type(&request).is_some_and(is_json) {
            let detail = "the body is to be JSON: content-type: application/json";
            return Err(Error::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
        }
        let body = request.into_body().bytes().await?;
        // Keeping track of the path costs, so that only those who need it pay.
        serde_json::from_slice(&body).map(Self).map_err(|error| explain::<T>(&body, &error))
    }
}

/// `application/json`, `application/vnd.api+json`
fn is_json(kind: &str) -> bool {
    let Some((top, sub)) = kind.split_once('/') else { return false };
    let sub = sub.to_ascii_lowercase();
    top.eq_ignore_ascii_case("application") && (sub == "json" || sub.ends_with("+json"))
}

/// What is wrong, and where.
fn explain<T: DeserializeOwned>(body: &[u8], error: &serde_json::Error) -> Error {
    if !error.is_data() {
        return Error::bad_request(format!("the body is no JSON: {error}"));
    }
    let mut text = serde_json::Deserializer::from_slice(body);
    let located = serde_path_to_error::deserialize::<_, T>(&mut text);
    let path = located.err().map(|error| error.path().to_string()).unwrap_or_default();
    if path.is_empty() || path == "." {
        return Error::unprocessable(format!("the body is not valid: {error}"));
    }
    Error::unprocessable(format!("the body is not valid: {path}: {error}")).with("field", path)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::test;

    #[derive(Deserialize)]
    struct Order {
        items: Vec<Item>,
    }

    #[derive(Deserialize)]
    struct Item {
        count: u32,
    }

    async fn total(Json(order): Json<Order>) -> String {
        order.items.iter().map(|item| item.count).sum::<u32>().to_string()
    }

    fn send(kind: &str, body: &'static str) -> (u16, String) {
        let response = test::post("/").header("content-type", kind).body(body).send_now(total);
        (response.status().as_u16(), response.text())
    }

    #[test]
    fn what_is_wrong_has_a_status_of_its_own() {
        let good = r#"{"items":[{"count":1},{"count":2}]}"#;
        for kind in ["application/json", "Application/JSON; charset=utf-8", "application/a+json"] {
            assert_eq!(send(kind, good), (200, "3".to_owned()));
        }
        assert_eq!(send("text/plain", good).0, 415);
        assert_eq!(send("application/json", "{").0, 400);
        let (status, text) = send("application/json", r#"{"items":[{"count":1},{"count":-2}]}"#);
        assert_eq!(status, 422);
        assert!(text.contains("items[1].count: invalid value: integer `-2`"), "{text}");
        assert!(text.contains(r#""field":"items[1].count""#), "{text}");
    }
}
