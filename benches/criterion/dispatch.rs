//! What the engine alone needs to answer a request: no sockets, no HTTP parsing.
//!
//! `cargo bench -p remuda-benches`; the guests must have been built (`cargo xtask guests`).

use std::{
    hint::black_box,
    path::PathBuf,
    time::{Duration, Instant},
};

use criterion::{Criterion, criterion_group, criterion_main};
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use remuda_config::{Input, Machine, Route};
use remuda_engine::{Engine, Program, RequestId, component};

fn guest(name: &str) -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    root.join("target/guests").join(name)
}

struct Bench {
    runtime: tokio::runtime::Runtime,
    _engine: Engine,
    program: Program,
    _cache: tempfile::TempDir,
}

impl Bench {
    fn new(guest_name: &str, mode: &'static str) -> Self {
        let cache = tempfile::tempdir().expect("a folder");
        let input = Input {
            file: None,
            environment: Vec::new(),
            flags: vec![("cache", vec![cache.path().display().to_string()])],
            component: Some(guest(guest_name)),
            route_flags: vec![("instances.mode", vec![mode.to_owned()])],
            base_dir: PathBuf::from("/"),
            uid: 1000,
            pid: 1,
            terminal: true,
            machine: Machine::with_cores(1),
        };
        let config = remuda_config::load(input).expect("a configuration").config;
        let route: &Route = &config.routes[0];
        let artifact = component::compile(&route.component, &config.cache)
            .expect("built by `cargo xtask guests`")
            .artifact;
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (engine, program) = runtime.block_on(async {
            let engine =
                Engine::build(&config, std::slice::from_ref(&artifact)).expect("an engine");
            let program = engine.load(route, artifact).await.expect("a program");
            (engine, program)
        });
        Self { runtime, _engine: engine, program, _cache: cache }
    }

    async fn request(&self) -> usize {
        let request = Request::get("http://localhost/").body(Empty::new()).expect("a request");
        let deadline = Instant::now() + Duration::from_secs(60);
        let call = self.program.call(request, RequestId(1), deadline, ());
        let response = call.await.expect("an answer");
        response.into_body().collect().await.expect("a body").to_bytes().len()
    }
}

fn dispatch(criterion: &mut Criterion) {
    let cases = [
        ("fresh 0.2", "hello-p2.wasm", "fresh"),
        ("reused 0.2", "hello-p2.wasm", "reuse"),
        ("reused 0.3", "hello.wasm", "reuse"),
    ];
    for (name, guest, mode) in cases {
        let bench = Bench::new(guest, mode);
        criterion.bench_function(name, |bencher| {
            bencher.iter_custom(|iterations| {
                bench.runtime.block_on(async {
                    let started = std::time::Instant::now();
                    for _ in 0..iterations {
                        black_box(bench.request().await);
                    }
                    started.elapsed()
                })
            });
        });
    }
}

criterion_group!(benches, dispatch);
criterion_main!(benches);
