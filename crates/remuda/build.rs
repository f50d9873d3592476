//! Makes the SDK part of the executable, so that `remuda new` can write it into a project.
//!
//! Owner: `crates/remuda-sdk` and `crates/remuda-sdk-macros`, whose files are taken as they are.
//! Invariant: all that it takes to build them is written, and nothing else.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

const CRATES: [&str; 2] = ["remuda-sdk", "remuda-sdk-macros"];

/// Of no use to whoever depends on a crate.
const LEFT_OUT: [&str; 4] = ["tests", "benches", "examples", "target"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let own = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let crates = own.parent().ok_or("failed to find the folder of all crates")?;
    let mut list = String::from("&[");
    for name in CRATES {
        let folder = crates.join(name);
        println!("cargo::rerun-if-changed={}", folder.display());
        for file in files(&folder)? {
            let path = file.strip_prefix(crates)?;
            list += &format!("({path:?}, include_str!({file:?})),\n");
        }
    }
    list.push(']');
    fs::write(Path::new(&env::var("OUT_DIR")?).join("sdk.rs"), list)?;
    Ok(())
}

/// All files of a crate.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            if !LEFT_OUT.iter().any(|name| entry.file_name() == *name) {
                found.extend(files(&entry.path())?);
            }
        } else {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}
