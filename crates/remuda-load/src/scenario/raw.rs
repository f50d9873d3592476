//! A scenario as it is written, in a file or on the command line.
//!
//! Owner: whoever reads it; [validation](super::validate) makes a scenario of it.
//! Invariant: nothing is filled in here, so that what is missing can be told from what is
//! said twice.

use std::path::Path;

use serde::{Deserialize, Deserializer};

use super::{Address, Problem, ScenarioError, Target, sift};
use crate::file;

/// Of a scenario, in bytes; bodies may be in files of their own.
const LONGEST_FILE: u64 = 16 << 20;

/// Every setting, unset. Durations read `250ms`, `30s`; a bare number is seconds.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Raw {
    pub target: Option<String>,
    /// Virtual users (closed model).
    pub users: Option<u32>,
    /// Arrivals per second (open model).
    pub rate: Option<f64>,
    #[serde(default, deserialize_with = "text")]
    pub duration: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub ramp_up: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub ramp_down: Option<String>,
    #[serde(default, rename = "stage")]
    pub stages: Vec<RawStage>,
    #[serde(default, deserialize_with = "text")]
    pub think: Option<String>,
    pub arrivals: Option<String>,
    pub max_in_flight: Option<usize>,
    pub requests: Option<u64>,
    #[serde(default, deserialize_with = "text")]
    pub warmup: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub interval: Option<String>,
    pub seed: Option<u64>,
    pub threads: Option<usize>,
    #[serde(default, deserialize_with = "text")]
    pub request_timeout: Option<String>,
    #[serde(default)]
    pub connection: RawConnection,
    #[serde(default, rename = "endpoint")]
    pub endpoints: Vec<RawEndpoint>,
    #[serde(default)]
    pub fail_if: Vec<String>,
    pub metrics: Option<String>,
    /// What the file has that is no setting, or no value of one.
    #[serde(skip)]
    pub unread: Vec<Problem>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawStage {
    pub name: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub duration: Option<String>,
    pub users: Option<f64>,
    pub rate: Option<f64>,
    /// Where the stage begins; otherwise where the one before has ended.
    pub from: Option<f64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawConnection {
    #[serde(default, deserialize_with = "text")]
    pub http: Option<String>,
    pub reuse: Option<bool>,
    pub streams: Option<usize>,
    #[serde(default, deserialize_with = "text")]
    pub timeout: Option<String>,
    pub cacert: Option<String>,
    pub insecure: Option<bool>,
    pub unix_socket: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawEndpoint {
    pub name: Option<String>,
    pub weight: Option<f64>,
    pub method: Option<String>,
    pub path: Option<String>,
    #[serde(default)]
    pub headers: std::collections::BTreeMap<String, String>,
    pub body: Option<String>,
    pub body_file: Option<String>,
    pub expect: Option<StatusList>,
    pub expect_body: Option<String>,
}

/// `"30s"` or `30`: a number is as good as its text.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "write a text such as \"30s\", or a number")]
    enum Scalar {
        Text(String),
        Whole(i64),
        Fraction(f64),
    }
    Ok(Some(match Scalar::deserialize(deserializer)? {
        Scalar::Text(text) => text,
        Scalar::Whole(number) => number.to_string(),
        Scalar::Fraction(number) => number.to_string(),
    }))
}

/// `200`, `"2xx"`, or several of these.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "write status codes such as 200, \"2xx\" or [200, 404]")]
pub enum StatusList {
    Code(u16),
    Text(String),
    Several(Vec<StatusList>),
}

impl StatusList {
    /// In the notation of one text.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Code(code) => code.to_string(),
            Self::Text(text) => text.clone(),
            Self::Several(several) => several.iter().map(Self::text).collect::<Vec<_>>().join(","),
        }
    }
}

impl Raw {
    /// Reads a scenario file; paths in it are relative to its folder.
    ///
    /// # Errors
    /// When it cannot be read or is not TOML. Keys that do not exist and values of a wrong type
    /// are told by validation, with all other mistakes.
    pub fn from_file(path: &Path) -> Result<Self, ScenarioError> {
        let text = file::read_text(path, LONGEST_FILE)
            .map_err(|source| ScenarioError::Read { path: path.to_owned(), source })?;
        let mut raw = sift::read(&text).map_err(|error| ScenarioError::Parse {
            path: path.to_owned(),
            problem: error.to_string().trim_end().to_owned(),
        })?;
        for problem in &mut raw.unread {
            problem.remedy.push_str(&format!(" (in {})", path.display()));
        }
        let folder = path.parent().unwrap_or(Path::new(""));
        let files = raw.endpoints.iter_mut().filter_map(|endpoint| endpoint.body_file.as_mut());
        for file in files.chain(raw.connection.cacert.as_mut()) {
            *file = folder.join(&*file).to_string_lossy().into_owned();
        }
        Ok(raw)
    }

    /// What `over` says wins. A word about the load replaces all that was said about it,
    /// for `--rate` beside the file's users would be a contradiction; so do endpoints.
    #[must_use]
    pub fn overlaid(mut self, over: Self) -> Self {
        if over.users.is_some() || over.rate.is_some() {
            self.users = None;
            self.rate = None;
            self.stages = Vec::new();
            if over.rate.is_some() {
                self.think = None;
            }
        }
        if over.duration.is_some() {
            // Stages have durations of their own.
            self.stages = Vec::new();
        }
        let Self { target, stages, endpoints, connection, mut fail_if, .. } = over;
        if let Some(target) = target {
            self.move_to(target);
        }
        macro_rules! take {
            ($($key:ident),*) => { $( if over.$key.is_some() { self.$key = over.$key; } )* };
        }
        take!(users, rate, duration, ramp_up, ramp_down, think, arrivals, max_in_flight);
        take!(requests, warmup, interval, seed, threads, request_timeout, metrics);
        let RawConnection { http, reuse, streams, timeout, cacert, insecure, unix_socket } =
            connection;
        let own = &mut self.connection;
        own.http = http.or(own.http.take());
        own.reuse = reuse.or(own.reuse);
        own.streams = streams.or(own.streams);
        own.timeout = timeout.or(own.timeout.take());
        own.cacert = cacert.or(own.cacert.take());
        own.insecure = insecure.or(own.insecure);
        own.unix_socket = unix_socket.or(own.unix_socket.take());
        if !stages.is_empty() {
            self.stages = stages;
        }
        if !endpoints.is_empty() {
            self.endpoints = endpoints;
        }
        self.fail_if.append(&mut fail_if);
        self
    }

    /// The same requests to another server: paths stay, and what was said of the way to the old
    /// one is forgotten.
    fn move_to(&mut self, origin: String) {
        let Some(new) = Target::parse(&origin) else {
            self.target = Some(origin);
            return;
        };
        if new.path != "/" {
            let (key, remedy) =
                ("target".to_owned(), "leave out the path: the scenario has its own");
            self.unread.push(Problem { key, value: origin, remedy: remedy.to_owned() });
            return;
        }
        let old = self.target.as_deref().and_then(Target::parse);
        let path = old.map_or_else(|| "/".to_owned(), |old| old.path);
        let connection = &mut self.connection;
        if !new.is_tls {
            (connection.cacert, connection.insecure) = (None, None);
        }
        connection.unix_socket = None;
        self.target = Some(match new.address {
            Address::Unix(socket) if path != "/" => {
                connection.unix_socket = Some(socket.to_string_lossy().into_owned());
                format!("http://localhost{path}")
            }
            _ if path != "/" => format!("{new}{path}"),
            _ => origin,
        });
    }
}
