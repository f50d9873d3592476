//! `remuda ctl`: the client of the control socket.
//!
//! Purpose: finds the server of this user, asks it or gives it an order, and shows what
//! it answered. Invariant: an order is waited for as long as it takes (a reload starts
//! workers); leaving with Ctrl-C does not take it back.

mod client;
mod find;
mod show;

use std::{path::Path, time::Duration};

use client::{Answer, Unreachable};
use http::Method;

use super::describe::print;
use crate::{
    cli::{CtlAction, CtlArgs},
    exit::{Exit, Failure},
};

/// A server that is well answers a question in milliseconds; one that is stuck says so
/// after 3 s.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn run(args: &CtlArgs) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Software, format!("failed to start: {error}")))?;
    runtime.block_on(async {
        let socket = find::socket(args.control.as_deref(), args.config.as_deref()).await?;
        let answer = ask(&socket, &args.action).await?;
        report(&args.action, &answer, args.json)
    })
}

async fn ask(socket: &Path, action: &CtlAction) -> Result<Answer, Failure> {
    let order = |target| client::send(socket, Method::POST, target);
    let answer = match action {
        CtlAction::Status => {
            let asked = client::send(socket, Method::GET, "/status".to_owned());
            match tokio::time::timeout(PATIENCE, asked).await {
                Ok(answer) => answer,
                Err(_) => Err(Unreachable::Silent),
            }
        }
        CtlAction::Reload => order("/reload".to_owned()).await,
        CtlAction::Drain => order("/drain".to_owned()).await,
        CtlAction::Scale { workers } => order(format!("/scale?workers={workers}")).await,
        CtlAction::Restart { worker } => order(format!("/restart?worker={worker}")).await,
    };
    answer.map_err(|error| {
        let message = format!("failed to reach the server at {}: {error}", socket.display());
        Failure::new(Exit::Unavailable, message)
    })
}

fn report(action: &CtlAction, answer: &Answer, json: bool) -> Result<(), Failure> {
    if json {
        print(&answer.body)?;
    }
    if !answer.is_success {
        let (code, message) = show::problem(&answer.body);
        return Err(Failure::with_code(code, message));
    }
    let text = match action {
        _ if json => return Ok(()),
        CtlAction::Status => show::status(&answer.body),
        _ => show::done(&answer.body),
    };
    let text = text.map_err(|error| {
        let message = format!(
            "failed to read the server's answer: {error}; it may be of another version than \
             this remuda, see --json"
        );
        Failure::new(Exit::Software, message)
    })?;
    print(&text)
}
