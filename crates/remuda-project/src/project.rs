//! A folder that can be built.

use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::{Error, javascript, process::step, publish, python, rust};

/// A handler's folder, before anything of it is built.
#[derive(Clone, Debug)]
pub struct Project {
    folder: PathBuf,
    kind: Kind,
    name: String,
}

/// What a project is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Rust,
    JavaScript,
    Python,
}

/// A component that has been built.
#[derive(Clone, Debug)]
pub struct Built {
    pub component: PathBuf,
    /// In bytes.
    pub size: u64,
    pub elapsed: Duration,
    /// Whether it is another one than before.
    pub changed: bool,
}

impl Project {
    /// Recognizes a project by its files. `folder` may be relative.
    ///
    /// # Errors
    /// When it is none, or its manifest has no name.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let folder = folder.canonicalize().map_err(Error::read(folder))?;
        let (kind, name) = if folder.join("Cargo.toml").is_file() {
            (Kind::Rust, rust::name(&folder)?)
        } else if folder.join("package.json").is_file() {
            (Kind::JavaScript, javascript::name(&folder)?)
        } else if folder.join("app.py").is_file() {
            let name = folder.file_name().unwrap_or_default().display().to_string();
            (Kind::Python, name)
        } else {
            return Err(Error::NoProject(folder));
        };
        Ok(Self { folder, kind, name })
    }

    /// Absolute.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What its manifest calls it; a Python project is called like its folder.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its component is put when nothing else is said.
    #[must_use]
    pub fn component(&self) -> PathBuf {
        self.folder.join("target").join(format!("{}.wasm", self.name))
    }

    /// Builds the component into `place`.
    ///
    /// # Errors
    /// When a tool is missing, or the sources do not build; what is at `place` stays then.
    pub fn build(&self, place: &Path) -> Result<Built, Error> {
        let started = Instant::now();
        let _alone = self.lock()?;
        let made = match self.kind {
            Kind::Rust => rust::build(&self.folder)?,
            Kind::JavaScript => javascript::build(&self.folder, &self.draft()?)?,
            Kind::Python => python::build(&self.folder, &self.draft()?)?,
        };
        let bytes = fs::read(&made).map_err(Error::read(&made))?;
        let changed = publish(&bytes, place)?;
        let (component, size) = (place.to_owned(), bytes.len() as u64);
        Ok(Built { component, size, elapsed: started.elapsed(), changed })
    }

    /// What only one build of the folder has at a time: two of `remuda dev` may work on it.
    fn lock(&self) -> Result<File, Error> {
        let path = self.scratch()?.join("lock");
        let file = File::create(&path).map_err(Error::write(&path))?;
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            step("waiting for another build of this folder");
        }
        file.lock().map_err(Error::write(&path))?;
        Ok(file)
    }

    /// Where builds keep what is of no use to others.
    fn scratch(&self) -> Result<PathBuf, Error> {
        let folder = self.folder.join("target").join("build");
        fs::create_dir_all(&folder).map_err(Error::write(&folder))?;
        Ok(folder)
    }

    /// A file that a tool writes to, and nobody reads meanwhile.
    fn draft(&self) -> Result<PathBuf, Error> {
        let draft = self.scratch()?.join("component.wasm");
        // Lest a tool that writes none passes for one that does.
        if draft.exists() {
            fs::remove_file(&draft).map_err(Error::write(&draft))?;
        }
        Ok(draft)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            fs::write(folder.path().join(name), text).expect("a file");
        }
        folder
    }

    #[test]
    fn a_folder_is_what_its_files_say() {
        for (file, text, kind, name) in [
            ("Cargo.toml", "[package]\nname = \"a-b\" # so\n", Kind::Rust, Some("a-b")),
            ("package.json", r#"{"name":"@me/shop"}"#, Kind::JavaScript, Some("shop")),
            ("app.py", "", Kind::Python, None),
        ] {
            let folder = folder(&[(file, text)]);
            let project = Project::open(folder.path()).expect(file);
            assert_eq!(project.kind(), kind);
            if let Some(name) = name {
                assert_eq!(project.name(), name);
                assert!(project.component().ends_with(format!("target/{name}.wasm")));
            }
        }
    }

    #[test]
    fn what_is_no_project_is_told_what_one_has() {
        let error = Project::open(folder(&[("main.c", "")]).path()).expect_err("none").to_string();
        for file in ["Cargo.toml", "package.json", "app.py", "remuda new"] {
            assert!(error.contains(file), "{error}");
        }
        let nameless = folder(&[("package.json", "{}")]);
        let error = Project::open(nameless.path()).expect_err("nameless").to_string();
        assert!(error.contains("package.json") && error.contains("\"name\""), "{error}");
    }

    #[test]
    fn one_build_of_a_folder_waits_for_another() {
        let folder = folder(&[("app.py", "")]);
        let project = Project::open(folder.path()).expect("a project");
        let first = project.lock().expect("a lock");
        let second = std::thread::spawn(move || project.lock().map(drop));
        // It would have had its lock by the time a third one asks, if it had not to wait.
        let path = folder.path().join("target/build/lock");
        assert!(File::open(path).expect("a file").try_lock().is_err());
        assert!(!second.is_finished());
        drop(first);
        second.join().expect("no panic").expect("a lock");
    }

    #[test]
    fn a_component_is_replaced_only_when_it_changed() {
        let folder = folder(&[]);
        let place = folder.path().join("target/a.wasm");
        assert!(publish(b"one", &place).expect("written"));
        assert!(!publish(b"one", &place).expect("there already"));
        assert!(publish(b"two", &place).expect("written"));
        assert_eq!(fs::read(&place).expect("a file"), b"two");
    }
}
