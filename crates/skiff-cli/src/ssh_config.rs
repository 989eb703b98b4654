//! What OpenSSH is told of clusters: one file a cluster in Skiff's own folder, and one line in `~/.ssh/config` that
//! includes them. Nothing else of the user's is touched.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use skiff_engine::SshAccess;

use crate::environment::Environment;

/// Where the files of clusters lie, and how their nodes are reached.
#[derive(Clone, Debug)]
pub(crate) struct SshConfig {
    folder: PathBuf,
    /// The user's own configuration; None where he wants it left alone.
    users: Option<PathBuf>,
    /// `KUBECONFIG` as it has to be for the cluster to be found.
    kubeconfig: Option<String>,
}

impl SshConfig {
    /// The files of this user.
    pub(crate) fn new(environment: &Environment) -> Self {
        let users = environment.home.join(".ssh/config");
        Self {
            folder: environment.skiff_home.join("ssh"),
            users: (!environment.no_ssh_config).then_some(users),
            kubeconfig: environment.kubeconfig.clone(),
        }
    }

    /// Writes what leads to a cluster, and once the line that includes it.
    pub(crate) fn write(&self, access: &SshAccess) -> io::Result<()> {
        let _lock = self.lock()?;
        let keys = format!("{} {}\n", access.id, access.host_key);
        replace(&self.known_hosts(&access.name), &keys, 0o600)?;
        let mut text = format!(
            "{}\n# Skiff writes this file anew at each launch and removes it with the cluster.\n",
            mark(&access.id, &access.context, &access.namespace)
        );
        for rank in 0..access.pods.len() {
            text.extend(["\nHost ", &aliases(&access.name, rank).join(" "), "\n"]);
            for (key, value) in self.options(access, rank)? {
                text.extend(["  ", key, " ", &value, "\n"]);
            }
        }
        replace(&self.file(&access.name), &text, 0o600)?;
        match &self.users {
            Some(users) => include(users, &self.folder),
            None => Ok(()),
        }
    }

    /// Removes what leads to a cluster, unless it is another one of that name by now.
    pub(crate) fn remove(
        &self,
        name: &str,
        id: &str,
        context: &str,
        namespace: &str,
    ) -> io::Result<()> {
        let file = self.file(name);
        match fs::read_to_string(&file) {
            Ok(text) if text.lines().next() == Some(&mark(id, context, namespace)) => {}
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => return Ok(()),
        }
        let _lock = self.lock()?;
        fs::remove_file(&file)?;
        match fs::remove_file(self.known_hosts(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// What OpenSSH must know to reach a node, in its own words.
    pub(crate) fn options(
        &self,
        access: &SshAccess,
        rank: usize,
    ) -> io::Result<Vec<(&'static str, String)>> {
        let pod = access.pods.get(rank).map_or("", String::as_str);
        let known_hosts = self.known_hosts(&access.name).display().to_string();
        let fixed = |key, value: &str| (key, value.to_owned());
        Ok(vec![
            ("ProxyCommand", self.proxy(access, pod)?),
            ("HostKeyAlias", access.id.clone()),
            (
                "UserKnownHostsFile",
                format!("\"{}\"", percent(&known_hosts)),
            ),
            fixed("GlobalKnownHostsFile", "/dev/null"),
            fixed("StrictHostKeyChecking", "yes"),
            fixed("UpdateHostKeys", "no"),
            fixed("CheckHostIP", "no"),
            fixed("HostKeyAlgorithms", "ssh-ed25519"),
            // The fastest; what protects the way is the API server's TLS around all of this.
            fixed("Ciphers", "aes128-gcm@openssh.com,aes256-gcm@openssh.com"),
            // A way that broke without a word is noticed.
            fixed("ServerAliveInterval", "15"),
            fixed("ServerAliveCountMax", "3"),
        ])
    }

    /// The command that OpenSSH talks through: it names all that would otherwise depend on where it is run.
    fn proxy(&self, access: &SshAccess, pod: &str) -> io::Result<String> {
        let own = std::env::current_exe()?.display().to_string();
        let mut words = Vec::new();
        if let Some(kubeconfig) = &self.kubeconfig {
            words.push("env".to_owned());
            words.push(quoted(&format!("KUBECONFIG={kubeconfig}")));
        }
        words.push(quoted(&own));
        for word in [
            "--context",
            &access.context,
            "ssh",
            "--stdio",
            pod,
            "--namespace",
        ] {
            words.push(quoted(word));
        }
        words.push(quoted(&access.namespace));
        Ok(percent(&words.join(" ")))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.conf"))
    }

    fn known_hosts(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.known_hosts"))
    }

    /// Makes the folder, and lets nobody else write in it while this is held.
    fn lock(&self) -> io::Result<File> {
        folder(&self.folder)?;
        let options = File::options().create(true).append(true).clone();
        let lock = options.open(self.folder.join("lock"))?;
        lock.lock()?;
        Ok(lock)
    }
}

/// The names of a node, the usual one first.
fn aliases(name: &str, rank: usize) -> Vec<String> {
    match rank {
        0 => vec![name.to_owned(), format!("{name}-head")],
        rank => vec![format!("{name}-worker{rank}")],
    }
}

fn mark(id: &str, context: &str, namespace: &str) -> String {
    format!("# cluster {id} in namespace {namespace} of context {context}")
}

/// A word as any shell reads it.
fn quoted(word: &str) -> String {
    let is_plain =
        |character: char| character.is_ascii_alphanumeric() || "-_./=:@,+".contains(character);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// OpenSSH reads `%` as the beginning of a token.
fn percent(text: &str) -> String {
    text.replace('%', "%%")
}

fn folder(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}

/// Puts the line that includes Skiff's files at the top of the user's configuration, unless it is there.
fn include(users: &Path, folder_of_files: &Path) -> io::Result<()> {
    let line = format!("Include \"{}\"", folder_of_files.join("*.conf").display());
    // Where it is a link, into a repository of such files perhaps, what it leads to is changed.
    let users = fs::canonicalize(users).unwrap_or_else(|_| users.to_owned());
    let (text, mode) = match fs::read_to_string(&users) {
        Ok(text) => (text, fs::metadata(&users)?.permissions().mode() & 0o7777),
        Err(error) if error.kind() == io::ErrorKind::NotFound => (String::new(), 0o600),
        Err(error) => return Err(error),
    };
    if text.lines().any(|present| present.trim() == line) {
        return Ok(());
    }
    if let Some(parent) = users.parent() {
        folder(parent)?;
    }
    let gap = if text.is_empty() { "" } else { "\n" };
    replace(&users, &format!("{line}\n{gap}{text}"), mode)
}

/// Writes a file so that readers see the old one or the new one.
fn replace(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    if fs::read_to_string(path).is_ok_and(|present| present == text) {
        return Ok(());
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".skiff-{}", std::process::id()));
    let fresh = path.with_file_name(name);
    let written = write(&fresh, text, mode).and_then(|()| fs::rename(&fresh, path));
    if written.is_err() {
        // Nothing half-written is left behind.
        let _ = fs::remove_file(&fresh);
    }
    written
}

fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut file = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(path)?;
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    use skiff_engine::SshAccess;

    use super::{SshConfig, quoted};

    fn config(dir: &std::path::Path) -> SshConfig {
        SshConfig {
            folder: dir.join("skiff home/ssh"),
            users: Some(dir.join(".ssh/config")),
            kubeconfig: Some("/a b/config".to_owned()),
        }
    }

    fn access(context: &str) -> SshAccess {
        SshAccess {
            name: "dev".to_owned(),
            id: "dev-1234".to_owned(),
            pods: vec!["dev-1234-head".to_owned(), "dev-1234-worker1".to_owned()],
            host_key: "ssh-ed25519 AAAA".to_owned(),
            context: context.to_owned(),
            namespace: "default".to_owned(),
        }
    }

    #[test]
    fn the_users_file_gets_one_line_and_keeps_the_rest() {
        let dir = tempfile::tempdir().expect("a folder");
        let users = dir.path().join(".ssh/config");
        fs::create_dir(dir.path().join(".ssh")).expect("a folder");
        fs::write(&users, "Host x\n  User y\n").expect("written");
        fs::set_permissions(&users, fs::Permissions::from_mode(0o640)).expect("changed");
        let config = config(dir.path());
        for _ in 0..2 {
            config.write(&access("one")).expect("written");
        }
        let text = fs::read_to_string(&users).expect("readable");
        assert_eq!(text.matches("Include").count(), 1);
        assert!(text.ends_with("\nHost x\n  User y\n"), "{text}");
        let mode = fs::metadata(&users).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
    }

    #[test]
    fn a_new_file_is_for_the_user_alone() {
        let dir = tempfile::tempdir().expect("a folder");
        config(dir.path()).write(&access("one")).expect("written");
        let users = dir.path().join(".ssh/config");
        let mode = fs::metadata(users).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn only_the_same_cluster_is_removed() {
        let dir = tempfile::tempdir().expect("a folder");
        let config = config(dir.path());
        config.write(&access("one")).expect("written");
        config
            .remove("dev", "dev-1234", "other", "default")
            .expect("kept");
        assert!(config.file("dev").exists());
        config
            .remove("dev", "dev-1234", "one", "default")
            .expect("removed");
        assert!(!config.file("dev").exists() && !config.known_hosts("dev").exists());
        config
            .remove("dev", "dev-1234", "one", "default")
            .expect("gone already");
    }

    #[test]
    fn openssh_reads_what_is_written() {
        let dir = tempfile::tempdir().expect("a folder");
        config(dir.path())
            .write(&access("a 'context' 100%"))
            .expect("written");
        let read = Command::new("ssh")
            .arg("-F")
            .arg(dir.path().join(".ssh/config"))
            .args(["-G", "dev-worker1"])
            .output()
            .expect("OpenSSH's client is there");
        assert!(read.status.success(), "{read:?}");
        let text = String::from_utf8_lossy(&read.stdout);
        for line in [
            "hostkeyalias dev-1234",
            "stricthostkeychecking true",
            "serveraliveinterval 15",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        let proxy = text
            .lines()
            .find(|line| line.starts_with("proxycommand"))
            .expect("a command");
        assert!(proxy.contains("'KUBECONFIG=/a b/config'"), "{proxy}");
        assert!(
            proxy.contains("--stdio dev-1234-worker1 --namespace default"),
            "{proxy}"
        );
    }

    #[test]
    fn words_survive_the_shell() {
        assert_eq!(quoted("k8s/a:b"), "k8s/a:b");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
