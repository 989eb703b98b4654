//! A job's log as users see it: `run.log`, the job's lines with their prefix and the agent's own.
//!
//! The file is the only buffer. Must not hold output back: what a process wrote is in the file, and
//! its readers are told, before the next read.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use skiff_proto::JobRecord;
use tokio::sync::watch;

/// What is known of a job, for those who follow it.
#[derive(Clone, Debug)]
pub(crate) struct JobView {
    /// Its record.
    pub(crate) record: JobRecord,
    /// The length of its log in bytes.
    pub(crate) log_len: u64,
}

/// The writing end of a job's log.
#[derive(Debug)]
pub(crate) struct JobLog {
    file: File,
    view: Arc<watch::Sender<JobView>>,
    position: Position,
    /// Bytes that the disk did not take since the last that it took.
    lost: u64,
    /// Whether any byte was ever lost.
    has_lost: bool,
    scratch: Vec<u8>,
}

/// Where in a line the log stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    LineStart,
    /// Behind a carriage return, which starts a line of its own unless a line feed follows.
    Return,
    Inside,
}

impl JobLog {
    /// Opens the log for appending.
    pub(crate) fn open(path: &Path, view: Arc<watch::Sender<JobView>>) -> io::Result<Self> {
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir)?;
        }
        let file = File::options().append(true).create(true).open(path)?;
        let length = file.metadata()?.len();
        view.send_modify(|view| view.log_len = length);
        let position = Position::LineStart;
        Ok(Self {
            file,
            view,
            position,
            lost: 0,
            has_lost: false,
            scratch: Vec::new(),
        })
    }

    /// Appends lines of the agent's own, beginning on a line of their own.
    pub(crate) fn lines(&mut self, lines: &[String]) {
        let mut text = String::new();
        if self.position != Position::LineStart {
            text.push('\n');
        }
        for line in lines {
            text.push_str(line);
            text.push('\n');
        }
        self.position = Position::LineStart;
        self.append(text.as_bytes());
    }

    /// Appends what a job's process wrote, with the prefix before each of its lines.
    pub(crate) fn output(&mut self, prefix: &str, bytes: &[u8]) {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        self.position = prefixed(self.position, prefix.as_bytes(), bytes, &mut scratch);
        self.append(&scratch);
        scratch.shrink_to(128 << 10);
        self.scratch = scratch;
    }

    /// Whether the disk ever refused some of the log.
    pub(crate) fn has_lost(&self) -> bool {
        self.has_lost
    }

    fn append(&mut self, bytes: &[u8]) {
        if self.lost > 0 {
            let note = format!(
                "\n[{} bytes of output were lost: the disk was full]\n",
                self.lost
            );
            if !self.write(note.as_bytes()) {
                self.lost += bytes.len() as u64;
                return;
            }
            self.lost = 0;
        }
        if !self.write(bytes) {
            self.lost += bytes.len() as u64;
            self.has_lost = true;
        }
    }

    /// Writes, and tells the readers how long the log is now. False where not everything was written.
    fn write(&mut self, mut bytes: &[u8]) -> bool {
        let mut written = 0;
        while !bytes.is_empty() {
            match self.file.write(bytes) {
                Ok(0) => break,
                Ok(count) => {
                    written += count as u64;
                    bytes = &bytes[count..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        if written > 0 {
            self.view.send_modify(|view| view.log_len += written);
        }
        bytes.is_empty()
    }
}

/// Copies `bytes` to `out` with the prefix at each line's start; returns where in a line that ends.
fn prefixed(mut position: Position, prefix: &[u8], bytes: &[u8], out: &mut Vec<u8>) -> Position {
    let mut rest = bytes;
    while let Some(first) = rest.first() {
        if position == Position::LineStart || (position == Position::Return && *first != b'\n') {
            out.extend_from_slice(prefix);
        }
        let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
        let (line, next) = rest.split_at(end.map_or(rest.len(), |end| end + 1));
        out.extend_from_slice(line);
        position = match line.last() {
            Some(b'\n') => Position::LineStart,
            Some(b'\r') => Position::Return,
            _ => Position::Inside,
        };
        rest = next;
    }
    position
}

#[cfg(test)]
mod tests {
    use super::{Position, prefixed};

    fn whole(pieces: &[&str]) -> String {
        let mut out = Vec::new();
        let mut position = Position::LineStart;
        for piece in pieces {
            position = prefixed(position, b"(p) ", piece.as_bytes(), &mut out);
        }
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn each_line_gets_one_prefix_however_it_arrives() {
        assert_eq!(whole(&["a\nb\n"]), "(p) a\n(p) b\n");
        assert_eq!(whole(&["a", "b\n", "c"]), "(p) ab\n(p) c");
        assert_eq!(whole(&["\n\n"]), "(p) \n(p) \n");
    }

    #[test]
    fn progress_bars_keep_their_returns() {
        assert_eq!(whole(&["1%\r2%\r", "3%\n"]), "(p) 1%\r(p) 2%\r(p) 3%\n");
        assert_eq!(whole(&["dos\r", "\nline\r\n"]), "(p) dos\r\n(p) line\r\n");
    }
}
