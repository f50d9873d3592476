use remuda_sdk::{Result, handler, job, offload};

#[job]
fn double(number: u32) -> u32 {
    number * 2
}

#[handler]
async fn handle() -> Result<String> {
    Ok(offload!(double(21)).await?.to_string())
}

fn main() {}
