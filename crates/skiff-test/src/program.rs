//! The program under test as a child process: cleared environment, deadlines, output as it comes.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long a command may take, unless a test says otherwise. Nothing waits for this long when all is well.
pub const DEADLINE: Duration = Duration::from_secs(90);

/// A program with the environment and folder that it is started in, and nothing of the test's own.
#[derive(Clone, Debug)]
pub struct Program {
    executable: PathBuf,
    folder: PathBuf,
    variables: BTreeMap<OsString, OsString>,
    deadline: Duration,
}

/// How a program ended.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The command line, for messages.
    pub line: String,
    /// The exit code; None where a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

/// A program that runs.
#[derive(Debug)]
pub struct Running {
    line: String,
    child: Child,
    stdout: Output,
    stderr: Output,
    deadline: Duration,
}

/// What has come out of one stream so far.
#[derive(Debug)]
struct Output {
    bytes: watch::Receiver<Vec<u8>>,
    reader: JoinHandle<()>,
}

impl Program {
    /// A program in a folder. Its environment holds only a search path for the tools of the system.
    pub fn new(executable: impl Into<PathBuf>, folder: impl Into<PathBuf>) -> Self {
        let program = Self {
            executable: executable.into(),
            folder: folder.into(),
            variables: BTreeMap::new(),
            deadline: DEADLINE,
        };
        program.with("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
    }

    /// The same with one more variable.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }

    /// The same without a variable.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.variables.remove(&OsString::from(name));
        self
    }

    /// The same in another folder.
    #[must_use]
    pub fn inside(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = folder.into();
        self
    }

    /// The same with another deadline.
    #[must_use]
    pub fn within(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// The folder it is started in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Starts it. It is killed when the value is dropped.
    pub fn start(&self, arguments: &[&str]) -> Running {
        let name = self
            .executable
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let line = std::iter::once(name.as_str())
            .chain(arguments.iter().copied())
            .collect::<Vec<_>>()
            .join(" ");
        let mut child = Command::new(&self.executable)
            .args(arguments)
            .current_dir(&self.folder)
            .env_clear()
            .envs(&self.variables)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", self.executable.display()));
        let stdout = Output::read(child.stdout.take().expect("it was asked for"));
        let stderr = Output::read(child.stderr.take().expect("it was asked for"));
        Running {
            line,
            child,
            stdout,
            stderr,
            deadline: self.deadline,
        }
    }

    /// Runs it to its end.
    pub async fn run(&self, arguments: &[&str]) -> Finished {
        self.start(arguments).end().await
    }
}

impl Running {
    /// Waits until standard output holds this text.
    pub async fn stdout_has(&mut self, text: &str) {
        let found = self.stdout.wait_for(text, self.deadline).await;
        assert!(
            found,
            "`{}` did not write {text:?} to standard output\n{}",
            self.line,
            self.so_far()
        );
    }

    /// Waits until standard error holds this text.
    pub async fn stderr_has(&mut self, text: &str) {
        let found = self.stderr.wait_for(text, self.deadline).await;
        assert!(
            found,
            "`{}` did not write {text:?} to standard error\n{}",
            self.line,
            self.so_far()
        );
    }

    /// Presses Ctrl-C.
    pub fn interrupt(&self) {
        self.signal(Signal::INT);
    }

    /// Ends it as a power cut would: it can undo nothing.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        let pid = self
            .child
            .id()
            .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        kill_process(pid.expect("it has not been waited for"), signal)
            .expect("it is a child of this process");
    }

    /// Waits for its end.
    pub async fn end(mut self) -> Finished {
        let Ok(status) = timeout(self.deadline, self.child.wait()).await else {
            panic!(
                "`{}` did not end within {} s\n{}",
                self.line,
                self.deadline.as_secs(),
                self.so_far()
            );
        };
        let code = status.expect("a child can be waited for").code();
        Finished {
            line: self.line,
            code,
            stdout: self.stdout.whole().await,
            stderr: self.stderr.whole().await,
        }
    }

    fn so_far(&self) -> String {
        format!(
            "--- stdout\n{}\n--- stderr\n{}",
            self.stdout.text(),
            self.stderr.text()
        )
    }
}

impl Output {
    fn read(mut stream: impl AsyncRead + Send + Unpin + 'static) -> Self {
        let (sender, bytes) = watch::channel(Vec::new());
        let reader = tokio::spawn(async move {
            let mut buffer = vec![0; 64 << 10];
            while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                sender.send_modify(|bytes| bytes.extend_from_slice(&buffer[..count]));
            }
        });
        Self { bytes, reader }
    }

    /// False where the stream ends or the time is over before.
    async fn wait_for(&mut self, text: &str, deadline: Duration) -> bool {
        let found = self
            .bytes
            .wait_for(|bytes| contains(bytes, text.as_bytes()));
        matches!(timeout(deadline, found).await, Ok(Ok(_)))
    }

    async fn whole(self) -> String {
        self.reader.await.expect("reading does not panic");
        String::from_utf8_lossy(&self.bytes.borrow()).into_owned()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.borrow()).into_owned()
    }
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

impl Finished {
    /// Makes sure of the exit code.
    #[track_caller]
    pub fn code(self, expected: i32) -> Self {
        assert!(
            self.code == Some(expected),
            "expected exit code {expected}\n{self}"
        );
        self
    }

    /// Makes sure that standard output holds a text.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(
            self.stdout.contains(text),
            "standard output has no {text:?}\n{self}"
        );
        self
    }

    /// Makes sure that standard output does not hold a text.
    #[track_caller]
    pub fn never_says(self, text: &str) -> Self {
        assert!(
            !self.stdout.contains(text),
            "standard output has {text:?}\n{self}"
        );
        self
    }

    /// Makes sure that standard error holds a text.
    #[track_caller]
    pub fn notes(self, text: &str) -> Self {
        assert!(
            self.stderr.contains(text),
            "standard error has no {text:?}\n{self}"
        );
        self
    }

    /// Makes sure that standard error tells of exactly one failure, with a way out where one is asked for.
    #[track_caller]
    pub fn one_error(self) -> Self {
        let count = |label: &str| {
            self.stderr
                .lines()
                .filter(|line| line.starts_with(label))
                .count()
        };
        assert!(count("error:") == 1, "expected one error\n{self}");
        assert!(count("hint:") <= 1, "expected one hint at most\n{self}");
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("no JSON: {error}\n{self}"))
    }
}

impl std::fmt::Display for Finished {
    /// As a snapshot shows it: command line, exit code and both streams at once.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "$ {}", self.line)?;
        match self.code {
            Some(code) => writeln!(f, "exit code: {code}")?,
            None => writeln!(f, "ended by a signal")?,
        }
        write!(f, "--- stdout\n{}--- stderr\n{}", self.stdout, self.stderr)
    }
}
