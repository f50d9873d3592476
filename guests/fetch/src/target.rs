//! Where the outgoing request goes: the headers `x-url` and `x-method`, taken apart.

use wasip3::http::types::{Headers, Method, Request, Scheme};

/// An absolute URL in the parts that `wasi:http` wants, and the method.
pub struct Target {
    method: Method,
    scheme: Scheme,
    authority: String,
    path_with_query: String,
}

impl Target {
    /// Reads the target from a request's headers, or says what is wrong with them.
    pub fn of(headers: &Headers) -> Result<Self, &'static str> {
        let url = text(headers, "x-url").ok_or("the header x-url is missing")?;
        let (scheme, rest) = url.split_once("://").ok_or("x-url is not an absolute URL")?;
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        Ok(Self {
            method: method(text(headers, "x-method").as_deref()),
            scheme: match scheme {
                "http" => Scheme::Http,
                "https" => Scheme::Https,
                other => Scheme::Other(other.to_owned()),
            },
            authority: authority.to_owned(),
            path_with_query: if path.starts_with('/') {
                path.to_owned()
            } else {
                format!("/{path}")
            },
        })
    }

    /// Sends a request this way, or says what of it the host refuses.
    pub fn apply(&self, request: &Request) -> Result<(), &'static str> {
        let path = Some(self.path_with_query.as_str());
        request.set_method(&self.method).map_err(|()| "x-method is not a method")?;
        request.set_scheme(Some(&self.scheme)).map_err(|()| "x-url has no valid scheme")?;
        request.set_authority(Some(&self.authority)).map_err(|()| "x-url has no valid host")?;
        request.set_path_with_query(path).map_err(|()| "x-url has no valid path")
    }
}

fn text(headers: &Headers, name: &str) -> Option<String> {
    let value = headers.get(name).into_iter().next()?;
    String::from_utf8(value).ok()
}

fn method(name: Option<&str>) -> Method {
    match name {
        None | Some("GET") => Method::Get,
        Some("HEAD") => Method::Head,
        Some("POST") => Method::Post,
        Some("PUT") => Method::Put,
        Some("DELETE") => Method::Delete,
        Some("CONNECT") => Method::Connect,
        Some("OPTIONS") => Method::Options,
        Some("TRACE") => Method::Trace,
        Some("PATCH") => Method::Patch,
        Some(other) => Method::Other(other.to_owned()),
    }
}
