//! What holds for every input.

use proptest::{collection::vec, prelude::*, sample::select, string::string_regex};

use super::Given;
use crate::{KEYS, Key, Loaded, ROUTE_KEYS, load};

/// Text that comes near to meaning something.
fn value() -> impl Strategy<Value = String> {
    let words: &[&str] = &[
        "auto",
        "none",
        "reuse",
        "shared",
        "async",
        "blocking",
        "0",
        "1",
        "4",
        "-1",
        "1.5",
        "30s",
        "5ms",
        "250ms",
        "0s",
        "1d",
        "64KiB",
        "4GiB",
        "1GB",
        "99999999999999999999",
        "127.0.0.1:80",
        ":0",
        "[::1]:80",
        "[::",
        "fd:3",
        "unix:a",
        "https://*.a.com",
        "off",
        "85%",
        "0%",
        "127.0.0.1:9000",
        "http://a:0",
        "/",
        "/a/",
        "/a/../b",
        "a:/b:rw",
        "A=1",
        "*",
        "ü",
        "\0",
        "1e400",
        "nan",
        "true",
        "",
    ];
    prop_oneof![
        3 => select(words).prop_map(str::to_owned),
        1 => any::<String>(),
        1 => vec(select(words), 2..4).prop_map(|words| words.join(",")),
    ]
}

fn flagged(keys: &'static [Key]) -> impl Strategy<Value = (&'static str, Vec<String>)> {
    let paths: Vec<_> = keys.iter().filter(|key| key.flag.is_some()).map(|key| key.path).collect();
    (select(paths), vec(value(), 1..3))
}

/// A line of TOML, or of something like it.
fn line() -> impl Strategy<Value = String> {
    let paths: Vec<&str> = KEYS.iter().chain(ROUTE_KEYS).map(|key| key.path).collect();
    let headers: &[&str] =
        &["[[route]]", "[workers]", "[limits]", "[route.limits]", "[route]", "[["];
    let inside = prop_oneof![
        value().prop_map(|text| format!("{text:?}")),
        value(),
        vec(value(), 0..3).prop_map(|texts| format!("{texts:?}")),
        value().prop_map(|text| format!("{{ host = {text:?}, guest = '/a', A = [1] }}")),
        value().prop_map(|text| format!("[{{ host = 'a', guest = {text:?} }}, {text:?}]")),
    ];
    prop_oneof![
        1 => select(headers).prop_map(str::to_owned),
        4 => (select(paths), inside).prop_map(|(path, value)| format!("{path} = {value}")),
        1 => any::<String>(),
    ]
}

fn tried(given: Given) -> Result<(), TestCaseError> {
    match load(given.0) {
        Ok(loaded) => prop_assert!(!loaded.settings.is_empty()),
        Err(errors) => {
            prop_assert_eq!(
                errors.to_string().lines().count(),
                errors.iter().count(),
                "{}",
                errors
            );
            for error in &errors {
                prop_assert!(!error.problem.is_empty() && !error.remedy.is_empty());
                prop_assert!(!error.problem.contains("nothing said why"), "{error:?}");
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_input_makes_it_panic_or_give_up_without_a_word(
        lines in vec(line(), 0..8),
        file in any::<bool>(),
        flags in vec(flagged(KEYS), 0..4),
        route_flags in vec(flagged(ROUTE_KEYS), 0..4),
        variables in vec((string_regex("(REMUDA_)?[A-Z_]{0,12}").expect("valid"), value()), 0..3),
        keys in vec((select(KEYS), value()), 0..3),
        component in proptest::option::of(value()),
        cores in any::<f64>(),
        memory in proptest::option::of(any::<u64>()),
        passed in value(),
        terminal in any::<bool>(),
    ) {
        let text = lines.join("\n");
        let mut given = if file { Given::file(&text) } else { Given::nothing() }.cores(cores);
        given = given.variable("LISTEN_PID", "7").variable("LISTEN_FDS", &passed);
        given.0.machine.memory_limit = memory;
        given.0.terminal = terminal;
        given.0.flags = flags;
        given.0.route_flags = route_flags;
        given.0.component = component.map(Into::into);
        given.0.environment.extend(variables);
        given.0.environment.extend(keys.into_iter().map(|(key, value)| (key.environment(), value)));
        tried(given)?;
    }

    #[test]
    fn what_is_printed_means_the_same_again(
        quantities in vec((select(QUANTITIES), any::<u64>()), 0..6),
        words in vec(select(WORDS), 0..6),
        cores in 0.1..64.0_f64,
        memory in proptest::option::of(any::<u64>()),
    ) {
        let mut first = Given::component("app.wasm").cores(cores);
        first.0.machine.memory_limit = memory;
        for ((path, unit, least, most), random) in quantities {
            let number = least + random % (most - least + 1);
            first = replace(first, path, format!("{number}{unit}"));
        }
        for (path, word) in words {
            first = replace(first, path, word.to_owned());
        }
        let first = first.loaded();
        let second = again(&first).cores(1.0).loaded();
        prop_assert_eq!(&second.config, &first.config);
        let texts = |loaded: &Loaded| -> Vec<String> {
            loaded.settings.iter().map(|setting| setting.value.clone()).collect()
        };
        prop_assert_eq!(texts(&second), texts(&first));
    }
}

/// A key, a unit, and the numbers of that unit that are within the key's bounds.
const QUANTITIES: &[(&str, &str, u64, u64)] = &[
    ("workers.backlog", "", 1, 65535),
    ("workers.count", "", 1, 1024),
    ("workers.boot_timeout", "ms", 1, 600_000_000),
    ("workers.memory", "MiB", 48, 1 << 30),
    ("workers.memory", "", 1 << 20, 1 << 50),
    ("workers.heartbeat_timeout", "ms", 1000, 600_000_000),
    ("workers.max_requests", "", 0, u32::MAX as u64),
    ("workers.max_requests_jitter", "", 0, 1_000_000),
    ("workers.max_lifetime", "", 0, 600_000),
    ("workers.recycle_rss", "%", 1, 85),
    ("workers.kill_rss", "%", 86, 100),
    ("workers.blocking_threads", "", 1, 1024),
    ("workers.blocking_queue", "", 0, 1_000_000),
    ("shutdown.drain_delay", "ms", 0, 600_000_000),
    ("limits.concurrency", "", 1, 1_000_000),
    ("limits.queue", "", 0, 1_000_000),
    ("limits.queue_timeout", "us", 1000, 10_000_000),
    ("limits.request_timeout", "", 1, 600_000),
    ("limits.memory", "KB", 66, 4_000_000),
    ("limits.memory", "MiB", 1, 4096),
    ("http.max_body", "", 1, 1 << 40),
    ("http.max_body", "MB", 1, 1_000_000),
    ("http.max_header_bytes", "KiB", 8, 1024),
    ("http.keep_alive_timeout", "m", 1, 10_000),
    ("outbound.max_per_host", "", 1, 1_000_000),
];

const WORDS: &[(&str, &str)] = &[
    ("bind", ":80, [::1]:0,unix:a//b/./c.sock , fd:9"),
    ("bind", "LOCALHOST:1"),
    ("cache", "some/folder"),
    ("admin", "off"),
    ("admin", "unix:admin.sock"),
    ("control", "off"),
    ("control", "unix:run/ctl.sock"),
    ("workers.profile", "cpu"),
    ("workers.accept", "reuseport"),
    ("workers.memory", "auto"),
    ("workers.count", "auto"),
    ("workers.blocking_threads", "auto"),
    ("outbound.allow", "https://*.Example.com:443,http://[0::1]:8080,http://10.0.0.1"),
    ("outbound.allow", "none"),
    ("http.proxy_protocol", "on"),
    ("http.forwarded_allow_ips", "*"),
    ("http.forwarded_allow_ips", "10.0.0.0/8,fd00::/8 , 0::2"),
    ("log.level", "warning"),
    ("log.format", "json"),
    ("log.access", "common"),
];

fn replace(mut given: Given, path: &'static str, value: String) -> Given {
    given.0.flags.retain(|(other, _)| *other != path);
    given.0.flags.push((path, vec![value]));
    given
}

/// Everything that was printed, as flags, in another working folder.
fn again(loaded: &Loaded) -> Given {
    let mut given = Given::nothing();
    given.0.base_dir = "/elsewhere".into();
    for setting in &loaded.settings {
        let flag = |keys: &'static [Key], path: &str| keys.iter().find(|key| key.path == path);
        let value = vec![setting.value.clone()];
        match setting.key.strip_prefix("route[0].") {
            Some("component") => given.0.component = Some(setting.value.clone().into()),
            Some(path) => {
                let key = flag(ROUTE_KEYS, path).filter(|key| key.flag.is_some());
                given
                    .0
                    .route_flags
                    .extend(key.filter(|_| setting.value != "none").map(|key| (key.path, value)));
            }
            None => given.0.flags.extend(flag(KEYS, &setting.key).map(|key| (key.path, value))),
        }
    }
    given
}

#[test]
fn what_is_printed_of_a_route_means_the_same_again() {
    let file = "[[route]]\npath = '/a/'\nhost = 'A.org'\ncomponent = 'a.wasm'\n\
                executor = 'blocking'\noffload_after = '1500us'\n\
                instances = { mode = 'reuse', idle_timeout = 90 }\n\
                limits = { concurrency = 3, request_timeout = '1500ms', memory = '1MB' }\n\
                [[route]]\ncomponent = 'b.wasm'\n";
    let first = Given::file(file).loaded();
    let mut text = String::new();
    for index in 0..first.config.routes.len() {
        text.push_str("[[route]]\n");
        let prefix = format!("route[{index}].");
        for setting in &first.settings {
            if let Some(path) = setting.key.strip_prefix(&prefix) {
                text.push_str(&format!("{path} = {:?}\n", setting.value));
            }
        }
    }
    let second = Given::file(&text).loaded();
    assert_eq!(second.config, first.config);
}
