//! Guests in C: Debian's clang and wasi-libc, linked to a component by Rust's own linkers.
//!
//! Owns the bindings, which are made of the guest's WIT when it is built and are nobody's sources.
//! Invariant: a guest in C is built with what its README tells its author to use.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use remuda_project::process::{output, run, succeeds};
use remuda_project::toolchain::linkers;
use wit_bindgen_core::Files;
use wit_bindgen_core::wit_parser::Resolve;

/// What Debian calls all that is needed.
pub(crate) const PACKAGES: [&str; 3] = ["clang", "wasi-libc", "libclang-rt-dev-wasm32"];

/// Whether there is a compiler with its two libraries.
pub(crate) fn is_ready() -> bool {
    let has_libc =
        succeeds(clang().args(["-include", "stdlib.h", "-fsyntax-only", "-x", "c", "-"]));
    has_libc
        && output(clang().args(["--rtlib=compiler-rt", "-print-libgcc-file-name"]))
            .is_ok_and(|builtins| Path::new(builtins.trim()).exists())
}

/// Builds all C in a folder into `component`.
///
/// # Errors
/// When the WIT is wrong, or the sources do not compile.
pub(crate) fn build(folder: &Path, component: &Path) -> Result<()> {
    let bindings = folder.join("target").join("bindings");
    let generated = generate(&folder.join("wit"), &bindings)
        .with_context(|| format!("failed to make bindings of {}", folder.join("wit").display()))?;
    let mut sources = Vec::new();
    for entry in fs::read_dir(folder)? {
        sources.push(entry?.path());
    }
    sources.retain(|path| path.extension().is_some_and(|it| it == "c"));
    sources.sort();
    let linkers = linkers()?;
    run(clang()
        .args(["-mexec-model=reactor", "-O2", "-s", "-Wall", "-Wextra", "-Werror"])
        .arg(format!("-fuse-ld={}", linkers.join("wasm-component-ld").display()))
        .arg(format!("-Wl,--wasm-ld-path={}", linkers.join("gcc-ld/wasm-ld").display()))
        .arg(format!("-I{}", bindings.display()))
        .args(sources)
        .args(generated)
        .arg("-o")
        .arg(component))?;
    Ok(())
}

fn clang() -> Command {
    let mut clang = Command::new("clang");
    clang.arg("--target=wasm32-wasi");
    clang
}

/// What `wit-bindgen c` makes of a folder with one world. Those that are to be compiled and linked.
fn generate(wit: &Path, bindings: &Path) -> Result<Vec<PathBuf>> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(wit)?;
    let world = resolve.select_world(&[package], None)?;
    let mut files = Files::default();
    wit_bindgen_c::Opts::default().build().generate(&mut resolve, world, &mut files)?;
    fs::create_dir_all(bindings)?;
    let mut generated = Vec::new();
    for (name, content) in files.iter() {
        let path = bindings.join(name);
        fs::write(&path, content)?;
        generated.push(path);
    }
    generated.retain(|path| path.extension().is_some_and(|it| it != "h"));
    Ok(generated)
}
