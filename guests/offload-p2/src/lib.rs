//! The same as offload for `wasi:http` 0.2.

#[path = "../../offload/src/hooks.rs"]
mod hooks;
#[path = "../../offload/src/work.rs"]
mod work;

use std::cell::Cell;

use wasip2::http::types::{
    Fields, IncomingBody, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
};
use wasip2::io::streams::StreamError;
use wasip2::random;

wit_bindgen::generate!({
    path: "../../wit",
    inline: "
        package guests:offload-p2;
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

thread_local! {
    static INSTANCE: u64 = random::random::get_random_u64();
    static SERVED: Cell<u64> = const { Cell::new(0) };
}

struct Service;

export!(Service);
wasip2::http::proxy::export!(Service);

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

impl wasip2::exports::http::incoming_handler::Guest for Service {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        SERVED.set(SERVED.get() + 1);
        let path = request.path_with_query().unwrap_or_default();
        if path == "/?trap" {
            core::arch::wasm32::unreachable();
        }
        let job = path.trim_start_matches('/');
        if job.is_empty() {
            return answer(out, 200, describe().as_bytes());
        }
        let payload = request.consume().map(read).unwrap_or_default();
        match offload::run(job, &payload) {
            Ok(result) => answer(out, 200, &result),
            Err(error) => answer(out, 422, format!("{error:?}").as_bytes()),
        }
    }
}

fn describe() -> String {
    let (started, served) = (hooks::is_started(), SERVED.get());
    let instance = INSTANCE.with(|id| *id);
    format!("instance={instance:016x} served={served} started={started}\n")
}

fn read(body: IncomingBody) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Ok(stream) = body.stream() {
        loop {
            match stream.blocking_read(64 * 1024) {
                Ok(more) => bytes.extend(more),
                Err(StreamError::Closed | StreamError::LastOperationFailed(_)) => break,
            }
        }
    }
    bytes
}

fn answer(out: ResponseOutparam, status: u16, content: &[u8]) {
    let response = OutgoingResponse::new(Fields::new());
    let _ = response.set_status_code(status);
    let Ok(body) = response.body() else { return };
    ResponseOutparam::set(out, Ok(response));
    if let Ok(stream) = body.write() {
        for chunk in content.chunks(4096) {
            let _ = stream.blocking_write_and_flush(chunk);
        }
    }
    let _ = OutgoingBody::finish(body, None);
}
