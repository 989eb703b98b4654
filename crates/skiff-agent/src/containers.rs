//! The Docker containers that a job started: marked when the job's `docker` makes them, ended when the job is told to end.
//!
//! The daemon does not know which process asked it for a container, so the mark is a label, which `docker run` and
//! `docker create` are given by the launcher. What a job has other programs ask of the daemon bears no mark and is left to
//! them. `docker compose up` ends what it runs when it is told to end itself, and where it does not come to that, its
//! containers are known by their project's folder.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::report;

/// The label whose value is the mark of the job.
const LABEL: &str = "dev.skiff.job";
/// The label whose value is the folder of the Compose project that a container is of.
const PROJECT: &str = "com.docker.compose.project.working_dir";
/// How long the daemon may take for an answer that needs nothing of a container.
const ANSWER: Duration = Duration::from_secs(5);
/// The longest answer that is read.
const LONGEST: u64 = 4 << 20;

/// What stands between the head and the body of an answer.
const BLANK: &[u8] = b"\r\n\r\n";
/// Options of `docker` itself that have their value in the next word.
const WITH_VALUE: [&str; 10] = [
    "--config",
    "--context",
    "-c",
    "--host",
    "-H",
    "--log-level",
    "-l",
    "--tlscacert",
    "--tlscert",
    "--tlskey",
];

/// The arguments of a `docker` that a job calls, with the label where they make a container.
pub(crate) fn marked(arguments: Vec<OsString>, mark: &OsStr) -> Vec<OsString> {
    let words: Vec<&str> = arguments
        .iter()
        .map(|word| word.to_str().unwrap_or_default())
        .collect();
    let command = command_at(&words);
    let behind = match words.get(command..).unwrap_or_default() {
        ["run" | "create", ..] => command + 1,
        ["container", "run" | "create", ..] => command + 2,
        _ => return arguments,
    };
    let mut label = OsString::from(format!("--label={LABEL}="));
    label.push(mark);
    let mut marked = arguments;
    marked.insert(behind, label);
    marked
}

/// Where the command stands, behind the options of `docker` itself.
fn command_at(words: &[&str]) -> usize {
    let mut at = 0;
    while let Some(word) = words.get(at).filter(|word| word.starts_with('-')) {
        at += if WITH_VALUE.contains(word) { 2 } else { 1 };
    }
    at
}

/// The containers of one job on one node.
#[derive(Clone, Debug)]
pub(crate) struct Containers {
    socket: PathBuf,
    mark: String,
}

/// What the daemon says of a container.
#[derive(Debug, Deserialize)]
pub(crate) struct Container {
    /// What it is called by.
    #[serde(rename = "Id")]
    pub(crate) id: String,
}

impl Containers {
    /// Those with this mark, of the daemon at this socket.
    pub(crate) fn new(socket: PathBuf, mark: String) -> Self {
        Self { socket, mark }
    }

    /// Ends all that run, and those of Compose projects in these folders: SIGTERM, and SIGKILL after this time. Returns
    /// when they have ended, or the daemon does not answer.
    pub(crate) async fn end(&self, projects: &BTreeSet<PathBuf>, grace: Duration) {
        let projects = projects.iter().filter_map(|folder| folder.to_str());
        let labels = projects.map(|folder| format!("{PROJECT}={folder}"));
        for label in labels.chain([format!("{LABEL}={}", self.mark)]) {
            match timeout(ANSWER, running(self.socket.clone(), &label)).await {
                Ok(Ok(found)) => self.stop(found, grace).await,
                // No daemon runs no containers.
                Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => return,
                Ok(Err(error)) => {
                    return report(&format!("cannot ask Docker for containers: {error}"));
                }
                Err(_) => return report("Docker does not say which containers run"),
            }
        }
    }

    async fn stop(&self, found: Vec<Container>, grace: Duration) {
        let mut stops = JoinSet::new();
        for Container { id } in found {
            let socket = self.socket.clone();
            stops.spawn(async move {
                let path = format!("/containers/{id}/stop?t={}", grace.as_secs());
                match timeout(grace + ANSWER, ask(socket, "POST", &path)).await {
                    Ok(Ok(_)) => {}
                    Ok(Err(error)) => report(&format!("cannot stop container {id}: {error}")),
                    Err(_) => report(&format!("Docker did not stop container {id}")),
                }
            });
        }
        stops.join_all().await;
    }
}

/// The containers with this label that run.
async fn running(socket: PathBuf, label: &str) -> io::Result<Vec<Container>> {
    let filters = serde_json::json!({ "label": [label] }).to_string();
    let path = format!("/containers/json?filters={}", encoded(&filters));
    let answer = ask(socket, "GET", &path).await?;
    serde_json::from_slice(&answer).map_err(io::Error::from)
}

/// Text as a part of a request's path may hold it.
fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'/' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// Asks the daemon; gives the body of its answer. A container that has ended already is no failure.
pub(crate) async fn ask(socket: PathBuf, method: &str, path: &str) -> io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(socket).await?;
    // The older version, as its answers are not in chunks and end with the connection.
    let request = format!("{method} {path} HTTP/1.0\r\nHost: docker\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(LONGEST).read_to_end(&mut answer).await?;
    let status = answer.split(|byte| *byte == b' ').nth(1);
    if !matches!(status, Some(b"200" | b"204" | b"304" | b"404")) {
        let line = answer.split(|byte| *byte == b'\r').next();
        let line = String::from_utf8_lossy(line.unwrap_or_default()).into_owned();
        return Err(io::Error::other(format!("the daemon answered {line:?}")));
    }
    let head = answer.windows(BLANK.len()).position(|at| at == BLANK);
    let body = head.map_or(answer.len(), |head| head + BLANK.len());
    Ok(answer.split_off(body))
}

#[cfg(test)]
mod tests {
    use std::ffi::{OsStr, OsString};

    use super::marked;

    fn words(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn what_makes_a_container_is_marked_and_nothing_else() {
        let marked = |text| marked(words(text), OsStr::new("b/3"));
        for (given, expected) in [
            ("run -it a b", "run --label=dev.skiff.job=b/3 -it a b"),
            ("create a", "create --label=dev.skiff.job=b/3 a"),
            (
                "container run a",
                "container run --label=dev.skiff.job=b/3 a",
            ),
            (
                "-H x --debug --log-level=run run a",
                "-H x --debug --log-level=run run --label=dev.skiff.job=b/3 a",
            ),
            ("--context run ps", "--context run ps"),
            ("compose run a", "compose run a"),
            ("exec a run", "exec a run"),
            ("container ls", "container ls"),
        ] {
            assert_eq!(marked(given), words(expected), "{given}");
        }
    }
}
