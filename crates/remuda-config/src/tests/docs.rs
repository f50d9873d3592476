//! The reference page says what the table says.

use std::{env, fs, path::Path};

#[test]
fn the_reference_page_is_up_to_date() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let expected = crate::reference_markdown();
    if env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&page, &expected).expect("docs/configuration.md can be written");
    }
    let found = fs::read_to_string(&page).unwrap_or_default();
    let remedy = "run UPDATE_DOCS=1 cargo test -p remuda-config reference_page";
    assert!(
        found == expected,
        "docs/configuration.md is not what the table of keys says; {remedy}"
    );
}
