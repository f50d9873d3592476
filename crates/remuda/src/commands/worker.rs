//! `remuda worker`: what the supervisor starts.

use crate::{
    exit::{Exit, Failure, chain},
    logging,
};

pub(crate) fn run() -> Result<(), Failure> {
    remuda_worker::run(logging::init).map_err(|error| Failure::new(Exit::Software, chain(&error)))
}
