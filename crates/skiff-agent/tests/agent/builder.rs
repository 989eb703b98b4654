//! A pod that builds images only: the gate with a stand-in for the builder, what answers in the place of a Docker daemon,
//! and what the builder finds out before it starts.

use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;

use skiff_proto::{DockerState, JobStatus, Request, Response};

use crate::support::{AGENT, Agent, Client, job, shell};

/// What a client of HTTP/2 says first: its preface and its settings.
const GREETING: usize = 24 + 9;
/// The settings of a server.
const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";

fn agent() -> Agent {
    Agent::start_with(|command| {
        command.arg("--buildkit").env_remove("BUILDX_CONFIG");
    })
}

/// A builder that greets whoever comes; its end is the end of all connections.
struct Builder {
    connections: Arc<Mutex<Vec<UnixStream>>>,
}

impl Builder {
    fn die(&self) {
        for connection in self.connections.lock().expect("its threads live").drain(..) {
            connection
                .shutdown(Shutdown::Both)
                .expect("it is connected");
        }
    }
}

fn start_builder(agent: &Agent) -> Builder {
    let folder = agent.root().join("docker");
    shell(&format!("until [ -d {} ]; do :; done", folder.display()));
    let listener = UnixListener::bind(folder.join("buildkitd.sock")).expect("a socket");
    let connections = Arc::new(Mutex::new(Vec::new()));
    let (greeted, first) = channel();
    let all = Arc::clone(&connections);
    thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.expect("the agent asks");
            let mut greeting = [0; GREETING];
            connection.read_exact(&mut greeting).expect("a greeting");
            assert!(greeting.starts_with(b"PRI * HTTP/2.0\r\n"));
            connection.write_all(SETTINGS).expect("answered");
            all.lock().expect("nobody panics").push(connection);
            let _ = greeted.send(());
        }
    });
    first.recv().expect("the agent asks");
    Builder { connections }
}

fn bring_tools(agent: &Agent) {
    let bin = agent.root().join("tools/bin");
    fs::create_dir_all(&bin).expect("a folder");
    fs::write(bin.join(".docker"), "#!/bin/sh\n").expect("written");
    fs::rename(bin.join(".docker"), bin.join("docker")).expect("renamed");
}

fn state(client: &mut Client) -> DockerState {
    match client.ask(Request::Docker) {
        Response::Docker { state, .. } => state,
        other => panic!("no state: {other:?}"),
    }
}

#[test]
fn d09_jobs_wait_until_the_builder_answers_and_its_tools_are_there() {
    let agent = agent();
    let mut client = agent.client();
    let id = client
        .submit(job(
            "echo $BUILDX_BUILDER at $BUILDKIT_HOST; cat $BUILDX_CONFIG/instances/skiff",
        ))
        .id;
    let _builder = start_builder(&agent);
    assert_eq!(state(&mut client), DockerState::Starting);
    assert_eq!(client.queue()[0].status, JobStatus::Pending);
    bring_tools(&agent);
    let log = client.follow(id);
    assert_eq!(log.job.status, JobStatus::Succeeded, "{}", log.text);
    let socket = agent.root().join("docker/buildkitd.sock");
    let line = format!("skiff at unix://{}", socket.display());
    assert!(log.text.contains(&line), "{}", log.text);
    assert!(log.text.contains("\"Driver\":\"remote\""), "{}", log.text);
}

#[test]
fn a_job_that_fails_after_the_builders_death_says_so() {
    let agent = agent();
    let mut client = agent.client();
    let builder = start_builder_with_tools(&agent);
    let fifo = agent.home().join("fifo");
    shell(&format!("mkfifo {}", fifo.display()));
    let wait = format!("read x < {}; exit 1", fifo.display());
    let id = client.submit(job(&wait)).id;
    while state(&mut client) != DockerState::Ready {}
    let folder = agent.root().join("docker");
    let cause = "BuildKit ended with code 1: the disk of the builder's data is full";
    let report = format!("{{\"phase\":\"died\",\"cause\":\"{cause}\"}}");
    fs::write(folder.join("report.json"), report).expect("written");
    fs::remove_file(folder.join("buildkitd.sock")).expect("removed");
    builder.die();
    while state(&mut client) == DockerState::Ready {}
    shell(&format!("echo > {}", fifo.display()));
    let log = client.follow(id);
    let told = log.job.cause.expect("a cause");
    assert!(told.contains(cause), "{told}");
}

fn start_builder_with_tools(agent: &Agent) -> Builder {
    bring_tools(agent);
    start_builder(agent)
}

#[test]
fn a_builder_that_the_pod_does_not_let_work_fails_the_job_with_its_cause() {
    let agent = agent();
    let mut client = agent.client();
    let folder = agent.root().join("docker");
    shell(&format!("until [ -d {} ]; do :; done", folder.display()));
    let cause = "the node allows no user namespaces";
    let text = format!("{{\"phase\":\"unusable\",\"cause\":\"{cause}\"}}");
    fs::write(folder.join("report.tmp"), text).expect("written");
    fs::rename(folder.join("report.tmp"), folder.join("report.json")).expect("renamed");
    let log = client.run(job("echo never"));
    assert_eq!(log.job.status, JobStatus::Failed);
    let line = format!("Cause: Docker did not become ready: {cause}");
    assert!(log.text.contains(&line), "{}", log.text);
}

#[test]
fn programs_of_docker_are_told_what_this_pod_does_not_have() {
    let agent = agent();
    let socket = agent.root().join("docker/docker.sock");
    shell(&format!("until [ -S {} ]; do :; done", socket.display()));
    let ask = |request: &str| {
        let mut stream = UnixStream::connect(&socket).expect("it listens");
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answered");
        answer
    };
    let ping = ask("GET /_ping HTTP/1.1\r\nHost: docker\r\n\r\n");
    assert!(ping.starts_with("HTTP/1.1 200 OK"), "{ping}");
    let create = "POST /v1.44/containers/create HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}";
    let created = ask(create);
    assert!(created.contains("runs no containers"), "{created}");
    let load = "POST /v1.44/images/load HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let loaded = ask(load);
    assert!(loaded.contains("--push"), "{loaded}");
    let auth = ask("POST /v1.44/auth HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}");
    assert_eq!(auth, "", "so `docker login` asks the registry itself");
}

/// Runs the builder's process up to where it would become the builder; gives what it writes.
fn look_inside(wrap: &[&str], root: &Path, settings: &str) -> String {
    fs::create_dir_all(root.join("builder")).expect("a folder");
    let mut words: Vec<&str> = wrap.to_vec();
    let root_text = root.to_string_lossy().into_owned();
    words.extend([AGENT, "--root", &root_text, "inside"]);
    let output = Command::new(words[0])
        .args(&words[1..])
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("SKIFF_DOCKER", settings)
        .output()
        .expect("it starts");
    assert!(!output.status.success(), "there is no buildkitd");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The machine's root alone may mount and be somebody else.
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn a02_data_where_files_keep_no_owners_is_refused_with_the_cause() {
    if !is_root() {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let root = dir.path().join("skiff");
    fs::create_dir_all(root.join("home/user/.local/share/buildkit")).expect("a folder");
    fs::create_dir_all(root.join("builder")).expect("a folder");
    shell(&format!("chmod -R 777 {}", dir.path().display()));
    // Somebody without rights over others may give no file away, as on NFS.
    let nobody = ["setpriv", "--reuid", "65534", "--clear-groups"];
    let said = look_inside(&nobody, &root, "{}");
    assert!(said.contains("does not keep the owners of files"), "{said}");
    assert!(said.contains("a volume on a local disk, or none"), "{said}");
}

#[test]
fn d10_copies_of_whole_images_are_refused_unless_allowed() {
    if !is_root() {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let root = dir.path().join("skiff");
    let data = root.join("home/user/.local/share/buildkit");
    for folder in ["l", "u", "w"] {
        fs::create_dir(dir.path().join(folder)).expect("a folder");
    }
    fs::create_dir_all(&data).expect("a folder");
    // An overlay cannot be the upper layer of another one.
    let script = format!(
        "cd {} && mount -t overlay -o lowerdir=l,upperdir=u,workdir=w overlay {} && exec \"$@\"",
        dir.path().display(),
        data.display()
    );
    let wrap = ["unshare", "--mount", "sh", "-c", &script, "sh"];
    let said = look_inside(&wrap, &root, "{}");
    assert!(said.contains("would copy the whole image"), "{said}");
    assert!(said.contains("allow_slow_storage"), "{said}");
    let said = look_inside(&wrap, &root, "{\"allow_slow_storage\":true}");
    assert!(said.contains("cannot run buildkitd"), "{said}");
    let found = fs::read_to_string(root.join("builder/inside.json")).expect("findings");
    assert!(found.contains("\"snapshotter\":\"native\""), "{found}");
}
