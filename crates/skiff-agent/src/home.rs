//! The home folder of jobs, and the links in it that users know.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use skiff_proto::paths;

use crate::layout::Layout;
use crate::passwd;
use crate::templates;

/// Where jobs are at home.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    /// The folder.
    pub(crate) dir: PathBuf,
    /// The user's name, where the image knows it.
    pub(crate) user: Option<String>,
    /// What a job's log says about the home folder, where it is not the one that users expect.
    pub(crate) note: Option<String>,
    /// Where uploads go and jobs start: what `~/sky_workdir` leads to.
    pub(crate) workdir: PathBuf,
}

impl Home {
    /// Chooses the home folder (`$HOME`, else the account's, else one under the shared folder), and
    /// puts the links `sky_workdir`, `sky_logs` and `sky_templates` into it.
    pub(crate) fn prepare(layout: &Layout) -> io::Result<Self> {
        for shared in [paths::WORKDIR, paths::LOGS] {
            fs::create_dir_all(layout.at(shared))?;
        }
        templates::write(&layout.at(paths::TEMPLATES))?;
        let uid = rustix::process::geteuid().as_raw();
        let account = passwd::account(Path::new("/etc/passwd"), uid);
        let wanted = std::env::var_os("HOME")
            .filter(|home| !home.is_empty())
            .map(PathBuf::from);
        let named = account.as_ref().map(|account| account.home.clone());
        let candidates: Vec<PathBuf> = wanted.into_iter().chain(named).collect();
        let (dir, workdir, note) = choose(layout, &candidates)?;
        Ok(Self {
            dir,
            user: account.map(|account| account.name),
            note,
            workdir,
        })
    }
}

/// The first candidate that can be used, what `~/sky_workdir` leads to there, and what is to be said
/// where that is none of them.
fn choose(
    layout: &Layout,
    candidates: &[PathBuf],
) -> io::Result<(PathBuf, PathBuf, Option<String>)> {
    for home in candidates {
        if home.is_absolute()
            && access(home, Access::WRITE_OK | Access::EXEC_OK).is_ok()
            && let Ok(workdir) = furnish(layout, home)
        {
            return Ok((home.clone(), workdir, None));
        }
    }
    let fallback = layout.at(paths::HOME);
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&fallback)?;
    let workdir = furnish(layout, &fallback)?;
    let why = match candidates.first() {
        Some(home) => format!("{} cannot be written", home.display()),
        None => "the image names no home folder".to_owned(),
    };
    let note = format!("HOME is {}: {why}.", fallback.display());
    Ok((fallback, workdir, Some(note)))
}

/// Puts the links into a home folder; gives the working folder.
fn furnish(layout: &Layout, home: &Path) -> io::Result<PathBuf> {
    link(&layout.at(paths::LOGS), &home.join("sky_logs"))?;
    link(&layout.at(paths::TEMPLATES), &home.join("sky_templates"))?;
    link(&layout.at(paths::WORKDIR), &home.join("sky_workdir"))
}

/// Makes `link` lead to `target` unless the image has a real folder of that name, which is kept.
/// Returns the folder that the name leads to.
fn link(target: &Path, link: &Path) -> io::Result<PathBuf> {
    match fs::symlink_metadata(link) {
        Ok(metadata) if metadata.is_dir() => return Ok(link.to_owned()),
        Ok(_) => fs::remove_file(link)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    symlink(target, link)?;
    Ok(target.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{choose, link};
    use crate::layout::Layout;

    #[test]
    fn a_writable_home_is_kept() {
        let dir = tempfile::tempdir().expect("a folder");
        let layout = Layout::new(dir.path().join("skiff"));
        let (home, workdir, note) = choose(&layout, &[dir.path().into()]).expect("a home");
        assert_eq!((home.as_path(), note), (dir.path(), None));
        assert_eq!(workdir, dir.path().join("skiff/sky_workdir"));
    }

    #[test]
    fn a_missing_home_falls_back_and_says_so() {
        let dir = tempfile::tempdir().expect("a folder");
        let layout = Layout::new(dir.path().join("skiff"));
        let (home, _, note) = choose(&layout, &["/no/such/home".into()]).expect("a home");
        assert_eq!(home, dir.path().join("skiff/home"));
        assert!(
            note.expect("a note")
                .contains("/no/such/home cannot be written")
        );
        assert!(home.join("sky_logs").is_symlink());
    }

    #[test]
    fn a_real_folder_of_the_image_stays() {
        let dir = tempfile::tempdir().expect("a folder");
        let (target, name) = (dir.path().join("target"), dir.path().join("sky_workdir"));
        std::fs::create_dir(&name).expect("a folder");
        assert_eq!(link(&target, &name).expect("kept"), name);
        std::fs::remove_dir(&name).expect("removed");
        assert_eq!(link(&target, &name).expect("linked"), target);
        assert_eq!(link(&target, &name).expect("linked again"), target);
    }
}
