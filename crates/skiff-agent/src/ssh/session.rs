//! A session channel: what the client asks for before and after its process starts.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

use super::Host;
use super::channel::{Channel, Post};
use super::listening::{self, Ear};
use super::program::{self, Control, Launch, Program};
use super::terminal::{Size, Terminal, Wish};
use super::wire::{Malformed, Reader};

/// Bytes of variables that a client may set in one session.
const VARIABLES: usize = 256 << 10;
/// What OpenSSH says where a client has no address: shells and prompts look whether there is one.
const NOWHERE: &str = "UNKNOWN 65535 UNKNOWN 65535";

/// A session before and while its process runs.
pub(crate) struct Session {
    /// The task's end, until the process takes it.
    channel: Option<Channel>,
    variables: Vec<(OsString, OsString)>,
    terminal: Option<Wish>,
    agent: Option<(Ear, OsString)>,
    control: Option<Control>,
}

impl Session {
    /// A session that runs nothing yet.
    pub(crate) fn new(channel: Channel) -> Self {
        Self {
            channel: Some(channel),
            variables: Vec::new(),
            terminal: None,
            agent: None,
            control: None,
        }
    }

    /// Does what a request of the client asks for; false where that cannot be done.
    pub(crate) fn request(
        &mut self,
        kind: &str,
        reader: &mut Reader<'_>,
        host: &Host,
        posts: &mpsc::Sender<Post>,
    ) -> Result<bool, Malformed> {
        Ok(match kind {
            "env" => self.set(reader.bytes()?, reader.bytes()?),
            "pty-req" => {
                self.terminal = Some(Wish::read(reader)?);
                true
            }
            "auth-agent-req@openssh.com" => self.forward_agent(host, posts),
            "shell" => self.start(&Program::Shell, host),
            "exec" => {
                let command = OsString::from_vec(reader.bytes()?.to_vec());
                self.start(&Program::Command(command), host)
            }
            "subsystem" => reader.text()? == "sftp" && self.start(&Program::Files, host),
            "window-change" => {
                let size = Size::read(reader)?;
                self.terminal()
                    .is_some_and(|terminal| terminal.resize(size).is_ok())
            }
            "break" => self
                .terminal()
                .is_some_and(|terminal| terminal.send_break().is_ok()),
            "signal" => match (program::signal(reader.text()?), &self.control) {
                (Some(signal), Some(control)) => {
                    control.signal(signal);
                    true
                }
                _ => false,
            },
            _ => false,
        })
    }

    fn terminal(&self) -> Option<&Terminal> {
        self.control.as_ref()?.terminal.as_deref()
    }

    fn set(&mut self, name: &[u8], value: &[u8]) -> bool {
        let size = |(name, value): &(OsString, OsString)| name.len() + value.len();
        let present: usize = self.variables.iter().map(size).sum();
        let is_sound = !name.is_empty()
            && !name.iter().any(|byte| matches!(byte, b'=' | 0))
            && !value.contains(&0);
        if !is_sound || present + name.len() + value.len() > VARIABLES {
            return false;
        }
        let own = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
        self.variables.push((own(name), own(value)));
        true
    }

    fn forward_agent(&mut self, host: &Host, posts: &mpsc::Sender<Post>) -> bool {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = host.surroundings.layout.run_dir();
        let path = dir.join(format!("auth-{}-{number}.sock", host.surroundings.boot));
        self.agent = listening::agent(&path, posts)
            .ok()
            .map(|ear| (ear, path.into_os_string()));
        self.agent.is_some()
    }

    /// Starts the process; a session has one.
    fn start(&mut self, program: &Program, host: &Host) -> bool {
        let Some(channel) = self.channel.take() else {
            return false;
        };
        match self.launch(program, host) {
            Ok(started) => {
                self.control = Some(started.control.clone());
                let agent = self.agent.take().map(|(ear, _)| ear);
                tokio::spawn(started.run(channel, agent));
                true
            }
            Err(error) => {
                crate::report(&format!("cannot start an SSH session: {error}"));
                false
            }
        }
    }

    fn launch(&mut self, program: &Program, host: &Host) -> std::io::Result<program::Started> {
        let mut variables = host.surroundings.session();
        let path = variables.get(&OsString::from("PATH"));
        let shell = program::shell(host.shell.as_deref(), path)
            .ok_or_else(|| std::io::Error::other("the image has neither bash nor sh"))?;
        variables.insert("SHELL".into(), shell.clone().into());
        variables.extend(self.variables.drain(..));
        variables.insert("SSH_CONNECTION".into(), NOWHERE.into());
        variables.insert("SSH_CLIENT".into(), "UNKNOWN 65535 65535".into());
        if let Some((_, socket)) = &self.agent {
            variables.insert("SSH_AUTH_SOCK".into(), socket.clone());
        }
        let mut terminal = None;
        if let Some(wish) = &self.terminal {
            let (own, other, name) = Terminal::open(wish)?;
            variables.insert("SSH_TTY".into(), name);
            if !wish.term.is_empty() {
                variables.insert("TERM".into(), wish.term.clone());
            }
            terminal = Some((own, other));
        }
        let launch = Launch {
            program,
            shell: &shell,
            home: &host.surroundings.home.dir,
            variables: &variables,
            terminal,
        };
        launch.start(&host.reaper)
    }
}
