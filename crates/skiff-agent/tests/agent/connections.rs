//! The protocol's edges: versions, unknown requests, garbage, waiting for the agent.

use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};

use rustix::event::{PollFd, PollFlags, poll};
use skiff_proto::{Ending, FaultKind, Frame, Hello, LogPart, PROTOCOL_VERSION, Request, Response};

use tempfile::TempDir;

use crate::support::{AGENT, Agent, Client, job};

#[test]
fn a_ping_is_answered_while_requests_are_open() {
    let agent = Agent::start();
    let mut client = agent.client();
    client.submit(job("sleep 1000"));
    client.request(Request::Logs {
        job: skiff_proto::LogSource::Latest,
        offset: 0,
        tail: None,
        follow: true,
        part: LogPart::Job,
    });
    client.send(&Frame::Ping);
    while client.receive().expect("the agent answers") != Frame::Pong {}
}

#[test]
fn an_unknown_request_is_refused_and_the_connection_goes_on() {
    let agent = Agent::start();
    let mut client = agent.client();
    let payload = br#"{"request":"teleport"}"#;
    let mut bytes = u32::try_from(5 + payload.len())
        .expect("small")
        .to_le_bytes()
        .to_vec();
    bytes.push(2);
    bytes.extend_from_slice(&77_u32.to_le_bytes());
    bytes.extend_from_slice(payload);
    client.send_bytes(&bytes);
    let Response::Failed { fault } = client.answer(77) else {
        panic!("it was taken")
    };
    assert_eq!(fault.kind, FaultKind::Unsupported);
    assert!(client.queue().is_empty());
}

#[test]
fn a_distant_version_is_hung_up_on_after_the_greeting() {
    let agent = Agent::start();
    let mut client = agent.client();
    let hello = Hello {
        protocol: PROTOCOL_VERSION + 2,
        build: "new".into(),
        boot: String::new(),
    };
    client.send(&Frame::Hello(hello));
    assert!(client.receive().is_none());
}

#[test]
fn garbage_ends_its_own_connection_only() {
    let agent = Agent::start();
    let (mut bad, mut good) = (agent.client(), agent.client());
    bad.send_bytes(&[0xff; 64]);
    assert!(bad.receive().is_none());
    assert!(good.queue().is_empty());
}

#[test]
fn every_run_of_the_agent_has_its_own_identity() {
    let agent = Agent::start();
    let boot = agent.client().hello.boot.clone();
    assert_eq!(agent.client().hello.boot, boot);
    let again = Agent::start_in(agent.kill(), |_| {});
    assert_ne!(again.client().hello.boot, boot);
}

#[test]
fn a_client_waits_for_an_agent_that_starts_later() {
    let dir = tempfile::tempdir().expect("a folder");
    let root = dir.path().join("skiff");
    let early = std::thread::spawn(move || Client::connect(&root).queue());
    let agent = Agent::start_in(dir, |_| {});
    assert!(early.join().expect("it got through").is_empty());
    drop(agent);
}

#[test]
fn connect_ends_when_the_agent_does() {
    let mut agent = Agent::start();
    // Makes sure that the agent listens.
    agent.client();
    let mut bridge = Command::new(AGENT)
        .arg("--root")
        .arg(agent.root())
        .arg("connect")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    assert_eq!(
        agent.client().ask(Request::Shutdown {
            ending: Ending::Down
        }),
        Response::Done
    );
    agent.wait();
    assert!(bridge.wait().expect("ended").success());
}

#[test]
fn connect_ends_when_an_agent_goes_that_has_not_answered() {
    let root = TempDir::new().expect("a folder for the test");
    let socket = root.path().join("run/agent.sock");
    std::fs::create_dir_all(socket.parent().expect("it is in a folder")).expect("a folder");
    let agent = UnixListener::bind(&socket).expect("bound");
    let mut bridge = Command::new(AGENT)
        .arg("--root")
        .arg(root.path())
        .arg("connect")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    let mut waiting = [PollFd::new(&agent, PollFlags::IN)];
    poll(&mut waiting, None).expect("somebody connects");
    drop(agent);
    assert!(bridge.wait().expect("ended").success());
}

#[test]
fn an_unknown_role_says_which_there_are() {
    let output = Command::new(AGENT).arg("dance").output().expect("ended");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        text.contains("one of run, connect, docker, buildkit, tools"),
        "{text}"
    );
    assert_eq!(output.status.code(), Some(1));
}
