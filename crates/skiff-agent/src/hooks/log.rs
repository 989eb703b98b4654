//! What hooks write: into a file of the home folder, and by whole lines into the container's log.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use skiff_proto::HookEvent;

use crate::report;

/// The longest line that is passed on whole.
const LONGEST: usize = 4 << 10;

/// The log of one event's hooks.
pub(super) struct HookLog {
    file: Option<File>,
    event: HookEvent,
    /// The beginning of a line.
    line: Vec<u8>,
}

impl HookLog {
    /// Opens `~/.sky/hooks/<event>.log`, after what is there; where that fails there is only the container's log.
    pub(super) fn open(home: &Path, event: HookEvent) -> Self {
        let dir = home.join(".sky/hooks");
        let path = dir.join(format!("{}.log", event.as_str()));
        let open = || {
            fs::create_dir_all(&dir)?;
            File::options().append(true).create(true).open(&path)
        };
        let file = open().map_err(|error: io::Error| {
            report(&format!("cannot open {}: {error}", path.display()));
        });
        Self {
            file: file.ok(),
            event,
            line: Vec::new(),
        }
    }

    /// What a hook wrote.
    pub(super) fn output(&mut self, bytes: &[u8]) {
        self.keep(bytes);
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.line.len() >= LONGEST {
                self.pass_on();
            }
        }
    }

    /// A line of the agent's own.
    pub(super) fn line(&mut self, text: &str) {
        self.pass_on();
        self.keep(format!("({text})\n").as_bytes());
        report(&format!("({}) {text}", self.event.as_str()));
    }

    fn keep(&mut self, bytes: &[u8]) {
        // A full disk must not keep a cluster from going.
        if let Some(file) = &mut self.file {
            let _ = file.write_all(bytes);
        }
    }

    fn pass_on(&mut self) {
        let line = String::from_utf8_lossy(&self.line);
        let text = line.trim_end();
        if !text.is_empty() {
            report(&format!("({} hook) {text}", self.event.as_str()));
        }
        self.line.clear();
    }
}
