//! The notice of `remuda dev`: the last build failed, and what is served is the one before.
//!
//! Owner: the configuration of a generation, which has one or has none. Invariant: without a
//! notice nothing changes; with one, whoever can show a page gets it, and everybody else is
//! answered by the component as before, with a header that says so.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use remuda_config::Config;

const MARK: HeaderName = HeaderName::from_static("remuda-dev");
const BUILD_FAILED: HeaderValue = HeaderValue::from_static("build failed");

/// The page for this request, if there is a notice and its client shows pages.
pub(crate) fn page<B>(config: &Config, request: &Request<B>) -> Option<Response<Bytes>> {
    let notice = config.notice.as_deref()?;
    wants_html(request.headers()).then(|| response(notice, request.method() == Method::GET))
}

/// Marks a response of a component that is not what its sources say.
pub(crate) fn mark(config: &Config, headers: &mut HeaderMap) {
    if config.notice.is_some() {
        headers.insert(MARK, BUILD_FAILED);
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

/// With `repeats`, the browser asks again by itself, so that the page goes when the build heals.
fn response(notice: &str, repeats: bool) -> Response<Bytes> {
    let refresh = if repeats { "<meta http-equiv=\"refresh\" content=\"2\">" } else { "" };
    let page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">{refresh}\
         <title>build failed</title><style>{STYLE}</style></head><body><h1>The build failed</h1>\
         <pre>{}</pre><p>The last component that was built goes on answering all but browsers. \
         This page is from <code>remuda dev</code>.</p></body></html>\n",
        escaped(notice)
    );
    let mut response = Response::new(Bytes::from(page));
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(MARK, BUILD_FAILED);
    response
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
        let page = response("error: `<script>` & \"x\"\u{1b}[0m\n", true);
        let text = String::from_utf8_lossy(page.body());
        assert!(text.contains("error: `&lt;script&gt;` &amp; &quot;x&quot;\u{fffd}[0m\n</pre>"));
        assert!(text.contains("http-equiv=\"refresh\"") && page.status() == 500);
        assert!(!String::from_utf8_lossy(response("", false).body()).contains("refresh"));
    }
}
