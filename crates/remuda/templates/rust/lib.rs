//! The handler: which request is answered by what.

use remuda_sdk::{Json, Path, Router, handler};
use serde::Serialize;

#[handler]
fn app() -> Router {
    Router::new().get("/", hello).get("/hello/{name}", greet)
}

async fn hello() -> &'static str {
    "Hello, world!\n"
}

#[derive(Serialize)]
struct Greeting {
    hello: String,
}

async fn greet(Path(name): Path<String>) -> Json<Greeting> {
    Json(Greeting { hello: name })
}

#[cfg(test)]
mod tests {
    use remuda_sdk::test;

    use super::app;

    #[test]
    fn everybody_is_greeted_by_name() {
        let response = test::get("/hello/you").send_now(app());
        assert_eq!(response.text(), r#"{"hello":"you"}"#);
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        assert_eq!(test::get("/nowhere").send_now(app()).status(), 404);
    }
}
