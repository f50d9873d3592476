//! `remuda worker`: what the supervisor starts.

use remuda_worker::Ended;

use crate::{
    exit::{Exit, Failure, chain},
    logging,
};

pub(crate) fn run() -> Result<(), Failure> {
    match remuda_worker::run(logging::init) {
        Ok(Ended::Served) => Ok(()),
        // Whoever started it finds the reason in the supervisor's log.
        Ok(Ended::Failed) => Err(Failure::new(Exit::Software, "")),
        Err(error) => Err(Failure::new(Exit::Software, chain(&error))),
    }
}
