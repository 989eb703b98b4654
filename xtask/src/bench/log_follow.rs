//! Following a job that writes a gigabyte of text at 50 MB/s: what it costs the agent, and how it compares with kubectl.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::Bench;
use super::lab::Lab;
use super::measurement::{Target, Unit};
use crate::command;

const CLUSTER: &str = "bench-logs";
/// The rows of the job.
const ROWS: u32 = 10_000_000;
/// A row ends with a space and its number in so many digits.
const DIGITS: usize = 8;
/// Writes the rows, each of 100 bytes, 5 MB of them in each tenth of a second; one that comes too late is not waited for.
const WRITER: &str = r#"step=50000; begun=${EPOCHREALTIME/[.,]/}
for first in $(seq 1 $step 10000000); do
  seq -f "epoch 12 of 90, loss 0.25134, accuracy 0.91873, 1873.2 images/s, eta 2:41:07, lr 0.0003, row %08.0f" $first $((first + step - 1))
  left=$((begun + (first + step - 1) * 2 - ${EPOCHREALTIME/[.,]/}))
  [ $left -le 0 ] || sleep $(printf 0.%06d $left)
done
"#;

/// The agent's memory.
#[derive(Default)]
pub(super) struct LogFollow {
    pod: String,
    task: String,
}

/// The time until the last row has arrived.
#[derive(Default)]
pub(super) struct LogFollowTime {
    pod: String,
    task: String,
}

impl Bench for LogFollow {
    fn name(&self) -> &'static str {
        "log_follow"
    }

    fn about(&self) -> &'static str {
        "most memory of the agent while a job's 1 GB of text at 50 MB/s is followed, no row lost"
    }

    fn unit(&self) -> Unit {
        Unit::Mebibytes
    }

    fn target(&self) -> Target {
        Target::AtMost(24.0)
    }

    fn runs(&self) -> usize {
        3
    }

    fn prepare(&mut self, lab: &mut Lab) -> Result<()> {
        (self.pod, self.task) = prepare(lab)?;
        Ok(())
    }

    fn value(&mut self, lab: &mut Lab) -> Result<f64> {
        follow(lab, &self.task)?;
        lab.agent_memory(&self.pod, "VmHWM:")
    }
}

impl Bench for LogFollowTime {
    fn name(&self) -> &'static str {
        "log_follow_time"
    }

    fn about(&self) -> &'static str {
        "start of `skiff exec` to the end of that job, beside `kubectl exec` of the same command"
    }

    fn target(&self) -> Target {
        Target::TimesReference(1.1)
    }

    fn runs(&self) -> usize {
        3
    }

    fn prepare(&mut self, lab: &mut Lab) -> Result<()> {
        (self.pod, self.task) = prepare(lab)?;
        Ok(())
    }

    fn value(&mut self, lab: &mut Lab) -> Result<f64> {
        follow(lab, &self.task)
    }

    fn reference(&mut self, lab: &mut Lab) -> Result<Option<f64>> {
        let words = ["exec", &self.pod, "-c", "task", "--", "bash", "-c", WRITER];
        time_rows(&mut lab.kubectl(&words)).map(Some)
    }
}

fn prepare(lab: &mut Lab) -> Result<(String, String)> {
    let pod = lab.idle_pod(CLUSTER)?;
    let run = WRITER.replace('\n', "\n  ");
    let task = lab.write("log_follow.yaml", &format!("name: logs\nrun: |\n  {run}\n"))?;
    Ok((pod, task))
}

/// Runs the job and follows it as a user does, in seconds.
fn follow(lab: &Lab, task: &str) -> Result<f64> {
    time_rows(&mut lab.skiff(&["exec", CLUSTER, task]))
}

/// The time of a command from its start to its end, in seconds; fails unless it prints every row once and in order.
fn time_rows(command: &mut Command) -> Result<f64> {
    command.stdin(Stdio::null()).stderr(Stdio::null());
    let started = Instant::now();
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start")?;
    let stdout = child.stdout.take().context("there is no output")?;
    let rows = count(BufReader::with_capacity(1 << 20, stdout));
    let status = child.wait()?;
    let seconds = started.elapsed().as_secs_f64();
    command::succeeded(command, status)?;
    match rows? {
        ROWS => Ok(seconds),
        rows => bail!("`{}` printed {rows} of {ROWS} rows", command::name(command)),
    }
}

/// Counts rows; fails where one does not follow the one before it.
fn count(mut output: impl BufRead) -> Result<u32> {
    let mut rows = 0;
    let mut line = Vec::new();
    while output.read_until(b'\n', &mut line)? > 0 {
        if let Some(number) = row(&line) {
            if number != rows + 1 {
                bail!("row {number} follows row {rows}");
            }
            rows = number;
        }
        line.clear();
    }
    Ok(rows)
}

/// The number of a row; None for the lines around them.
fn row(line: &[u8]) -> Option<u32> {
    let start = line.len().checked_sub(DIGITS + " row \n".len())?;
    let digits = line[start..].strip_prefix(b" row ")?.strip_suffix(b"\n")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn rows_are_counted_and_a_lost_or_doubled_one_is_a_failure() {
        let whole = "Job started.\n(logs, pid=7) x row 00000001\n(logs, pid=7) x row 00000002\nJob finished.\n";
        assert_eq!(count(whole.as_bytes()).ok(), Some(2));
        for odd in ["x row 00000002\n", "x row 00000001\nx row 00000001\n"] {
            assert!(count(odd.as_bytes()).is_err(), "{odd}");
        }
    }
}
