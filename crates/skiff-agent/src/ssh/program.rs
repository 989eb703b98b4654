//! A session's process: its start with a terminal or pipes, its bytes, its end.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitStatus, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, oneshot};

use super::channel::{Channel, End, Gone, Input, Output, PACKET, Post};
use super::hangup::Pipes;
use super::listening::Ear;
use super::terminal::Terminal;
use crate::environment::Variables;
use crate::reaper::Reaper;

/// How long a terminal is listened to after the end of its session's process while others still hold it.
const LAST_WORDS: Duration = Duration::from_millis(50);

/// Bytes that may wait between the agent and a process: with few, both wake each other all the time.
const PIPE: usize = 256 << 10;

/// What a session is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// The user's shell.
    Shell,
    /// A command, for the user's shell.
    Command(OsString),
    /// The agent's own file server.
    Files,
}

/// A session's process that has been started.
pub(crate) struct Started {
    /// What can be done to it from outside.
    pub(crate) control: Control,
    ends: Ends,
    exit: oneshot::Receiver<WaitStatus>,
}

/// What can be done to a session's process while it runs.
#[derive(Clone, Debug)]
pub(crate) struct Control {
    pid: Pid,
    /// Its terminal.
    pub(crate) terminal: Option<Arc<Terminal>>,
    /// Its pipes, where it has no terminal.
    pipes: Option<Pipes>,
}

impl Control {
    /// Sends a signal to the processes in the foreground.
    pub(crate) fn signal(&self, signal: Signal) {
        let foreground = self.terminal.as_ref().and_then(|it| it.foreground());
        // They may have ended by themselves.
        let _ = kill_process_group(foreground.unwrap_or(self.pid), signal);
    }

    /// The client has gone: all that its terminal's closing does not reach is told.
    fn hang_up(&self) {
        if let Some(pipes) = &self.pipes {
            return pipes.hang_up(self.pid);
        }
        self.signal(Signal::HUP);
        let _ = kill_process_group(self.pid, Signal::HUP);
        // What is stopped would never hear it.
        let _ = kill_process_group(self.pid, Signal::CONT);
    }
}

/// The agent's ends of what the process reads and writes.
enum Ends {
    Terminal(Arc<Terminal>),
    Pipes {
        input: pipe::Sender,
        output: pipe::Receiver,
        errors: pipe::Receiver,
    },
}

/// How a process is to be started.
pub(crate) struct Launch<'a> {
    /// What to run.
    pub(crate) program: &'a Program,
    /// The user's shell.
    pub(crate) shell: &'a Path,
    /// Where to start.
    pub(crate) home: &'a Path,
    /// All of its variables.
    pub(crate) variables: &'a Variables,
    /// Its terminal, and the end that is the process's.
    pub(crate) terminal: Option<(Terminal, OwnedFd)>,
}

impl Launch<'_> {
    /// Starts the process. Must run where the reaper runs.
    pub(crate) fn start(self, reaper: &Reaper) -> io::Result<Started> {
        let mut command = Command::new("/proc/self/exe");
        command.arg("session");
        if self.terminal.is_some() {
            command.arg("--terminal");
        }
        match self.program {
            Program::Shell => command.arg(self.shell),
            Program::Command(text) => command.arg(self.shell).arg("-c").arg(text),
            Program::Files => command.arg("/proc/self/exe").arg("files"),
        };
        let home = if self.home.is_dir() {
            self.home
        } else {
            Path::new("/")
        };
        command.current_dir(home).env_clear().envs(self.variables);
        let (ends, terminal, pipes) = if let Some((terminal, other)) = self.terminal {
            command
                .stdin(Stdio::from(other.try_clone()?))
                .stdout(Stdio::from(other.try_clone()?))
                .stderr(Stdio::from(other));
            let terminal = Arc::new(terminal);
            (Ends::Terminal(Arc::clone(&terminal)), Some(terminal), None)
        } else {
            let (ends, pipes) = pipes(&mut command)?;
            (ends, None, Some(pipes))
        };
        let child = command.spawn()?;
        let pid = Pid::from_child(&child);
        Ok(Started {
            control: Control {
                pid,
                terminal,
                pipes,
            },
            ends,
            exit: reaper.register_status(pid),
        })
    }
}

fn pipes(command: &mut Command) -> io::Result<(Ends, Pipes)> {
    let (theirs, input) = io::pipe()?;
    command.stdin(theirs);
    let (output, theirs) = io::pipe()?;
    command.stdout(theirs);
    let (errors, theirs) = io::pipe()?;
    command.stderr(theirs);
    for end in [input.as_fd(), output.as_fd()] {
        // A user may have so many pipes that there is no room for larger ones: then they are slower.
        let _ = rustix::pipe::fcntl_setpipe_size(end, PIPE);
    }
    let pipes = Pipes::of([&input, &output, &errors])?;
    let ends = Ends::Pipes {
        input: pipe::Sender::from_owned_fd(OwnedFd::from(input))?,
        output: pipe::Receiver::from_owned_fd(OwnedFd::from(output))?,
        errors: pipe::Receiver::from_owned_fd(OwnedFd::from(errors))?,
    };
    Ok((ends, pipes))
}

impl Started {
    /// Moves the process's bytes until it has ended and all that it wrote was sent, or the client has gone: then its
    /// processes are hung up on. The forwarded agent ends with it.
    pub(crate) async fn run(self, channel: Channel, agent: Option<Ear>) {
        let Self {
            control,
            ends,
            exit,
        } = self;
        let Channel { input, output } = channel;
        let ended = match ends {
            Ends::Terminal(terminal) => on_terminal(terminal, input, &output, exit).await,
            Ends::Pipes {
                input: stdin,
                output: stdout,
                errors,
            } => on_pipes(stdin, input, [stdout, errors], &output, exit).await,
        };
        drop(agent);
        let closed = match ended {
            Ok(end) => conclude(&output, end).await,
            Err(gone) => Err(gone),
        };
        if closed.is_err() {
            control.hang_up();
        }
    }
}

async fn conclude(output: &Output, end: End) -> Result<(), Gone> {
    let channel = output.channel;
    output.post(Post::Eof(channel)).await?;
    output.post(Post::Ended { channel, end }).await?;
    output.post(Post::Close(channel)).await
}

async fn on_terminal(
    terminal: Arc<Terminal>,
    mut input: mpsc::UnboundedReceiver<Input>,
    output: &Output,
    exit: oneshot::Receiver<WaitStatus>,
) -> Result<End, Gone> {
    let typed = async {
        loop {
            // A terminal has no end that could be passed on: Ctrl-D is a character.
            let Input::Data(bytes) = input.recv().await.ok_or(Gone)? else {
                continue;
            };
            // Nobody reads any more: the session is about to end.
            let _ = terminal.write_all(&bytes).await;
            output.used(bytes.len()).await?;
        }
    };
    let (ended, mut end) = oneshot::channel();
    let shown = async {
        let mut buffer = vec![0; PACKET as usize];
        let mut is_last = false;
        loop {
            let read = tokio::select! {
                biased;
                read = terminal.read(&mut buffer) => read,
                _ = &mut end, if !is_last => {
                    is_last = true;
                    continue;
                }
                () = tokio::time::sleep(LAST_WORDS), if is_last => return Ok(()),
            };
            match read {
                Ok(count @ 1..) => output.data(&buffer[..count], false).await?,
                _ => return Ok(()),
            }
        }
    };
    let exited = async {
        let end = exit.await.map_or(End::Exit(255), end_of);
        // Whoever shows the rest may have seen the terminal's end already.
        let _ = ended.send(());
        Ok(end)
    };
    tokio::select! {
        gone = typed => gone,
        both = async { tokio::try_join!(exited, shown) } => both.map(|(end, ())| end),
    }
}

async fn on_pipes(
    stdin: pipe::Sender,
    input: mpsc::UnboundedReceiver<Input>,
    [stdout, errors]: [pipe::Receiver; 2],
    output: &Output,
    exit: oneshot::Receiver<WaitStatus>,
) -> Result<End, Gone> {
    let written = async {
        // What its children hold open is waited for, as by any SSH server: it may still be written to.
        tokio::try_join!(copy(stdout, output, false), copy(errors, output, true))?;
        Ok(exit.await.map_or(End::Exit(255), end_of))
    };
    tokio::select! {
        gone = feed(stdin, input, output) => gone,
        end = written => end,
    }
}

/// Ends only when the client has gone.
async fn feed(
    stdin: pipe::Sender,
    mut input: mpsc::UnboundedReceiver<Input>,
    output: &Output,
) -> Result<End, Gone> {
    let mut stdin = Some(stdin);
    loop {
        match input.recv().await.ok_or(Gone)? {
            Input::Data(bytes) => {
                if let Some(open) = &mut stdin
                    && open.write_all(&bytes).await.is_err()
                {
                    // It does not read any more; the rest is dropped.
                    stdin = None;
                }
                output.used(bytes.len()).await?;
            }
            Input::Eof => stdin = None,
        }
    }
}

async fn copy(
    mut from: impl AsyncRead + Unpin,
    output: &Output,
    is_error: bool,
) -> Result<(), Gone> {
    let mut buffer = vec![0; PACKET as usize];
    loop {
        match from.read(&mut buffer).await {
            Ok(count @ 1..) => output.data(&buffer[..count], is_error).await?,
            _ => return Ok(()),
        }
    }
}

fn end_of(status: WaitStatus) -> End {
    let code = |code: i32| End::Exit(u32::try_from(code).unwrap_or(255));
    match (status.exit_status(), status.terminating_signal()) {
        (Some(exit), _) => code(exit),
        (None, Some(signal)) => match name(signal) {
            Some(name) => End::Signal(name),
            None => code(128 + signal),
        },
        (None, None) => code(255),
    }
}

/// The signals that the protocol has names for.
const SIGNALS: [(&str, Signal); 13] = [
    ("ABRT", Signal::ABORT),
    ("ALRM", Signal::ALARM),
    ("FPE", Signal::FPE),
    ("HUP", Signal::HUP),
    ("ILL", Signal::ILL),
    ("INT", Signal::INT),
    ("KILL", Signal::KILL),
    ("PIPE", Signal::PIPE),
    ("QUIT", Signal::QUIT),
    ("SEGV", Signal::SEGV),
    ("TERM", Signal::TERM),
    ("USR1", Signal::USR1),
    ("USR2", Signal::USR2),
];

fn name(number: i32) -> Option<&'static str> {
    let signal = SIGNALS.iter().find(|(_, signal)| signal.as_raw() == number);
    signal.map(|(name, _)| *name)
}

/// The signal of this name.
pub(crate) fn signal(name: &str) -> Option<Signal> {
    let signal = SIGNALS.iter().find(|(known, _)| *known == name);
    signal.map(|(_, signal)| *signal)
}

/// The user's shell: the account's, unless that is there to keep people out, else the one that jobs run in.
pub(crate) fn shell(account: Option<&Path>, path: Option<&OsString>) -> Option<std::path::PathBuf> {
    let is_usable = |shell: &&Path| {
        let name = shell.file_name().and_then(OsStr::to_str);
        !matches!(name, None | Some("nologin" | "false" | "true" | "sync")) && shell.is_file()
    };
    let own = account.filter(is_usable).map(Path::to_owned);
    own.or_else(|| match crate::shell::Shell::find(path)? {
        crate::shell::Shell::Bash(shell) | crate::shell::Shell::Plain(shell) => Some(shell),
    })
}
