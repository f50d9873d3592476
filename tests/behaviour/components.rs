//! What is no servable component is refused before the server listens.

use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt as _};

use insta::assert_snapshot;
use remuda_tests::{Cli, guests};

/// `remuda serve` with a file of this content: how it ends.
async fn serve(content: impl AsRef<[u8]>) -> String {
    let command = Cli::remuda(
        "serve app.wasm --bind 127.0.0.1:0 --admin off --cache cache --log-level error",
    );
    command.file("app.wasm", content).run().await.to_string()
}

#[tokio::test]
async fn text_is_refused() {
    assert_snapshot!(serve("(component)").await, @r#"
    exit code 65
    remuda: cannot serve [sandbox]/app.wasm: it is not a WebAssembly binary
    "#);
    assert_snapshot!(serve("").await, @r#"
    exit code 65
    remuda: cannot serve [sandbox]/app.wasm: it is not a WebAssembly binary
    "#);
}

#[tokio::test]
async fn a_core_module_is_refused() {
    assert_snapshot!(serve(b"\0asm\x01\0\0\0").await, @r#"
    exit code 65
    remuda: cannot serve [sandbox]/app.wasm: it is a core module, not a component; build it for the target wasm32-wasip2, or turn it into a component first
    "#);
}

#[tokio::test]
async fn a_component_that_takes_no_requests_is_refused() {
    assert_snapshot!(serve(fs::read(guests::NOT_HTTP.path()).expect("a component")).await, @r#"
    exit code 65
    remuda: cannot serve [sandbox]/app.wasm: it exports wasi:cli/run@0.2.0, but neither wasi:http/incoming-handler@0.2.x nor wasi:http/handler@0.3.x, one of which a component must export to be served
    "#);
}

#[tokio::test]
async fn a_truncated_component_is_refused() {
    let whole = fs::read(guests::HELLO.path()).expect("a component");
    let ended = serve(&whole[..whole.len() / 2]).await;
    let (ended, _offset) = ended.split_once(" (at offset ").expect("an offset");
    assert_snapshot!(ended, @r#"
    exit code 65
    remuda: cannot serve [sandbox]/app.wasm: it is damaged: unexpected end-of-file
    "#);
}

#[tokio::test]
async fn a_damaged_component_is_refused() {
    let mut bytes = fs::read(guests::HELLO.path()).expect("a component");
    // Right after what says that it is a component.
    for byte in &mut bytes[8..64] {
        *byte ^= 0xff;
    }
    let ended = serve(bytes).await;
    assert!(
        ended.starts_with("exit code 65\nremuda: cannot serve [sandbox]/app.wasm: "),
        "{ended}"
    );
}

#[tokio::test]
async fn a_missing_component_is_refused() {
    let command =
        "serve missing.wasm --bind 127.0.0.1:0 --admin off --cache cache --log-level error";
    assert_snapshot!(Cli::remuda(command).run().await, @r#"
    exit code 65
    remuda: failed to read component [sandbox]/missing.wasm: No such file or directory (os error 2)
    "#);
}

#[tokio::test]
async fn a_cache_that_others_can_write_is_refused() {
    let serve = Cli::remuda("serve --bind 127.0.0.1:0 --admin off --cache cache --log-level error");
    let mut serve = serve.arg(guests::HELLO.path()).file("cache/keep", "");
    let mode = fs::Permissions::from_mode(0o777);
    fs::set_permissions(serve.path("cache"), mode).expect("a folder of ours");
    assert_snapshot!(serve.run().await, @r#"
    exit code 78
    remuda: failed to use the cache folder [sandbox]/cache: [sandbox]/cache can be written by others (mode 777), so its code cannot be trusted; choose another with --cache
    "#);
}

#[tokio::test]
async fn an_address_in_use_is_refused() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let command = Cli::remuda("serve --admin off --log-level error --bind").arg(&address);
    let ended = command.arg(guests::HELLO.path()).run().await.to_string();
    assert_snapshot!(ended.replace(&address, "[address]"), @r#"
    exit code 69
    remuda: failed to bind [address]: address in use; stop what listens there or choose another address with --bind
    "#);
}

#[tokio::test]
async fn an_artifact_that_was_damaged_is_not_run() {
    let mut compile = Cli::remuda("compile app.wasm --cache cache --json");
    compile = compile.file("app.wasm", fs::read(guests::HELLO.path()).expect("a component"));
    let report: serde_json::Value =
        serde_json::from_str(&compile.run().await.succeeded()).expect("JSON");
    assert_eq!(report["cached"], false);
    assert!(compile.run().await.succeeded().contains(r#""cached":true"#));

    let entries = fs::read_dir(compile.path("cache")).expect("the cache");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let is_code = |path: &std::path::PathBuf| path.extension().is_some_and(|name| name == "cwasm");
    let artifact = paths.into_iter().find(is_code).expect("an artifact");
    let mut code = fs::read(&artifact).expect("code");
    let middle = code.len() / 2;
    code[middle..middle + 2000].fill(0xcc);
    fs::write(&artifact, code).expect("damaged");
    assert!(compile.run().await.succeeded().contains(r#""cached":false"#));
    assert!(compile.run().await.succeeded().contains(r#""cached":true"#));
}
