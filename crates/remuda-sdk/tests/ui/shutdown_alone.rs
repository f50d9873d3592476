use remuda_sdk::shutdown;

#[shutdown]
async fn stop() {}

fn main() {}
