//! Progress for people: a spinner on a terminal, lines elsewhere. The job's own output goes through untouched.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use skiff_engine::{Event, Reporter};
use tokio::sync::Notify;

use crate::printer::Printer;
use crate::table::duration;

/// How often a line tells of progress where nobody watches.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Shows events.
pub(crate) struct Progress {
    printer: Printer,
    state: Mutex<State>,
    /// Notified when a pod runs, and when none will.
    settled: Notify,
}

#[derive(Default)]
struct State {
    /// Whether a pod runs.
    is_up: bool,
    spinner: Option<ProgressBar>,
    /// Whether the loss of the connection has been told.
    disconnected: bool,
    /// When progress was last written as a line.
    told: Option<Instant>,
}

impl State {
    /// Whether it is time for another line about what takes long.
    fn is_long_ago(&mut self) -> bool {
        let now = Instant::now();
        let is_long_ago = now.duration_since(*self.told.get_or_insert(now)) >= LINE_EVERY;
        if is_long_ago {
            self.told = Some(now);
        }
        is_long_ago
    }
}

impl Progress {
    pub(crate) fn new(printer: Printer) -> Self {
        Self {
            printer,
            state: Mutex::default(),
            settled: Notify::new(),
        }
    }

    /// Takes the spinner away, before other text is written.
    pub(crate) fn clear(&self) {
        if let Some(spinner) = self.lock().spinner.take() {
            spinner.finish_and_clear();
        }
    }

    /// Waits until the cluster's pod runs; false where it will not.
    pub(crate) async fn is_up(&self) -> bool {
        self.settled.notified().await;
        self.lock().is_up
    }

    /// Nothing more comes.
    pub(crate) fn end(&self) {
        self.clear();
        self.settled.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something that is going on.
    fn busy(&self, text: String) {
        if !self.printer.is_watched() {
            self.printer.note(&text);
            return;
        }
        let mut state = self.lock();
        let spinner = state.spinner.get_or_insert_with(|| {
            let style = ProgressStyle::with_template("{spinner} {wide_msg}")
                .expect("the template is well-formed");
            let spinner = ProgressBar::new_spinner().with_style(style);
            spinner.enable_steady_tick(Duration::from_millis(100));
            spinner
        });
        spinner.set_message(text);
    }

    /// Something that is done.
    fn done(&self, text: &str) {
        self.clear();
        self.printer.note(text);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

impl Reporter for Progress {
    fn event(&self, event: Event) {
        if matches!(event, Event::PodUp { .. }) {
            self.lock().is_up = true;
            self.settled.notify_one();
        }
        match event {
            Event::Note(text) => self.done(&format!("note: {text}")),
            Event::Creating { cluster } => self.busy(format!("Launching {cluster}")),
            Event::Waiting(what) => self.busy(format!("Launching ({what})")),
            Event::PodUp {
                cluster,
                reused: false,
            } => self.done(&format!("✓ Cluster launched: {cluster}.")),
            Event::PodUp {
                cluster,
                reused: true,
            } => self.done(&format!("✓ Cluster is up: {cluster}.")),
            Event::Syncing { sent, total } => {
                if self.printer.is_watched() || self.lock().is_long_ago() {
                    self.busy(format!("Syncing ({} of {})", size(sent), size(total)));
                }
            }
            Event::Synced {
                what,
                files,
                bytes,
                sent,
                elapsed,
            } => {
                let plural = if files == 1 { "" } else { "s" };
                let sent = match sent {
                    0 => ", nothing new".to_owned(),
                    sent if sent < bytes => format!(", {} of it new", size(sent)),
                    _ => String::new(),
                };
                self.done(&format!(
                    "✓ Synced {what}: {files} file{plural}, {}{sent}, {:.1} s.",
                    size(bytes),
                    elapsed.as_secs_f32()
                ));
            }
            Event::JobSubmitted { job } => self.done(&format!("✓ Job submitted, ID: {job}")),
            Event::Reconnecting { reason } => {
                let told = std::mem::replace(&mut self.lock().disconnected, true);
                if !told || self.printer.is_watched() {
                    self.busy(format!("Connection lost ({reason}), connecting again"));
                }
            }
            Event::Reconnected => {
                self.lock().disconnected = false;
                self.done("✓ Connected again.");
            }
            Event::Undoing { cluster } => {
                self.busy(format!("Removing what was created of {cluster}"));
            }
            Event::Stopping { cluster } => self.busy(format!("Stopping {cluster}")),
            Event::RunningHooks { cluster, limit } => self.busy(format!(
                "Running the hooks of {cluster} (for {} at most)",
                duration(limit.as_secs())
            )),
            Event::TakingDown { cluster } => self.busy(format!("Taking down {cluster}")),
        }
    }

    fn log(&self, bytes: &[u8]) -> io::Result<()> {
        self.clear();
        self.printer.raw(bytes)
    }
}

/// Bytes as people read them.
fn size(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
    let mut amount = bytes as f64;
    for unit in ["B", "KB", "MB"] {
        if amount < 1000.0 {
            return if unit == "B" {
                format!("{bytes} B")
            } else {
                format!("{amount:.1} {unit}")
            };
        }
        amount /= 1000.0;
    }
    format!("{amount:.1} GB")
}
