//! The compiler is a shell script here.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, sync::PoisonError, time::Duration};

use tokio::time::sleep;

use super::*;
use crate::{
    reap::{ONE_REAPS, reap},
    signals::Signals,
};

#[path = "../../tests/support/config.rs"]
mod support;

/// What `compile_all` makes of these components when the compiler does `script`, and
/// which of them it was run for.
fn compile_with(
    script: &str,
    components: &[&str],
) -> (Result<Vec<PathBuf>, SupervisorError>, Vec<String>) {
    let _alone = ONE_REAPS.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().expect("a folder");
    let executable = folder.path().join("remuda");
    let runs = folder.path().join("runs");
    let script = format!("#!/bin/sh\necho \"$*\" >> {}\n{script}\n", runs.display());
    fs::write(&executable, script).expect("a script");
    fs::set_permissions(&executable, PermissionsExt::from_mode(0o755)).expect("executable");

    let mut config = support::config(Path::new("unused"), Path::new("/cache"));
    let route = config.routes.remove(0);
    for component in components {
        config
            .routes
            .push(remuda_config::Route { component: PathBuf::from(component), ..route.clone() });
    }
    let environment = vec![("GREETING".to_owned(), "hello".to_owned())];
    let program = Program { executable, environment };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let result = runtime.block_on(async {
        let mut signals = Signals::listen().expect("signals");
        let helpers = Helpers::default();
        let reaping = async {
            loop {
                signals.next().await;
                for (pid, exit) in reap() {
                    helpers.reaped(pid, exit);
                }
            }
        };
        tokio::select! {
            result = compile_all(&program, &config, &helpers) => result,
            () = reaping => unreachable!("it never ends"),
            () = sleep(Duration::from_secs(60)) => panic!("waited in vain for an end"),
        }
    });
    let runs = fs::read_to_string(&runs).unwrap_or_default();
    (result, runs.lines().map(str::to_owned).collect())
}

fn failure(script: &str) -> SupervisorError {
    compile_with(script, &["a.wasm"]).0.expect_err("a failure")
}

#[test]
fn each_distinct_component_is_compiled_once_and_each_route_gets_its_artifact() {
    let script = r#"echo "{\"artifact\": \"/cache/$(basename "$6").cwasm\", \"cached\": true, \"more\": 1}""#;
    let (artifacts, runs) = compile_with(script, &["a.wasm", "b.wasm", "a.wasm"]);
    let expected =
        ["/cache/a.wasm.cwasm", "/cache/b.wasm.cwasm", "/cache/a.wasm.cwasm"].map(PathBuf::from);
    assert_eq!(artifacts.expect("compiled"), expected);
    assert_eq!(
        runs,
        [
            "compile --json --supervised --cache /cache a.wasm",
            "compile --json --supervised --cache /cache b.wasm"
        ]
    );
}

#[test]
fn the_environment_is_handed_on() {
    let (artifacts, _) = compile_with(r#"echo "{\"artifact\": \"$GREETING\"}""#, &["a.wasm"]);
    assert_eq!(artifacts.expect("compiled"), [PathBuf::from("hello")]);
}

#[test]
fn an_unusable_component_is_told_in_the_compilers_words() {
    let error =
        failure("echo 'a log line' >&2; echo 'remuda: a.wasm exports nothing' >&2; exit 65");
    assert_eq!(error.to_string(), "a.wasm exports nothing");
    assert_eq!(error.exit_code(), 65);
}

#[test]
fn an_unusable_cache_is_told_in_the_compilers_words() {
    let error = failure("echo 'remuda: failed to write to /cache' >&2; exit 78");
    assert_eq!(error.to_string(), "failed to write to /cache");
    assert_eq!(error.exit_code(), 78);
}

#[test]
fn a_compiler_that_dies_does_not_blame_the_component() {
    let error = failure("kill -9 $$");
    assert_eq!(error.to_string(), "failed to compile a.wasm: killed by SIGKILL");
    assert_eq!(error.exit_code(), 70);
    let error = failure("echo 'no space left' >&2; exit 1");
    assert_eq!(error.to_string(), "failed to compile a.wasm: no space left (exited with code 1)");
}

#[test]
fn an_unreadable_answer_and_a_missing_executable_are_errors() {
    let error = failure("echo nonsense");
    assert!(error.to_string().contains("the compiler's answer is unreadable"), "{error}");
    let error = failure("exec 2>&1; echo '{}'");
    assert!(error.to_string().contains("artifact"), "{error}");
}

#[test]
fn a_compiler_that_writes_a_lot_is_not_held_up() {
    let script = "head -c 2000000 /dev/zero; head -c 2000000 /dev/zero >&2; exit 65";
    assert!(matches!(failure(script), SupervisorError::Component { .. }));
}

#[test]
fn a_failure_is_the_lines_that_name_the_program() {
    let cases = [
        ("", ("", "")),
        ("boom\n", ("", "boom")),
        ("remuda: boom\n", ("", "boom")),
        ("a line\nremuda: boom\nremuda: because\nmore\n", ("a line\nmore\n", "boom\nbecause")),
    ];
    for (stderr, (log, failure)) in cases {
        assert_eq!(split_failure(stderr), (log.to_owned(), failure.to_owned()), "{stderr:?}");
    }
}
