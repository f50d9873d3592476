//! The crate as its callers see it: text in, configuration or messages out.
mod addresses;
mod docs;
mod errors;
mod layers;
mod machine;
mod properties;
mod routes;
mod settings;
mod workers;

use std::path::PathBuf;

use crate::{Input, Loaded, Machine, load};

/// A machine with 2 cores and 8 GiB, a terminal, user 1000, process 7, `/srv/remuda.toml` if there is a file, `/home/a` as home.
struct Given(Input);

impl Given {
    fn nothing() -> Self {
        Self(Input {
            file: None,
            environment: vec![("HOME".to_owned(), "/home/a".to_owned())],
            flags: Vec::new(),
            component: None,
            route_flags: Vec::new(),
            base_dir: PathBuf::from("/site"),
            uid: 1000,
            pid: 7,
            terminal: true,
            machine: Machine { memory_total: Some(8 << 30), ..Machine::with_cores(2) },
        })
    }

    fn file(text: &str) -> Self {
        let mut given = Self::nothing();
        given.0.file = Some((PathBuf::from("remuda.toml"), text.to_owned()));
        given.0.base_dir = PathBuf::from("/srv");
        given
    }

    fn component(path: &str) -> Self {
        let mut given = Self::nothing();
        given.0.component = Some(PathBuf::from(path));
        given
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.0.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    fn flag(mut self, path: &'static str, values: &[&str]) -> Self {
        self.0.flags.push((path, values.iter().map(|&value| value.to_owned()).collect()));
        self
    }

    fn route_flag(mut self, path: &'static str, values: &[&str]) -> Self {
        self.0.route_flags.push((path, values.iter().map(|&value| value.to_owned()).collect()));
        self
    }

    /// A quota of so many.
    fn cores(mut self, cores: f64) -> Self {
        self.0.machine.affinity = 64;
        self.0.machine.quota = Some(cores);
        self
    }

    fn loaded(self) -> Loaded {
        load(self.0).unwrap_or_else(|errors| panic!("{errors}"))
    }

    fn errors(self) -> String {
        match load(self.0) {
            Ok(loaded) => panic!("no error: {loaded:#?}"),
            Err(errors) => errors.to_string(),
        }
    }
}
