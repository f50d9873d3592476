//! Who is compared, with which flags.
//!
//! Owner: the works, each of which takes those for whom it has a meaning. All of Remuda serve the
//! same components as `wasmtime serve`; what the others answer is in benches/native and
//! benches/peers. Invariant: flags only name what is served and what the work is about; what is
//! tuned says so in its name.

use std::path::PathBuf;

use anyhow::Result;

use crate::{bench::Bench, contender::Contender};

/// What all of Remuda are told beside what they serve.
const REMUDA: [&str; 10] = [
    "--bind",
    "ADDRESS",
    "--admin",
    "off",
    "--control",
    "off",
    "--log-level",
    "error",
    "--cache",
    "CACHE",
];

const WASMTIME: [&str; 4] = ["serve", "-Scli", "--addr", "ADDRESS"];

/// The best that we know for `wasmtime serve` with fresh instances.
const POOLING: [&str; 5] = [
    "-Opooling-allocator",
    "-Opooling-memory-keep-resident=1048576",
    "-Opooling-table-keep-resident=65536",
    "-Opooling-async-stack-keep-resident=65536",
    "-Opooling-pagemap-scan",
];

/// As often as Remuda uses an instance.
const REUSED: [&str; 1] = ["--max-instance-reuse-count=1000"];

const REUSE: [&str; 2] = ["--instances", "reuse"];
const FRESH: [&str; 2] = ["--instances", "fresh"];

/// Those that answer with a short text and do nothing else, as DESIGN's figures have them.
pub(crate) fn hellos(bench: &Bench) -> Vec<Contender> {
    let native = |name: &str, more: &[&str]| {
        let args = [&["ADDRESS"], more].concat();
        contender(name, bench.options.binary("native-hello"), &args).own()
    };
    let fresh = remuda(bench, "remuda 0.2 fresh", "hello-p2.wasm", &[]);
    let reused = remuda(bench, "remuda 0.2 reused", "hello-p2.wasm", &REUSE);
    let later = remuda(bench, "remuda 0.3 reused", "hello.wasm", &[]);
    let mut all =
        vec![native("native hyper", &[]), native("native hyper that burns 10 µs", &["10"])];
    for one in [fresh, reused, later] {
        let two = one.of_workers(2);
        all.push(one);
        all.extend(two);
    }
    all.push(remuda(bench, "remuda 0.3 fresh", "hello.wasm", &FRESH));
    all.push(wasmtime(bench, "wasmtime serve 0.2 fresh", "hello-p2.wasm", &[]));
    all.push(wasmtime(bench, "wasmtime serve 0.2 fresh, pooling", "hello-p2.wasm", &POOLING));
    all.push(wasmtime(bench, "wasmtime serve 0.2 reused", "hello-p2.wasm", &REUSED));
    all.push(wasmtime(bench, "wasmtime serve 0.3 reused", "hello.wasm", &[]));
    all
}

/// Those that do all works, with one worker, and two where they can.
pub(crate) fn all(bench: &Bench) -> Vec<Contender> {
    let mut all = Vec::new();
    for one in singles(bench) {
        let two = one.of_workers(2);
        all.push(one);
        all.extend(two);
    }
    all
}

/// The same with one worker only.
pub(crate) fn singles(bench: &Bench) -> Vec<Contender> {
    let mut all = vec![native(bench)];
    all.extend(remudas(bench));
    all.extend(wasmtimes(bench));
    all.extend(pythons(bench));
    all
}

/// One of each kind, for works that take long.
pub(crate) fn few(bench: &Bench) -> Vec<Contender> {
    let mut all = vec![native(bench)];
    all.extend(remudas(bench).into_iter().filter(|it| it.name != "remuda 0.2 reused"));
    all.extend(wasmtimes(bench).into_iter().filter(|it| it.name != "wasmtime serve 0.2 fresh"));
    all.extend(pythons(bench));
    all
}

pub(crate) fn native(bench: &Bench) -> Contender {
    contender("native hyper", bench.options.binary("native-works"), &["ADDRESS"]).own()
}

/// All of Remuda, with one worker and one route.
pub(crate) fn remudas(bench: &Bench) -> Vec<Contender> {
    vec![
        remuda(bench, "remuda 0.2 fresh", "works-p2.wasm", &[]),
        remuda(bench, "remuda 0.2 reused", "works-p2.wasm", &REUSE),
        remuda(bench, "remuda 0.3 reused", "works.wasm", &[]),
        remuda(bench, "remuda SDK", "works-sdk.wasm", &[]),
    ]
}

pub(crate) fn wasmtimes(bench: &Bench) -> Vec<Contender> {
    vec![
        wasmtime(bench, "wasmtime serve 0.2 fresh", "works-p2.wasm", &[]),
        wasmtime(bench, "wasmtime serve 0.2 fresh, pooling", "works-p2.wasm", &POOLING),
        wasmtime(bench, "wasmtime serve 0.2 reused", "works-p2.wasm", &REUSED),
        wasmtime(bench, "wasmtime serve 0.3 reused", "works.wasm", &[]),
    ]
}

/// The same without the cache that `wasmtime` keeps for its user.
pub(crate) fn uncached_wasmtimes(bench: &Bench) -> Vec<Contender> {
    let uncached = [&POOLING[..], &["-Ccache=n"]].concat();
    vec![
        wasmtime(
            bench,
            "wasmtime serve 0.2 fresh, pooling, empty cache",
            "works-p2.wasm",
            &uncached,
        ),
        wasmtime(bench, "wasmtime serve 0.3 reused, empty cache", "works.wasm", &["-Ccache=n"]),
    ]
}

pub(crate) fn pythons(bench: &Bench) -> Vec<Contender> {
    let python = |name: &str, command: &str, args: &[&str]| {
        let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/peers"));
        contender(name, bench.options.peers.join(command), args).started_in(folder)
    };
    let quiet = ["--log-level", "error", "--no-access-log", "--workers", "WORKERS"];
    let uvicorn = |name: &str, app| {
        python(name, "uvicorn", &[&["--host", "HOST", "--port", "PORT", app], &quiet[..]].concat())
    };
    let granian = ["--interface", "asgi", "--host", "HOST", "--port", "PORT", "asgi:app"];
    vec![
        uvicorn("uvicorn, raw ASGI", "asgi:app"),
        uvicorn("uvicorn, FastAPI", "fastapi_app:app"),
        python("granian, raw ASGI", "granian", &[&granian[..], &quiet].concat()),
    ]
}

/// Remuda with a route of its own for each of these paths, as one configures what must not
/// disturb the rest, and the settings of each. `{component}` is there already.
///
/// # Errors
/// When a configuration cannot be written.
pub(crate) fn routed(
    bench: &Bench,
    name: &str,
    wasm: &str,
    routes: &[(&str, &str)],
) -> Result<Contender> {
    let component = bench.options.guest(wasm).display().to_string();
    let routes = routes.iter().map(|(path, settings)| {
        format!("[[route]]\npath = {path:?}\ncomponent = {component:?}\n{settings}\n")
    });
    let file =
        bench.file(&format!("{}.toml", name.replace(' ', "-")), &routes.collect::<String>())?;
    let mut args = vec!["serve", "--config", &file];
    let outbound = outbound(bench);
    args.extend(["--workers", "WORKERS"]);
    args.extend(REMUDA);
    args.extend(outbound.iter().map(String::as_str));
    Ok(contender(name, bench.options.binary("remuda"), &args).own())
}

pub(crate) fn remuda(bench: &Bench, name: &str, wasm: &str, more: &[&str]) -> Contender {
    let component = bench.options.guest(wasm).display().to_string();
    let outbound = outbound(bench);
    let mut args = vec!["serve", &component, "--workers", "WORKERS"];
    args.extend(REMUDA);
    args.extend(outbound.iter().map(String::as_str));
    args.extend(more);
    contender(name, bench.options.binary("remuda"), &args).own()
}

pub(crate) fn wasmtime(bench: &Bench, name: &str, wasm: &str, more: &[&str]) -> Contender {
    let component = bench.options.guest(wasm).display().to_string();
    let args = [&WASMTIME[..], more, &[component.as_str()]].concat();
    contender(name, bench.options.wasmtime.clone(), &args)
}

/// What guests may ask; as many at a time as the others allow, who know no bound.
fn outbound(bench: &Bench) -> Vec<String> {
    let hosts = format!("http://{},http://{}", bench.upstream.address, bench.hung.address);
    ["--outbound-allow", &hosts, "--outbound-max-per-host", "1000"].map(str::to_owned).into()
}

fn contender(name: &str, program: PathBuf, args: &[&str]) -> Contender {
    Contender::new(name, program, args.iter().map(|arg| (*arg).to_owned()).collect())
}
