//! The SDK's copy of `remuda:runtime` is the one of the server, with `async` where guests may await.

use std::{collections::BTreeSet, fs, path::Path};

/// Every function, and every case of a variant, with what it is in.
fn items(text: &str) -> BTreeSet<String> {
    let mut items = BTreeSet::new();
    let mut inside = Vec::new();
    for line in text.lines().map(|line| line.split("//").next().unwrap_or_default().trim()) {
        if let Some(name) = line.strip_suffix('{') {
            inside.push(name.trim().to_owned());
        } else if line == "}" {
            inside.pop();
        } else if !line.is_empty() && !inside.first().is_some_and(|it| it.starts_with("world")) {
            items.insert(format!("{}: {}", inside.join(" "), line.replace("async func", "func")));
        }
    }
    items
}

#[test]
fn both_copies_say_the_same() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| fs::read_to_string(folder.join(path)).expect("a WIT file");
    let ours = items(&read("wit/runtime.wit"));
    let mut theirs = items(&read("../../wit/lifecycle.wit"));
    theirs.extend(items(&read("../../wit/offload.wit")));
    // `run` blocks a whole instance: it is for components of WASI 0.2.
    let blocking =
        "interface offload: run: func(job: string, payload: list<u8>) -> result<list<u8>, error>;";
    assert!(theirs.remove(blocking), "{theirs:#?}");
    assert_eq!(ours, theirs);
    assert!(ours.len() > 12, "{ours:#?}");
}

#[test]
fn nothing_outside_of_the_two_folders_is_needed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    for manifest in ["Cargo.toml", "../remuda-sdk-macros/Cargo.toml"] {
        let text = fs::read_to_string(folder.join(manifest)).expect("a manifest");
        assert!(!text.contains("workspace = true"), "{manifest} inherits from a workspace");
        let paths = text.lines().filter(|line| line.contains("path = "));
        for line in paths {
            assert!(line.contains(r#"path = "../remuda-sdk"#), "{manifest}: {line}");
        }
    }
}
