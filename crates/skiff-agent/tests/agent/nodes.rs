//! Several nodes: the link between head and worker, stages on both, and what happens when one is lost.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::{Duration, Instant};

use skiff_proto::{ClusterKey, Ending, JobSpec, JobStatus, Request, Response, paths};

use crate::support::{Agent, Client, Log, job, shell};

/// How soon a lost node has to be known.
const KNOWN: Duration = Duration::from_secs(10);

/// An address of this machine that no other test has.
pub(crate) fn address() -> IpAddr {
    static LAST: AtomicU8 = AtomicU8::new(0);
    let last = LAST.fetch_add(1, Ordering::Relaxed) + 1;
    let [_, _, high, low] = std::process::id().to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(127, high, low, last))
}

/// A folder with the key of a cluster in it.
fn folder() -> tempfile::TempDir {
    folder_of(&ClusterKey::new([1; 32]))
}

/// A folder with this key in it.
pub(crate) fn folder_of(key: &ClusterKey) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    let keys = dir.path().join("skiff/keys");
    std::fs::create_dir_all(&keys).expect("a folder");
    std::fs::write(keys.join("cluster.key"), key.to_hex()).expect("written");
    dir
}

pub(crate) fn node(rank: u32, count: u32, address: IpAddr) -> impl FnOnce(&mut Command) {
    move |command| {
        command
            .env("SKIFF_RANK", rank.to_string())
            .env("SKIFF_NODES", count.to_string())
            .env("SKIFF_POD_IP", address.to_string())
            .env("SKIFF_CPUS", "2");
    }
}

/// A head and one worker.
pub(crate) struct Pair {
    pub(crate) head: Agent,
    pub(crate) worker: Agent,
    /// Where the worker listens.
    pub(crate) address: IpAddr,
}

impl Pair {
    /// Both, and the head knows the worker's address.
    fn start() -> Self {
        Self::start_in(folder(), folder())
    }

    /// The same in these folders, the head's first.
    pub(crate) fn start_in(head: tempfile::TempDir, worker: tempfile::TempDir) -> Self {
        let (own, address) = (address(), address());
        let head = Agent::start_in(head, node(0, 2, own));
        let worker = Agent::start_in(worker, node(1, 2, address));
        // It lets its head in before it answers others.
        worker.client();
        let addresses = vec![own.to_string(), address.to_string()];
        let answer = head.client().ask(Request::Nodes { addresses });
        assert_eq!(answer, Response::Done);
        Self {
            head,
            worker,
            address,
        }
    }

    /// A job on both nodes; waits until it says on the worker that it runs.
    pub(crate) fn begin(&self, client: &mut Client, run: &str) -> u64 {
        let ready = self.worker.home().join("ready");
        let run = format!(
            "if [ $SKYPILOT_NODE_RANK = 1 ]; then touch {}; fi; {run}",
            ready.display()
        );
        let id = client.submit(on_both(&run)).id;
        shell(&format!("until [ -e {} ]; do :; done", ready.display()));
        std::fs::remove_file(ready).expect("it is there");
        id
    }
}

pub(crate) fn on_both(run: &str) -> JobSpec {
    JobSpec {
        num_nodes: 2,
        ..job(run)
    }
}

pub(crate) fn cause(log: &Log) -> &str {
    log.job.cause.as_deref().unwrap_or_default()
}

#[test]
fn a_job_runs_on_both_nodes_with_their_own_variables() {
    let pair = Pair::start();
    let log = pair.head.client().run(JobSpec {
        setup: Some("echo prepared $SKYPILOT_SETUP_NODE_RANK".into()),
        secrets: [("TOKEN".to_owned(), "hunter2".to_owned())]
            .into_iter()
            .collect(),
        ..on_both("echo rank $SKYPILOT_NODE_RANK at $SKIFF_POD_IP of $HOME with ${#TOKEN} letters")
    });
    assert_eq!(log.job.status, JobStatus::Succeeded, "{}", log.text);
    let ran = format!(
        "rank 1 at {} of {} with 7 letters",
        pair.address,
        pair.worker.home().display()
    );
    for wanted in ["prepared 0", "prepared 1", "rank 0 at", &ran] {
        assert!(log.text.contains(wanted), "no {wanted:?} in {}", log.text);
    }
}

#[test]
fn much_output_of_a_worker_arrives_whole_and_in_order() {
    let pair = Pair::start();
    let run = "if [ $SKYPILOT_NODE_RANK = 1 ]; then seq 1000000; fi";
    let log = pair.head.client().run(on_both(run));
    let numbers = log
        .text
        .lines()
        .filter_map(|line| line.rsplit(' ').next()?.parse::<u32>().ok());
    assert!(
        numbers.eq(1..=1_000_000),
        "some line is lost or out of order"
    );
}

#[test]
fn a_killed_worker_fails_the_job_with_its_name_and_rejoins_by_itself() {
    let mut pair = Pair::start();
    let mut client = pair.head.client();
    let id = pair.begin(&mut client, "sleep 1000");
    let before = Instant::now();
    let left = pair.worker.kill();
    let log = client.follow(id);
    assert!(
        before.elapsed() < KNOWN,
        "known after {:?}",
        before.elapsed()
    );
    assert_eq!(log.job.status, JobStatus::Failed, "{}", log.text);
    assert!(
        cause(&log).contains("worker1") && cause(&log).contains("its agent"),
        "{}",
        log.text
    );

    pair.worker = Agent::start_in(left, node(1, 2, pair.address));
    let log = client.run(on_both("echo again"));
    assert_eq!(log.text.matches(") again\n").count(), 2, "{}", log.text);
}

#[test]
fn a_restarted_worker_is_told_from_an_ended_one() {
    let mut pair = Pair::start();
    let mut client = pair.head.client();
    let id = pair.begin(&mut client, "sleep 1000");
    let left = pair.worker.kill();
    pair.worker = Agent::start_in(left, node(1, 2, pair.address));
    let log = client.follow(id);
    assert!(
        cause(&log).contains("worker1") && cause(&log).contains("was restarted"),
        "{}",
        log.text
    );
}

#[test]
fn a_worker_ends_the_stages_of_a_head_that_it_has_lost() {
    let pair = Pair::start();
    let mut client = pair.head.client();
    let pid = pair.worker.home().join("pid");
    let run = format!(
        "if [ $SKYPILOT_NODE_RANK = 1 ]; then trap '' TERM; echo $$ > {}; fi; while :; do sleep 1; done",
        pid.display()
    );
    client.submit(on_both(&run));
    shell(&format!("until [ -s {} ]; do :; done", pid.display()));
    drop(client);
    let left = pair.head.kill();
    // It does not listen to SIGTERM: SIGKILL comes 10 s later.
    let pid = std::fs::read_to_string(pid).expect("a number");
    let before = Instant::now();
    until(|| !std::path::Path::new(&format!("/proc/{}", pid.trim())).exists());
    assert!(before.elapsed() < KNOWN * 2, "after {:?}", before.elapsed());

    // The next head knows where its worker is.
    let own = address();
    let head = Agent::start_in(left, node(0, 2, own));
    let log = head.client().run(on_both("echo again"));
    assert_eq!(log.text.matches(") again\n").count(), 2, "{}", log.text);
}

#[test]
fn cancelling_ends_the_processes_on_every_node() {
    let pair = Pair::start();
    let mut client = pair.head.client();
    let id = pair.begin(&mut client, "setsid sleep 1000 & sleep 1000");
    let jobs = client.cancel(vec![id]);
    assert_eq!(jobs[0].status, JobStatus::Cancelled);
    let left = shell("cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'");
    let mark = format!("SKIFF_JOB={}/{id}", client.hello.boot);
    assert!(!left.contains(&mark), "a process of the job is left");
}

#[test]
fn a_cut_connection_is_known_in_time_and_mended_by_itself() {
    let (proxied, worker) = (address(), address());
    let head = Agent::start_in(folder(), node(0, 2, address()));
    let worker_agent = Agent::start_in(folder(), node(1, 2, worker));
    worker_agent.client();
    let proxy = Proxy::start(proxied, worker);
    let addresses = vec!["127.0.0.1".to_owned(), proxied.to_string()];
    let mut client = head.client();
    assert_eq!(client.ask(Request::Nodes { addresses }), Response::Done);
    let pair = Pair {
        head,
        worker: worker_agent,
        address: worker,
    };
    let id = pair.begin(&mut client, "sleep 1000");

    proxy.is_cut.store(true, Ordering::Relaxed);
    let before = Instant::now();
    let log = client.follow(id);
    assert!(
        before.elapsed() < KNOWN,
        "known after {:?}",
        before.elapsed()
    );
    assert!(
        cause(&log).contains("worker1") && cause(&log).contains("not answered for"),
        "{}",
        log.text
    );
    // The worker has missed its head too, and is free for the next job.
    proxy.is_cut.store(false, Ordering::Relaxed);
    let log = client.run(on_both("echo again"));
    assert_eq!(log.text.matches(") again\n").count(), 2, "{}", log.text);
}

#[test]
fn the_end_of_the_cluster_reaches_the_workers() {
    let mut pair = Pair::start();
    let mut client = pair.head.client();
    pair.begin(&mut client, "sleep 1000");
    let ending = Ending::Down;
    assert_eq!(client.ask(Request::Shutdown { ending }), Response::Done);
    assert_eq!(pair.worker.wait().code(), Some(0));
    assert_eq!(pair.head.wait().code(), Some(0));
}

#[test]
fn the_end_of_the_cluster_does_not_wait_for_a_dead_worker() {
    let mut pair = Pair::start();
    let mut client = pair.head.client();
    client.run(on_both("true"));
    let left = pair.worker.kill();
    let before = Instant::now();
    let ending = Ending::Down;
    assert_eq!(client.ask(Request::Shutdown { ending }), Response::Done);
    assert_eq!(pair.head.wait().code(), Some(0));
    assert!(before.elapsed() < KNOWN, "{:?}", before.elapsed());
    pair.worker = Agent::start_in(left, |_| {});
}

#[test]
fn a_worker_that_is_told_to_stop_says_so() {
    let mut pair = Pair::start();
    let mut client = pair.head.client();
    let id = pair.begin(&mut client, "sleep 1000");
    pair.worker.tell(rustix::process::Signal::TERM);
    let log = client.follow(id);
    assert_eq!(log.job.status, JobStatus::Failed, "{}", log.text);
    assert!(
        cause(&log).contains("worker1") && cause(&log).contains("told to stop"),
        "{}",
        log.text
    );
    assert_eq!(pair.worker.wait().code(), Some(0));
}

#[test]
fn who_asks_at_the_wrong_place_is_told_so() {
    let pair = Pair::start();
    let refused = |client: &mut Client, request| match client.ask(request) {
        Response::Failed { fault } => fault.message,
        other => panic!("it was done: {other:?}"),
    };
    let message = refused(&mut pair.worker.client(), Request::Queue);
    assert_eq!(message, "worker1 has no jobs: ask the head");
    let addresses = vec!["127.0.0.1".to_owned()];
    let message = refused(&mut pair.head.client(), Request::Nodes { addresses });
    assert_eq!(message, "1 addresses for the 2 nodes of the cluster");
}

/// Waits for a condition, but not for ever.
pub(crate) fn until(mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !condition() {
        assert!(Instant::now() < deadline, "waited for too long");
        std::thread::yield_now();
    }
}

/// Passes connections on to a worker, and nothing more while it is cut: nobody is told that.
struct Proxy {
    is_cut: Arc<AtomicBool>,
}

impl Proxy {
    fn start(at: IpAddr, to: IpAddr) -> Self {
        let listener = TcpListener::bind((at, paths::LINK_PORT)).expect("it listens");
        let is_cut = Arc::new(AtomicBool::new(false));
        let cut = Arc::clone(&is_cut);
        // Goes with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let near = stream.expect("accepted");
                let far = TcpStream::connect((to, paths::LINK_PORT)).expect("the worker listens");
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let (from, to) = (from.try_clone(), to.try_clone());
                    let cut = Arc::clone(&cut);
                    std::thread::spawn(move || {
                        pass_on(from.expect("cloned"), to.expect("cloned"), &cut);
                    });
                }
            }
        });
        Self { is_cut }
    }
}

/// What comes while the connection is cut is lost, and the connection is of no use from then on.
fn pass_on(mut from: TcpStream, mut to: TcpStream, is_cut: &AtomicBool) {
    let mut buffer = vec![0; 64 << 10];
    let mut was_cut = false;
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        was_cut |= is_cut.load(Ordering::Relaxed);
        if !was_cut && to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    if !was_cut {
        // The other end may have gone already.
        let _ = to.shutdown(Shutdown::Write);
    }
}
