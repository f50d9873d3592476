//! The notice of `remuda dev`: something is wrong, and what is served is from before.
//!
//! Owner: the configuration of a generation, which has one or has none. Invariant: without a
//! notice nothing changes; with one, whoever can show a page gets it, and everybody else is
//! answered by the component as before, with a header that says so. While there are no routes,
//! everybody else is told that too. A notice's first line is its heading.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use remuda_config::Config;

const MARK: HeaderName = HeaderName::from_static("remuda-dev");

/// What a client may wait before it asks again, in seconds.
const PATIENCE: HeaderValue = HeaderValue::from_static("2");

/// The page for this request, if there is a notice and its client shows pages, or nobody could
/// answer it.
pub(crate) fn page<B>(config: &Config, request: &Request<B>) -> Option<Response<Bytes>> {
    let notice = Notice::read(config)?;
    let repeats = request.method() == Method::GET;
    match (wants_html(request.headers()), config.routes.is_empty()) {
        (true, false) => Some(failed(notice, repeats)),
        (true, true) => Some(waiting(notice, HTML, repeats)),
        (false, true) => Some(waiting(notice, TEXT, repeats)),
        (false, false) => None,
    }
}

/// Marks a response of a component that is not what its sources say.
pub(crate) fn mark(config: &Config, headers: &mut HeaderMap) {
    if let Some(notice) = Notice::read(config) {
        headers.insert(MARK, notice.mark());
    }
}

#[derive(Clone, Copy)]
struct Notice<'a> {
    heading: &'a str,
    text: &'a str,
}

impl<'a> Notice<'a> {
    fn read(config: &'a Config) -> Option<Self> {
        let (heading, text) = config.notice.as_deref()?.split_once('\n')?;
        Some(Self { heading, text })
    }

    /// "The build failed" is `build failed`.
    fn mark(self) -> HeaderValue {
        let short = self.heading.trim_start_matches("The ").to_ascii_lowercase();
        HeaderValue::from_str(&short).unwrap_or(HeaderValue::from_static("not up to date"))
    }
}

/// What a browser says when somebody navigates, and `fetch` and `curl` do not.
fn wants_html(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut ranges = values.flat_map(|value| value.split(','));
    ranges.any(|range| {
        let range = range.split(';').next().unwrap_or_default().trim();
        range.eq_ignore_ascii_case("text/html")
    })
}

/// For browsers, while the component from before the notice serves all others.
fn failed(notice: Notice<'_>, repeats: bool) -> Response<Bytes> {
    let rest = "What was served before goes on answering all but browsers.";
    let page = page_of(notice, rest, repeats);
    response(StatusCode::INTERNAL_SERVER_ERROR, HTML, notice.mark(), page)
}

/// For everybody, while there is nothing to serve; browsers are shown the whole notice.
fn waiting(notice: Notice<'_>, kind: HeaderValue, repeats: bool) -> Response<Bytes> {
    let rest = "Requests are served once a build has succeeded and is compiled.";
    let text = if kind == HTML {
        page_of(notice, rest, repeats)
    } else {
        format!("{}. {rest}\n", notice.heading)
    };
    let mut response = response(StatusCode::SERVICE_UNAVAILABLE, kind, notice.mark(), text);
    response.headers_mut().insert(header::RETRY_AFTER, PATIENCE);
    response
}

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

fn response(
    status: StatusCode,
    kind: HeaderValue,
    mark: HeaderValue,
    text: String,
) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(MARK, mark);
    response
}

/// With `repeats`, the browser asks again by itself, so that the page goes when the build heals.
fn page_of(notice: Notice<'_>, rest: &str, repeats: bool) -> String {
    let title = escaped(notice.heading);
    let refresh = if repeats { "<meta http-equiv=\"refresh\" content=\"2\">" } else { "" };
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">{refresh}\
         <title>{title}</title><style>{STYLE}</style></head><body><h1>{title}</h1>\
         <pre>{}</pre><p>{rest} This page is from <code>remuda dev</code>.</p></body></html>\n",
        escaped(notice.text)
    )
}

const STYLE: &str = "body{font-family:sans-serif;margin:2rem}\
                     pre{background:#222;color:#eee;padding:1rem;overflow-x:auto}";

/// Text as HTML shows it.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '&' => html.push_str("&amp;"),
            '"' => html.push_str("&quot;"),
            '\n' | '\t' => html.push(character),
            control if control.is_control() => html.push(char::REPLACEMENT_CHARACTER),
            other => html.push(other),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(accept: &'static str) -> HeaderMap {
        [(header::ACCEPT, HeaderValue::from_static(accept))].into_iter().collect()
    }

    #[test]
    fn browsers_are_shown_pages_and_programs_are_not() {
        for accept in
            ["text/html", "text/html,application/xhtml+xml,*/*;q=0.8", "a/b, Text/HTML;q=1"]
        {
            assert!(wants_html(&headers(accept)), "{accept}");
        }
        for accept in ["*/*", "application/json", "text/plain", "text/html5"] {
            assert!(!wants_html(&headers(accept)), "{accept}");
        }
        assert!(!wants_html(&HeaderMap::new()));
    }

    #[test]
    fn what_a_compiler_says_is_text() {
        let heading = "The build failed";
        let notice = Notice { heading, text: "error: `<script>` & \"x\"\u{1b}[0m\n" };
        let page = failed(notice, true);
        let text = String::from_utf8_lossy(page.body());
        assert!(text.contains("error: `&lt;script&gt;` &amp; &quot;x&quot;\u{fffd}[0m\n</pre>"));
        assert!(text.contains("http-equiv=\"refresh\"") && page.status() == 500);
        assert!(text.contains("<h1>The build failed</h1>"), "{text}");
        assert_eq!(page.headers()[MARK], "build failed");
        assert!(!String::from_utf8_lossy(failed(notice, false).body()).contains("refresh"));
    }

    #[test]
    fn without_a_component_everybody_is_told_to_come_again() {
        let notice = Notice { heading: "Being prepared", text: "no <x>" };
        for kind in [TEXT, HTML] {
            let reply = waiting(notice, kind.clone(), true);
            assert_eq!(reply.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(reply.headers()[header::RETRY_AFTER], "2");
            let text = String::from_utf8_lossy(reply.body());
            assert!(text.contains("Being prepared"), "{text}");
            assert_eq!(text.contains("no &lt;x&gt;"), kind == HTML, "{text}");
        }
    }
}
