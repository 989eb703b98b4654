//! The Docker gate, with a stand-in for the daemon that answers its ping.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use skiff_proto::{DockerState, JobStatus, Request, Response};

use crate::support::{Agent, Client, job, shell};

fn agent() -> Agent {
    Agent::start_with(|command| {
        command.arg("--docker");
    })
}

/// A daemon that has been pinged; its end is the end of the connection.
struct Daemon {
    _listener: UnixListener,
    connection: UnixStream,
}

fn socket(agent: &Agent) -> PathBuf {
    let dir = agent.root().join("docker");
    std::fs::create_dir_all(&dir).expect("a folder");
    dir.join("docker.sock")
}

fn start_daemon(agent: &Agent) -> Daemon {
    let listener = UnixListener::bind(socket(agent)).expect("a socket");
    let (mut connection, _) = listener.accept().expect("the agent asks");
    let mut request = [0; 1024];
    let count = connection.read(&mut request).expect("a request");
    assert!(request[..count].starts_with(b"GET /_ping HTTP/1.1\r\n"));
    connection
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK")
        .expect("answered");
    Daemon {
        _listener: listener,
        connection,
    }
}

fn state(client: &mut Client) -> DockerState {
    match client.ask(Request::Docker) {
        Response::Docker { state, .. } => state,
        other => panic!("no state: {other:?}"),
    }
}

#[test]
fn jobs_wait_until_the_daemon_answers() {
    let agent = agent();
    let mut client = agent.client();
    let id = client.submit(job("echo $DOCKER_HOST; echo $PATH")).id;
    assert_eq!(client.queue()[0].status, JobStatus::Pending);
    assert_eq!(state(&mut client), DockerState::Starting);
    let _daemon = start_daemon(&agent);
    let log = client.follow(id);
    assert_eq!(log.job.status, JobStatus::Succeeded);
    assert_eq!(
        log.text.matches("Waiting for Docker...\n").count(),
        1,
        "{}",
        log.text
    );
    let root = agent.root();
    assert!(
        log.text
            .contains(&format!("unix://{}/docker/docker.sock", root.display())),
        "{}",
        log.text
    );
    assert!(
        log.text
            .contains(&format!(") {}/tools/bin:", root.display())),
        "{}",
        log.text
    );
    assert_eq!(state(&mut client), DockerState::Ready);
}

#[test]
fn a_sidecar_that_cannot_run_docker_fails_the_job_with_its_cause() {
    let agent = agent();
    let mut client = agent.client();
    let report = socket(&agent).with_file_name("report.json");
    let cause = "/var/lib/docker is on NFS, which cannot hold Docker's layers";
    let text = format!("{{\"phase\":\"unusable\",\"cause\":\"{cause}\"}}");
    std::fs::write(report.with_extension("tmp"), text).expect("written");
    std::fs::rename(report.with_extension("tmp"), &report).expect("renamed");
    let log = client.run(job("echo never"));
    assert_eq!(log.job.status, JobStatus::Failed);
    assert!(
        log.text
            .contains(&format!("Cause: Docker did not become ready: {cause}")),
        "{}",
        log.text
    );
}

#[test]
fn a_job_that_fails_after_the_daemons_death_says_so() {
    let agent = agent();
    let mut client = agent.client();
    let daemon = start_daemon(&agent);
    let fifo = agent.home().join("fifo");
    shell(&format!("mkfifo {}", fifo.display()));
    let id = client
        .submit(job(&format!("read x < {}; exit 1", fifo.display())))
        .id;
    std::fs::write(
        socket(&agent).with_file_name("daemon.log"),
        "fatal: no space\n",
    )
    .expect("written");
    std::fs::write(
        socket(&agent).with_file_name("report.json"),
        "{\"phase\":\"died\"}",
    )
    .expect("written");
    std::fs::remove_file(socket(&agent)).expect("removed");
    drop(daemon.connection);
    while state(&mut client) == DockerState::Ready {}
    assert_eq!(
        state(&mut client),
        DockerState::Failed {
            log: "fatal: no space".into()
        }
    );
    shell(&format!("echo > {}", fifo.display()));
    let log = client.follow(id);
    let cause = log.job.cause.expect("a cause");
    assert!(
        cause.starts_with("the Docker daemon died while the job ran"),
        "{cause}"
    );
    assert!(cause.contains("fatal: no space"), "{cause}");
}

#[test]
fn what_the_daemon_says_while_a_job_fails_is_its_cause_though_it_is_written_late() {
    let agent = agent();
    let mut client = agent.client();
    let log = socket(&agent).with_file_name("daemon.log");
    let fails = agent.home().join("fails");
    let listener = UnixListener::bind(socket(&agent)).expect("a socket");
    std::fs::write(
        socket(&agent).with_file_name("report.json"),
        "{\"phase\":\"started\"}",
    )
    .expect("written");
    let job_fails = fails.clone();
    thread::spawn(move || {
        let mut pinged = Vec::new();
        for connection in listener.incoming() {
            let mut connection = connection.expect("a connection");
            let _ = connection.read(&mut [0; 1024]).expect("a request");
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK";
            connection.write_all(answer).expect("answered");
            pinged.push(connection);
            if job_fails.exists() {
                // As on a busy node.
                thread::sleep(Duration::from_millis(200));
                let line =
                    "level=error msg=\"Handler returned error: no basic auth credentials\"\n";
                std::fs::write(&log, line).expect("written");
            }
        }
    });
    let failed = client.run(job(&format!("touch {}; exit 1", fails.display())));
    let cause = failed.job.cause.expect("a cause");
    assert!(cause.contains("SKYPILOT_DOCKER_USERNAME"), "{cause}");
}

/// A daemon that lists one running container until that was told to stop, and keeps what it was asked.
fn serve_containers(agent: &Agent) -> Receiver<String> {
    let listener = UnixListener::bind(socket(agent)).expect("a socket");
    let (asked, requests) = channel();
    thread::spawn(move || {
        let mut is_running = true;
        let mut pinged = Vec::new();
        for connection in listener.incoming() {
            let mut connection = connection.expect("a connection");
            let mut request = [0; 1024];
            let count = connection.read(&mut request).expect("a request");
            let request = String::from_utf8_lossy(&request[..count]).into_owned();
            let line = request.lines().next().unwrap_or_default().to_owned();
            let answer = if line.starts_with("GET /_ping") {
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"
            } else if line.starts_with("POST ") {
                is_running = false;
                "HTTP/1.0 204 No Content\r\n\r\n"
            } else if is_running {
                "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n[{\"Id\":\"c0ffee\",\"Names\":[\"/a\"]}]"
            } else {
                "HTTP/1.0 200 OK\r\n\r\n[]"
            };
            connection.write_all(answer.as_bytes()).expect("answered");
            if line.starts_with("GET /_ping") {
                // Its end would be the daemon's.
                pinged.push(connection);
            } else if asked.send(line).is_err() {
                return;
            }
        }
    });
    requests
}

#[test]
fn cancelling_ends_the_containers_that_a_job_has_made_and_its_own_end_does_not() {
    let agent = agent();
    let mut client = agent.client();
    let requests = serve_containers(&agent);
    let quick = client.submit(job("true")).id;
    assert_eq!(client.follow(quick).job.status, JobStatus::Succeeded);
    assert_eq!(requests.try_recv().ok(), None, "its containers stay");

    let ready = agent.home().join("ready");
    let run = format!("touch {}; sleep 1000", ready.display());
    let endless = client.submit(job(&run)).id;
    shell(&format!("until [ -e {} ]; do :; done", ready.display()));
    let jobs = client.cancel(vec![endless]);
    assert_eq!(jobs[0].status, JobStatus::Cancelled);
    let mark = format!("{}/{endless}/0", client.hello.boot);
    let list = format!(
        "GET /containers/json?filters=%7B%22label%22%3A%5B%22dev.skiff.job%3D{mark}%22%5D%7D HTTP/1.0"
    );
    let asked: Vec<String> = requests.try_iter().collect();
    let stop = "POST /containers/c0ffee/stop?t=10 HTTP/1.0";
    // Once more at the end, as one may have begun meanwhile.
    assert_eq!(asked, [list.as_str(), stop, list.as_str()]);
}

#[test]
fn a_daemon_that_does_not_answer_holds_no_cancelled_job_for_ever() {
    let agent = agent();
    let mut client = agent.client();
    let daemon = start_daemon(&agent);
    let id = client.submit(job("sleep 1000")).id;
    while client.queue()[0].status != JobStatus::Running {}
    let jobs = client.cancel(vec![id]);
    assert_eq!(jobs[0].status, JobStatus::Cancelled);
    drop(daemon);
}
