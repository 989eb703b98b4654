//! Who is let in over a link and who is not, and what a head knows of a worker that is about to leave.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use russh::keys::PrivateKey;
use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::{Ed25519Keypair, KeypairData};
use skiff_proto::{ClusterKey, Hook, HookEvent, Hooks, JobStatus, LogSource, paths};

use crate::nodes::{Pair, cause, folder_of, on_both, until};
use crate::support::Client;

const KEY: [u8; 32] = [1; 32];
const OTHER: [u8; 32] = [2; 32];

/// What a worker says to OpenSSH's client with a key of this seed, as far as one read brings it; then what the client says.
fn open_ssh(pair: &Pair, seed: [u8; 32]) -> (String, String) {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("key");
    write_key(&path, seed);
    let (port, target) = (
        paths::LINK_PORT.to_string(),
        format!("head@{}", pair.address),
    );
    let mut command = Command::new("timeout");
    command
        .args(["60", "ssh", "-F", "none", "-p", &port, "-i"])
        .arg(path);
    for option in [
        "BatchMode=yes",
        "IdentitiesOnly=yes",
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
        "LogLevel=ERROR",
    ] {
        command.args(["-o", option]);
    }
    command.arg(target).args(["-s", "skiff"]);
    let pipes = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = pipes.spawn().expect("OpenSSH runs");
    // Its end would be the conversation's, before the worker has said a word.
    let input = child.stdin.take();
    let mut greeting = vec![0; 4096];
    let output = child.stdout.as_mut().expect("piped");
    let size = output.read(&mut greeting).expect("readable");
    drop(input);
    let rest = child.wait_with_output().expect("it ends");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&greeting[..size]), text(&rest.stderr))
}

fn write_key(path: &Path, seed: [u8; 32]) {
    let pair = KeypairData::Ed25519(Ed25519Keypair::from_seed(&seed));
    let key = PrivateKey::new(pair, "").expect("a key that is not encrypted");
    let text = key
        .to_openssh(LineEnding::LF)
        .expect("a key can be written");
    fs::write(path, text.as_bytes()).expect("written");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(path, mode).expect("it is ours");
}

/// What a job's log holds now.
fn text(client: &mut Client, id: u64) -> String {
    let log = client.log(LogSource::Id(id), 0, None, false);
    log.expect("the job is there").text
}

#[test]
fn a_worker_lets_its_head_in_and_nobody_else() {
    let pair = Pair::start_in(
        folder_of(&ClusterKey::new(KEY)),
        folder_of(&ClusterKey::new(KEY)),
    );
    let (greeting, _) = open_ssh(&pair, ClusterKey::new(KEY).link_seed());
    assert!(greeting.contains("\"protocol\":"), "{greeting}");
    for stranger in [
        ClusterKey::new(OTHER).link_seed(),
        ClusterKey::new(KEY).host_seed(),
    ] {
        let (greeting, said) = open_ssh(&pair, stranger);
        assert!(said.contains("Permission denied (publickey)"), "{said}");
        assert_eq!(greeting, "");
    }
}

#[test]
fn a_head_does_not_trust_a_worker_of_another_cluster() {
    let pair = Pair::start_in(
        folder_of(&ClusterKey::new(KEY)),
        folder_of(&ClusterKey::new(OTHER)),
    );
    let mut client = pair.head.client();
    let ran = pair.worker.home().join("ran");
    let run = format!("touch {}", ran.display());
    let id = client.submit(on_both(&run)).id;
    let told = format!(
        "{} belongs to another cluster: its key is another one",
        pair.address
    );
    until(|| text(&mut client, id).contains(&told));
    client.cancel(vec![id]);
    assert!(!ran.exists(), "the stranger has run it");
}

#[test]
fn a_worker_that_is_about_to_leave_gets_no_more_jobs() {
    let key = ClusterKey::new(KEY);
    let worker = folder_of(&key);
    let go = worker.path().join("go");
    let hooks = Hooks {
        hooks: vec![Hook {
            run: format!("until [ -e {} ]; do sleep 0.1; done", go.display()),
            events: vec![HookEvent::Preemption],
            timeout_s: 60,
        }],
        ..Hooks::default()
    };
    let hooks = serde_json::to_vec(&hooks).expect("plain data");
    fs::write(worker.path().join("skiff/keys/hooks.json"), hooks).expect("written");
    let mut pair = Pair::start_in(folder_of(&key), worker);
    let mut client = pair.head.client();
    let running = pair.begin(&mut client, "sleep 1000");
    pair.worker.tell(rustix::process::Signal::TERM);
    let why = "Waiting for worker1 (the container was told to stop)";
    // The head hears of it in a moment.
    let waiting = loop {
        let id = client.submit(on_both("true")).id;
        let mut now = String::new();
        until(|| {
            now = text(&mut client, id);
            now.contains(why) || now.contains("Job finished")
        });
        if now.contains(why) {
            break id;
        }
    };
    let jobs = client.queue();
    let status = |id| jobs.iter().find(|job| job.id == id).map(|job| job.status);
    assert_eq!(
        status(running),
        Some(JobStatus::Running),
        "its time is not over"
    );
    assert_eq!(status(waiting), Some(JobStatus::Pending));
    fs::write(go, "").expect("written");
    let log = client.follow(running);
    assert!(
        cause(&log).contains("worker1: the task container was told to stop"),
        "{}",
        log.text
    );
    assert_eq!(pair.worker.wait().code(), Some(0));
}
