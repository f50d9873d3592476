//! Where the server listens, for clients and for operators.

use std::path::PathBuf;

use super::Given;
use crate::{BindAddress, Config, ControlSocket, Loaded};

fn app() -> Given {
    Given::component("app.wasm")
}

fn tcp(host: &str, port: u16) -> BindAddress {
    BindAddress::Tcp { host: host.to_owned(), port }
}

#[test]
fn the_admin_address_is_written_like_any_other() {
    let admin = |value: &str| app().flag("admin", &[value]).loaded().config.admin;
    assert_eq!(app().loaded().config.admin, Some(tcp("127.0.0.1", 9000)));
    assert_eq!(admin(":9100"), Some(tcp("", 9100)));
    assert_eq!(
        admin("unix:admin.sock"),
        Some(BindAddress::Unix { path: "/site/admin.sock".into(), mode: None })
    );
    assert_eq!(admin("fd:4"), Some(BindAddress::Descriptor(4)));
    assert_eq!(admin("off"), None);
    insta::assert_snapshot!(app().flag("admin", &["9000"]).errors(), @r#"--admin: "9000" is not a host name; try --admin 127.0.0.1:9000"#);
}

#[test]
fn clients_and_operators_do_not_share_an_address() {
    let both = |bind: &str, admin: &str| app().flag("bind", &[bind]).flag("admin", &[admin]);
    both("127.0.0.1:0", "127.0.0.1:0").loaded();
    both("127.0.0.1:9000", "off").loaded();
    insta::assert_snapshot!(both(":80,fd:3", "fd:3").errors(), @"--admin: fd:3 cannot be both in bind and admin; change one of them, or turn admin off");
    insta::assert_snapshot!(app().flag("bind", &["127.0.0.1:9000"]).errors(), @"--bind: 127.0.0.1:9000 cannot be both in bind and admin; change one of them, or turn admin off");
}

#[test]
fn the_control_socket_is_in_the_runtime_folder_unless_it_is_named() {
    let control = |given: Given| given.loaded().config.control;
    let auto = |folder: &str| Some(ControlSocket::Auto { folder: folder.into() });
    assert_eq!(control(app()), auto("/tmp/remuda-1000"));
    assert_eq!(
        control(app().variable("XDG_RUNTIME_DIR", "/run/user/1")),
        auto("/run/user/1/remuda")
    );
    let mut root = app();
    root.0.uid = 0;
    assert_eq!(control(root), auto("/run/remuda"));
    assert_eq!(control(app().flag("control", &["off"])), None);
    let path = PathBuf::from("/site/run/ctl.sock");
    assert_eq!(control(app().flag("control", &["run/ctl.sock"])), Some(ControlSocket::Path(path)));
    let errors = app().flag("control", &["@remuda"]).errors();
    assert!(errors.starts_with("--control: abstract sockets are not supported"), "{errors}");
}

/// Started with so many sockets, as systemd does it.
fn activated(count: &str) -> Given {
    app().variable("LISTEN_PID", "7").variable("LISTEN_FDS", count)
}

fn bind(given: Given) -> (Config, String, String) {
    let Loaded { config, settings, warnings } = given.loaded();
    let bind = settings.iter().find(|setting| setting.key == "bind").expect("a setting");
    (config, bind.to_string(), warnings.join("\n"))
}

#[test]
fn sockets_that_were_passed_are_listened_on() {
    let (config, shown, warnings) = bind(activated("2"));
    assert_eq!(config.bind, [BindAddress::Descriptor(3), BindAddress::Descriptor(4)]);
    assert_eq!(shown, "bind = fd:3, fd:4 (LISTEN_FDS: the sockets that were passed)");
    assert_eq!(warnings, "");

    let (config, shown, _) = bind(activated("0"));
    assert_eq!(config.bind, [tcp("127.0.0.1", 8000)]);
    assert_eq!(shown, "bind = 127.0.0.1:8000 (default)");
}

#[test]
fn sockets_passed_to_another_process_are_left_alone() {
    let mut given = activated("2");
    given.0.pid = 8;
    let (config, _, warnings) = bind(given);
    assert_eq!((config.bind, warnings), (vec![tcp("127.0.0.1", 8000)], String::new()));
}

#[test]
fn passed_sockets_that_nobody_names_are_warned_about() {
    let (config, _, warnings) = bind(activated("2").flag("bind", &[":80"]));
    assert_eq!(config.bind, [tcp("", 80)]);
    insta::assert_snapshot!(warnings, @"LISTEN_FDS: sockets were passed that bind does not name, and they are not used; try --bind fd:3,fd:4, or leave bind out");
    let (_, _, warnings) = bind(activated("2").variable("REMUDA_BIND", "fd:4,fd:3"));
    assert_eq!(warnings, "");
    let (_, _, warnings) = bind(activated("2").flag("bind", &["fd:3"]));
    assert!(warnings.contains("--bind fd:4,"), "{warnings}");
}

#[test]
fn one_of_the_passed_sockets_may_be_the_operators() {
    let (config, shown, warnings) = bind(activated("2").flag("admin", &["fd:4"]));
    assert_eq!(config.bind, [BindAddress::Descriptor(3)]);
    assert_eq!(config.admin, Some(BindAddress::Descriptor(4)));
    assert_eq!(shown, "bind = fd:3 (LISTEN_FDS: the sockets that were passed)");
    assert_eq!(warnings, "");
}

#[test]
fn a_number_of_sockets_that_is_none_is_refused() {
    insta::assert_snapshot!(activated("two").errors(), @r#"LISTEN_FDS: expected a number of sockets, got "two"; unset it; whoever sets it passes 1 to 1000 sockets"#);
}
