//! Settings: whatever is in file, environment and flags, there is a configuration or there
//! are errors, and what is printed of a configuration means the same again.

use std::path::PathBuf;

use remuda_config::{ConfigErrors, Input, KEYS, Key, Loaded, Machine, ROUTE_KEYS, Route, load};

/// Loads `input`, which is a configuration file. Of its lines, `$NAME=VALUE` is a variable,
/// `--FLAG VALUE` a flag, `@COMPONENT` the component of the command line.
///
/// # Panics
/// When a promise is broken.
pub fn configuration(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let given = given(text);
    // "auto" follows them: what is printed means the same where it was printed.
    let is_of_others = |(name, _): &&(String, String)| !name.starts_with("REMUDA_");
    let others = given.environment.iter().filter(is_of_others).cloned().collect();
    match load(given) {
        Ok(loaded) => means_the_same_again(&loaded, others),
        Err(errors) => say_something(&errors),
    }
}

fn given(text: &str) -> Input {
    let mut given = nothing();
    let mut file = String::new();
    for line in text.lines() {
        if let Some((name, value)) = line.strip_prefix('$').and_then(|line| line.split_once('=')) {
            given.environment.push((name.to_owned(), value.to_owned()));
        } else if let Some((name, value)) =
            line.strip_prefix("--").and_then(|line| line.split_once(' '))
        {
            let value = vec![value.to_owned()];
            let of = |keys: &'static [Key]| keys.iter().find(|key| key.flag == Some(name));
            given.flags.extend(of(KEYS).map(|key| (key.path, value.clone())));
            given.route_flags.extend(of(ROUTE_KEYS).map(|key| (key.path, value)));
        } else if let Some(component) = line.strip_prefix('@') {
            given.component = Some(component.into());
        } else {
            file.push_str(line);
            file.push('\n');
        }
    }
    if !file.is_empty() {
        given.file = Some((PathBuf::from("conf.d/remuda.toml"), file));
    }
    given
}

fn nothing() -> Input {
    Input {
        file: None,
        environment: vec![("HOME".to_owned(), "/home/a".to_owned())],
        flags: Vec::new(),
        component: None,
        route_flags: Vec::new(),
        base_dir: PathBuf::from("/srv"),
        uid: 1000,
        pid: 7,
        terminal: true,
        machine: Machine { memory_total: Some(8 << 30), ..Machine::with_cores(2) },
    }
}

/// A line for each error, and none of them empty.
fn say_something(errors: &ConfigErrors) {
    assert_eq!(errors.to_string().lines().count(), errors.iter().count(), "{errors}");
    for error in errors {
        assert!(!error.problem.is_empty() && !error.remedy.is_empty(), "{error:?}");
        // What is said when nothing else was; an error may quote the input, but not begin so.
        assert!(!error.problem.starts_with("the configuration is not valid"), "{error:?}");
    }
}

/// As a file in another folder, in the same environment. The values of `env` are not printed.
fn means_the_same_again(loaded: &Loaded, environment: Vec<(String, String)>) {
    let mut expected = loaded.config.clone();
    for route in &mut expected.routes {
        route.env = Vec::new();
    }
    let text = printed(loaded);
    let file = Some((PathBuf::from("/elsewhere.toml"), text.clone()));
    let again = Input { file, environment, ..nothing() };
    let again = load(again).unwrap_or_else(|errors| panic!("{errors}\nin\n{text}"));
    assert_eq!(again.config, expected, "\n{text}");
    assert_eq!(printed(&again), text);

    // What a worker is told.
    let json = serde_json::to_vec(&loaded.config).expect("a configuration can be sent");
    let received: remuda_config::Config = serde_json::from_slice(&json).expect("and received");
    assert_eq!(received, loaded.config);
}

/// The escapes of JSON are also TOML's, but for one character.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("text").replace('\x7f', "\\u007f")
}

/// In a file a list of tables, which is not what is printed.
fn mounts(route: &Route) -> String {
    let mounts = route.mounts.iter().map(|mount| {
        let (host, guest) = (mount.host.to_str().expect("UTF-8"), mount.guest.as_str());
        let (host, guest) = (quoted(host), quoted(guest));
        format!("{{ host = {host}, guest = {guest}, write = {} }}", mount.write)
    });
    format!("[{}]", mounts.collect::<Vec<_>>().join(", "))
}

/// The effective settings as a file.
fn printed(loaded: &Loaded) -> String {
    let mut text = String::new();
    let mut route = None;
    for setting in &loaded.settings {
        let (of_route, key) = match setting.key.strip_prefix("route[") {
            Some(rest) => rest.split_once("].").map(|(index, key)| (Some(index), key)),
            None => Some((None, setting.key.as_str())),
        }
        .expect("a key");
        if key == "env" {
            continue;
        }
        if of_route != route {
            text.push_str("[[route]]\n");
            route = of_route;
        }
        let value = if key == "mounts" {
            let index: usize = of_route.and_then(|index| index.parse().ok()).expect("a number");
            mounts(&loaded.config.routes[index])
        } else {
            quoted(&setting.value)
        };
        text.push_str(&format!("{key} = {value}\n"));
    }
    text
}
