//! Docker's tools for the task: copies the command-line client and its plugins out of its own
//! image to where every task image can run them.
//!
//! A static program is copied as it is. A dynamic one goes with its loader and libraries, and what bears
//! its name is a link to the agent, which starts the one with the other: so it runs where the image has
//! another libc, an older one, or none, and needs no shell.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use skiff_proto::paths;
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};

use crate::builder::folder;
use crate::docker_login;
use crate::launcher::{LAUNCHER, LIBRARIES, LOADER, PROGRAMS};
use crate::layout::Layout;
use crate::report;
use crate::watch_dir::DirWatch;

/// Where images keep the client's plugins; the first folder that has one wins.
const PLUGIN_FOLDERS: [&str; 7] = [
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/local/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/root/.docker/cli-plugins",
    "/usr/local/bin",
    "/usr/bin",
];
/// The builder's client.
const BUILDCTL: &str = "buildctl";
const PLUGINS: [&str; 2] = ["docker-buildx", "docker-compose"];
/// The agent of the task container, from the tools' folder: what asks for logins has its variables.
const TASKS_AGENT: &str = "../../bin/task";
const USUAL_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The tools could not be copied.
#[derive(Debug, Error)]
pub(crate) enum ToolsError {
    /// The image has no client.
    #[error("the image has no docker client on its PATH")]
    NoClient,
    /// It cannot wait for the agent to leave.
    #[error("cannot wait until the agent leaves")]
    Stay(#[source] io::Error),
    /// A file cannot be copied.
    #[error("cannot copy {0} to {1}")]
    Copy(PathBuf, PathBuf, #[source] io::Error),
    /// A folder or link cannot be made.
    #[error("cannot make {0}")]
    Make(PathBuf, #[source] io::Error),
    /// A program cannot be read.
    #[error("cannot read {0}")]
    Read(PathBuf, #[source] io::Error),
    /// A program's libraries cannot be found.
    #[error("cannot list the libraries of {0} with its loader {1}")]
    Libraries(PathBuf, PathBuf, #[source] io::Error),
}

/// Copies the client and the plugins that are there; then stays, where it is to, until the agent leaves or the
/// container is told to stop.
pub(crate) fn run(layout: &Layout, stay: bool) -> Result<ExitCode, ToolsError> {
    copy_all(layout)?;
    if stay {
        until_left(layout).map_err(ToolsError::Stay)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn until_left(layout: &Layout) -> io::Result<()> {
    folder::open_to_all(&layout.run_dir())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut stop = signal(SignalKind::terminate())?;
        let mut changes = DirWatch::new(&layout.run_dir())?;
        while !layout.at(paths::LEAVE_MARKER).exists() {
            tokio::select! {
                result = changes.changed() => result?,
                _ = stop.recv() => return Ok(()),
            }
        }
        Ok(())
    })
}

/// Lends the task the builder's own client, which its image brings.
pub(crate) fn lend_buildctl(layout: &Layout) -> Result<ExitCode, ToolsError> {
    let Some(found) = search(BUILDCTL) else {
        report(&format!("the image has no {BUILDCTL}"));
        return Ok(ExitCode::SUCCESS);
    };
    let target = layout.at(paths::TOOLS_BIN).join(BUILDCTL);
    Kit::new(layout)?.install(&found, &target)?;
    Ok(ExitCode::SUCCESS)
}

/// Whether all are there: the client comes last.
pub(crate) fn are_there(layout: &Layout) -> bool {
    layout.at(paths::TOOLS_BIN).join("docker").exists()
}

fn copy_all(layout: &Layout) -> Result<(), ToolsError> {
    // The task's user may be any, and assembles its own agent in this folder.
    let bin = layout.at(paths::BIN);
    make_folder(&bin)?;
    // Whose the folder is opens it.
    let _ = fs::set_permissions(&bin, Permissions::from_mode(0o1777));
    let kit = Kit::new(layout)?;
    let client = search("docker").ok_or(ToolsError::NoClient)?;
    for plugin in PLUGINS {
        let found = PLUGIN_FOLDERS
            .iter()
            .map(|dir| Path::new(dir).join(plugin))
            .find(|file| file.is_file());
        match found {
            Some(found) => kit.install(&found, &layout.at(paths::CLI_PLUGINS).join(plugin))?,
            None => report(&format!("the image has no {plugin}")),
        }
    }
    let helper = layout.at(paths::TOOLS_BIN).join(docker_login::HELPER);
    replace_with_link(Path::new(TASKS_AGENT), &helper)?;
    kit.install(&client, &layout.at(paths::TOOLS_BIN).join("docker"))
}

/// A program of the image by its name.
pub(crate) fn search(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| USUAL_PATH.into());
    std::env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}

/// The folders of the tools.
struct Kit {
    tools: PathBuf,
}

impl Kit {
    fn new(layout: &Layout) -> Result<Self, ToolsError> {
        let bin = layout.at(paths::TOOLS_BIN);
        let tools = bin.parent().unwrap_or(&bin).to_owned();
        for folder in [
            &bin,
            &layout.at(paths::CLI_PLUGINS),
            &tools.join(LIBRARIES),
            &tools.join(PROGRAMS),
        ] {
            make_folder(folder)?;
        }
        Ok(Self { tools })
    }

    /// Makes one program usable under this name.
    fn install(&self, program: &Path, target: &Path) -> Result<(), ToolsError> {
        let Some(loader) = loader_of(program)? else {
            return copy(program, target);
        };
        for library in libraries_of(program, &loader)? {
            let name = library.file_name().unwrap_or_default();
            copy(&library, &self.tools.join(LIBRARIES).join(name))?;
        }
        copy(&loader, &self.tools.join(LOADER))?;
        copy(
            program,
            &self
                .tools
                .join(PROGRAMS)
                .join(target.file_name().unwrap_or_default()),
        )?;
        let launcher = self.tools.join(LAUNCHER);
        let own = PathBuf::from("/proc/self/exe");
        if !launcher.exists() {
            copy(&own, &launcher)?;
        }
        replace_with_link(&Path::new("..").join(LAUNCHER), target)
    }
}

fn make_folder(folder: &Path) -> Result<(), ToolsError> {
    fs::create_dir_all(folder).map_err(|error| ToolsError::Make(folder.to_owned(), error))
}

/// Copies a file, with its mode, so that a reader of the target sees all of it or nothing.
fn copy(from: &Path, to: &Path) -> Result<(), ToolsError> {
    let fresh = beside(to);
    let copied = fs::copy(from, &fresh).and_then(|_| fs::rename(&fresh, to));
    copied.map_err(|error| ToolsError::Copy(from.to_owned(), to.to_owned(), error))
}

/// A name beside this one that nobody else takes: two containers may copy at the same time.
fn beside(path: &Path) -> PathBuf {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(
        ".{name}.{:x}-{:x}",
        now.as_nanos(),
        std::process::id()
    ))
}

fn replace_with_link(target: &Path, link: &Path) -> Result<(), ToolsError> {
    let fresh = beside(link);
    let made = symlink(target, &fresh).and_then(|()| fs::rename(&fresh, link));
    made.map_err(|error| ToolsError::Make(link.to_owned(), error))
}

/// The loader that a program names; None for a static program or a script.
fn loader_of(program: &Path) -> Result<Option<PathBuf>, ToolsError> {
    let read = || {
        let file = File::open(program)?;
        let mut header = [0; 64];
        match (&file).read_exact(&mut header) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            result => result?,
        }
        let Some(table) = ProgramTable::of(&header) else {
            return Ok(None);
        };
        let mut entries = vec![0; table.size()];
        file.read_exact_at(&mut entries, table.offset)?;
        let Some((offset, length)) = table.interpreter(&entries) else {
            return Ok(None);
        };
        let mut name = vec![0; length];
        file.read_exact_at(&mut name, offset)?;
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        Ok(Some(PathBuf::from(
            String::from_utf8_lossy(name).into_owned(),
        )))
    };
    read().map_err(|error| ToolsError::Read(program.to_owned(), error))
}

/// The program headers of a 64-bit little-endian ELF file.
struct ProgramTable {
    offset: u64,
    entry: usize,
    count: usize,
}

impl ProgramTable {
    fn of(header: &[u8; 64]) -> Option<Self> {
        if !header.starts_with(b"\x7fELF\x02\x01") {
            return None;
        }
        let offset = number(&header[32..40])?;
        let entry = usize::try_from(number(&header[54..56])?).ok()?;
        let count = usize::try_from(number(&header[56..58])?).ok()?;
        (entry >= 56).then_some(Self {
            offset,
            entry,
            count,
        })
    }

    fn size(&self) -> usize {
        self.entry * self.count
    }

    /// Where in the file the loader's name is, and how long it is.
    fn interpreter(&self, entries: &[u8]) -> Option<(u64, usize)> {
        const PT_INTERP: u64 = 3;
        /// No path of a loader is longer.
        const LONGEST: u64 = 4096;
        let entry = entries
            .chunks_exact(self.entry)
            .find(|entry| number(&entry[..4]) == Some(PT_INTERP))?;
        let length = usize::try_from(number(&entry[32..40])?.min(LONGEST)).ok()?;
        Some((number(&entry[8..16])?, length))
    }
}

/// A little-endian number of at most eight bytes.
fn number(bytes: &[u8]) -> Option<u64> {
    let mut whole = [0; 8];
    whole.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(u64::from_le_bytes(whole))
}

/// The libraries that the loader would take for the program, as it lists them itself.
fn libraries_of(program: &Path, loader: &Path) -> Result<BTreeSet<PathBuf>, ToolsError> {
    let output = Command::new(loader)
        .arg("--list")
        .arg(program)
        .stdin(Stdio::null())
        .output();
    let output = output.and_then(|output| {
        let complaint =
            || io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned());
        output
            .status
            .success()
            .then_some(())
            .ok_or_else(complaint)
            .map(|()| output.stdout)
    });
    let output = output
        .map_err(|error| ToolsError::Libraries(program.to_owned(), loader.to_owned(), error))?;
    Ok(listed(&String::from_utf8_lossy(&output)).collect())
}

/// The paths in lines like `libc.so.6 => /lib/libc.so.6 (0x7f…)`; what has no arrow is the loader or the
/// kernel's own.
fn listed(text: &str) -> impl Iterator<Item = PathBuf> {
    text.lines().filter_map(|line| {
        let path = line.split_once(" => ")?.1.split(" (").next()?.trim();
        path.starts_with('/').then(|| PathBuf::from(path))
    })
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{Kit, listed, loader_of};
    use crate::launcher::{LAUNCHER, LIBRARIES, PROGRAMS};
    use crate::layout::Layout;

    #[test]
    fn reads_what_a_loader_lists() {
        let text =
            "\tlinux-vdso.so.1 (0x7)\n\tlibc.so.6 => /lib/libc.so.6 (0x7f)\n\t/lib64/ld.so (0x8)\n";
        assert_eq!(
            listed(text).collect::<Vec<_>>(),
            [PathBuf::from("/lib/libc.so.6")]
        );
    }

    #[test]
    fn a_script_has_no_loader_and_is_copied() {
        let dir = tempfile::tempdir().expect("a folder");
        let (script, layout) = (
            dir.path().join("docker"),
            Layout::new(dir.path().join("skiff")),
        );
        std::fs::write(&script, "#!/bin/sh\n").expect("written");
        assert_eq!(loader_of(&script).expect("readable"), None);
        let target = dir.path().join("skiff/tools/bin/docker");
        Kit::new(&layout)
            .expect("folders")
            .install(&script, &target)
            .expect("installed");
        assert!(target.symlink_metadata().expect("there").is_file());
    }

    #[test]
    fn a_dynamic_program_goes_with_its_loader_and_libraries() {
        let dir = tempfile::tempdir().expect("a folder");
        let layout = Layout::new(dir.path().join("skiff"));
        let tools = dir.path().join("skiff/tools");
        let target = tools.join("bin/docker");
        let kit = Kit::new(&layout).expect("folders");
        for _ in 0..2 {
            kit.install(Path::new("/bin/ls"), &target)
                .expect("installed");
        }
        assert_eq!(
            target.canonicalize().expect("a link"),
            tools.join(LAUNCHER).canonicalize().expect("a file")
        );
        assert!(tools.join(PROGRAMS).join("docker").is_file());
        assert!(tools.join(LIBRARIES).join("libc.so.6").is_file());
    }
}
