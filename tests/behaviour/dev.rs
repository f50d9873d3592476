//! `remuda dev` follows the sources, and nobody who asks meanwhile is let down.

use remuda_tests::{
    Ask, Cli, Dev, Reply,
    dev::source,
    process::{self, Signal},
    wait,
};

const RUST: &str = "src/lib.rs";
const HELLO: &str = "Hello, world!\n";

/// How every source begins, and how none may.
const BEGINNING: &str = "//! The handler";
const BROKEN: &str = "this is <no> Rust";

async fn seen_by_a_browser(dev: &Dev) -> Reply {
    let accept = "text/html,application/xhtml+xml,*/*;q=0.8";
    dev.send(Ask::get("/").header("accept", accept)).await
}

#[tokio::test]
async fn a_change_is_served_and_no_request_fails_under_load() {
    let dev = Dev::start("rust", "dev-change").await;
    let load = dev.load().kept(4).fresh(2).expect(&[HELLO, "Hi, 1!\n", "Hi, 2!\n"]).start();
    load.wait_for_answers(50).await;
    dev.edit(RUST, "Hello, world", "Hi, 1");
    dev.wait_for_body("Hi, 1!\n").await;
    dev.edit(RUST, "Hi, 1", "Hi, 2");
    dev.wait_for_body("Hi, 2!\n").await;
    load.wait_for_answers(50).await;
    let report = load.stop().await;
    report.print("two changes of a source");
    report.assert_flawless();
}

#[tokio::test]
async fn a_broken_source_is_shown_and_the_last_good_one_goes_on_answering() {
    let dev = Dev::start("rust", "dev-broken").await;
    let load = dev.load().kept(2).expect(&[HELLO, "Mended!\n"]).start();
    dev.edit(RUST, BEGINNING, BROKEN);
    dev.wait_for("the build failed", 1).await;
    assert!(dev.terminal().contains(BROKEN), "the compiler's message is on the terminal");

    let page = wait::until_async("the page", async || {
        let page = seen_by_a_browser(&dev).await;
        (page.status != 200).then_some(page)
    })
    .await;
    assert_eq!(page.status, 500);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    let text = page.text();
    assert!(text.contains("this is &lt;no&gt; Rust") && !text.contains("<no>"), "{text}");
    // Each worker hears of it for itself.
    let reply = wait::until_async("a notice", async || {
        let reply = dev.send(Ask::get("/").header("accept", "*/*")).await;
        (reply.header("remuda-dev") == "build failed").then_some(reply)
    })
    .await;
    assert_eq!(reply.ok(), HELLO);

    dev.edit(RUST, BROKEN, BEGINNING);
    dev.edit(RUST, "Hello, world", "Mended");
    dev.wait_for_body("Mended!\n").await;
    wait::until_async("a page without a notice", async || {
        let page = seen_by_a_browser(&dev).await;
        let is_healed = page.header("remuda-dev").is_empty() && page.status == 200;
        is_healed.then(|| assert_eq!(page.ok(), "Mended!\n"))
    })
    .await;
    load.stop().await.assert_flawless();
}

#[tokio::test]
async fn sources_that_change_during_a_build_are_built_once_more() {
    let dev = Dev::start("rust", "dev-during").await;
    dev.edit(RUST, "Hello, world", "One");
    dev.wait_for("dev: changed", 1).await;
    // The build has begun; whether it has read this already is a matter of luck.
    dev.edit(RUST, "One", "Two");
    dev.wait_for_body("Two!\n").await;
}

#[tokio::test]
async fn what_is_no_source_is_not_built() {
    let dev = Dev::start("rust", "dev-no-source").await;
    let ignored = dev.read(".gitignore");
    dev.edit(".gitignore", &ignored, &format!("{ignored}/data/\n"));
    dev.log_into("said.txt");
    for file in ["data/orders", "server.pid", "app.sqlite-wal"] {
        dev.write(file, "1");
    }
    dev.edit(RUST, "Hello, world", "Hi");
    dev.wait_for_body("Hi!\n").await;
    dev.wait_for("dev: reloaded", 1).await;
    // Whatever was to be seen by then has been.
    dev.edit(RUST, "Hi", "Ho");
    dev.wait_for_body("Ho!\n").await;
    let said = dev.terminal();
    let changes: Vec<_> = said.lines().filter(|line| line.contains("dev: changed")).collect();
    assert_eq!(changes, ["dev: changed: src/lib.rs"; 2]);
}

#[tokio::test]
async fn a_project_that_was_never_built_is_served_once_it_is_mended() {
    let spoil = |text: &str| text.replace(BEGINNING, BROKEN);
    let mut dev = Dev::begin("rust", "dev-never", spoil).await;
    dev.wait_until_it_listens().await;
    dev.wait_for("there is no component to serve yet", 1).await;
    let page = wait::until_async("the compiler's message", async || {
        let page = seen_by_a_browser(&dev).await;
        page.text().contains("this is &lt;no&gt; Rust").then_some(page)
    })
    .await;
    assert_eq!((page.status.as_u16(), page.header("remuda-dev")), (503, "build failed"));
    let reply = dev.send(Ask::get("/")).await;
    assert_eq!((reply.status.as_u16(), reply.header("retry-after")), (503, "2"));
    assert!(reply.text().starts_with("The build failed. "), "{}", reply.text());
    dev.edit(RUST, BROKEN, BEGINNING);
    dev.wait_until_it_serves().await;
    dev.wait_for_body(HELLO).await;
    wait_for_no_page(&dev).await;
}

/// They are refused before anything is built.
#[tokio::test]
async fn flags_that_are_wrong_end_it_at_once() {
    let mut new = Cli::remuda("new dev-flags");
    let _ = new.run().await.succeeded();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("an address");
    for (flags, code, why) in [
        ("--bind 127.0.0.1:99999".to_owned(), 64, "99999"),
        ("-- --workers none".to_owned(), 64, "--workers"),
        ("-- --wokers 2".to_owned(), 64, "--wokers"),
        ("-- --env A=1".to_owned(), 64, "--env"),
        ("-- other.wasm".to_owned(), 64, "other.wasm: remuda dev serves what it builds"),
        (
            "-- --tls-cert /none --tls-key /none".to_owned(),
            78,
            "http.tls_cert: failed to read /none",
        ),
        (format!("--bind {taken}"), 69, "in use"),
    ] {
        new = new.then(&format!("dev dev-flags {flags}")).with_tools();
        let ended = new.run().await;
        assert_eq!(ended.code, Some(code), "{flags}: {ended}");
        assert!(ended.stderr.contains(why), "{flags}: {ended}");
        assert!(!new.path("dev-flags/target/dev-flags.wasm").exists(), "{flags}: {ended}");
    }
}

#[tokio::test]
async fn the_example_of_the_help_is_for_every_new_project() {
    let help = Cli::remuda("dev --help").run().await.succeeded();
    let flags = help.lines().find_map(|line| line.trim().strip_prefix("remuda dev -- "));
    let flags = flags.expect("an example with flags");
    let mut new = Cli::remuda("new dev-example");
    let _ = new.run().await.succeeded();
    // It comes as far as to its address, which is taken.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("an address");
    let mut dev = new.then(&format!("dev dev-example --bind {taken} -- {flags}")).with_tools();
    let ended = dev.run().await;
    assert_eq!(ended.code, Some(69), "{ended}");
}

#[tokio::test]
async fn what_handlers_print_is_on_the_terminal_at_once() {
    let print = |text: &str| {
        let greet = "Json(Greeting { hello: name })";
        assert!(text.contains(greet));
        text.replace(greet, r#"println!("greets {name}"); Json(Greeting { hello: name })"#)
    };
    let mut dev = Dev::begin("rust", "dev-prints", print).await;
    dev.wait_until_it_serves().await;
    for name in ["Ada", "Bea"] {
        let greeting = dev.send(Ask::get(&format!("/hello/{name}"))).await;
        assert!(greeting.ok().contains(name));
        dev.wait_for(&format!("greets {name}"), 1).await;
    }
}

#[tokio::test]
async fn settings_are_followed_without_a_build() {
    let dev = Dev::start("rust", "dev-settings").await;
    let builds = dev.terminal().matches("built dev-settings").count();
    dev.edit("remuda.toml", "path = \"/\"", "path = \"/elsewhere\"");
    wait::until_async("the route to have moved", async || {
        (dev.send(Ask::get("/")).await.status == 404).then_some(())
    })
    .await;
    assert_eq!(dev.terminal().matches("built dev-settings").count(), builds);

    // A mistake is told, and changes nothing.
    dev.edit("remuda.toml", "path = ", "paht = ");
    dev.wait_for("paht", 1).await;
    dev.wait_for("the server refused", 1).await;
    wait_for_a_page_with(&dev, "paht").await;
    assert_eq!(dev.send(Ask::get("/")).await.status, 404);
    dev.edit("remuda.toml", "paht = \"/elsewhere\"", "path = \"/\"");
    dev.wait_for_body(HELLO).await;
    wait_for_no_page(&dev).await;
}

#[tokio::test]
async fn without_its_settings_the_component_is_served_alone() {
    let dev = Dev::start("rust", "dev-alone").await;
    let settings = dev.read("remuda.toml");
    dev.edit("remuda.toml", "path = \"/\"", "path = \"/elsewhere\"");
    wait::until_async("the route to have moved", async || {
        (dev.send(Ask::get("/")).await.status == 404).then_some(())
    })
    .await;
    dev.remove("remuda.toml");
    dev.wait_for_body(HELLO).await;
    // A mistake is no reason to serve something else.
    dev.write("remuda.toml", "nonsense = 1\n");
    wait_for_a_page_with(&dev, "nonsense").await;
    assert_eq!(dev.send(Ask::get("/")).await.ok(), HELLO);
    let failed = dev.terminal().matches("reload failed").count();
    assert_eq!(failed, 1, "it is said once");
    let moved = settings.replace("path = \"/\"", "path = \"/elsewhere\"");
    dev.edit("remuda.toml", "nonsense = 1\n", &moved);
    wait::until_async("the route to have moved", async || {
        (dev.send(Ask::get("/")).await.status == 404).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_start_that_fails_is_shown_too() {
    const START: &str = "
        #[remuda_sdk::startup]
        async fn start() -> remuda_sdk::Result<()> {
            match std::env::var_os(\"REFUSE\") {
                Some(_) => Err(remuda_sdk::Error::internal(\"refused to start\")),
                None => Ok(()),
            }
        }
    ";
    let mut dev = Dev::begin("rust", "dev-startup", |text| text.to_owned() + START).await;
    dev.wait_until_it_serves().await;
    dev.edit("remuda.toml", "path = \"/\"", "path = \"/\"\nenv = { REFUSE = \"x\" }");
    wait_for_a_page_with(&dev, "startup").await;
    let page = seen_by_a_browser(&dev).await.text();
    assert!(page.contains("<h1>The reload failed</h1>"), "{page}");
    assert_eq!(dev.send(Ask::get("/")).await.ok(), HELLO);
    dev.edit("remuda.toml", "REFUSE", "OTHER");
    wait_for_no_page(&dev).await;
}

async fn wait_for_a_page_with(dev: &Dev, text: &str) {
    wait::until_async("the page", async || {
        let page = seen_by_a_browser(dev).await;
        (page.status == 500 && page.text().contains(text)).then_some(())
    })
    .await;
}

async fn wait_for_no_page(dev: &Dev) {
    wait::until_async("the page to go", async || {
        (seen_by_a_browser(dev).await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_component_that_cannot_be_served_gives_way_to_the_one_before() {
    let dev = Dev::start("rust", "dev-refused").await;
    // It builds, and exports nothing that could be served.
    let whole = dev.read(RUST);
    dev.edit(RUST, &whole, "//! Nothing.\n");
    dev.wait_for("the server refused what was built", 1).await;
    let page = wait::until_async("the page", async || {
        let page = seen_by_a_browser(&dev).await;
        (page.status == 500).then_some(page)
    })
    .await;
    assert!(page.text().contains("wasi:http"), "{}", page.text());
    dev.wait_for_body(HELLO).await;
    dev.edit(RUST, "//! Nothing.\n", &whole);
    wait::until_async("the page to go", async || {
        (seen_by_a_browser(&dev).await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn it_takes_everything_with_it_when_it_ends() {
    for signal in [Signal::INT, Signal::TERM, Signal::KILL] {
        let mut dev = Dev::start("rust", "dev-ends").await;
        let processes = dev.processes();
        assert!(processes.len() >= 2, "{processes:?}");
        let code = dev.end_with(signal).await;
        assert_eq!(code, if signal == Signal::KILL { 128 + 9 } else { 0 }, "{signal:?}");
        let gone = || processes.iter().all(|pid| !process::is_running(*pid)).then_some(());
        wait::until("the server and its workers to end", gone).await;
        if signal != Signal::KILL {
            assert_eq!(dev.left_behind(), 0, "{signal:?}");
        }
    }
}

#[tokio::test]
async fn what_is_wrong_with_python_is_shown_too() {
    a_syntax_error_is_shown("python", "dev-python").await;
}

#[tokio::test]
async fn what_is_wrong_with_javascript_is_shown_too() {
    a_syntax_error_is_shown("js", "dev-js").await;
}

/// By the language's own tools, through the browser.
async fn a_syntax_error_is_shown(template: &str, name: &str) {
    let dev = Dev::start(template, name).await;
    dev.wait_for_body(HELLO).await;
    dev.edit(source(template), "Hello, world", "Hello\" nonsense \"");
    let page = wait::until_async("the page", async || {
        let page = seen_by_a_browser(&dev).await;
        (page.status == 500).then_some(page)
    })
    .await;
    assert!(page.text().contains("SyntaxError"), "{}", page.text());
    assert_eq!(dev.send(Ask::get("/")).await.ok(), HELLO);
}
