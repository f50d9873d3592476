//! One line per request on standard output, when asked for.
//!
//! Owner: a record travels in the response body and is written when that is dropped, so
//! that it knows how much was sent. Invariant: where the access log is off, a request
//! pays nothing for it.

use std::{io::Write as _, net::IpAddr};

use http::{Method, Request, StatusCode, Version};
use remuda_config::AccessLog;
use tokio::time::Instant;

/// What is known of a request when it is over.
pub(crate) struct AccessRecord {
    format: AccessLog,
    client: Option<IpAddr>,
    method: Method,
    target: String,
    version: Version,
    started: Instant,
    arrived: jiff::Timestamp,
    id: u64,
    route: Option<String>,
    status: StatusCode,
    bytes: u64,
}

impl AccessRecord {
    /// Begins a record, unless the log is off.
    pub(crate) fn begin<B>(
        format: AccessLog,
        request: &Request<B>,
        client: Option<IpAddr>,
        id: u64,
    ) -> Option<Box<Self>> {
        if format == AccessLog::Off {
            return None;
        }
        let target = request.uri().path_and_query().map_or("*", |target| target.as_str());
        Some(Box::new(Self {
            format,
            client,
            method: request.method().clone(),
            target: target.to_owned(),
            version: request.version(),
            started: Instant::now(),
            arrived: jiff::Timestamp::now(),
            id,
            route: None,
            status: StatusCode::OK,
            bytes: 0,
        }))
    }

    pub(crate) fn answered(&mut self, route: Option<&str>, status: StatusCode) {
        self.route = route.map(str::to_owned);
        self.status = status;
    }

    pub(crate) fn count(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    fn line(&self) -> String {
        let client = self.client.map_or_else(|| "-".to_owned(), |client| client.to_string());
        let version = format!("{:?}", self.version);
        match self.format {
            AccessLog::Off => String::new(),
            AccessLog::Common => format!(
                "{client} - - [{}] \"{} {} {version}\" {} {}\n",
                self.arrived.strftime("%d/%b/%Y:%H:%M:%S +0000"),
                self.method,
                self.target,
                self.status.as_u16(),
                self.bytes,
            ),
            AccessLog::Json => {
                let line = serde_json::json!({
                    "time": self.arrived.to_string(),
                    "client": client,
                    "method": self.method.as_str(),
                    "target": self.target,
                    "version": version,
                    "route": self.route,
                    "request": format!("{:016x}", self.id),
                    "status": self.status.as_u16(),
                    "bytes": self.bytes,
                    "seconds": self.started.elapsed().as_secs_f64(),
                });
                format!("{line}\n")
            }
        }
    }
}

impl Drop for AccessRecord {
    fn drop(&mut self) {
        let mut stdout = std::io::stdout().lock();
        if crate::takes_bytes(&stdout) {
            // Whoever reads the log has gone; the server goes on.
            let _ = stdout.write_all(self.line().as_bytes());
        }
    }
}
