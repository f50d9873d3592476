//! What the servers of each work are called, in the order in which they are measured.
//!
//! Invariant: the names are those of benches/compare, which a test there compares.

use crate::Work;

const NATIVE: &str = "native hyper";

pub(crate) const REMUDAS: [&str; 4] =
    ["remuda 0.2 fresh", "remuda 0.2 reused", "remuda 0.3 reused", "remuda SDK"];

const WASMTIMES: [&str; 4] = [
    "wasmtime serve 0.2 fresh",
    "wasmtime serve 0.2 fresh, pooling",
    "wasmtime serve 0.2 reused",
    "wasmtime serve 0.3 reused",
];

const PYTHONS: [&str; 3] = ["uvicorn, raw ASGI", "uvicorn, FastAPI", "granian, raw ASGI"];

/// Of one work.
pub(crate) fn of(work: Work) -> Vec<String> {
    match work {
        Work::Text | Work::Json | Work::Stream | Work::Echo | Work::Wait => {
            let twice = |name: &&str| [(*name).to_owned(), workers(name, 2)];
            let mut names = owned(&[NATIVE]);
            names.extend(REMUDAS.iter().flat_map(twice));
            names.extend(owned(&WASMTIMES));
            names.extend(PYTHONS.iter().flat_map(twice));
            names
        }
        Work::Hello => {
            let mut names = owned(&[NATIVE, "native hyper that burns 10 µs"]);
            for name in &REMUDAS[..3] {
                names.extend([(*name).to_owned(), workers(name, 2)]);
            }
            names.extend(owned(&["remuda 0.3 fresh"]));
            names.extend(owned(&WASMTIMES));
            names
        }
        Work::Beside => [&[NATIVE], &REMUDAS[..], &WASMTIMES[1..], &PYTHONS].map(owned).concat(),
        Work::Hash => owned(&["remuda auto", "remuda blocking", "remuda async", WASMTIMES[3]]),
        Work::Hung | Work::Memory => {
            [&[NATIVE], &few()[..], &WASMTIMES[1..], &PYTHONS].map(owned).concat()
        }
        Work::Overload => {
            let limited = |name: &str| [name.to_owned(), format!("{name}, limited")];
            let mut names = owned(&[NATIVE]);
            names.extend(few().into_iter().flat_map(limited));
            names.extend(owned(&WASMTIMES[1..]));
            names.extend(PYTHONS[..2].iter().flat_map(|name| limited(name)));
            names.extend(owned(&PYTHONS[2..]));
            names
        }
        Work::Start => {
            let empty = |name: &str| format!("{name}, empty cache");
            let mut names = owned(&[NATIVE]);
            names.extend(few().into_iter().flat_map(|name| [empty(name), name.to_owned()]));
            names.extend([empty(WASMTIMES[1]), empty(WASMTIMES[3])]);
            names.extend([&WASMTIMES[1..], &PYTHONS].map(owned).concat());
            names
        }
        Work::Reload => few().iter().chain(&PYTHONS).map(|name| workers(name, 2)).collect(),
        Work::Knee => [1, 2, 3, 4, 6, 8].map(|count| workers(REMUDAS[2], count)).into(),
    }
}

/// One of each kind.
fn few() -> [&'static str; 3] {
    [REMUDAS[0], REMUDAS[2], REMUDAS[3]]
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn workers(name: &str, count: usize) -> String {
    format!("{name}, {count} workers")
}
