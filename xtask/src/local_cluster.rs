//! A local cluster that a task started: it is taken down whatever happens.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::command;
use crate::project::Project;
use crate::report;

/// A `skiff` executable with the environment that it is started in.
pub(crate) struct Skiff {
    program: PathBuf,
    /// An own home and kubeconfig; nothing means the user's.
    isolation: Option<Isolation>,
}

struct Isolation {
    home: PathBuf,
    kubeconfig: PathBuf,
}

impl Skiff {
    /// The executable as the user starts it.
    pub(crate) fn of_the_user(program: PathBuf) -> Self {
        Self {
            program,
            isolation: None,
        }
    }

    /// The executable with a home of its own under Skiff's, which shares Kubernetes and the images,
    /// and with a kubeconfig of its own: neither the user's settings nor clusters are touched.
    pub(crate) fn isolated(program: PathBuf, project: &Project, name: &str) -> Result<Self> {
        let home = project.home.join(name);
        fs::create_dir_all(&home).with_context(|| format!("cannot create {}", home.display()))?;
        for shared in [project.kubernetes(), project.images()] {
            share(&shared, &home)?;
        }
        let kubeconfig = home.join("kubeconfig");
        Ok(Self {
            program,
            isolation: Some(Isolation { home, kubeconfig }),
        })
    }

    /// The executable's path.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// The home that belongs to this executable alone, if it has one.
    pub(crate) fn own_home(&self) -> Option<&Path> {
        Some(&self.isolation.as_ref()?.home)
    }

    /// Gives another program the same home and kubeconfig, and leaves the user's own configuration of OpenSSH alone.
    pub(crate) fn lend<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        if let Some(isolation) = &self.isolation {
            command
                .env("SKIFF_HOME", &isolation.home)
                .env("KUBECONFIG", &isolation.kubeconfig)
                .env("SKIFF_NO_SSH_CONFIG", "1");
        }
        command
    }

    /// One of its `local` commands, which need root: namespaces, mounts, cgroups.
    pub(crate) fn local_command(&self, words: &[&str]) -> Result<Command> {
        if command::is_root() {
            return Ok(self.command(&[&["local"], words].concat()));
        }
        let kubeconfig = self.kubeconfig()?;
        make_file(&kubeconfig)?;
        let home = self
            .own_home()
            .map(Into::into)
            .or_else(|| env::var_os("SKIFF_HOME"));
        let mut command = Command::new("sudo");
        command
            .arg("env")
            .arg(assignment("KUBECONFIG", kubeconfig.into()));
        command.args(home.map(|home| assignment("SKIFF_HOME", home)));
        for key in ["HOME", "PATH"] {
            command.args(env::var_os(key).map(|value| assignment(key, value)));
        }
        command.arg(&self.program).arg("local").args(words);
        Ok(command)
    }

    /// The file that contexts are written to.
    fn kubeconfig(&self) -> Result<PathBuf> {
        if let Some(isolation) = &self.isolation {
            return Ok(isolation.kubeconfig.clone());
        }
        if let Some(files) = env::var_os("KUBECONFIG")
            && let Some(first) = env::split_paths(&files).find(|path| !path.as_os_str().is_empty())
        {
            return Ok(first);
        }
        Ok(env::home_dir()
            .context("the user has no home folder")?
            .join(".kube/config"))
    }

    /// Starts one of its commands.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        self.lend(&mut command).args(words);
        command
    }
}

fn assignment(key: &str, value: OsString) -> OsString {
    let mut assignment = OsString::from(format!("{key}="));
    assignment.push(value);
    assignment
}

/// Makes an empty file unless there is one: root then leaves it to its owner.
fn make_file(file: &Path) -> Result<()> {
    let making = || format!("cannot create {}", file.display());
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).with_context(making)?;
    }
    fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(file)
        .with_context(making)?;
    Ok(())
}

fn share(folder: &Path, home: &Path) -> Result<()> {
    let link = home.join(folder.file_name().context("a shared folder has no name")?);
    if link.symlink_metadata().is_ok() {
        return Ok(());
    }
    symlink(folder, &link).with_context(|| format!("cannot link {}", link.display()))
}

/// A cluster that is up until this value is dropped.
pub(crate) struct LocalCluster<'s> {
    skiff: &'s Skiff,
    name: &'static str,
    up: bool,
}

impl<'s> LocalCluster<'s> {
    /// Starts the cluster; what an interrupted run left of it is used or repaired by `up` itself.
    pub(crate) fn up(skiff: &'s Skiff, name: &'static str, options: &[&str]) -> Result<Self> {
        let cluster = Self {
            skiff,
            name,
            up: true,
        };
        command::shown(
            skiff
                .command(&["local", "up", "--name", name])
                .args(options),
        )?;
        Ok(cluster)
    }

    /// Takes the cluster down and says when that fails.
    pub(crate) fn down(mut self) -> Result<()> {
        self.up = false;
        take_down(self.skiff, self.name)
    }
}

impl Drop for LocalCluster<'_> {
    fn drop(&mut self) {
        if self.up {
            report::step("local", format!("taking the cluster {} down", self.name));
            if let Err(error) = take_down(self.skiff, self.name) {
                report::failure(&error);
            }
        }
    }
}

/// Takes a cluster down, also after an interrupt.
fn take_down(skiff: &Skiff, name: &str) -> Result<()> {
    command::clean_up(&mut skiff.local_command(&["down", "--name", name])?)
}
