//! Logins of registries for Docker's tools in the task: a credential helper, and the configuration that names it.
//!
//! The task gives a login in variables of its jobs, and the pod in the Secrets that its images are pulled with. Both
//! are asked for when they are needed: no password is written anywhere. A configuration of the user's own is never
//! touched, and what `docker login` brings wins.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use skiff_proto::paths;

use crate::environment::Variables;
use crate::layout::Layout;

/// The name by which Docker's tools start the helper.
pub(crate) const HELPER: &str = "docker-credential-skiff";
/// The same in a configuration.
const NAME: &str = "skiff";
/// The key of a configuration that names helpers by registry.
const HELPERS: &str = "credHelpers";
/// Where `docker login` leaves its logins, beside the configuration.
const OWN_LOGINS: &str = "skiff-logins.json";
/// What Docker's tools call Docker Hub.
const HUB: &str = "https://index.docker.io/v1/";
/// The answer that Docker's tools take for "there is none".
const NONE: &str = "credentials not found in native keychain";
/// The longest request that is read.
const REQUEST: u64 = 64 << 10;

/// A login, as helpers speak of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Login {
    #[serde(default, rename = "ServerURL")]
    server: String,
    username: String,
    secret: String,
}

type Logins = BTreeMap<String, Login>;

/// Names the helper in the configuration of Docker's tools for all registries that there are logins of. Where it
/// cannot be written, Docker's tools have no login, and say so.
pub(crate) fn prepare(layout: &Layout, variables: &Variables) {
    let registries: BTreeSet<String> = known(layout, variables).into_keys().collect();
    if registries.is_empty() {
        return;
    }
    let folder = config_folder(variables);
    let file = folder.join("config.json");
    let now = fs::read(&file);
    let wanted = match &now {
        Ok(text) => with_helper(Some(text), &registries),
        Err(error) if error.kind() == io::ErrorKind::NotFound => with_helper(None, &registries),
        Err(_) => None,
    };
    if let Some(wanted) = wanted {
        let _ = fs::create_dir_all(&folder).and_then(|()| replace(&file, &wanted));
    }
}

/// The configuration that names the helper for these registries too. None where there is nothing to change, or it is
/// the user's own: ours has the helper in it.
fn with_helper(config: Option<&[u8]>, registries: &BTreeSet<String>) -> Option<Value> {
    let is_new = config.is_none();
    let mut config: Map<String, Value> = serde_json::from_slice(config.unwrap_or(b"{}")).ok()?;
    let helpers = config.entry(HELPERS).or_insert_with(|| json!({}));
    let helpers = helpers.as_object_mut()?;
    if !is_new && !helpers.values().any(|helper| helper == NAME) {
        return None;
    }
    let before = helpers.len();
    for registry in registries {
        helpers
            .entry(registry.as_str())
            .or_insert_with(|| NAME.into());
    }
    (helpers.len() > before).then_some(Value::Object(config))
}

/// Answers one request of Docker's tools, as all credential helpers do: what is asked for is the argument, about what
/// comes in, and a fault goes out where the answer would.
pub(crate) fn answer(request: Option<&OsStr>) -> ExitCode {
    let variables: Variables = std::env::vars_os().collect();
    let mut about = String::new();
    let _ = io::stdin().take(REQUEST).read_to_string(&mut about);
    let (text, code) = match reply(&Layout::default(), &variables, request, &about) {
        Ok(text) => (text, ExitCode::SUCCESS),
        Err(why) => (why, ExitCode::FAILURE),
    };
    let _ = writeln!(io::stdout(), "{text}");
    code
}

fn reply(
    layout: &Layout,
    variables: &Variables,
    request: Option<&OsStr>,
    about: &str,
) -> Result<String, String> {
    let file = config_folder(variables).join(OWN_LOGINS);
    let mut own: Logins = fs::read(&file)
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok())
        .unwrap_or_default();
    let failed = |error: io::Error| format!("cannot write {}: {error}", file.display());
    match request.and_then(OsStr::to_str) {
        Some("get") => {
            let registry = plain(about);
            let login = own
                .remove(&registry)
                .or_else(|| known(layout, variables).remove(&registry));
            let mut login = login.ok_or(NONE)?;
            about.trim().clone_into(&mut login.server);
            Ok(json!(login).to_string())
        }
        Some("store") => {
            let login: Login = serde_json::from_str(about).map_err(|error| error.to_string())?;
            own.insert(plain(&login.server), login);
            replace(&file, &json!(own)).map_err(failed)?;
            Ok(String::new())
        }
        Some("erase") => {
            own.remove(&plain(about)).ok_or(NONE)?;
            replace(&file, &json!(own)).map_err(failed)?;
            Ok(String::new())
        }
        Some("list") => {
            let mut all = known(layout, variables);
            all.extend(own);
            let names = all
                .into_iter()
                .map(|(registry, login)| (registry, login.username));
            Ok(json!(names.collect::<BTreeMap<_, _>>()).to_string())
        }
        _ => Err(format!("{HELPER} knows get, store, erase and list")),
    }
}

/// The logins of the pod's Secrets, and that of the job's variables, which counts more.
fn known(layout: &Layout, variables: &Variables) -> Logins {
    let mut logins = Logins::new();
    let files = fs::read_dir(layout.at(paths::REGISTRIES))
        .into_iter()
        .flatten();
    let files: BTreeSet<PathBuf> = files.flatten().map(|file| file.path()).collect();
    for text in files.iter().filter_map(|file| fs::read(file).ok()) {
        logins.extend(of_secret(&text));
    }
    let variable = |name: &str| variables.get(OsStr::new(name))?.to_str().map(str::to_owned);
    if let (Some(username), Some(secret), Some(server)) = (
        variable("SKYPILOT_DOCKER_USERNAME"),
        variable("SKYPILOT_DOCKER_PASSWORD"),
        variable("SKYPILOT_DOCKER_SERVER"),
    ) {
        let login = Login {
            server: server.clone(),
            username,
            secret,
        };
        logins.insert(plain(&server), login);
    }
    logins
}

/// The logins of one file as Docker writes them.
fn of_secret(text: &[u8]) -> Logins {
    #[derive(Deserialize)]
    struct File {
        auths: BTreeMap<String, Entry>,
    }
    #[derive(Deserialize)]
    struct Entry {
        username: Option<String>,
        password: Option<String>,
        auth: Option<String>,
    }
    let Ok(file) = serde_json::from_slice::<File>(text) else {
        return Logins::new();
    };
    let logins = file.auths.into_iter().filter_map(|(server, entry)| {
        let (username, secret) =
            if let (Some(username), Some(password)) = (entry.username, entry.password) {
                (username, password)
            } else {
                let pair = STANDARD.decode(entry.auth?).ok()?;
                let pair = String::from_utf8(pair).ok()?;
                let (username, password) = pair.split_once(':')?;
                (username.to_owned(), password.to_owned())
            };
        let login = Login {
            username,
            secret,
            server: server.clone(),
        };
        Some((plain(&server), login))
    });
    logins.collect()
}

/// A registry as Docker's tools ask for it, whatever its address was copied from.
fn plain(server: &str) -> String {
    let server = server.trim();
    let server = ["https://", "http://"]
        .iter()
        .fold(server, |server, scheme| {
            server.strip_prefix(scheme).unwrap_or(server)
        });
    let host = server.split('/').next().unwrap_or(server);
    match host {
        "docker.io" | "index.docker.io" | "registry-1.docker.io" => HUB.to_owned(),
        host => host.to_owned(),
    }
}

/// The folder of the configuration of Docker's tools.
fn config_folder(variables: &Variables) -> PathBuf {
    let of = |name: &str| {
        variables
            .get(OsStr::new(name))
            .filter(|dir| !dir.is_empty())
    };
    let home = || of("HOME").map_or_else(|| OsString::from("/"), Clone::clone);
    of("DOCKER_CONFIG").map_or_else(|| Path::new(&home()).join(".docker"), PathBuf::from)
}

/// Replaces a file that only its owner may read.
fn replace(file: &Path, value: &Value) -> io::Result<()> {
    let fresh = file.with_extension("json.skiff");
    let mut options = fs::OpenOptions::new();
    let mut written = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&fresh)?;
    written.write_all(format!("{value:#}\n").as_bytes())?;
    fs::rename(fresh, file)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::{HUB, plain, prepare, reply};
    use crate::environment::Variables;
    use crate::layout::Layout;

    fn job(home: &Path, login: bool) -> Variables {
        let mut variables = Variables::from([("HOME".into(), home.into())]);
        for (name, value) in [
            ("USERNAME", "ann"),
            ("PASSWORD", "of-the-job"),
            ("SERVER", "https://r.example:5000/"),
        ] {
            if login {
                variables.insert(format!("SKYPILOT_DOCKER_{name}").into(), value.into());
            }
        }
        variables
    }

    fn ask(
        layout: &Layout,
        variables: &Variables,
        request: &str,
        about: &str,
    ) -> Result<String, String> {
        reply(layout, variables, Some(request.as_ref()), about)
    }

    /// A pod with a Secret of two registries.
    fn pod(dir: &Path) -> Layout {
        let layout = Layout::new(dir.join("skiff"));
        fs::create_dir_all(dir.join("skiff/registries")).expect("a folder");
        let pull = r#"{"auths": {"https://index.docker.io/v1/": {"auth": "Ym9iOnBhc3M6d29yZA=="},
                       "r.example:5000": {"username": "pull", "password": "of-the-secret"}}}"#;
        fs::write(dir.join("skiff/registries/0.json"), pull).expect("written");
        layout
    }

    #[test]
    fn logins_come_from_the_job_then_from_the_pods_secrets() {
        let dir = tempfile::tempdir().expect("a folder");
        let layout = pod(dir.path());
        let get = |login, about: &str| ask(&layout, &job(dir.path(), login), "get", about);
        let answer = get(true, "r.example:5000\n").expect("a login");
        assert_eq!(
            answer,
            r#"{"ServerURL":"r.example:5000","Username":"ann","Secret":"of-the-job"}"#
        );
        assert!(
            get(false, "r.example:5000")
                .expect("a login")
                .contains("of-the-secret")
        );
        assert!(get(false, HUB).expect("a login").contains("pass:word"));
        assert_eq!(get(true, "other.example"), Err(super::NONE.to_owned()));
        assert_eq!(plain("docker.io"), HUB);
    }

    #[test]
    fn the_helper_is_named_where_there_is_no_configuration_of_the_users_own() {
        let dir = tempfile::tempdir().expect("a folder");
        let config = dir.path().join(".docker/config.json");
        let empty = Layout::new(dir.path().join("none"));
        prepare(&empty, &job(dir.path(), false));
        assert!(!config.exists());
        prepare(&empty, &job(dir.path(), true));
        let text = fs::read_to_string(&config).expect("it is there");
        assert!(
            text.contains(r#""r.example:5000": "skiff""#) && !text.contains("of-the-job"),
            "{text}"
        );

        // What Docker's tools have added stays; a login that came later is added.
        fs::write(
            &config,
            r#"{"credHelpers": {"r.example:5000": "skiff"}, "auths": {"own": {}}}"#,
        )
        .expect("written");
        prepare(&pod(dir.path()), &job(dir.path(), false));
        let text = fs::read_to_string(&config).expect("it is there");
        assert!(
            text.contains("index.docker.io") && text.contains("own"),
            "{text}"
        );

        let own = r#"{ "auths": {} }"#;
        fs::write(&config, own).expect("written");
        prepare(&pod(dir.path()), &job(dir.path(), true));
        assert_eq!(fs::read_to_string(&config).expect("it is there"), own);
    }

    #[test]
    fn what_docker_login_brings_wins_until_docker_logout() {
        let dir = tempfile::tempdir().expect("a folder");
        let (layout, job) = (pod(dir.path()), job(dir.path(), true));
        fs::create_dir(dir.path().join(".docker")).expect("a folder");
        let login = r#"{"ServerURL": "r.example:5000", "Username": "eve", "Secret": "typed"}"#;
        ask(&layout, &job, "store", login).expect("stored");
        let get = || ask(&layout, &job, "get", "r.example:5000").expect("a login");
        assert!(get().contains("typed"));
        assert!(
            ask(&layout, &job, "list", "")
                .expect("a list")
                .contains(r#""r.example:5000":"eve""#)
        );
        ask(&layout, &job, "erase", "r.example:5000").expect("erased");
        assert!(get().contains("of-the-job"));
    }
}
