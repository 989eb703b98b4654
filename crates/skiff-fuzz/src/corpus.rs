//! Real files that inputs are made of.

use std::fs;
use std::io;
use std::path::Path;

/// Real files that inputs are made of; never empty.
#[derive(Clone, Debug)]
pub struct Corpus {
    texts: Vec<Vec<u8>>,
}

impl Corpus {
    /// The test cases and examples of the repository.
    pub fn of_repository(root: &Path) -> io::Result<Self> {
        let mut texts = vec![b"run: id\n".to_vec()];
        for folder in ["tests", "examples"] {
            collect(&root.join(folder), &mut texts)?;
        }
        // The order of a folder's entries is the disk's.
        texts.sort();
        texts.dedup();
        Ok(Self { texts })
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Never true.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// The file of this number, counted around.
    pub fn get(&self, index: usize) -> &[u8] {
        &self.texts[index % self.texts.len()]
    }
}

fn collect(folder: &Path, texts: &mut Vec<Vec<u8>>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, texts)?;
            continue;
        }
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("yaml") => texts.push(fs::read(&path)?),
            // Many cases in one file, each after a line with its name.
            Some("txt") if folder.ends_with("reference/cases") => {
                let text = fs::read_to_string(&path)?;
                let cases = text.split("\n=== ").skip(1);
                let bodies = cases.filter_map(|case| case.split_once('\n'));
                texts.extend(bodies.map(|(_, body)| body.as_bytes().to_vec()));
            }
            _ => {}
        }
    }
    Ok(())
}
