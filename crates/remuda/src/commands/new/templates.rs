//! The templates, which are part of the executable.
//!
//! Owner: `templates/` of this crate; Python and JavaScript are the guests of that name, so that
//! what is tested as a guest is what people get. Invariant: nothing in them but [`NAME`] depends on
//! the project.

use std::borrow::Cow;

use crate::cli::Template;

/// Stands for the project's name.
const NAME: &str = "NAME";

/// Files of every project.
const COMMON: [(&str, &str); 2] = [
    (".gitignore", include_str!("../../../templates/gitignore")),
    ("remuda.toml", include_str!("../../../templates/remuda.toml")),
];

const RUST: &[(&str, &str)] = &[
    ("Cargo.toml", include_str!("../../../templates/rust/Cargo.toml")),
    ("README.md", include_str!("../../../templates/rust/README.md")),
    ("src/lib.rs", include_str!("../../../templates/rust/lib.rs")),
];

/// The SDK of this very version, which a project in Rust has in its folder `vendor`.
const SDK: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/sdk.rs"));

/// Files of a guest, and what it is called.
macro_rules! guest {
    ($guest:literal: $($file:literal),+ $(,)?) => {
        ($guest, &[$(($file, include_str!(concat!("../../../../../guests/", $guest, "/", $file)))),+])
    };
}

type Guest = (&'static str, &'static [(&'static str, &'static str)]);

const PYTHON: Guest = guest!(
    "python-hello": "README.md", "app.py", "event_loop.py", "handler.py", "host.py",
    "requirements.txt", "test_app.py", "web.py", "wit/world.wit",
);

const JS: Guest = guest!(
    "js-hello": "README.md", "build.mjs", "package.json", "src/guard.js", "src/handler.js",
    "src/log.js", "src/main.js", "test/handler.test.js", "wit/world.wit",
);

/// Paths in the folder of a project of this name, and what is in them.
pub(super) fn files(template: Template, name: &str) -> Vec<(Cow<'static, str>, Cow<'static, str>)> {
    let named = |guest: &str, files: &[(&'static str, &str)]| {
        let text = |text: &str| text.replace(guest, NAME).replace(NAME, name).into();
        files.iter().map(|(path, of)| ((*path).into(), text(of))).collect::<Vec<_>>()
    };
    let mut files = named(NAME, &COMMON);
    match template {
        Template::Rust => {
            files.extend(named(NAME, RUST));
            let vendored = |path| format!("vendor/{path}").into();
            files.extend(SDK.iter().map(|(path, text)| (vendored(path), (*text).into())));
        }
        Template::Python => files.extend(named(PYTHON.0, PYTHON.1)),
        Template::Js => files.extend(named(JS.0, JS.1)),
    }
    files
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, path::Path};

    use super::*;

    #[test]
    fn a_guest_is_copied_whole() {
        for (guest, files) in [PYTHON, JS] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guests").join(guest);
            let mut there = BTreeSet::new();
            let mut folders = vec![folder.clone()];
            while let Some(path) = folders.pop() {
                for entry in path.read_dir().expect("a folder").flatten() {
                    let path = entry.path();
                    let name = path.strip_prefix(&folder).expect("in it").display().to_string();
                    if path.is_dir() {
                        let made = ["__pycache__", ".venv", "node_modules", "target"];
                        if !made.contains(&name.as_str()) {
                            folders.push(path);
                        }
                    } else {
                        there.insert(name);
                    }
                }
            }
            let copied: BTreeSet<String> = files.iter().map(|(path, _)| (*path).into()).collect();
            assert_eq!(copied, there, "{guest}");
            let means_the_name = |(_, text): &&(_, &str)| text.contains(NAME);
            assert_eq!(files.iter().find(means_the_name), None, "{guest}");
        }
    }

    #[test]
    fn a_project_has_no_name_but_its_own() {
        for template in [Template::Rust, Template::Python, Template::Js] {
            let files = files(template, "my-shop");
            let mut own = files.iter().filter(|(path, _)| !path.starts_with("vendor/"));
            assert!(
                own.all(|(_, text)| !text.contains("-hello") && !text.contains(NAME)),
                "{template:?}"
            );
            for file in ["README.md", "remuda.toml"] {
                let (_, text) = files.iter().find(|(path, _)| *path == file).expect(file);
                assert!(text.contains("my-shop"), "{template:?}: {file}");
            }
        }
    }
}
