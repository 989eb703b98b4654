//! A job's logs as users see them: `run.log`, the lines of all its processes with their prefixes and the agent's own,
//! and a log of each process.
//!
//! What a process wrote is in the files, and their readers are told, when [`LogSource::output`] returns. Two things
//! wait: what may be the beginning of a secret's value, until more comes; and where several processes write, a line
//! that is not whole, for [`PARTIAL_WAIT`] and up to [`PARTIAL_MAX`] bytes.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use skiff_proto::{JobRecord, SecretVariables};

mod folder;
mod log_file;
mod mask;
mod prefix;
mod segments;

pub(crate) use folder::{LogFolder, RUN_LOG};
pub(crate) use log_file::{Found, LogFile, LogReader};
use mask::{Mask, Masked};
use prefix::{Position, prefixed, whole_lines};

/// How long a line of one of several processes is held back to become whole.
const PARTIAL_WAIT: Duration = Duration::from_millis(200);
/// How much of such a line is held back.
const PARTIAL_MAX: usize = 64 << 10;
/// Room that is kept from one output to the next.
const SCRATCH: usize = 128 << 10;

/// What is known of a job, for those who follow it.
#[derive(Clone, Debug)]
pub(crate) struct JobView {
    /// Its record.
    pub(crate) record: JobRecord,
}

/// The writing end of a job's logs; clones write to the same ones.
#[derive(Clone, Debug)]
pub(crate) struct JobLog(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    folder: Arc<LogFolder>,
    run: Arc<LogFile>,
    mask: Option<Mask>,
    sources: Vec<Option<Writer>>,
    /// Where `run.log` stands, and who wrote what stands there.
    position: Position,
    last: Option<usize>,
    /// Whether somebody will come to write what waits.
    is_timed: bool,
    scratch: Vec<u8>,
}

/// One process that writes.
#[derive(Debug)]
struct Writer {
    prefix: String,
    own: Option<Arc<LogFile>>,
    masked: Masked,
    /// The line that is not whole yet.
    partial: Vec<u8>,
    /// Since when it waits.
    since: Instant,
    /// Whether the process itself has ended: what it left in the background writes on.
    has_ended: bool,
}

/// One process's way into its job's logs. Dropping it says that nothing more comes.
#[derive(Debug)]
pub(crate) struct LogSource {
    log: JobLog,
    number: usize,
}

impl JobLog {
    /// Opens a job's logs for appending; the values of its secrets are masked in them.
    pub(crate) fn open(folder: Arc<LogFolder>, secrets: &SecretVariables) -> io::Result<Self> {
        let run = folder.log(RUN_LOG)?;
        run.prepare()?;
        Ok(Self(Arc::new(Mutex::new(Inner {
            folder,
            run,
            mask: Mask::new(secrets),
            sources: Vec::new(),
            position: Position::LineStart,
            last: None,
            is_timed: false,
            scratch: Vec::new(),
        }))))
    }

    /// A way in for one process, with the prefix of its lines in `run.log` and the name of its own log, such as
    /// `tasks/run.log`.
    pub(crate) fn source(&self, own: &str, prefix: String) -> LogSource {
        let mut inner = self.lock();
        let writer = Writer {
            prefix,
            // Everything is in run.log as well, and says there what the disk does not take.
            own: inner.folder.log(own).ok(),
            masked: Masked::default(),
            partial: Vec::new(),
            since: Instant::now(),
            has_ended: false,
        };
        let free = inner.sources.iter().position(Option::is_none);
        let number = free.unwrap_or(inner.sources.len());
        match free {
            Some(free) => inner.sources[free] = Some(writer),
            None => inner.sources.push(Some(writer)),
        }
        drop(inner);
        LogSource {
            log: self.clone(),
            number,
        }
    }

    /// Appends lines of the agent's own, beginning on a line of their own.
    pub(crate) fn lines(&self, lines: &[String]) {
        let mut inner = self.lock();
        let mut text = String::new();
        if inner.position != Position::LineStart {
            text.push('\n');
        }
        for line in lines {
            text.push_str(line);
            text.push('\n');
        }
        inner.position = Position::LineStart;
        inner.last = None;
        inner.run.append(text.as_bytes());
    }

    /// Whether the disk ever refused some of the log.
    pub(crate) fn has_lost(&self) -> bool {
        self.lock().run.has_lost()
    }

    /// Writes lines that have waited long enough, until none waits.
    async fn write_what_waits(self) {
        loop {
            let Some(waited) = self.lock().longest_wait() else {
                break;
            };
            tokio::time::sleep(PARTIAL_WAIT.saturating_sub(waited)).await;
            self.lock().write_partials(PARTIAL_WAIT);
        }
        self.lock().is_timed = false;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LogSource {
    /// The process has ended and all that it wrote is here. Its descendants may go on.
    pub(crate) fn ended(&self) {
        self.log.lock().process_ended(self.number);
    }

    /// Appends what the process wrote.
    pub(crate) fn output(&self, bytes: &[u8]) {
        let mut inner = self.log.lock();
        inner.output(self.number, bytes);
        if inner.longest_wait().is_some()
            && !inner.is_timed
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            inner.is_timed = true;
            runtime.spawn(self.log.clone().write_what_waits());
        }
    }
}

impl Drop for LogSource {
    fn drop(&mut self) {
        self.log.lock().end(self.number);
    }
}

impl Inner {
    fn output(&mut self, number: usize, bytes: &[u8]) {
        let others = self.sources.iter().enumerate();
        let is_alone = others
            .filter_map(|(other, writer)| Some((other, writer.as_ref()?)))
            .all(|(other, writer)| other == number || writer.has_ended);
        let Some(writer) = self.sources.get_mut(number).and_then(Option::as_mut) else {
            return;
        };
        let mut certain = Vec::new();
        let bytes = match &self.mask {
            Some(mask) => {
                writer.masked.push(mask, bytes, &mut certain);
                &certain
            }
            None => bytes,
        };
        if let Some(own) = &writer.own {
            own.append(bytes);
        }
        let mut line = std::mem::take(&mut writer.partial);
        if line.is_empty() {
            writer.since = Instant::now();
        }
        let written = if is_alone {
            bytes.len()
        } else {
            whole_lines(bytes)
        };
        let (now, later) = bytes.split_at(written);
        if line.len() + later.len() > PARTIAL_MAX || !now.is_empty() {
            self.write(number, &line);
            line.clear();
            self.restart(number);
        }
        self.write(number, now);
        if later.len() > PARTIAL_MAX {
            self.write(number, later);
        } else {
            line.extend_from_slice(later);
        }
        if let Some(writer) = self.sources[number].as_mut() {
            writer.partial = line;
        }
    }

    /// What waits from now on has not waited yet.
    fn restart(&mut self, number: usize) {
        if let Some(writer) = self.sources[number].as_mut() {
            writer.since = Instant::now();
        }
    }

    /// Writes to `run.log`, on a line of its own where the last one is somebody else's.
    fn write(&mut self, number: usize, bytes: &[u8]) {
        let Some(writer) = self.sources[number].as_ref() else {
            return;
        };
        if bytes.is_empty() {
            return;
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        if self.position != Position::LineStart && self.last != Some(number) {
            scratch.push(b'\n');
            self.position = Position::LineStart;
        }
        self.position = prefixed(self.position, writer.prefix.as_bytes(), bytes, &mut scratch);
        self.last = Some(number);
        self.run.append(&scratch);
        scratch.shrink_to(SCRATCH);
        self.scratch = scratch;
    }

    /// How long the line has waited that waits longest.
    fn longest_wait(&self) -> Option<Duration> {
        let waiting = self.sources.iter().flatten();
        waiting
            .filter(|writer| !writer.partial.is_empty())
            .map(|writer| writer.since.elapsed())
            .max()
    }

    /// Writes the lines that have waited for so long.
    fn write_partials(&mut self, waited: Duration) {
        for number in 0..self.sources.len() {
            let is_due = |writer: &Writer| writer.since.elapsed() >= waited;
            if self.sources[number].as_ref().is_some_and(is_due) {
                self.write_partial(number);
            }
        }
    }

    fn write_partial(&mut self, number: usize) {
        let partial = self.sources[number]
            .as_mut()
            .map(|writer| std::mem::take(&mut writer.partial));
        self.write(number, &partial.unwrap_or_default());
    }

    /// Nothing waits any more for what a process would have written next.
    fn process_ended(&mut self, number: usize) {
        let Some(writer) = self.sources.get_mut(number).and_then(Option::as_mut) else {
            return;
        };
        writer.has_ended = true;
        let rest = match &self.mask {
            Some(mask) => writer.masked.finish(mask),
            None => Vec::new(),
        };
        if let Some(own) = &writer.own {
            own.append(&rest);
        }
        writer.partial.extend_from_slice(&rest);
        self.write_partial(number);
    }

    /// Nothing more comes from there.
    fn end(&mut self, number: usize) {
        self.process_ended(number);
        self.sources[number] = None;
        if self.last == Some(number) {
            self.last = None;
        }
    }
}

#[cfg(test)]
mod tests;
