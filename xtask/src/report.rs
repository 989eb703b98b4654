//! What the tasks print: lines with the elapsed time, and failures.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the one place of xtask that writes to the terminal"
)]

use std::fmt::Display;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

static STARTED: OnceLock<Instant> = OnceLock::new();

/// Sets the zero of the elapsed times.
pub(crate) fn start_clock() {
    STARTED.get_or_init(Instant::now);
}

/// Prints one line of progress of one step, with the time since the start of the task.
pub(crate) fn step(name: &str, text: impl Display) {
    let elapsed = STARTED.get_or_init(Instant::now).elapsed().as_secs();
    println!("[{elapsed:>4} s] {name}: {text}");
}

/// Prints a line as it is.
pub(crate) fn line(text: impl Display) {
    println!("{text}");
}

/// Prints an error with the chain of its causes.
pub(crate) fn failure(error: &anyhow::Error) {
    eprintln!("error: {error}");
    for cause in error.chain().skip(1) {
        eprintln!("caused by: {cause}");
    }
}

/// A duration as people read it: `0.8 s`, `42 s`, `3 min 20 s`.
pub(crate) fn human(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", duration.as_secs_f64()),
        10..120 => format!("{seconds} s"),
        _ => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

/// A size as people read it, in binary units.
pub(crate) fn size(bytes: u64) -> String {
    let (mib, tenth) = (bytes >> 20, ((bytes & 0xf_ffff) * 10) >> 20);
    format!("{mib}.{tenth} MiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well_at_every_length() {
        assert_eq!(human(Duration::from_millis(820)), "0.8 s");
        assert_eq!(human(Duration::from_secs(42)), "42 s");
        assert_eq!(human(Duration::from_secs(200)), "3 min 20 s");
    }

    #[test]
    fn sizes_are_in_binary_units() {
        assert_eq!(size(4 << 20), "4.0 MiB");
        assert_eq!(size((1 << 20) + (1 << 19)), "1.5 MiB");
    }
}
