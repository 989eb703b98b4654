//! Who is let in over a link and who is not, and what a head knows of a worker that is about to leave.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use skiff_proto::{
    ClusterKey, Frame, Hello, Hook, HookEvent, Hooks, JobStatus, LogSource, PROTOCOL_VERSION, paths,
};

use crate::nodes::{Pair, cause, folder_of, on_both, until};
use crate::support::Client;

const KEY: [u8; 32] = [1; 32];
const OTHER: [u8; 32] = [2; 32];
/// How long a worker may take to hang up.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a worker says to who begins like this, until it hangs up.
fn answer_to(pair: &Pair, beginning: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect((pair.address, paths::LINK_PORT)).expect("open");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream.write_all(beginning).expect("sent");
    stream.shutdown(Shutdown::Write).expect("sent");
    let mut answer = Vec::new();
    stream
        .read_to_end(&mut answer)
        .expect("it hangs up in time");
    answer
}

/// What a job's log holds now.
fn text(client: &mut Client, id: u64) -> String {
    let log = client.log(LogSource::Id(id), 0, None, false);
    log.expect("the job is there").text
}

#[test]
fn a_worker_says_nothing_to_who_does_not_show_the_heads_key() {
    let pair = Pair::start_in(
        folder_of(&ClusterKey::new(KEY)),
        folder_of(&ClusterKey::new(KEY)),
    );
    let mut hello = Vec::new();
    Frame::Hello(Hello {
        protocol: PROTOCOL_VERSION,
        build: String::new(),
        boot: String::new(),
    })
    .encode(&mut hello);
    for beginning in [hello.as_slice(), b"GET / HTTP/1.1\r\n\r\n", b""] {
        let answer = answer_to(&pair, beginning);
        // At most an alert of TLS.
        assert!(answer.len() < 16, "{}", String::from_utf8_lossy(&answer));
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
