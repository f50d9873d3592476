//! A guest as a folder of guests/, before anything of it is built.
//!
//! Owns the rules that make a folder a guest, and what its component will be called.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use remuda_project::toolchain::Package;

/// A folder of guests/.
pub(crate) struct Guest {
    folder: PathBuf,
    name: String,
    language: Language,
}

/// What a guest is written in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    Rust,
    JavaScript,
    Python,
    C,
}

/// A file that makes a folder a guest.
const MANIFESTS: [(&str, Language); 4] = [
    ("Cargo.toml", Language::Rust),
    ("package.json", Language::JavaScript),
    ("app.py", Language::Python),
    ("app.c", Language::C),
];

impl Guest {
    /// All guests in a folder: every folder with a manifest is one. In alphabetical order.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub(crate) fn all(guests: &Path) -> Result<Vec<Self>> {
        let failed = || format!("failed to read {}", guests.display());
        let mut all = Vec::new();
        for entry in fs::read_dir(guests).with_context(failed)? {
            let folder = entry.with_context(failed)?.path();
            let manifest = MANIFESTS.iter().find(|(manifest, _)| folder.join(manifest).exists());
            if let Some((_, language)) = manifest {
                let name = folder.file_name().unwrap_or_default().display().to_string();
                all.push(Self { folder, name, language: *language });
            }
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// Its folder's name, which is its package's name too.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn language(&self) -> Language {
        self.language
    }

    /// Whether it is a member of the guests' workspace.
    pub(crate) fn is_rust(&self) -> bool {
        self.language == Language::Rust
    }

    /// Whether an interpreter is in it, which takes a while to compile.
    pub(crate) fn is_large(&self) -> bool {
        matches!(self.language, Language::JavaScript | Language::Python)
    }

    /// What cargo is told of it.
    pub(crate) fn package(&self) -> Package {
        Package { name: self.name.clone(), is_program: self.is_program() }
    }

    /// A core module that its component gets besides its own, if there is one.
    pub(crate) fn extra(&self) -> Option<PathBuf> {
        Some(self.folder.join("extra.wat")).filter(|file| file.exists())
    }

    /// Whether it is a program with a `main`, not a library of handlers.
    fn is_program(&self) -> bool {
        self.folder.join("src/main.rs").exists()
    }

    /// Whether it is written with the SDK.
    pub(crate) fn uses_sdk(&self) -> bool {
        let manifest = fs::read_to_string(self.folder.join("Cargo.toml"));
        manifest.is_ok_and(|manifest| manifest.contains("remuda-sdk"))
    }

    /// The file that cargo makes of it. Cargo keeps the name of a program, and writes that of a
    /// library with underscores.
    pub(crate) fn built_name(&self) -> String {
        if self.is_program() { self.public_name() } else { self.public_name().replace('-', "_") }
    }

    /// The file that it is served from.
    pub(crate) fn public_name(&self) -> String {
        format!("{}.wasm", self.name)
    }
}
