//! The printed documents in the repository are those that the tables would print now.

use std::fs;
use std::path::Path;

use skiff_docs::{COMMAND, documents};

#[test]
fn schemas_and_reference_pages_say_what_the_tables_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for document in documents() {
        let now = fs::read_to_string(root.join(document.path)).ok();
        let renewed = document.renewed(now.as_deref());
        let is_current = renewed.as_deref().ok() == now.as_deref();
        assert!(
            is_current,
            "{} is not up to date: run `{COMMAND}`",
            document.path
        );
    }
}
