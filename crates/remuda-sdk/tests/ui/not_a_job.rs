use remuda_sdk::{Result, handler, offload};

#[handler(jbos(double))]
async fn handle() -> Result<String> {
    Ok("hello".to_owned())
}

async fn call() {
    let _ = offload!(21 * 2).await;
}

fn main() {}
