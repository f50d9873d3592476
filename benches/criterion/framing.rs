//! What it costs to see that an HTTP/1 request ends where it seems to.
//!
//! `cargo bench -p remuda-benches --bench framing`

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use remuda_http::Framing;

/// What a browser sends: 418 bytes.
const BROWSER: &str = "GET /articles/2024/how-to-measure?page=2&sort=newest HTTP/1.1\r\n\
    Host: www.example.com\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
    Accept-Language: en-US,en;q=0.5\r\n\
    Accept-Encoding: gzip, deflate, br\r\n\
    Connection: keep-alive\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef\r\n\
    Upgrade-Insecure-Requests: 1\r\n\r\n";

/// What a load generator sends: 44 bytes.
const BARE: &str = "GET / HTTP/1.1\r\nHost: 127.0.0.1:18000000\r\n\r\n";

fn framing(criterion: &mut Criterion) {
    for (name, head) in [("browser", BROWSER), ("bare", BARE)] {
        // A connection has one, and its next request finds it as the last one left it.
        let mut framing = Framing::new(64 << 10);
        criterion.bench_function(&format!("framing {name}, {} bytes", head.len()), |bencher| {
            bencher.iter(|| framing.look(black_box(head.as_bytes())));
        });
    }
}

criterion_group!(benches, framing);
criterion_main!(benches);
