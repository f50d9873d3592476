//! `remuda new`: a project that builds and serves.
//!
//! Purpose: what the templates of this executable hold, written to a folder of its own. Owner:
//! whoever ran it, from then on. Invariant: nothing that is there already is touched, and nothing
//! is written when something stands in the way.

mod templates;

use std::{
    fs, io,
    path::{Component, Path, PathBuf},
};

use super::describe::print;
use crate::{
    cli::{NewArgs, Template},
    exit::{Exit, Failure},
};

pub(crate) fn run(args: &NewArgs) -> Result<(), Failure> {
    let folder = &args.folder;
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    check_name(name).map_err(|problem| {
        let message = format!("failed to name a project {}: {problem}", folder.display());
        Failure::new(Exit::Usage, message)
    })?;
    // `a/../b` is `b`, also where there is no `a`, which is not made on the way either.
    let folder = &without_detours(folder);
    check_place(folder)?;
    for (path, text) in templates::files(args.template, name) {
        let path = folder.join(&*path);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent).and_then(|()| fs::write(&path, &*text)).map_err(|error| {
            let message = format!("failed to write {}: {error}", path.display());
            Failure::new(Exit::Usage, message)
        })?;
    }
    print(&next(folder, name, args.template))
}

/// What to do next.
fn next(folder: &Path, name: &str, template: Template) -> String {
    let language = match template {
        Template::Rust => "Rust",
        Template::Python => "Python",
        Template::Js => "JavaScript",
    };
    let folder = folder.display();
    format!(
        "wrote {folder}, a handler in {language}; next:\n\n  \
         cd {folder}\n  \
         remuda dev      # builds, serves on http://127.0.0.1:8000, follows your changes\n\n\
         and for production:\n\n  \
         remuda build    # makes target/{name}.wasm\n  \
         remuda serve    # serves it as remuda.toml says\n"
    )
}

/// Names that mean something else to a compiler or an interpreter.
const TAKEN: [&str; 16] = [
    "alloc",
    "app",
    "build",
    "core",
    "crate",
    "handler",
    "proc-macro",
    "remuda-sdk",
    "remuda-sdk-macros",
    "self",
    "std",
    "super",
    "target",
    "test",
    "web",
    "wit-world",
];

/// A name that Cargo, npm and Python all take.
fn check_name(name: &str) -> Result<(), String> {
    let rule =
        "take lower-case letters, digits and single hyphens, a letter first, such as my-shop";
    let is_part = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    if name.len() > 64 {
        Err("it has more than 64 letters".to_owned())
    } else if !name.starts_with(|first: char| first.is_ascii_lowercase())
        || !name.split('-').all(is_part)
    {
        Err(rule.to_owned())
    } else if TAKEN.contains(&name) {
        Err(format!("{name} means something else to compilers; choose another name"))
    } else {
        Ok(())
    }
}

/// The same path without a folder that `..` leaves again, if there is no such folder.
fn without_detours(folder: &Path) -> PathBuf {
    let mut path = PathBuf::new();
    for part in folder.components() {
        if part == Component::ParentDir
            && matches!(path.components().next_back(), Some(Component::Normal(_)))
            && !path.exists()
        {
            path.pop();
        } else {
            path.push(part);
        }
    }
    path
}

/// A folder that is not there, or has nothing in it.
fn check_place(folder: &Path) -> Result<(), Failure> {
    let problem = match fs::read_dir(folder) {
        Ok(mut entries) => match entries.next() {
            None => return Ok(()),
            Some(_) => "there is something in it already; choose another name".to_owned(),
        },
        // Of a link that leads nowhere one cannot say whether it is meant.
        Err(error) if error.kind() == io::ErrorKind::NotFound && folder.is_symlink() => {
            "it is a link to what is not there; remove it or choose another name".to_owned()
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            "it is a file; choose another name".to_owned()
        }
        Err(error) => error.to_string(),
    };
    let message = format!("failed to make a project in {}: {problem}", folder.display());
    Err(Failure::new(Exit::Usage, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_all_languages_take() {
        for name in ["a", "my-shop", "shop2", "api-v2"] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        let long = "a".repeat(65);
        for name in [
            "",
            "My-Shop",
            "2shop",
            "-a",
            "a-",
            "a--b",
            "a_b",
            "a b",
            "é",
            ".",
            "..",
            "std",
            "test",
            "remuda-sdk",
            "remuda-sdk-macros",
            &long,
        ] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
