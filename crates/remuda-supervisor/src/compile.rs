//! Compiling every component before anyone is told "ready".
//!
//! Owner: a task of the [loop](crate::run), for each configuration that is to be served.
//! Invariant: the compiler is a child that ends with this process, so that wasmtime never
//! enters the supervisor's memory; dropping the future ends it. A component is blamed only
//! when the compiler blames it, with exit code 65, and the cache folder only with 78.

mod child;

use std::{
    collections::HashMap,
    io::{self, Write},
    path::{Path, PathBuf},
    time::Instant,
};

use child::{Child, Finished};
use remuda_config::{Config, Needs};
use serde::Deserialize;

use crate::{Program, SupervisorError, helpers::Helpers, reap::Exit};

/// What the compiler prints on its standard output; it may print more.
#[derive(Debug, Deserialize)]
struct Report {
    artifact: PathBuf,
    /// It was there before.
    #[serde(default)]
    cached: bool,
    /// What an instance needs before it does anything, if the compiler knows.
    #[serde(default)]
    needs: Needs,
    /// The export that decides how the component is run.
    handler: Option<String>,
}

/// The compiled component of each route; what the cache has is not compiled again.
///
/// # Errors
/// When a component is unusable or the compiler fails.
pub(crate) async fn compile_all(
    program: &Program,
    config: &Config,
    helpers: &Helpers,
) -> Result<Vec<PathBuf>, SupervisorError> {
    let mut compiled: HashMap<&Path, (PathBuf, Needs)> = HashMap::new();
    let mut artifacts = Vec::new();
    for route in &config.routes {
        let component = route.component.as_path();
        if !compiled.contains_key(component) {
            let report = compile(program, &config.cache, component, helpers).await?;
            compiled.insert(component, (report.artifact, report.needs));
        }
        let (artifact, needs) = &compiled[component];
        needs
            .fit(config, route)
            .map_err(|unfit| SupervisorError::Component { message: unfit.to_string() })?;
        artifacts.push(artifact.clone());
    }
    Ok(artifacts)
}

async fn compile(
    program: &Program,
    cache: &Path,
    component: &Path,
    helpers: &Helpers,
) -> Result<Report, SupervisorError> {
    let broken =
        |reason: String| SupervisorError::Compiler { component: component.to_owned(), reason };
    let started = Instant::now();
    let child = Child::start(program, cache, component, helpers);
    let child = child.map_err(|error| broken(error.to_string()))?;
    let finished = child.finish().await.map_err(|error| broken(error.to_string()))?;
    let Finished { exit, stdout, stderr } = finished;

    if exit != Exit::Code(0) {
        let (lines, message) = split_failure(&stderr);
        pass_on(&lines);
        return Err(match exit {
            Exit::Code(65) if !message.is_empty() => SupervisorError::Component { message },
            Exit::Code(78) if !message.is_empty() => SupervisorError::Cache { message },
            _ if message.is_empty() => broken(exit.to_string()),
            _ => broken(format!("{message} ({exit})")),
        });
    }
    pass_on(&stderr);
    let report: Report = serde_json::from_slice(&stdout)
        .map_err(|error| broken(format!("the compiler's answer is unreadable: {error}")))?;
    tracing::info!(
        component = %component.display(),
        elapsed_ms = started.elapsed().as_millis() as u64,
        cached = report.cached,
        handler = report.handler,
        "compiled"
    );
    Ok(report)
}

/// Parts what a failed compiler wrote into its log lines and the failure: the lines that
/// begin with `remuda: `, or everything if there are none.
fn split_failure(stderr: &str) -> (String, String) {
    const MARK: &str = "remuda: ";
    let (failure, log): (Vec<_>, Vec<_>) = stderr.lines().partition(|line| line.starts_with(MARK));
    if failure.is_empty() {
        return (String::new(), stderr.trim().to_owned());
    }
    let failure: Vec<_> = failure.iter().map(|line| line.trim_start_matches(MARK)).collect();
    (log.iter().map(|line| format!("{line}\n")).collect(), failure.join("\n"))
}

/// The compiler's log lines go where ours go, as they are.
fn pass_on(lines: &str) {
    // There is no one left to tell when standard error is closed.
    let _ = io::stderr().write_all(lines.as_bytes());
}

#[cfg(test)]
mod tests;
