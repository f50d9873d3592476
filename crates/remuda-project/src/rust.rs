//! Rust: cargo builds the package of the folder.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    Error, process,
    toolchain::{Install, Package, Toolchain},
};

/// The package's name, as its manifest says it.
pub(crate) fn name(folder: &Path) -> Result<String, Error> {
    let path = folder.join("Cargo.toml");
    let manifest = fs::read_to_string(&path).map_err(Error::read(&path))?;
    let package = manifest.lines().skip_while(|line| line.trim() != "[package]").skip(1);
    let mut package = package.take_while(|line| !line.trim_start().starts_with('['));
    let name = package.find_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == "name").then_some(value)?.split('"').nth(1)
    });
    let expected = "its [package] needs a name; a workspace is built a package at a time";
    name.map(str::to_owned).ok_or(Error::NoName { path, expected })
}

/// The file that cargo made.
pub(crate) fn build(folder: &Path) -> Result<PathBuf, Error> {
    let toolchain = Toolchain::provision(Install::OfTheUser)?;
    let is_program = folder.join("src/main.rs").exists();
    let package = Package { name: name(folder)?, is_program };
    let mut cargo = toolchain.cargo(std::slice::from_ref(&package));
    // Compiler messages go to the terminal as ever, what was made comes back as JSON.
    cargo.current_dir(folder).arg("--message-format=json-render-diagnostics");
    let messages = process::output(&mut cargo)?;
    let made = messages.lines().filter_map(|line| component(line, &package.name)).next_back();
    made.ok_or_else(|| Error::NoComponent {
        folder: folder.to_owned(),
        reason: "the package made no component; its Cargo.toml needs `crate-type = [\"cdylib\"]` \
                 in [lib]"
            .to_owned(),
    })
}

/// The component that a line of cargo's tells of, if it tells of one.
fn component(line: &str, package: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(line).ok()?;
    let target = message.get("target")?["name"].as_str()?;
    if message["reason"] != "compiler-artifact"
        || target.replace('_', "-") != package.replace('_', "-")
    {
        return None;
    }
    let mut files = message["filenames"].as_array()?.iter().filter_map(|file| file.as_str());
    files.find(|file| file.ends_with(".wasm")).map(PathBuf::from)
}
