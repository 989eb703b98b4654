//! The user database, read as the text file it is: libc's way would load modules of the image.

use std::path::{Path, PathBuf};

/// What `/etc/passwd` says of one user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    /// The user's name.
    pub(crate) name: String,
    /// The home folder.
    pub(crate) home: PathBuf,
    /// The shell, where one is named.
    pub(crate) shell: Option<PathBuf>,
}

/// The account of this user number, if the file can be read and knows it.
pub(crate) fn account(file: &Path, uid: u32) -> Option<Account> {
    let text = std::fs::read(file).ok()?;
    find(&String::from_utf8_lossy(&text), uid)
}

/// The account of this name, if the file can be read and knows it.
pub(crate) fn named(file: &Path, name: &str) -> Option<Account> {
    let text = std::fs::read(file).ok()?;
    let text = String::from_utf8_lossy(&text);
    let mut accounts = accounts(&text);
    accounts.find_map(|(_, account)| (account.name == name).then_some(account))
}

fn find(text: &str, uid: u32) -> Option<Account> {
    accounts(text).find_map(|(number, account)| (number == uid).then_some(account))
}

/// The lines that can be read, with their numbers.
fn accounts(text: &str) -> impl Iterator<Item = (u32, Account)> {
    text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let number = fields.nth(1)?.parse().ok()?;
        let home = fields.nth(2)?;
        let shell = fields.next().filter(|shell| !shell.is_empty());
        let account = Account {
            name: name.to_owned(),
            home: PathBuf::from(home),
            shell: shell.map(PathBuf::from),
        };
        Some((number, account))
    })
}

#[cfg(test)]
mod tests {
    use super::find;

    const TEXT: &str =
        "root:x:0:0:root:/root:/bin/bash\nbroken\n:x:7:7::/:\nsky:x:1000:1000::/home/sky:\n";

    #[test]
    fn finds_a_user_by_number() {
        let account = find(TEXT, 1000).expect("the user is there");
        assert_eq!(
            (account.name.as_str(), account.home.to_str(), account.shell),
            ("sky", Some("/home/sky"), None)
        );
        let root = find(TEXT, 0).expect("the user is there");
        assert_eq!(root.shell, Some("/bin/bash".into()));
    }

    #[test]
    fn skips_unknown_and_broken_lines() {
        assert_eq!(find(TEXT, 5), None);
        assert_eq!(find(TEXT, 7), None);
        assert_eq!(find("", 0), None);
    }
}
