use remuda_sdk::{handler, job};

struct Image;

#[job]
fn shrink(_image: Image) -> Vec<u8> {
    Vec::new()
}

#[handler(jobs(shrink))]
async fn handle() -> &'static str {
    "hello"
}

fn main() {}
