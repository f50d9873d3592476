//! `remuda completions` and `remuda man`: what the command line says about itself.

use std::{
    io::{self, Write as _},
    path::Path,
};

use clap::CommandFactory as _;

use crate::{
    cli::Cli,
    exit::{Exit, Failure},
};

/// Writes to standard output. A reader that has gone is no failure.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(Exit::Software, format!("failed to write: {error}")))
        }
        _ => Ok(()),
    }
}

pub(crate) fn completions(shell: clap_complete::Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "remuda", &mut script);
    print(&String::from_utf8_lossy(&script))
}

pub(crate) fn man(folder: Option<&Path>) -> Result<(), Failure> {
    let written = match folder {
        Some(folder) => clap_mangen::generate_to(Cli::command(), folder),
        None => {
            let mut page = Vec::new();
            let rendered = clap_mangen::Man::new(Cli::command()).render(&mut page);
            return rendered
                .map_err(|error| Failure::new(Exit::Software, error.to_string()))
                .and_then(|()| print(&String::from_utf8_lossy(&page)));
        }
    };
    written.map_err(|error| {
        Failure::new(Exit::Software, format!("failed to write the manual pages: {error}"))
    })
}
