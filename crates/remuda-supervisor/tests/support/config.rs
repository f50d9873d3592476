//! A configuration for tests: one route, two workers, port 0, and defaults.

use std::path::Path;

use remuda_config::{Config, Input, Machine, load};

pub(crate) fn config(component: &Path, cache: &Path) -> Config {
    let settings = format!(
        "bind = ['127.0.0.1:0']\ncache = '{}'\nadmin = 'off'\ncontrol = 'off'\n\
         [workers]\ncount = 2\n[log]\nlevel = 'debug'\n",
        cache.display()
    );
    let input = Input {
        file: Some(("/remuda.toml".into(), settings)),
        environment: vec![],
        flags: vec![],
        component: Some(component.to_owned()),
        route_flags: vec![],
        base_dir: "/".into(),
        uid: 1000,
        pid: 1,
        terminal: true,
        machine: Machine::with_cores(2),
    };
    load(input).expect("a configuration").config
}
