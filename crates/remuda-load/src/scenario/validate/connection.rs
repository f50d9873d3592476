//! How the server is reached.

use std::path::Path;

use super::{Problems, Raw};
use crate::{
    client::Trusted,
    file,
    scenario::{Connection, Http, Target},
};

/// With certificates, in bytes: all those that a machine trusts have a quarter of one MiB.
const LONGEST_FILE: u64 = 16 << 20;

/// Connection settings; a file with certificates is read.
pub(super) fn connection(
    raw: &Raw,
    target: &Option<Target>,
    problems: &mut Problems,
) -> Connection {
    let raw = &raw.connection;
    let choices = [("auto", Http::Auto), ("1", Http::One), ("2", Http::Two)];
    let is_tls = target.as_ref().is_none_or(|target| target.is_tls);
    if !is_tls {
        for (key, value) in [
            ("connection.cacert", raw.cacert.clone()),
            ("connection.insecure", raw.insecure.filter(|yes| *yes).map(|_| "true".to_owned())),
        ] {
            if let Some(value) = value {
                problems.add(key, value, "leave it out, or write a target with https://");
            }
        }
    }
    let cacert = raw.cacert.as_ref().and_then(|path| {
        let problem = match file::read(Path::new(path), LONGEST_FILE) {
            Ok(pem) => match Trusted::parse(&pem) {
                Ok(trusted) => return Some(trusted),
                Err(problem) => problem.to_string(),
            },
            Err(error) => format!("{error}; name a readable file with certificates in PEM"),
        };
        problems.add("connection.cacert", path, problem);
        None
    });
    let streams = raw.streams.unwrap_or(100);
    if streams == 0 {
        problems.add("connection.streams", streams, "write a number above zero");
    }
    Connection {
        http: problems.choice("connection.http", raw.http.as_ref(), &choices),
        reuse: raw.reuse.unwrap_or(true),
        streams,
        timeout: problems.positive("connection.timeout", raw.timeout.as_ref(), "5s"),
        cacert,
        insecure: raw.insecure.unwrap_or(false),
    }
}
