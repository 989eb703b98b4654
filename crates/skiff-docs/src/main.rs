//! Prints the JSON Schemas and the reference pages into the repository; `--check` only compares.
#![expect(clippy::print_stdout, reason = "a program of the terminal")]

use std::path::Path;
use std::{env, fs};

use anyhow::{Context, Result, bail};
use skiff_docs::{COMMAND, documents};

fn main() -> Result<()> {
    let check = match env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [] => false,
        [flag] if flag == "--check" => true,
        _ => bail!("usage: {COMMAND} [--check]"),
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut stale = Vec::new();
    for document in documents() {
        let file = root.join(document.path);
        let now = fs::read_to_string(&file).ok();
        let renewed = document
            .renewed(now.as_deref())
            .with_context(|| format!("cannot renew {}", document.path))?;
        if now.as_deref() == Some(&renewed) {
            continue;
        }
        stale.push(document.path);
        if !check {
            let folder = file.parent().context("a file has a folder")?;
            fs::create_dir_all(folder)?;
            fs::write(&file, renewed).with_context(|| format!("cannot write {}", document.path))?;
            println!("{}", document.path);
        }
    }
    if check && !stale.is_empty() {
        bail!("not up to date: {}; `{COMMAND}` mends it", stale.join(", "));
    }
    Ok(())
}
