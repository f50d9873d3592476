//! What is sent, and what is expected.

use std::{collections::HashSet, path::Path};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};

use super::{Problems, Raw};
use crate::{
    file,
    scenario::{Endpoint, RawEndpoint, StatusList, Statuses, Target},
};

/// Each has distributions of its own, in every thread and every stage.
const MOST: usize = 500;
/// In bytes.
const LONGEST_BODY: u64 = 256 << 20;

/// All endpoints, or the one that a target alone means; files with bodies are read.
pub(super) fn endpoints(
    raw: &Raw,
    target: &Option<Target>,
    problems: &mut Problems,
) -> Vec<Endpoint> {
    if raw.endpoints.len() > MOST {
        let count = raw.endpoints.len();
        problems.add("endpoint", count, format!("write at most {MOST}, each has its own figures"));
        return Vec::new();
    }
    let default = [RawEndpoint::default()];
    let raws = if raw.endpoints.is_empty() { &default[..] } else { &raw.endpoints };
    let path = target.as_ref().map_or("/", |target| target.path.as_str());
    let endpoints: Vec<_> =
        raws.iter().enumerate().map(|(index, raw)| endpoint(index, raw, path, problems)).collect();
    let mut names = HashSet::new();
    for (index, endpoint) in endpoints.iter().enumerate() {
        if !names.insert(&endpoint.name) {
            let remedy = "give each endpoint a name of its own";
            problems.add(format!("endpoint[{index}].name"), &endpoint.name, remedy);
        }
    }
    if endpoints.iter().map(|endpoint| endpoint.weight).sum::<f64>() <= 0.0 {
        problems.add("endpoint", "weights of 0", "give one endpoint a weight above zero");
    }
    endpoints
}

fn endpoint(index: usize, raw: &RawEndpoint, path: &str, problems: &mut Problems) -> Endpoint {
    let key = |name: &str| format!("endpoint[{index}].{name}");
    let path = raw.path.as_deref().unwrap_or(path);
    if !path.starts_with('/') || path.parse::<Uri>().is_err() {
        problems.add(key("path"), path, "write a path such as /api?q=1, escaped where needed");
    }
    let body = match (&raw.body, &raw.body_file) {
        (Some(text), Some(_)) => {
            problems.add(key("body"), text, "keep body or body_file");
            Bytes::new()
        }
        (Some(text), None) => Bytes::from(text.clone()),
        (None, Some(path)) => match file::read(Path::new(path), LONGEST_BODY) {
            Ok(body) => Bytes::from(body),
            Err(error) => {
                problems.add(key("body_file"), path, format!("{error}; name a readable file"));
                Bytes::new()
            }
        },
        (None, None) => Bytes::new(),
    };
    let has_body = raw.body.is_some() || raw.body_file.is_some();
    let default = if has_body { "POST" } else { "GET" };
    let method = raw.method.as_deref().unwrap_or(default);
    let method = Method::from_bytes(method.as_bytes()).ok().filter(|_| method != "CONNECT");
    let method = method.unwrap_or_else(|| {
        let value = raw.method.as_deref().unwrap_or_default();
        problems.add(key("method"), value, "write a method such as GET or POST");
        Method::GET
    });
    let expect = raw
        .expect
        .as_ref()
        .map_or_else(|| Some(Statuses::default()), |list| Statuses::parse(&list.text()));
    let expect = expect.unwrap_or_else(|| {
        let value = raw.expect.as_ref().map(StatusList::text).unwrap_or_default();
        problems.add(key("expect"), value, "write status codes such as 200, \"2xx\" or [200, 404]");
        Statuses::default()
    });
    let weight = raw.weight.unwrap_or(1.0);
    if !(0.0..=1e9).contains(&weight) {
        problems.add(key("weight"), weight, "write a number from 0 to 1000000000");
    }
    let name = raw.name.clone().unwrap_or_else(|| format!("{method} {path}"));
    if name.is_empty() || name.contains(['@', '<', '>']) && raw.name.is_some() {
        problems.add(key("name"), &name, "write a name without @ < >, for thresholds use them");
    }
    let mut headers = HeaderMap::new();
    for (name, value) in &raw.headers {
        let parsed =
            (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value.as_bytes()));
        match parsed {
            (Ok(header::CONTENT_LENGTH | header::TRANSFER_ENCODING | header::CONNECTION), _) => {
                problems.add(key("headers"), name, "leave it out: it follows from the request");
            }
            (Ok(name), Ok(value)) => {
                headers.insert(name, value);
            }
            _ => problems.add(key("headers"), name, "write a name and a value that HTTP allows"),
        }
    }
    headers
        .entry(header::USER_AGENT)
        .or_insert(HeaderValue::from_static(concat!("remuda-load/", env!("CARGO_PKG_VERSION"))));
    let expect_body = raw.expect_body.clone().map(Bytes::from);
    let path = path.to_owned();
    Endpoint { name, weight, method, path, headers, body, expect, expect_body }
}
