//! `remuda compile`: a component into the cache, in this process.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use remuda_engine::component::{CompileError, Compiled, compile};
use rustix::process::{Signal, set_parent_process_death_signal};

use crate::{
    cli::{CompileArgs, ServeArgs},
    configuration,
    exit::{Exit, Failure},
};

pub(crate) fn run(args: &CompileArgs) -> Result<(), Failure> {
    if args.supervised {
        die_with_parent();
    }
    let cache = match &args.cache {
        Some(folder) => folder.clone(),
        None => default_cache(&args.component)?,
    };
    let started = Instant::now();
    let compiled = compile(&args.component, &cache).map_err(failure)?;
    let report =
        if args.json { json(&compiled) } else { text(&args.component, &compiled, started) };
    super::describe::print(&format!("{report}\n"))
}

/// A wrong component is not the same as a wrong machine.
pub(crate) fn failure(error: CompileError) -> Failure {
    let exit = match error {
        CompileError::Cache { .. } => Exit::Configuration,
        _ => Exit::Component,
    };
    Failure::new(exit, error.to_string())
}

fn json(compiled: &Compiled) -> String {
    serde_json::json!({
        "artifact": compiled.artifact,
        "cached": compiled.cached,
        "handler": compiled.interfaces.handler.to_string(),
        "imports": compiled.interfaces.imports,
        "exports": compiled.interfaces.exports,
        "needs": compiled.needs,
    })
    .to_string()
}

fn text(component: &Path, compiled: &Compiled, started: Instant) -> String {
    let (component, artifact) = (component.display(), compiled.artifact.display());
    if compiled.cached {
        format!("{component} is in the cache already: {artifact}")
    } else {
        format!("compiled {component} in {:.1?}: {artifact}", started.elapsed())
    }
}

/// The folder that `remuda serve COMPONENT` would use.
fn default_cache(component: &Path) -> Result<PathBuf, Failure> {
    let args = ServeArgs { component: Some(component.to_owned()), ..ServeArgs::default() };
    Ok(configuration::load(args)?.config.cache)
}

/// A supervisor that is killed leaves no compiler behind.
fn die_with_parent() {
    // Without it the compiler ends when it has finished, which is soon enough.
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
}
