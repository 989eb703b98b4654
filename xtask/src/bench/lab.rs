//! Where the measurements run: a local cluster of their own, Skiff and kubectl.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::command;
use crate::local_cluster::Skiff;
use crate::project::{Project, VERSION};
use crate::report;

/// The local cluster's name and that of the folder under Skiff's home that belongs to it.
const NAME: &str = "bench";
/// The cluster's context in its kubeconfig.
pub(super) const CONTEXT: &str = "skiff-bench";
/// The line that a task prints when it has come to where the clock stops.
const MARKER: &str = "measured-42";
/// The same line as a command: the text of the command must not be taken for its output.
const PRINT_MARKER: &str = "echo measured-$((40 + 2))";

/// How a command ended that may have failed.
pub(super) struct Said {
    pub(super) succeeded: bool,
    /// All that it wrote.
    pub(super) text: String,
}

/// What the measurements share.
pub(super) struct Lab<'p> {
    project: &'p Project,
    skiff: Skiff,
    /// Nodes of the cluster that is up; 0 where none is.
    nodes: u32,
}

impl<'p> Lab<'p> {
    /// Sets up a home of its own; the cluster starts when it is first needed.
    pub(super) fn new(project: &'p Project) -> Result<Self> {
        let program = project.target.join("release/skiff");
        Ok(Self {
            project,
            skiff: Skiff::isolated(program, project, NAME)?,
            nodes: 0,
        })
    }

    /// Where things are.
    pub(super) fn project(&self) -> &'p Project {
        self.project
    }

    /// Makes sure that the cluster is up; returns how long it took if it was not.
    pub(super) fn cluster_up(&mut self) -> Result<Duration> {
        self.cluster_up_with(1)
    }

    /// Makes sure that the cluster is up with so many nodes or more; returns how long it took if it was not.
    pub(super) fn cluster_up_with(&mut self, nodes: u32) -> Result<Duration> {
        if self.nodes < nodes {
            self.cluster_down()?;
        }
        let started = Instant::now();
        if self.nodes == 0 {
            self.nodes = nodes;
            let count = nodes.to_string();
            let words = ["up", "--name", NAME, "--nodes", &count, "--no-egress"];
            let mut up = self.skiff.local_command(&words)?;
            command::logged(&mut up, &self.log()?)?;
        }
        Ok(started.elapsed())
    }

    /// Loads an image's archive into the cluster.
    pub(super) fn load_image(&self, archive: &str) -> Result<()> {
        let mut load = self
            .skiff
            .local_command(&["load", "--name", NAME, archive])?;
        command::logged(&mut load, &self.log()?)
    }

    /// Takes the cluster down if it is up.
    pub(super) fn cluster_down(&mut self) -> Result<()> {
        if self.nodes == 0 {
            return Ok(());
        }
        self.nodes = 0;
        let mut down = self.skiff.local_command(&["down", "--name", NAME])?;
        command::clean_up(down.stdout(Stdio::null()).stderr(Stdio::null()))
    }

    /// Ends the measurements.
    pub(super) fn close(mut self) -> Result<()> {
        self.cluster_down()
    }

    /// Writes a task that takes little of a node and prints the marker; `run` comes before that.
    pub(super) fn task(&self, name: &str, docker: bool, run: &str) -> Result<String> {
        let docker = if docker { "true" } else { "false" };
        self.task_with(name, docker, &format!("{run}\n{PRINT_MARKER}"))
    }

    /// Writes a task that takes little of a node, with this value of `enable_docker`.
    pub(super) fn task_with(&self, name: &str, docker: &str, run: &str) -> Result<String> {
        let run = run.replace('\n', "\n  ");
        let text = format!(
            "name: {name}\nresources:\n  cpus: 0.1\n  memory: 0.5\n\
             config:\n  kubernetes:\n    enable_docker: {docker}\n\
             run: |\n  {run}\n"
        );
        self.write(&format!("{name}.yaml"), &text)
    }

    /// Writes a file and gives its path.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<String> {
        let file = self.folder()?.join(name);
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(file.to_string_lossy().into_owned())
    }

    /// A `skiff` command.
    pub(super) fn skiff(&self, words: &[&str]) -> Command {
        self.skiff.command(words)
    }

    /// Runs a `skiff` command, unmeasured; what it says is in the error if it fails.
    pub(super) fn run_skiff(&self, words: &[&str]) -> Result<()> {
        command::logged(&mut self.skiff.command(words), &self.log()?)
    }

    /// The time that a `skiff` command takes from its start to its end, in seconds.
    pub(super) fn time_skiff(&self, words: &[&str]) -> Result<f64> {
        self.time(&mut self.skiff.command(words))
    }

    /// The time that a `skiff` command takes from its start to the task's marker, in seconds.
    pub(super) fn time_skiff_to_marker(&self, words: &[&str]) -> Result<f64> {
        self.time_skiff_to_markers(words, 1)
    }

    /// The time that a `skiff` command takes from its start to so many lines with the task's marker, in seconds.
    pub(super) fn time_skiff_to_markers(&self, words: &[&str], count: usize) -> Result<f64> {
        let log = fs::File::create(self.log()?).context("cannot write the log")?;
        let mut command = self.skiff.command(words);
        command.stdin(Stdio::null()).stderr(log);
        let mut found = Vec::new();
        let started = Instant::now();
        let status = command::lines(&mut command, |line| {
            if line.contains(MARKER) {
                found.push(started.elapsed());
            }
        })?;
        command::succeeded(&command, status).with_context(|| format!("see {}", self.log_name()))?;
        let Some(found) = count.checked_sub(1).and_then(|last| found.get(last)) else {
            let times = found.len();
            bail!(
                "`{}` printed {MARKER} {times} times, not {count}",
                command::name(&command)
            );
        };
        Ok(found.as_secs_f64())
    }

    /// The number that a `skiff` command prints behind the marker and an equals sign.
    pub(super) fn told(&self, words: &[&str]) -> Result<f64> {
        let log = fs::File::create(self.log()?).context("cannot write the log")?;
        let mut command = self.skiff.command(words);
        command.stdin(Stdio::null()).stderr(log);
        let mut told = None;
        let status = command::lines(&mut command, |line| {
            told = told.or_else(|| number_behind_marker(line));
        })?;
        command::succeeded(&command, status).with_context(|| format!("see {}", self.log_name()))?;
        told.with_context(|| format!("`{}` printed no number", command::name(&command)))
    }

    /// Runs a `skiff` command to its end, whatever that is.
    pub(super) fn said(&self, words: &[&str]) -> Result<Said> {
        let mut command = self.skiff.command(words);
        let output = command
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("cannot start `{}`", command::name(&command)))?;
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.push_str(&String::from_utf8_lossy(&output.stderr));
        Ok(Said {
            succeeded: output.status.success(),
            text,
        })
    }

    /// A `kubectl` for the cluster.
    pub(super) fn kubectl(&self, words: &[&str]) -> Command {
        let mut command = Command::new("kubectl");
        self.skiff
            .lend(&mut command)
            .args(["--context", CONTEXT])
            .args(words);
        command
    }

    /// The time that a `kubectl` command takes from its start to its end, in seconds.
    pub(super) fn time_kubectl(&self, words: &[&str]) -> Result<f64> {
        self.time(&mut self.kubectl(words))
    }

    /// The time that a `kubectl` command takes that is fed with an archive of a folder, in seconds.
    pub(super) fn time_kubectl_fed_with(&self, folder: &str, words: &[&str]) -> Result<f64> {
        let script = "folder=$1; shift; tar c -C \"$folder\" . | kubectl \"$@\"";
        let mut shell = Command::new("sh");
        self.skiff
            .lend(&mut shell)
            .args(["-c", script, "sh", folder, "--context", CONTEXT])
            .args(words);
        self.time(&mut shell)
    }

    /// Makes an empty folder and gives its path.
    pub(super) fn tree(&self, name: &str) -> Result<PathBuf> {
        let folder = self.folder()?.join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder)
                .with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        fs::create_dir(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        Ok(folder)
    }

    /// Makes an empty folder for files of root and gives its path.
    pub(super) fn root_tree(&self, name: &str) -> Result<PathBuf> {
        let folder = self.folder()?.join(name);
        command::shown(command::as_root("rm").arg("-rf").arg(&folder))?;
        self.tree(name)
    }

    /// Launches a small idle cluster of pods unless it is there; returns the name of its pod.
    pub(super) fn idle_pod(&mut self, name: &str) -> Result<String> {
        self.cluster_up()?;
        let task = self.task(name, false, "true")?;
        self.run_skiff(&["launch", "-y", "-c", name, &task])?;
        self.pod(name)
    }

    /// The name of the first pod of a cluster that is up.
    pub(super) fn pod(&self, name: &str) -> Result<String> {
        let mut list = self.kubectl(&["get", "pods", "-o", "name", "-l", "skiff.dev/rank=0"]);
        let pods = command::captured(&mut list)?;
        // A pod is called after its cluster, whose name ends with the user's hash.
        let start = format!("pod/{name}-");
        let mut own = pods.lines().filter(|pod| pod.starts_with(&start));
        let pod = own.next().with_context(|| format!("{name} has no pod"))?;
        Ok(pod.trim_start_matches("pod/").to_owned())
    }

    /// What the agent of a pod has of memory, in MiB, by a line of its status: `VmRSS:` now, `VmHWM:` at most.
    pub(super) fn agent_memory(&self, pod: &str, line: &str) -> Result<f64> {
        self.memory(pod, "task", line)
    }

    /// The same of the agent in any container of the pod.
    pub(super) fn memory(&self, pod: &str, container: &str, line: &str) -> Result<f64> {
        let words = ["exec", pod, "-c", container, "--", "cat", "/proc/1/status"];
        let status = command::captured(&mut self.kubectl(&words))?;
        let kibibytes = kibibytes(&status, line);
        let kibibytes = kibibytes.with_context(|| format!("the agent's status has no {line}"))?;
        Ok(f64::from(kibibytes) / 1024.0)
    }

    /// The image that tasks run in.
    pub(super) fn image() -> String {
        format!("docker.io/skiff/base:{VERSION}")
    }

    /// Another program that finds the cluster as `skiff` and `kubectl` do.
    pub(super) fn program(&self, name: &str, words: &[&str]) -> Command {
        let mut command = Command::new(name);
        self.skiff.lend(&mut command).args(words);
        command
    }

    /// The time that another program takes from its start to its end, in seconds.
    pub(super) fn time_program(&self, name: &str, words: &[&str]) -> Result<f64> {
        self.time(&mut self.program(name, words))
    }

    /// What a launch has written for OpenSSH.
    pub(super) fn ssh_config(&self, cluster: &str) -> Result<String> {
        let home = self
            .skiff
            .own_home()
            .context("the measurements have no home")?;
        let file = home.join("ssh").join(format!("{cluster}.conf"));
        Ok(file.to_string_lossy().into_owned())
    }

    fn time(&self, command: &mut Command) -> Result<f64> {
        let log = self.log()?;
        let started = Instant::now();
        command::logged(command, &log)?;
        Ok(started.elapsed().as_secs_f64())
    }

    fn folder(&self) -> Result<PathBuf> {
        let folder = self
            .skiff
            .own_home()
            .context("the measurements have no home")?
            .join("tasks");
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        Ok(folder)
    }

    fn log(&self) -> Result<PathBuf> {
        Ok(self.folder()?.join("last-command.log"))
    }

    fn log_name(&self) -> String {
        self.log()
            .map(|log| log.display().to_string())
            .unwrap_or_default()
    }
}

impl Drop for Lab<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.cluster_down() {
            report::failure(&error);
        }
    }
}

/// A size out of `/proc/<pid>/status`.
fn kibibytes(status: &str, line: &str) -> Option<u32> {
    let value = status.lines().find_map(|text| text.strip_prefix(line))?;
    value.split_whitespace().next()?.parse().ok()
}

/// A number that a line has behind the marker and an equals sign.
pub(super) fn number_behind_marker(line: &str) -> Option<f64> {
    let (_, rest) = line.split_once(MARKER)?;
    rest.strip_prefix('=')?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{kibibytes, number_behind_marker};

    #[test]
    fn a_number_is_found_behind_the_marker() {
        assert_eq!(
            number_behind_marker("(a, pid=7) measured-42=1.25"),
            Some(1.25)
        );
        assert_eq!(number_behind_marker("(a, pid=7) measured-42"), None);
        assert_eq!(number_behind_marker("echo measured-$((40 + 2))=7"), None);
    }

    #[test]
    fn the_resident_size_is_found_in_the_status() {
        let status = "Name:\ttask\nVmRSS:\t    2816 kB\nThreads:\t1\n";
        assert_eq!(kibibytes(status, "VmRSS:"), Some(2816));
        assert_eq!(kibibytes("Name:\ttask\n", "VmRSS:"), None);
    }

    #[test]
    fn the_peak_is_found_in_the_status() {
        let status = "VmPeak:\t 9 kB\nVmHWM:\t  2816 kB\nVmRSS:\t 7 kB\n";
        assert_eq!(kibibytes(status, "VmHWM:"), Some(2816));
        assert_eq!(kibibytes("VmRSS:\t 7 kB\n", "VmHWM:"), None);
    }
}
