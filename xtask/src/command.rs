//! Running other programs: shown, logged, or read line by line.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::interrupt::{self, Listed};

/// Lines of a failed program's log that its error shows.
const SHOWN_OF_LOG: usize = 15;

/// Runs a program with this terminal; fails unless it succeeds.
pub(crate) fn shown(command: &mut Command) -> Result<()> {
    let status = spawn(command)?.wait()?;
    succeeded(command, status)
}

/// Runs a program that cleans up: also after an interrupt, and out of reach of the next one.
pub(crate) fn clean_up(command: &mut Command) -> Result<()> {
    let name = name(command);
    // sudo must stay in the terminal's foreground: it may ask for the password.
    if is_root() {
        command.process_group(0);
    }
    let status = command
        .status()
        .with_context(|| format!("cannot start `{name}`"))?;
    if !status.success() {
        bail!("`{name}` failed: {status}");
    }
    Ok(())
}

/// Runs a program with its output in a log file; the error shows the end of the log.
pub(crate) fn logged(command: &mut Command, log: &Path) -> Result<()> {
    let status = spawn(output_to(command, log)?)?.wait()?;
    if status.success() {
        return Ok(());
    }
    Err(failed_with_log(command, status, log))
}

/// Runs a program and returns its standard output without the spaces around it.
pub(crate) fn captured(command: &mut Command) -> Result<String> {
    interrupt::check()?;
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start `{}`", name(command)))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!(
            "`{}` failed: {}: {}",
            name(command),
            output.status,
            stderr.trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Runs a program with some bytes as its standard input and returns its standard output.
pub(crate) fn fed(command: &mut Command, input: &[u8]) -> Result<String> {
    let name = name(command);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{name}`"))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin
            .write_all(input)
            .with_context(|| format!("cannot write to `{name}`"))?;
    }
    let output = child
        .wait_with_output()
        .with_context(|| format!("cannot read from `{name}`"))?;
    if !output.status.success() {
        bail!("`{name}` failed: {}", output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a program and hands over each line of its standard output as it comes.
pub(crate) fn lines(command: &mut Command, mut on_line: impl FnMut(&str)) -> Result<ExitStatus> {
    let mut running = spawn(command.stdout(Stdio::piped()))?;
    if let Some(stdout) = running.child.stdout.take() {
        for line in BufReader::new(stdout).split(b'\n') {
            on_line(&String::from_utf8_lossy(&line?));
        }
    }
    running.wait()
}

/// Runs a program until its standard output holds a text, and gives how long that took; the last words are its input then,
/// and must end it.
pub(crate) fn time_to_output(
    command: &mut Command,
    text: &str,
    last_words: &[u8],
) -> Result<Duration> {
    let started = Instant::now();
    let mut running = spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
    let name = &running.name;
    let (stdin, stdout) = (running.child.stdin.take(), running.child.stdout.take());
    let (mut stdin, mut stdout) = stdin.zip(stdout).context("the streams were asked for")?;
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    while !String::from_utf8_lossy(&seen).contains(text) {
        let count = stdout.read(&mut buffer)?;
        if count == 0 {
            let seen = String::from_utf8_lossy(&seen).into_owned();
            bail!("`{name}` ended before it wrote {text:?}: {seen}");
        }
        seen.extend_from_slice(&buffer[..count]);
    }
    let taken = started.elapsed();
    stdin
        .write_all(last_words)
        .with_context(|| format!("cannot write to `{name}`"))?;
    io::copy(&mut stdout, &mut io::sink())?;
    running.wait()?;
    Ok(taken)
}

/// Runs a program, its standard error in a log file, and hands over each line of that as it comes.
pub(crate) fn logged_lines(
    command: &mut Command,
    log: &Path,
    mut on_line: impl FnMut(&str),
) -> Result<()> {
    let mut file = create(log)?;
    let mut running = spawn(
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped()),
    )?;
    if let Some(stderr) = running.child.stderr.take() {
        for line in BufReader::new(stderr).split(b'\n') {
            let line = String::from_utf8_lossy(&line?).into_owned();
            writeln!(file, "{line}")?;
            on_line(&line);
        }
    }
    let status = running.wait()?;
    if status.success() {
        return Ok(());
    }
    Err(failed_with_log(command, status, log))
}

/// Fails unless the program ended well.
pub(crate) fn succeeded(command: &Command, status: ExitStatus) -> Result<()> {
    interrupt::check()?;
    if !status.success() {
        bail!("`{}` failed: {status}", name(command));
    }
    Ok(())
}

/// The program and its first arguments, for messages.
pub(crate) fn name(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut words = vec![
        program
            .file_name()
            .unwrap_or(program.as_os_str())
            .to_string_lossy()
            .into_owned(),
    ];
    words.extend(
        command
            .get_args()
            .take(4)
            .map(|word| word.to_string_lossy().into_owned()),
    );
    words.join(" ")
}

/// True if this user is root, and so needs no `sudo`.
pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// A program that runs as root, by `sudo` where this user is another.
pub(crate) fn as_root(program: &str) -> Command {
    if is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.arg(program);
    command
}

/// A started program that gets the signals of this task.
struct Running {
    child: Child,
    name: String,
    _listed: Listed,
}

impl Running {
    fn wait(mut self) -> Result<ExitStatus> {
        self.child
            .wait()
            .with_context(|| format!("cannot wait for `{}`", self.name))
    }
}

fn spawn(command: &mut Command) -> Result<Running> {
    interrupt::check()?;
    let name = name(command);
    let child = command
        .spawn()
        .with_context(|| format!("cannot start `{name}`"))?;
    Ok(Running {
        _listed: Listed::new(&child),
        child,
        name,
    })
}

fn output_to<'c>(command: &'c mut Command, log: &Path) -> Result<&'c mut Command> {
    let file = create(log)?;
    let both = file.try_clone().context("cannot share the log file")?;
    Ok(command.stdin(Stdio::null()).stdout(file).stderr(both))
}

fn create(log: &Path) -> Result<File> {
    if let Some(folder) = log.parent() {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
    }
    File::create(log).with_context(|| format!("cannot write {}", log.display()))
}

fn failed_with_log(command: &Command, status: ExitStatus, log: &Path) -> anyhow::Error {
    if let Err(interrupted) = interrupt::check() {
        return interrupted;
    }
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let end = lines[lines.len().saturating_sub(SHOWN_OF_LOG)..].join("\n  ");
    anyhow::anyhow!(
        "`{}` failed: {status}; the end of {}:\n  {end}",
        name(command),
        log.display()
    )
}
