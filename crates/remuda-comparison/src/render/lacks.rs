//! What a page has and another one has not.

/// A work of a page, and its servers.
struct Section<'a> {
    work: &'a str,
    servers: Vec<&'a str>,
}

/// Works and servers that are in the first of two rendered pages alone.
pub(super) fn of(old: &str, new: &str) -> Vec<String> {
    let new = sections(new);
    let mut lacks = Vec::new();
    for old in sections(old) {
        let Some(same) = new.iter().find(|section| section.work == old.work) else {
            lacks.push(old.work.to_owned());
            continue;
        };
        let missing: Vec<String> = old
            .servers
            .iter()
            .filter(|server| !same.servers.contains(server))
            .map(|server| plain(server))
            .collect();
        if !missing.is_empty() {
            lacks.push(format!("{} without {}", old.work, missing.join(" and ")));
        }
    }
    lacks
}

/// By the command that repeats each of them, for titles are changed now and then.
fn sections(page: &str) -> Vec<Section<'_>> {
    page.split("\n## ").skip(1).filter_map(section).collect()
}

fn section(text: &str) -> Option<Section<'_>> {
    let (_, rest) = text.split_once("(`cargo xtask bench ")?;
    let (work, rest) = rest.split_once('`')?;
    let rows = rest.lines().filter_map(|line| line.strip_prefix("| "));
    // Below the head of the table; a server's further rows do not repeat its name.
    let servers = rows.skip(1).filter_map(|row| Some(row.split_once(" | ")?.0));
    Some(Section { work, servers: servers.filter(|it| !it.trim().is_empty()).collect() })
}

/// A cell as it was before it was one.
fn plain(cell: &str) -> String {
    let cell = cell.replace("\\|", "|").replace("&lt;", "<").replace("&gt;", ">");
    cell.replace("&quot;", "\"").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "Versions.\n\n```sh\ncargo xtask bench\n```\n\n## A title\n\nWords (`cargo \
        xtask bench text`).\n\n| server |  | a |\n|---|---|---|\n| one | x | 1 |\n|  | y | 2 |\n| \
        two | x | 3 |\n\n## Other\n\nMore (`cargo xtask bench knee`).\n";

    #[test]
    fn what_is_gone_is_told_and_what_is_new_is_not() {
        assert_eq!(of(PAGE, PAGE), Vec::<String>::new());
        let less = PAGE.replace("| two | x | 3 |\n", "| three | x | 3 |\n");
        assert_eq!(of(PAGE, &less), ["text without two"]);
        assert_eq!(of(PAGE, &PAGE.replace("bench knee", "bench later")), ["knee"]);
        assert_eq!(of(PAGE, &PAGE.replace("## A title", "## Another")), Vec::<String>::new());
        assert_eq!(of("old\n", PAGE), Vec::<String>::new());
    }
}
