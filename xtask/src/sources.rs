//! The Debian archives that this machine's apt uses, read from `/etc/apt` and never changed.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// One archive of Debian's `main` component for one suite.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Archive {
    /// The address, for example of a mirror.
    pub(crate) uri: String,
    /// The key file that signs it, where the entry names one.
    pub(crate) signed_by: Option<String>,
}

impl Archive {
    /// A `.sources` file of apt that gives this archive's source packages of `suite`.
    pub(crate) fn as_source_entry(&self, suite: &str) -> String {
        let mut entry = format!(
            "Types: deb-src\nURIs: {}\nSuites: {suite}\nComponents: main\n",
            self.uri
        );
        if let Some(key) = &self.signed_by {
            let _infallible = writeln!(entry, "Signed-By: {key}");
        }
        entry
    }
}

/// The machine's distribution, as `/etc/os-release` has it.
pub(crate) struct Release {
    /// For example `debian`.
    pub(crate) id: String,
    /// For example `bookworm`.
    pub(crate) codename: String,
    /// For messages, for example `Debian GNU/Linux 12 (bookworm)`.
    pub(crate) name: String,
}

impl Release {
    /// Reads the machine's own.
    pub(crate) fn of_this_machine() -> Result<Self> {
        let text = fs::read_to_string("/etc/os-release").context("cannot read /etc/os-release")?;
        let field = |key: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
                .map(|value| value.trim_matches('"').to_owned())
                .unwrap_or_default()
        };
        Ok(Self {
            id: field("ID"),
            codename: field("VERSION_CODENAME"),
            name: field("PRETTY_NAME"),
        })
    }
}

/// The archives that apt is set up to take `main` of `suite` from; there is at least one.
pub(crate) fn archives(suite: &str) -> Result<Vec<Archive>> {
    let mut found = BTreeSet::new();
    for file in source_files()? {
        let text =
            fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let deb822 = file
            .extension()
            .is_some_and(|extension| extension == "sources");
        found.extend(if deb822 {
            from_stanzas(&text, suite)
        } else {
            from_lines(&text, suite)
        });
    }
    if found.is_empty() {
        bail!("/etc/apt has no entry for the component main of {suite}; add Debian's archive");
    }
    found.into_iter().map(resolve_mirror_list).collect()
}

fn source_files() -> Result<Vec<PathBuf>> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(entries) = fs::read_dir("/etc/apt/sources.list.d") {
        for entry in entries {
            files.push(entry.context("cannot list /etc/apt/sources.list.d")?.path());
        }
    }
    files.retain(|file| {
        file.is_file()
            && file
                .extension()
                .is_some_and(|extension| extension == "list" || extension == "sources")
    });
    files.sort();
    Ok(files)
}

/// Cloud images name a local list of mirrors; only apt itself understands that address.
fn resolve_mirror_list(archive: Archive) -> Result<Archive> {
    let Some(list) = archive.uri.strip_prefix("mirror+file:") else {
        return Ok(archive);
    };
    let text =
        fs::read_to_string(Path::new(list)).with_context(|| format!("cannot read {list}"))?;
    let uri = text
        .split_whitespace()
        .next()
        .with_context(|| format!("{list} names no mirror"))?
        .to_owned();
    Ok(Archive { uri, ..archive })
}

/// Entries of the newer form: stanzas of `Key: values`, with continuation lines.
fn from_stanzas(text: &str, suite: &str) -> Vec<Archive> {
    let mut found = Vec::new();
    for stanza in text.split("\n\n") {
        let field = |key: &str| stanza_field(stanza, key);
        let offers = field("Suites").iter().any(|word| word == suite)
            && field("Components").iter().any(|word| word == "main")
            && !field("Enabled").iter().any(|word| word == "no");
        if offers {
            let signed_by = field("Signed-By")
                .into_iter()
                .find(|key| key.starts_with('/'));
            found.extend(
                field("URIs")
                    .into_iter()
                    .map(|uri| normal(&uri, signed_by.clone())),
            );
        }
    }
    found
}

fn stanza_field(stanza: &str, key: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut inside = false;
    for line in stanza.lines().filter(|line| !line.starts_with('#')) {
        let continued = line.starts_with([' ', '\t']);
        match line.split_once(':') {
            Some((name, values)) if !continued => {
                inside = name.eq_ignore_ascii_case(key);
                if inside {
                    words.extend(values.split_whitespace().map(str::to_owned));
                }
            }
            _ if inside && continued => words.extend(line.split_whitespace().map(str::to_owned)),
            _ => {}
        }
    }
    words
}

/// Entries of the older form: `deb [options] uri suite components`.
fn from_lines(text: &str, suite: &str) -> Vec<Archive> {
    text.lines()
        .filter_map(|line| from_line(line, suite))
        .collect()
}

fn from_line(line: &str, suite: &str) -> Option<Archive> {
    let rest = line
        .trim()
        .strip_prefix("deb")?
        .trim_start_matches("-src")
        .trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(inside) => inside.split_once(']')?,
        None => ("", rest),
    };
    let mut words = rest.split_whitespace();
    let uri = words.next()?;
    let offers = words.next()? == suite && words.any(|word| word == "main");
    let signed_by = options
        .split_whitespace()
        .find_map(|option| option.strip_prefix("signed-by="));
    offers.then(|| normal(uri, signed_by.map(str::to_owned)))
}

fn normal(uri: &str, signed_by: Option<String>) -> Archive {
    Archive {
        uri: uri.trim_end_matches('/').to_owned(),
        signed_by,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(uri: &str, key: Option<&str>) -> Archive {
        Archive {
            uri: uri.to_owned(),
            signed_by: key.map(str::to_owned),
        }
    }

    #[test]
    fn stanzas_give_their_archives_and_keys() {
        let text = "# a comment\nTypes: deb\nURIs: http://mirror.example/debian/\n\
            Suites: bookworm\n bookworm-updates\nComponents: main contrib\nSigned-By: /k.gpg\n\n\
            Types: deb\nURIs: http://other.example\nSuites: nodistro\nComponents: main\n";
        let expected = [archive("http://mirror.example/debian", Some("/k.gpg"))];
        assert_eq!(from_stanzas(text, "bookworm"), expected);
    }

    #[test]
    fn a_disabled_stanza_is_passed_over() {
        let text = "Types: deb\nEnabled: no\nURIs: http://a\nSuites: bookworm\nComponents: main\n";
        assert_eq!(from_stanzas(text, "bookworm"), []);
    }

    #[test]
    fn lines_give_their_archives_with_and_without_options() {
        let text = "deb http://a.example/debian bookworm main\n\
            deb [arch=amd64 signed-by=/k.asc] http://b.example bookworm contrib main\n\
            # deb http://c.example bookworm main\n\
            deb http://d.example bookworm-security main\ndeb http://e.example bookworm stable\n";
        let expected = [
            archive("http://a.example/debian", None),
            archive("http://b.example", Some("/k.asc")),
        ];
        assert_eq!(from_lines(text, "bookworm"), expected);
    }

    #[test]
    fn a_source_entry_keeps_the_key() {
        assert_eq!(
            archive("http://a", Some("/k.gpg")).as_source_entry("bookworm"),
            "Types: deb-src\nURIs: http://a\nSuites: bookworm\nComponents: main\nSigned-By: /k.gpg\n"
        );
    }
}
