//! `remuda new` writes projects that build and serve with the commands it prints.

use std::{fs, path::Path, process::Command};

use remuda_tests::{Cli, Server, sandbox};

#[tokio::test]
async fn a_new_project_in_rust_builds_and_serves() {
    builds_and_serves("rust", "new-rust").await;
}

#[tokio::test]
async fn a_new_project_in_python_builds_and_serves() {
    builds_and_serves("python", "new-python").await;
}

#[tokio::test]
async fn a_new_project_in_javascript_builds_and_serves() {
    builds_and_serves("js", "new-js").await;
}

/// With the commands that it prints.
async fn builds_and_serves(template: &str, name: &str) {
    let mut new = Cli::remuda(&format!("new {name} --template {template}"));
    let next = new.run().await.succeeded();
    for command in [format!("cd {name}"), "remuda dev".into(), "remuda build".into()] {
        assert!(next.contains(&format!("\n  {command}")), "{next}");
    }
    if template == "js" {
        let modules = new.path(name).join("node_modules");
        std::os::unix::fs::symlink(sandbox::node_modules(), modules).expect("a link");
    }
    let config = new.path(name).join("remuda.toml");
    let mut build = new.then(&format!("build {name}")).with_tools();
    let built = build.run().await.succeeded();
    assert_eq!(built, format!("[sandbox]/{name}/target/{name}.wasm\n"));

    let server = Server::builder().flag("--config", config).start().await;
    assert_eq!(server.get("/").await.ok(), "Hello, world!\n");
    assert!(server.get("/hello/you").await.ok().contains("you"));
    assert_eq!(server.get("/nowhere").await.status, 404);
}

#[test]
fn the_tests_of_a_new_project_need_no_server() {
    for (guest, program, arguments) in
        [("python-hello", "python3", &["-B", "-m", "unittest"][..]), ("js-hello", "npm", &["test"])]
    {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guests").join(guest);
        let tests = Command::new(program).args(arguments).current_dir(folder).output();
        let tests = tests.unwrap_or_else(|error| panic!("failed to run {program}: {error}"));
        assert!(tests.status.success(), "{guest}: {tests:?}");
    }
}

#[tokio::test]
async fn a_build_that_changes_nothing_touches_nothing() {
    let mut new = Cli::remuda("new new-twice");
    let _ = new.run().await.succeeded();
    let mut build = new.then("build new-twice").with_tools();
    let _ = build.run().await.succeeded();
    let component = build.path("new-twice/target/new-twice.wasm");
    let written = |path| fs::metadata(path).and_then(|file| file.modified()).expect("a component");
    let first = written(&component);
    let ended = build.run().await;
    assert!(
        ended.stderr.contains("built new-twice in ") && ended.stderr.contains(" KiB"),
        "{ended}"
    );
    assert_eq!(written(&component), first);
    // Elsewhere, if that is wanted.
    let _ = build.then("build new-twice -o out/a.wasm").with_tools().run().await.succeeded();
}

#[tokio::test]
async fn what_is_there_is_not_touched() {
    let mut new = Cli::remuda("new shop").file("shop/notes", "mine");
    let ended = new.run().await;
    assert_eq!(ended.code, Some(64), "{ended}");
    assert!(ended.stderr.contains("there is something in it already"), "{ended}");
    assert_eq!(fs::read_dir(new.path("shop")).expect("a folder").count(), 1);

    let ended = Cli::remuda("new shop").file("shop", "a file").run().await;
    assert_eq!(ended.code, Some(64), "{ended}");
    assert!(ended.stderr.contains("it is a file"), "{ended}");

    let mut new = Cli::remuda("new link");
    std::os::unix::fs::symlink("nowhere", new.path("link")).expect("a link");
    let ended = new.run().await;
    assert_eq!(ended.code, Some(64), "{ended}");
    assert!(ended.stderr.contains("link to what is not there"), "{ended}");

    // Of a folder on the way nothing is left.
    let mut new = Cli::remuda("new detour/../shop");
    let _ = new.run().await.succeeded();
    assert!(new.path("shop/remuda.toml").exists() && !new.path("detour").exists());

    // A folder that somebody has just made is as good as none.
    let mut new = Cli::remuda("new shop");
    fs::create_dir(new.path("shop")).expect("a folder");
    let _ = new.run().await.succeeded();
}

#[tokio::test]
async fn names_that_would_not_build_are_refused() {
    for name in ["Shop", "2shop", "my_shop", "shop-", "std", "é", "remuda-sdk"] {
        let mut new = Cli::remuda("new").arg(name);
        let ended = new.run().await;
        assert_eq!(ended.code, Some(64), "{ended}");
        assert!(ended.stderr.contains("failed to name a project"), "{ended}");
        assert!(!new.path(name).exists());
    }
    let ended = Cli::remuda("new shop --template cobol").run().await;
    assert_eq!(ended.code, Some(64), "{ended}");
    assert!(ended.stderr.contains("python"), "{ended}");
}

#[tokio::test]
async fn a_build_says_what_is_missing() {
    let ended = Cli::remuda("build").run().await;
    assert_eq!(ended.code, Some(65), "{ended}");
    assert!(ended.stderr.contains("package.json (JavaScript)"), "{ended}");

    // No tool is found on such a path.
    for (file, remedy) in [
        ("Cargo.toml", "https://rustup.rs"),
        ("package.json", "Node.js"),
        ("app.py", "python3-venv"),
    ] {
        let content =
            if file == "package.json" { r#"{"name":"a"}"# } else { "[package]\nname=\"a\"\n" };
        let ended = Cli::remuda("build").file(file, content).env("PATH", "/nowhere").run().await;
        assert_eq!(ended.code, Some(65), "{ended}");
        assert!(ended.stderr.contains(remedy), "{file}: {ended}");
    }
}
