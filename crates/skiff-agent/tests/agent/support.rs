//! An agent in a folder of its own, and a client of it.

use std::ffi::CString;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::process::{Pid, Signal, kill_process};
use skiff_proto::{
    Decoder, Fault, Frame, Hello, JobRecord, JobSpec, LogPart, LogSource, PROTOCOL_VERSION,
    Request, Response,
};
use skiff_wire::unpacked;

/// The agent's executable.
pub(crate) const AGENT: &str = env!("CARGO_BIN_EXE_skiff-agent");

/// A running agent; it is killed when the test ends.
pub(crate) struct Agent {
    child: Child,
    /// Holds the root and the home folder.
    dir: tempfile::TempDir,
    /// Whether a file system of its own is mounted there.
    is_mounted: bool,
}

impl Agent {
    /// An agent with room for one job at a time.
    pub(crate) fn start() -> Self {
        Self::start_with(|_| {})
    }

    /// An agent whose command was changed before its start.
    pub(crate) fn start_with(change: impl FnOnce(&mut Command)) -> Self {
        Self::start_in(tempfile::tempdir().expect("a folder"), change)
    }

    /// An agent on what an earlier one left.
    pub(crate) fn start_in(dir: tempfile::TempDir, change: impl FnOnce(&mut Command)) -> Self {
        let home = dir.path().join("home");
        std::fs::create_dir_all(&home).expect("a folder");
        let mut command = Command::new(AGENT);
        command
            .arg("--root")
            .arg(dir.path().join("skiff"))
            .arg("run");
        command
            .env("HOME", &home)
            .env("SKIFF_CPUS", "0.5")
            .stdin(Stdio::null());
        command
            .env("SKIFF_CLUSTER", "dev")
            .env_remove("PYTHONUNBUFFERED");
        change(&mut command);
        let child = command.spawn().expect("the agent starts");
        Self {
            child,
            dir,
            is_mounted: false,
        }
    }

    /// An agent on a file system of so many bytes; None where the test may not mount one.
    pub(crate) fn start_on_small_disk(bytes: u32) -> Option<Self> {
        let dir = tempfile::tempdir().expect("a folder");
        let options = CString::new(format!("size={bytes}")).expect("text");
        mount(
            "tmpfs",
            dir.path(),
            "tmpfs",
            MountFlags::empty(),
            options.as_c_str(),
        )
        .ok()?;
        let mut agent = Self::start_in(dir, |_| {});
        agent.is_mounted = true;
        Some(agent)
    }

    /// An agent in an image that has `sh`, `sleep` and what these need, and no variables; None where the
    /// test may not change its root.
    pub(crate) fn start_in_bare_image() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let dir = tempfile::tempdir().expect("a folder");
        let script = "set -e; cd $1; mkdir -p bin proc dev skiff; mknod dev/null c 1 3
            cp $2 bin/agent; cp -L /bin/sh bin/sh
            for lib in $(ldd bin/agent bin/sh | grep -o '[[:space:]]/[^ ]*' | sort -u); do
                mkdir -p .${lib%/*}; cp -L $lib .$lib
            done
            mount -t proc proc proc; exec env -i $(command -v chroot) . /bin/agent --root /skiff run";
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "sh", "-c", script, "sh"])
            .arg(dir.path())
            .arg(AGENT);
        let child = command.stdin(Stdio::null()).spawn().ok()?;
        Some(Self {
            child,
            dir,
            is_mounted: false,
        })
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().join("skiff")
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    /// The most memory that it has had, in KiB.
    pub(crate) fn peak_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()));
        let status = status.expect("it runs");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|peak| peak.trim().strip_suffix(" kB"));
        peak.expect("a peak").parse().expect("a number")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A new client, past the greeting.
    pub(crate) fn client(&self) -> Client {
        Client::connect(&self.root())
    }

    /// Sends the agent a signal.
    pub(crate) fn tell(&self, signal: Signal) {
        kill_process(pid(self.child.id()), signal).expect("it is there");
    }

    /// Waits for the agent's own end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("the agent ends")
    }

    /// Kills the agent and all that it has started, as a node's crash would, and gives what it leaves.
    pub(crate) fn kill(mut self) -> tempfile::TempDir {
        self.end();
        let other = tempfile::tempdir().expect("a folder");
        std::mem::replace(&mut self.dir, other)
    }

    /// The agent is stopped first: it then starts nothing more, and orphans stay its descendants.
    fn end(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let agent = pid(self.child.id());
            let _ = kill_process(agent, Signal::STOP);
            loop {
                let left = descendants(self.child.id());
                if left.is_empty() {
                    break;
                }
                for descendant in left {
                    // It may have ended by itself.
                    let _ = kill_process(pid(descendant), Signal::KILL);
                }
                std::thread::yield_now();
            }
        }
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn pid(number: u32) -> Pid {
    Pid::from_raw(i32::try_from(number).expect("a process's number")).expect("not 0")
}

/// The processes that live and come from this one.
fn descendants(ancestor: u32) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").expect("readable");
    let numbers = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let parents: Vec<(u32, u32, bool)> = numbers
        .filter_map(|number: u32| {
            let stat = std::fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
            let (_, rest) = stat.rsplit_once(") ")?;
            let mut fields = rest.split(' ');
            let is_dead = matches!(fields.next()?, "Z" | "X");
            Some((number, fields.next()?.parse().ok()?, is_dead))
        })
        .collect();
    let mut family = vec![ancestor];
    let mut at = 0;
    while let Some(parent) = family.get(at).copied() {
        let children = parents.iter().filter(|(_, of, _)| *of == parent);
        family.extend(children.map(|(number, ..)| *number));
        at += 1;
    }
    let is_alive = |number: &u32| parents.iter().any(|(of, _, dead)| of == number && !dead);
    family.split_off(1).into_iter().filter(is_alive).collect()
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.end();
        if self.is_mounted {
            let _ = unmount(self.dir.path(), UnmountFlags::DETACH);
        }
    }
}

/// One client, through `skiff-agent connect`.
pub(crate) struct Client {
    child: Child,
    input: Option<ChildStdin>,
    output: ChildStdout,
    decoder: Decoder,
    last_id: u32,
    /// The agent's greeting.
    pub(crate) hello: Hello,
}

/// What a request for a log brought.
pub(crate) struct Log {
    pub(crate) offset: u64,
    /// How many bytes it said are left out.
    pub(crate) gap: u64,
    pub(crate) text: String,
    pub(crate) job: JobRecord,
}

impl Client {
    pub(crate) fn connect(root: &Path) -> Self {
        let mut child = Command::new(AGENT)
            .arg("--root")
            .arg(root)
            .arg("connect")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the client end starts");
        let (input, output) = (child.stdin.take(), child.stdout.take().expect("piped"));
        let hello = Hello {
            protocol: 0,
            build: String::new(),
            boot: String::new(),
        };
        let decoder = Decoder::default();
        let mut client = Self {
            child,
            input,
            output,
            decoder,
            last_id: 0,
            hello,
        };
        let hello = Hello {
            protocol: PROTOCOL_VERSION,
            build: "test".into(),
            boot: String::new(),
        };
        client.send(&Frame::Hello(hello));
        match client.receive() {
            Some(Frame::Hello(hello)) => client.hello = hello,
            other => panic!("the agent greeted with {other:?}"),
        }
        client
    }

    pub(crate) fn send(&mut self, frame: &Frame) {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        self.send_bytes(&bytes);
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.input
            .as_mut()
            .expect("open")
            .write_all(bytes)
            .expect("the agent reads");
    }

    /// The next frame; None where the agent has hung up.
    pub(crate) fn receive(&mut self) -> Option<Frame> {
        let mut buffer = vec![0; 64 << 10];
        loop {
            if let Some(frame) = self
                .decoder
                .next_frame()
                .expect("the agent speaks the protocol")
            {
                return Some(unpacked(frame).expect("well packed"));
            }
            match self.output.read(&mut buffer).expect("readable") {
                0 => return None,
                count => self.decoder.push(&buffer[..count]),
            }
        }
    }

    /// Sends a request; gives its id.
    pub(crate) fn request(&mut self, request: Request) -> u32 {
        self.last_id += 1;
        self.send(&Frame::Request(self.last_id, request));
        self.last_id
    }

    /// The next answer to this request.
    pub(crate) fn answer(&mut self, id: u32) -> Response {
        loop {
            match self.receive() {
                Some(Frame::Response(of, response)) if of == id => return response,
                Some(_) => {}
                None => panic!("the agent hung up before the answer"),
            }
        }
    }

    pub(crate) fn ask(&mut self, request: Request) -> Response {
        let id = self.request(request);
        self.answer(id)
    }

    pub(crate) fn submit(&mut self, job: JobSpec) -> JobRecord {
        match self.ask(Request::Submit { job }) {
            Response::Submitted { job } => job,
            other => panic!("not submitted: {other:?}"),
        }
    }

    /// Runs a job to its end; gives its log and last record.
    pub(crate) fn run(&mut self, job: JobSpec) -> Log {
        let id = self.submit(job).id;
        self.follow(id)
    }

    /// Follows a job to its end.
    pub(crate) fn follow(&mut self, id: u64) -> Log {
        self.log(LogSource::Id(id), 0, None, true)
            .expect("the job is there")
    }

    /// Waits for a job's end.
    pub(crate) fn log_end(&mut self, id: u64) {
        self.log(LogSource::Id(id), u64::MAX, None, true)
            .expect("the job is there");
        while !self
            .queue()
            .iter()
            .any(|job| job.id == id && job.status.is_final())
        {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// The offsets of the first byte that is kept of a job's log, and behind the last.
    pub(crate) fn extent(&mut self, id: u64, name: &str) -> (u64, u64) {
        match self.ask(Request::LogFiles {
            job: LogSource::Id(id),
        }) {
            Response::LogFiles { files, .. } => {
                let file = files.iter().find(|file| file.name == name).expect("a log");
                (file.start, file.end)
            }
            other => panic!("no logs: {other:?}"),
        }
    }

    pub(crate) fn log(
        &mut self,
        job: LogSource,
        offset: u64,
        tail: Option<u64>,
        follow: bool,
    ) -> Result<Log, Fault> {
        let part = LogPart::Job;
        self.read_log(Request::Logs {
            job,
            offset,
            tail,
            follow,
            part,
        })
    }

    /// Reads one log of the newest job.
    pub(crate) fn part(&mut self, part: LogPart) -> Result<Log, Fault> {
        self.read_log(Request::Logs {
            job: LogSource::Latest,
            offset: 0,
            tail: None,
            follow: false,
            part,
        })
    }

    fn read_log(&mut self, request: Request) -> Result<Log, Fault> {
        let id = self.request(request);
        let (mut start, mut gap) = (None, 0);
        let mut bytes = Vec::new();
        loop {
            match self.receive().expect("the agent answers") {
                Frame::Response(of, Response::LogStart { offset, .. }) if of == id => {
                    start = Some(offset);
                }
                Frame::Response(of, Response::LogGap { bytes }) if of == id => gap += bytes,
                Frame::Data(of, data) if of == id => {
                    bytes.extend_from_slice(&data);
                    self.send(&Frame::Credit(
                        id,
                        u32::try_from(data.len()).expect("small"),
                    ));
                }
                Frame::Response(of, Response::LogEnd { job }) if of == id => {
                    let text = String::from_utf8(bytes).expect("text");
                    return Ok(Log {
                        offset: start.expect("a start"),
                        gap,
                        text,
                        job,
                    });
                }
                Frame::Response(of, Response::Failed { fault }) if of == id => return Err(fault),
                _ => {}
            }
        }
    }

    pub(crate) fn queue(&mut self) -> Vec<JobRecord> {
        match self.ask(Request::Queue) {
            Response::Jobs { jobs } => jobs,
            other => panic!("no jobs: {other:?}"),
        }
    }

    pub(crate) fn cancel(&mut self, jobs: Vec<u64>) -> Vec<JobRecord> {
        match self.ask(Request::Cancel { jobs }) {
            Response::Jobs { jobs } => jobs,
            other => panic!("not cancelled: {other:?}"),
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        drop(self.input.take());
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A job of this run command.
pub(crate) fn job(run: &str) -> JobSpec {
    static NUMBER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    JobSpec {
        submission: format!("submission-{number}"),
        user: "ann".into(),
        run: Some(run.into()),
        ..JobSpec::default()
    }
}

/// Runs a shell command here, not as a job; gives what it wrote.
pub(crate) fn shell(command: &str) -> String {
    let output = Command::new("/bin/sh")
        .arg("-c")
        .arg(command)
        .output()
        .expect("a shell");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
