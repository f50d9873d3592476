//! Compilation of one component, done in a process of its own.
//!
//! Purpose: keep Cranelift's memory and time out of supervisor and workers, and find
//! out everything that can be wrong with a component before any worker sees it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use remuda_config::Needs;

use super::{Cache, Interfaces, Unusable, cache::verify, needs};
use crate::{
    capacity::{Capacity, Shape},
    host, settings, sys,
};

/// A component that is ready to be served.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The cache entry that workers map.
    pub artifact: PathBuf,
    pub interfaces: Interfaces,
    /// What an instance needs before it does anything.
    pub needs: Needs,
    /// Whether the entry was there already.
    pub cached: bool,
}

/// Why a component could not be made ready.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    #[error("failed to read component {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot serve {}: {reason}", path.display())]
    Unusable { path: PathBuf, reason: Unusable },
    #[error("failed to compile {}: {message}", path.display())]
    Compile { path: PathBuf, message: String },
    #[error("cannot serve {}: {message}", path.display())]
    Link { path: PathBuf, message: String },
    #[error("failed to use the cache folder {}: {source}; choose another with --cache", path.display())]
    Cache { path: PathBuf, source: io::Error },
}

/// Compiles the component at `path` into the cache at `cache_folder`, unless it is there
/// already, and checks that it can be served.
///
/// # Errors
/// When the file is no servable component or the cache cannot be used.
pub fn compile(path: &Path, cache_folder: &Path) -> Result<Compiled, CompileError> {
    let bytes =
        read_file(path).map_err(|source| CompileError::Read { path: path.to_owned(), source })?;
    let interfaces = Interfaces::read(&bytes)
        .map_err(|reason| CompileError::Unusable { path: path.to_owned(), reason })?;
    let needs = needs::read(&bytes).map_err(|error| CompileError::Unusable {
        path: path.to_owned(),
        reason: Unusable::Malformed(error.to_string()),
    })?;
    let cache_error = |source| CompileError::Cache { path: cache_folder.to_owned(), source };
    let compile_error = |error: wasmtime::Error| CompileError::Compile {
        path: path.to_owned(),
        message: format!("{error:#}"),
    };

    let cache = Cache::open(cache_folder).map_err(cache_error)?;
    let kind = settings::EngineKind::of(&interfaces);
    let engine = wasmtime::Engine::new(&settings::compiling(kind)).map_err(compile_error)?;
    let artifact = cache.entry(&engine, kind, Shape::of(&needs), &bytes);
    let link = |component| {
        host::check_imports(&engine, kind, &component).map_err(|error| CompileError::Link {
            path: path.to_owned(),
            message: format!("{error:#}"),
        })
    };
    if verify(&artifact).is_ok()
        && let Ok(component) = sys::map_artifact(&engine, &artifact)
    {
        link(component)?;
        return Ok(Compiled { artifact, interfaces, needs, cached: true });
    }
    let code = engine.precompile_component(&bytes).map_err(compile_error)?;
    cache.store(&artifact, &code).map_err(cache_error)?;
    // A pool of one refuses what no pool of a worker would take.
    let pool = settings::serving(kind, Capacity::for_one(&needs));
    let component = wasmtime::Engine::new(&pool)
        .and_then(|engine| sys::map_artifact(&engine, &artifact))
        .map_err(|error| CompileError::Link {
            path: path.to_owned(),
            message: format!("{error:#}"),
        })?;
    drop(component);
    link(sys::map_artifact(&engine, &artifact).map_err(compile_error)?)?;
    Ok(Compiled { artifact, interfaces, needs, cached: false })
}

/// Reads a regular file: anything else may have no end, or no beginning.
fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    fs::read(path)
}
