//! A gateway: asks several upstreams at once, and makes one answer of theirs.
//!
//! | request | answer |
//! |---|---|
//! | `GET /gather?url=U&url=V&timeout_ms=N` | what each of them says, in this order, as JSON |
//! | `GET /first?url=U&url=V` | what the quickest of them says |
//! | `/proxy?url=U&timeout_ms=N` | what it says to the same method and body, as it comes |
//! | `/` | what there is |
//!
//! Upstreams must be in `outbound.allow`. A gateway waits most of the time: with
//! `instances = { max_concurrency = 200 }` one instance waits for 200 requests.

use std::time::Duration;

use futures_util::{StreamExt as _, future::join_all, stream::FuturesUnordered};
use remuda_sdk::{
    Client, ClientError, Error, Json, Query, Request, Response, Result, Router, StatusCode, handler,
};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Targets {
    url: Vec<String>,
    #[serde(default = "two_seconds")]
    timeout_ms: u64,
}

fn two_seconds() -> u64 {
    2000
}

/// What came of asking one upstream.
#[derive(Serialize)]
#[serde(untagged)]
enum Said {
    Answer { url: String, status: u16, body: String },
    Nothing { url: String, error: String },
}

#[handler]
fn app() -> Router {
    Router::new()
        .get("/", async || "/gather?url=&url=, /first?url=&url=, /proxy?url=\n")
        .get("/gather", gather)
        .get("/first", first)
        .any("/proxy", proxy)
}

/// One that fails is part of the answer.
async fn gather(Query(targets): Query<Targets>) -> Json<Vec<Said>> {
    let timeout = Duration::from_millis(targets.timeout_ms);
    let asking = targets.url.into_iter().map(|url| async move {
        match ask(&url, timeout).await {
            Ok((status, body)) => Said::Answer { url, status: status.as_u16(), body },
            Err(error) => Said::Nothing { url, error: error.to_string() },
        }
    });
    Json(join_all(asking).await)
}

/// The others are given up as soon as one has answered.
async fn first(Query(targets): Query<Targets>) -> Result<(StatusCode, String)> {
    let timeout = Duration::from_millis(targets.timeout_ms);
    let asking = targets.url.iter().map(|url| ask(url, timeout));
    let mut answers = asking.collect::<FuturesUnordered<_>>();
    let mut last = Error::bad_request("there is no `url` in the query");
    while let Some(answer) = answers.next().await {
        match answer {
            Ok(answer) => return Ok(answer),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn ask(url: &str, timeout: Duration) -> Result<(StatusCode, String)> {
    let response = Client::new().get(url).timeout(timeout).send().await?;
    let status = response.status();
    Ok((status, response.text().await?))
}

#[derive(Deserialize)]
struct Target {
    url: String,
    timeout_ms: Option<u64>,
}

/// Bodies pass by without entering this component, unless somebody has to look at the clock.
async fn proxy(Query(target): Query<Target>, request: Request) -> Result<Response, Error> {
    let method = request.method().clone();
    let kind = request.header("content-type").map(str::to_owned);
    let mut asked = Client::new().request(method, &target.url).body(request.into_body());
    if let Some(kind) = kind {
        asked = asked.header("content-type", &kind);
    }
    if let Some(timeout) = target.timeout_ms {
        asked = asked.timeout(Duration::from_millis(timeout));
    }
    match asked.send().await {
        Ok(response) => Ok(response.into_response()),
        // For whoever runs this, not for clients.
        Err(error @ ClientError::NotAllowed { .. }) => Err(Error::forbidden(error.to_string())),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use remuda_sdk::{Client, IntoResponse as _, StatusCode, test};
    use serde_json::{Value, json};

    use super::app;

    #[test]
    fn all_are_asked_and_each_has_its_answer() {
        let _stub = Client::stub(|request| match request.uri().path() {
            "/a" => "from a".into_response(),
            _ => StatusCode::NOT_FOUND.into_response(),
        });
        let uri = "/gather?url=http://up.example/a&url=http://up.example/b&url=nonsense";
        let answers = test::get(uri).send_now(app()).json::<Vec<Value>>();
        assert_eq!(answers[0]["body"], "from a");
        assert_eq!(answers[1]["status"], json!(404));
        assert!(answers[2]["error"].as_str().expect("an error").contains("absolute URL"));
    }
}
