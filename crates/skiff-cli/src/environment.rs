//! Every environment variable that Skiff reads, read once at the start.

use std::path::{Path, PathBuf};

use skiff_engine::Machine;

/// Text that must not show in what `Debug` prints.
#[derive(Clone)]
pub(crate) struct Password(String);

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(hidden)")
    }
}

/// What the environment says.
#[derive(Clone, Debug)]
pub(crate) struct Environment {
    /// `SKIFF_HOME`, else `~/.skiff`: state and caches.
    pub(crate) skiff_home: PathBuf,
    /// The user's home folder.
    pub(crate) home: PathBuf,
    /// `USER` or `LOGNAME`, else the name that `/etc/passwd` knows.
    pub(crate) user: String,
    /// `SKYPILOT_USER_ID`: takes the place of the hash of the user's name.
    pub(crate) user_id: Option<String>,
    /// `SKYPILOT_GLOBAL_CONFIG`: takes the place of the user's configuration file.
    pub(crate) global_config: Option<PathBuf>,
    /// `SKYPILOT_PROJECT_CONFIG`: takes the place of `./.sky.yaml`.
    pub(crate) project_config: Option<PathBuf>,
    /// `GIT_TOKEN`: the password for git workdirs behind HTTPS.
    pub(crate) git_token: Option<Password>,
    /// `GIT_SSH_KEY_PATH`: the key for git workdirs behind SSH.
    pub(crate) git_ssh_key: Option<PathBuf>,
    /// `KUBECONFIG`, else the usual file where it is there; paths made absolute.
    pub(crate) kubeconfig: Option<String>,
    /// `SKIFF_NO_SSH_CONFIG`: leave `~/.ssh/config` alone.
    pub(crate) no_ssh_config: bool,
    /// `SKIFF_LOG`: a filter for diagnostics, such as `debug`.
    pub(crate) log: Option<String>,
}

impl Environment {
    pub(crate) fn read() -> Self {
        let text = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let path = |name: &str| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let home = path("HOME").unwrap_or_else(|| PathBuf::from("/"));
        Self {
            skiff_home: path("SKIFF_HOME").unwrap_or_else(|| home.join(".skiff")),
            home: home.clone(),
            user: text("USER")
                .or_else(|| text("LOGNAME"))
                .unwrap_or_else(name_of_user),
            user_id: text("SKYPILOT_USER_ID"),
            global_config: path("SKYPILOT_GLOBAL_CONFIG"),
            project_config: path("SKYPILOT_PROJECT_CONFIG"),
            git_token: text("GIT_TOKEN").map(Password),
            git_ssh_key: path("GIT_SSH_KEY_PATH"),
            kubeconfig: path("KUBECONFIG")
                .or_else(|| Some(home.join(".kube/config")).filter(|usual| usual.exists()))
                .and_then(|paths| absolute(&paths)),
            no_ssh_config: text("SKIFF_NO_SSH_CONFIG").is_some(),
            log: text("SKIFF_LOG"),
        }
    }

    /// Where commands take turns.
    pub(crate) fn turns(&self) -> PathBuf {
        self.skiff_home.join("turns")
    }

    /// What syncs need of this machine.
    pub(crate) fn machine(&self) -> Machine {
        Machine {
            home: self.home.clone(),
            cache: self.skiff_home.join("cache"),
            git_token: self.git_token.as_ref().map(|Password(token)| token.clone()),
            git_ssh_key: self.git_ssh_key.clone(),
        }
    }
}

/// The same list of paths, as it is understood from any folder.
fn absolute(paths: &Path) -> Option<String> {
    let paths = std::env::split_paths(paths).filter_map(|path| std::path::absolute(path).ok());
    std::env::join_paths(paths).ok()?.into_string().ok()
}

/// The name that `/etc/passwd` gives this process' user, or its number.
fn name_of_user() -> String {
    let uid = rustix::process::getuid().as_raw().to_string();
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    });
    named.unwrap_or(uid)
}
