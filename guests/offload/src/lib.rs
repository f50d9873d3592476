//! A service of `wasi:http` 0.3 with lifecycle hooks, which leaves heavy work to jobs.
//!
//! `POST /JOB` runs a job (see [`work`]) on the body, `/` says which instance answers.

mod hooks;
mod work;

use std::cell::Cell;

use wasip3::http::types::{ErrorCode, Fields, Request, Response};
use wasip3::wit_bindgen::{StreamReader, StreamResult};
use wasip3::{random, spawn_local, wit_future, wit_stream};

wit_bindgen::generate!({
    path: "../../wit",
    inline: "
        package guests:offload;
        world service {
            import remuda:runtime/offload@0.1.0;
            export remuda:runtime/jobs@0.1.0;
            export remuda:runtime/lifecycle@0.1.0;
        }
    ",
    generate_all,
});

use exports::remuda::runtime::{jobs, lifecycle};
use remuda::runtime::offload;

const CHUNK: usize = 64 * 1024;

thread_local! {
    static INSTANCE: u64 = random::random::get_random_u64();
    static SERVED: Cell<u64> = const { Cell::new(0) };
}

struct Service;

export!(Service);
wasip3::http::service::export!(Service);

impl lifecycle::Guest for Service {
    fn startup() -> Result<(), String> {
        hooks::startup()
    }

    fn shutdown() {
        hooks::shutdown();
    }
}

impl jobs::Guest for Service {
    fn run(job: String, payload: Vec<u8>) -> Result<Vec<u8>, jobs::Error> {
        let nested = |job: &str| format!("{:?}", offload::run(job, b""));
        work::run(&job, payload, nested).map_err(|failure| match failure {
            work::Failure::Unknown => jobs::Error::UnknownJob,
            work::Failure::Failed(why) => jobs::Error::Failed(why),
        })
    }
}

impl wasip3::exports::http::handler::Guest for Service {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        SERVED.set(SERVED.get() + 1);
        let path = request.get_path_with_query().unwrap_or_default();
        if path == "/?trap" {
            core::arch::wasm32::unreachable();
        }
        let job = path.trim_start_matches('/').to_owned();
        if job.is_empty() {
            return Ok(answer(200, describe().into_bytes()));
        }
        let (_, done) = wit_future::new(|| Ok(()));
        let (mut body, _) = Request::consume_body(request, done);
        let payload = read(&mut body).await;
        Ok(match offload::run_async(job, payload).await {
            Ok(result) => answer(200, result),
            Err(error) => answer(422, format!("{error:?}").into_bytes()),
        })
    }
}

async fn read(body: &mut StreamReader<u8>) -> Vec<u8> {
    let mut payload = Vec::new();
    loop {
        let (read, bytes) = body.read(Vec::with_capacity(CHUNK)).await;
        payload.extend(bytes);
        if !matches!(read, StreamResult::Complete(_)) {
            return payload;
        }
    }
}

fn describe() -> String {
    let (started, served) = (hooks::is_started(), SERVED.get());
    let instance = INSTANCE.with(|id| *id);
    format!("instance={instance:016x} served={served} started={started}\n")
}

fn answer(status: u16, content: Vec<u8>) -> Response {
    let (mut body, contents) = wit_stream::new();
    let (_, trailers) = wit_future::new(|| Ok(None));
    let (response, _) = Response::new(Fields::new(), Some(contents), trailers);
    let _ = response.set_status_code(status);
    spawn_local(async move {
        body.write_all(content).await;
    });
    response
}
