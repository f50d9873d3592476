//! A wrong configuration is refused before anything starts, with what to do about it.

use insta::assert_snapshot;
use remuda_tests::{Cli, cli::squeezed, guests};

/// `remuda serve hello.wasm` with these arguments: how it ends.
async fn serve(arguments: &str) -> String {
    let mut command = Cli::remuda("serve").arg(guests::HELLO.path());
    for argument in arguments.split_whitespace() {
        command = command.arg(argument);
    }
    command.run().await.to_string()
}

/// `remuda serve` with this `remuda.toml`: how it ends.
async fn serve_file(toml: &str) -> String {
    Cli::remuda("serve").file("remuda.toml", toml).run().await.to_string()
}

/// The rest of a file that would be served.
const ROUTE: &str = "[[route]]\ncomponent = \"hello.wasm\"\n";

#[tokio::test]
async fn an_unknown_key_is_refused_with_the_nearest_one() {
    assert_snapshot!(serve_file(&format!("[workers]\ncont = 2\n\n{ROUTE}")).await, @r#"
    exit code 78
    remuda: remuda.toml:2: workers.cont: unknown key; did you mean "workers.count"?
    "#);
    assert_snapshot!(serve_file(&format!("[worker]\ncount = 2\n\n{ROUTE}")).await, @r#"
    exit code 78
    remuda: remuda.toml:1: worker: unknown key; did you mean "workers"?
    "#);
    assert_snapshot!(serve_file(&format!("{ROUTE}pth = \"/\"\n")).await, @r#"
    exit code 78
    remuda: remuda.toml:3: route[0].pth: unknown key; did you mean "path"?
    "#);
}

#[tokio::test]
async fn a_bad_value_is_refused() {
    assert_snapshot!(serve("--workers many").await, @r#"
    exit code 78
    remuda: --workers: expected a number or "auto", got "many"; try --workers 4
    "#);
    assert_snapshot!(serve("--request-timeout 0s").await, @r#"
    exit code 78
    remuda: --request-timeout: must be at least 1ms, got 0s; try --request-timeout 30s
    "#);
    assert_snapshot!(serve("--limit-memory 12parsecs").await, @r#"
    exit code 78
    remuda: --limit-memory: expected a size such as "64KiB" or "128MiB", got "12parsecs"; try --limit-memory 128MiB
    "#);
    assert_snapshot!(serve("--bind 127.0.0.1").await, @r#"
    exit code 78
    remuda: --bind: has no port; try 127.0.0.1:8000
    "#);
    assert_snapshot!(serve("--outbound-allow http://a/b").await, @r#"
    exit code 78
    remuda: --outbound-allow: an origin has no path and no query; try http://a
    "#);
    assert_snapshot!(serve("--env NAME").await, @r#"
    exit code 78
    remuda: --env: expected NAME=VALUE; try --env NAME=VALUE
    "#);
    assert_snapshot!(serve("--workers 1 --workers 2").await, @r#"
    exit code 78
    remuda: --workers: is given 2 times; give it once
    "#);
}

#[tokio::test]
async fn all_mistakes_are_named_at_once() {
    let toml = format!("bind = 8000\n[limits]\nqueue = -1\n[htttp]\nmax_body = \"1MiB\"\n{ROUTE}");
    assert_snapshot!(serve_file(&toml).await, @r#"
    exit code 78
    remuda: remuda.toml:1: bind: "8000" is not a host name; try bind = ["127.0.0.1:8000"]
    remuda: remuda.toml:3: limits.queue: must be a whole number from 0 to 1000000, got -1; try queue = 1000
    remuda: remuda.toml:4: htttp: unknown key; did you mean "http"?
    "#);
}

#[tokio::test]
async fn an_unknown_variable_is_refused() {
    let serve = |name, value| Cli::remuda("serve").arg(guests::HELLO.path()).env(name, value);
    assert_snapshot!(serve("REMUDA_WORKERS__CONT", "2").run().await, @r#"
    exit code 78
    remuda: REMUDA_WORKERS__CONT: unknown variable; did you mean "REMUDA_WORKERS__COUNT"?
    "#);
    assert_snapshot!(serve("REMUDA_WORKERS__COUNT", "many").run().await, @r#"
    exit code 78
    remuda: REMUDA_WORKERS__COUNT: expected a number or "auto", got "many"; try REMUDA_WORKERS__COUNT=4
    "#);
}

#[tokio::test]
async fn a_missing_file_is_refused() {
    assert_snapshot!(Cli::remuda("serve --config missing.toml").run().await, @r#"
    exit code 78
    remuda: failed to read missing.toml: No such file or directory (os error 2)
    "#);
}

#[tokio::test]
async fn a_file_that_is_no_toml_is_refused() {
    assert_snapshot!(serve_file("workers = [").await, @r#"
    exit code 78
    remuda: remuda.toml:1: not valid TOML: unclosed array, expected `]`; correct the syntax
    "#);
}

#[tokio::test]
async fn nothing_to_serve_is_refused() {
    assert_snapshot!(Cli::remuda("serve").run().await, @r#"
    exit code 78
    remuda: route: nothing to serve; start with remuda serve COMPONENT, or write a remuda.toml
    "#);
    assert_snapshot!(serve_file("[workers]\ncount = 1\n").await, @r#"
    exit code 78
    remuda: route: nothing to serve; add a [[route]] to remuda.toml
    "#);
}

#[tokio::test]
async fn a_component_beside_routes_is_refused() {
    let serve = Cli::remuda("serve hello.wasm --config remuda.toml");
    assert_snapshot!(serve.file("remuda.toml", ROUTE).run().await, @r#"
    exit code 78
    remuda: COMPONENT: there are routes already, from remuda.toml:1 on; leave COMPONENT out, or remove the routes
    "#);
}

#[tokio::test]
async fn two_routes_for_the_same_place_are_refused() {
    assert_snapshot!(serve_file(&format!("{ROUTE}\n{ROUTE}")).await, @r#"
    exit code 78
    remuda: remuda.toml:4: route[1].path: / on every host is taken by remuda.toml:1; change the path or the host
    "#);
}

#[tokio::test]
async fn a_wrong_command_line_is_refused() {
    assert_snapshot!(serve("--wrkers 2").await, @r#"
    exit code 64
    error: unexpected argument '--wrkers' found

      tip: a similar argument exists: '--workers'

    Usage: remuda serve --workers <NUMBER> <COMPONENT>

    For more information, try '--help'.
    "#);
    assert_snapshot!(Cli::remuda("sevre").run().await, @r#"
    exit code 64
    error: unrecognized subcommand 'sevre'

      tip: a similar subcommand exists: 'serve'

    Usage: remuda <COMMAND>

    For more information, try '--help'.
    "#);
    assert_snapshot!(Cli::remuda("compile").run().await, @r#"
    exit code 64
    error: the following required arguments were not provided:
      <COMPONENT>

    Usage: remuda compile <COMPONENT>

    For more information, try '--help'.
    "#);
}

#[tokio::test]
async fn the_command_line_goes_over_the_environment_over_the_file_over_the_default() {
    let toml = format!("[limits]\nqueue = 1\nconcurrency = 1\nqueue_timeout = \"1s\"\n{ROUTE}");
    let hello = std::fs::read(guests::HELLO.path()).expect("a component");
    let check = Cli::remuda("check --limit-concurrency 3 --cache cache");
    let check = check.file("remuda.toml", toml).file("hello.wasm", hello);
    let mut check = check.env("REMUDA_LIMITS__CONCURRENCY", "2").env("REMUDA_LIMITS__QUEUE", "2");
    let report = check.run().await.succeeded();
    let limits = report.lines().filter(|line| line.starts_with("  limits.")).take(4);
    assert_snapshot!(squeezed(&limits.collect::<Vec<_>>().join("\n")), @r#"
    limits.concurrency  3  --limit-concurrency
    limits.queue  2  REMUDA_LIMITS__QUEUE
    limits.queue_timeout  1s  remuda.toml:4
    limits.request_timeout  30s  default
    "#);
}

#[tokio::test]
async fn a_folder_that_cannot_be_mounted_is_refused() {
    let check = || Cli::remuda("check app.wasm").file("app.wasm", "").file("file", "");
    let missing = check().arg("--mount").arg("missing:/x").run().await;
    assert_snapshot!(missing, @r#"
    exit code 78
    remuda: failed to mount [sandbox]/missing for route /: No such file or directory (os error 2)
    "#);
    let file = check().arg("--mount").arg("file:/x").run().await;
    assert_snapshot!(file, @r#"
    exit code 78
    remuda: failed to mount [sandbox]/file for route /: it is not a folder
    "#);
}
