//! The frame of the HTML report.
//!
//! Invariant: the page loads nothing and runs nothing (its own policy forbids both), and
//! whatever is put into it goes through [`escape`].

/// Text as it may stand in elements and in attributes.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' => escaped.push('\n'),
            letter if letter.is_control() => escaped.push('\u{fffd}'),
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// A whole page; `body` is HTML, `title` is not.
pub(super) fn page(title: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{body}\
         </main>\n</body>\n</html>\n"
    )
}

/// Colours that people with any colour vision can tell apart (Okabe and Ito, 2008).
const STYLE: &str = "\
:root { color-scheme: light dark; --back: #fff; --text: #1b1b1f; --soft: #5f6368; --rule: #d9dce1;
  --bad: #b3261e; --good: #19703a;
  --c0: #0072b2; --c1: #d55e00; --c2: #009e73; --c3: #b0578d; --c4: #3d9bd4; --c5: #a87400; }
@media (prefers-color-scheme: dark) { :root { --back: #16181c; --text: #e6e7ea; --soft: #a0a4ab;
  --rule: #363a41; --bad: #ff8a80; --good: #7bd49a;
  --c0: #5ab4ea; --c1: #ff9350; --c2: #3fd0a5; --c3: #e09ac6; --c4: #9bd3f5; --c5: #e6b84a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--text);
  font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1500px; margin: 0 auto; padding: 24px; }
h1 { font-size: 1.4rem; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 28px 0 8px; }
p { margin: 4px 0; color: var(--soft); overflow-wrap: anywhere; }
p.warning, .bad { color: var(--bad); font-weight: 600; }
.good { color: var(--good); }
.tiles { display: flex; flex-wrap: wrap; gap: 12px; margin: 16px 0; padding: 0; list-style: none; }
.tiles li { border: 1px solid var(--rule); border-radius: 8px; padding: 8px 14px; }
.tiles b { display: block; font-size: 1.25rem; font-variant-numeric: tabular-nums; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 480px), 1fr));
  gap: 16px; }
figure { margin: 0; border: 1px solid var(--rule); border-radius: 8px; padding: 10px;
  break-inside: avoid; }
figcaption { font-weight: 600; }
svg { width: 100%; height: auto; display: block; }
.grid { stroke: var(--rule); } .stage { stroke: var(--soft); stroke-dasharray: 3 3; }
.label { fill: var(--soft); font-size: 11px; }
.line { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
.tip { fill: transparent; } .tip:hover { fill: var(--soft); fill-opacity: .18; }
.c0 { stroke: var(--c0); } .c1 { stroke: var(--c1); } .c2 { stroke: var(--c2); }
.c3 { stroke: var(--c3); } .c4 { stroke: var(--c4); } .c5 { stroke: var(--c5); }
.b0 { background: var(--c0); } .b1 { background: var(--c1); } .b2 { background: var(--c2); }
.b3 { background: var(--c3); } .b4 { background: var(--c4); } .b5 { background: var(--c5); }
.legend { display: flex; flex-wrap: wrap; gap: 4px 16px; margin: 4px 0 0; padding: 0;
  list-style: none; font-size: .85rem; color: var(--soft); }
.legend span { display: inline-block; width: 14px; height: 3px; margin-right: 6px;
  vertical-align: middle; print-color-adjust: exact; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 3px 12px 3px 0; text-align: right; border-bottom: 1px solid var(--rule);
  white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
th { color: var(--soft); font-weight: 600; }
summary { cursor: pointer; }
:focus-visible { outline: 2px solid var(--c0); outline-offset: 2px; }
@media print { :root { --back: #fff; --text: #000; --soft: #444; --rule: #bbb; }
  main { max-width: none; padding: 0; } .charts { grid-template-columns: 1fr 1fr; } }
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_markup() {
        assert_eq!(
            escape("<a href=\"x\">'&\u{1b}[0m"),
            "&lt;a href=&quot;x&quot;&gt;&#39;&amp;\u{fffd}[0m"
        );
    }
}
