//! What the figures were measured on, and with: a figure without that is hearsay.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    pub cpu: String,
    pub cores: usize,
    pub memory_mib: u64,
    pub kernel: String,
    /// Of the checkout; with `+` when something had been changed in it.
    pub commit: String,
    /// By the name of what has it.
    pub versions: BTreeMap<String, String>,
}

impl Machine {
    /// In one sentence.
    pub(crate) fn sentence(&self) -> String {
        let Self { cpu, cores, memory_mib, kernel, .. } = self;
        format!("{cpu}, {cores} cores, {:.1} GiB, {kernel}", *memory_mib as f64 / 1024.0)
    }

    #[cfg(test)]
    pub(crate) fn for_tests() -> Self {
        Self {
            cpu: "A processor".to_owned(),
            cores: 2,
            memory_mib: 4096,
            kernel: "Linux 6".to_owned(),
            commit: "abc".to_owned(),
            versions: BTreeMap::from([("hyper".to_owned(), "1.0".to_owned())]),
        }
    }
}
