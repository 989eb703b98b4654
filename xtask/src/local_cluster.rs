//! A local cluster that a task started: it is taken down whatever happens.

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

    /// Gives another program the same home and kubeconfig.
    pub(crate) fn lend<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        if let Some(isolation) = &self.isolation {
            command
                .env("SKIFF_HOME", &isolation.home)
                .env("KUBECONFIG", &isolation.kubeconfig);
        }
        command
    }

    /// Starts one of its commands.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        self.lend(&mut command).args(words);
        command
    }
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
pub(crate) fn take_down(skiff: &Skiff, name: &str) -> Result<()> {
    command::clean_up(&mut skiff.command(&["local", "down", "--name", name]))
}
