//! The settings above the routes.
//!
//! Purpose: one function per section, each naming its keys, their kinds and bounds.
//! Owner: `load`. Invariant: a function takes all its keys before it gives up on one,
//! so that all mistakes are found.

use std::{ops::Range, path::PathBuf};

use crate::{
    config::{
        AccessLog, BindAddress, Config, ControlSocket, Http, Limits, Log, LogFormat, LogLevel,
        Outbound, Route, Shutdown, Workers,
    },
    machine::Machine,
    validate::{
        Reader,
        addresses::{Addresses, addresses},
        cache,
        control::control,
        front::{Front, front},
        workers::workers,
    },
    value::{Auto, Choice, HostPath, Number, OrZero, Origin, Size, Time},
};

/// What defaults and warnings follow.
pub(crate) struct Surroundings<'a> {
    pub(crate) environment: &'a [(String, String)],
    /// Descriptors of sockets that were passed by whoever started the server.
    pub(crate) passed: Range<i32>,
    pub(crate) uid: u32,
    /// Somebody watches.
    pub(crate) terminal: bool,
    pub(crate) machine: Machine,
}

/// Everything but the routes; `None` is what was not valid.
pub(crate) struct Server {
    pub(crate) bind: Option<Vec<BindAddress>>,
    pub(crate) cache: Option<PathBuf>,
    /// The inner `None` is turned off; here and below.
    pub(crate) admin: Option<Option<BindAddress>>,
    pub(crate) control: Option<Option<ControlSocket>>,
    pub(crate) workers: Option<Workers>,
    pub(crate) limits: Option<Limits>,
    pub(crate) http: Option<Http>,
    pub(crate) shutdown: Option<Shutdown>,
    pub(crate) outbound: Option<Outbound>,
    pub(crate) log: Option<Log>,
}

impl Server {
    /// The whole configuration, when all of it is valid.
    pub(crate) fn with(self, routes: Vec<Route>) -> Option<Config> {
        Some(Config {
            bind: self.bind?,
            cache: self.cache?,
            admin: self.admin?,
            control: self.control?,
            workers: self.workers?,
            limits: self.limits?,
            http: self.http?,
            shutdown: self.shutdown?,
            outbound: self.outbound?,
            log: self.log?,
            routes,
            notice: None,
        })
    }
}

pub(crate) fn server(
    read: &mut Reader<'_>,
    surroundings: &Surroundings<'_>,
    warnings: &mut Vec<String>,
) -> Server {
    let limits = limits(read);
    let Addresses { bind, admin } = addresses(read, &surroundings.passed, warnings);
    Server {
        bind,
        cache: cache(read, surroundings.environment),
        admin,
        control: control(read, surroundings),
        workers: workers(read, surroundings, limits.as_ref(), warnings),
        http: http(read),
        shutdown: shutdown(read),
        outbound: outbound(read, limits.as_ref(), warnings),
        log: log(read),
        limits,
    }
}

/// More of anything than this is a typing error, not a wish.
pub(crate) const MANY: u64 = 1_000_000;
/// A route may have as much as a server, so both use the same kinds.
pub(crate) const CONCURRENCY: Number = Number(1, MANY);
pub(crate) const QUEUE: Number = Number(0, MANY);
/// One page of WebAssembly, and all that 32 bits can address.
pub(crate) const MEMORY: Size = Size(64 * bytesize::KIB, 4 * bytesize::GIB);
/// hyper reads into a buffer that cannot be smaller.
const HEAD: Size = Size(8 * bytesize::KIB, bytesize::MIB);

fn cache(read: &mut Reader<'_>, environment: &[(String, String)]) -> Option<PathBuf> {
    const KEY: &str = "cache";
    let given = read.take(KEY, &Auto(HostPath("/var/cache/remuda")))?;
    Some(given.unwrap_or_else(|| {
        let (folder, reason) = cache::default_folder(environment);
        let source = read.source(KEY);
        read.record(KEY, folder.display().to_string(), &source, Some(reason.to_owned()));
        folder
    }))
}

fn limits(read: &mut Reader<'_>) -> Option<Limits> {
    let concurrency = read.take("limits.concurrency", &CONCURRENCY);
    let queue = read.take("limits.queue", &QUEUE);
    let queue_timeout = read.take("limits.queue_timeout", &Time);
    let request_timeout = read.take("limits.request_timeout", &Time);
    let response_idle_timeout = read.take("limits.response_idle_timeout", &Time);
    let after_response_timeout = read.take("limits.after_response_timeout", &Time);
    let cpu_time = read.take("limits.cpu_time", &Time);
    let memory = read.take("limits.memory", &MEMORY);
    Some(Limits {
        concurrency: concurrency? as usize,
        queue: queue? as usize,
        queue_timeout: queue_timeout?,
        request_timeout: request_timeout?,
        response_idle_timeout: response_idle_timeout?,
        after_response_timeout: after_response_timeout?,
        cpu_time: cpu_time?,
        memory: memory?,
    })
}

fn http(read: &mut Reader<'_>) -> Option<Http> {
    let keep_alive_timeout = read.take("http.keep_alive_timeout", &Time);
    let header_timeout = read.take("http.header_timeout", &Time);
    let body_timeout = read.take("http.body_timeout", &Time);
    let max_connections = read.take("http.max_connections", &Number(1, MANY));
    let max_keep_alive = read.take("http.max_keep_alive", &Number(0, MANY));
    let max_header_bytes = read.take("http.max_header_bytes", &HEAD);
    let max_body = read.take("http.max_body", &Size(1, bytesize::TIB));
    let Front { tls, proxy_protocol, forwarded_allow_ips } = front(read);
    Some(Http {
        keep_alive_timeout: keep_alive_timeout?,
        header_timeout: header_timeout?,
        body_timeout: body_timeout?,
        max_connections: max_connections? as usize,
        max_keep_alive: Some(max_keep_alive? as usize).filter(|connections| *connections > 0),
        max_header_bytes: max_header_bytes? as usize,
        max_body: max_body?,
        tls: tls?,
        proxy_protocol: proxy_protocol?,
        forwarded_allow_ips: forwarded_allow_ips?,
    })
}

fn shutdown(read: &mut Reader<'_>) -> Option<Shutdown> {
    let drain_delay = read.take("shutdown.drain_delay", &OrZero(Time));
    let graceful_timeout = read.take("shutdown.graceful_timeout", &Time);
    Some(Shutdown { drain_delay: drain_delay?, graceful_timeout: graceful_timeout? })
}

fn outbound(
    read: &mut Reader<'_>,
    limits: Option<&Limits>,
    warnings: &mut Vec<String>,
) -> Option<Outbound> {
    let allow = read.take_list("outbound.allow", &Origin);
    let connect_timeout = read.take("outbound.connect_timeout", &Time);
    let first_byte_timeout = read.take("outbound.first_byte_timeout", &Time);
    let between_bytes_timeout = read.take("outbound.between_bytes_timeout", &Time);
    let max_per_host = read.take("outbound.max_per_host", &Number(1, MANY));

    let outbound = Outbound {
        allow: allow?.into_iter().map(|(origin, _)| origin).collect(),
        connect_timeout: connect_timeout?,
        first_byte_timeout: first_byte_timeout?,
        between_bytes_timeout: between_bytes_timeout?,
        max_per_host: max_per_host? as usize,
    };
    let (own, all) = (outbound.max_per_host, limits?.concurrency);
    if !outbound.allow.is_empty() && own >= all {
        warnings.push(format!(
            "outbound.max_per_host ({own}) is not below limits.concurrency ({all}): one hung \
             upstream can take every place; try {} or fewer",
            (all / 4).max(1)
        ));
    }
    Some(outbound)
}

fn log(read: &mut Reader<'_>) -> Option<Log> {
    const FORMAT: Choice<LogFormat> = Choice(&[
        ("auto", LogFormat::Auto),
        ("human", LogFormat::Human),
        ("json", LogFormat::Json),
    ]);
    const LEVEL: Choice<LogLevel> = Choice(&[
        ("error", LogLevel::Error),
        ("warn", LogLevel::Warn),
        ("info", LogLevel::Info),
        ("debug", LogLevel::Debug),
        // Uvicorn's and Gunicorn's word for it.
        ("warning", LogLevel::Warn),
    ]);
    const ACCESS: Choice<AccessLog> = Choice(&[
        ("off", AccessLog::Off),
        ("common", AccessLog::Common),
        ("json", AccessLog::Json),
    ]);
    let format = read.take("log.format", &FORMAT);
    let level = read.take("log.level", &LEVEL);
    let guest_level = read.take("log.guest_level", &LEVEL);
    let access = read.take("log.access", &ACCESS);
    Some(Log { format: format?, level: level?, guest_level: guest_level?, access: access? })
}
