//! What a folder can do for an ordinary user's builder, found out by trying it among the builder's own users.

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::tools::search;

/// How layers are put upon each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Snapshotter {
    /// By the kernel.
    Overlay,
    /// By a process.
    FuseOverlay,
    /// Not at all: each step has a copy of everything below.
    Native,
}

impl Snapshotter {
    /// The builder's name for it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Overlay => "overlayfs",
            Self::FuseOverlay => "fuse-overlayfs",
            Self::Native => "native",
        }
    }
}

/// Whether files may belong to others there: those of images do.
pub(super) fn keeps_owners(dir: &Path) -> io::Result<()> {
    let file = dir.join(".skiff-owner-test");
    let result = File::create(&file).and_then(|_| chown(&file, Some(1), Some(42)));
    let _ = fs::remove_file(&file);
    result
}

/// The fastest way that works there; with the reason where it is not the kernel's.
pub(super) fn choose(dir: &Path) -> (Snapshotter, Option<String>) {
    let overlay = Trial::of(dir).run(mount_overlay);
    let Err(overlay) = overlay else {
        return (Snapshotter::Overlay, None);
    };
    let fuse = match search("fuse-overlayfs") {
        None => Err(io::Error::other("the image has none")),
        Some(program) => File::options()
            .read(true)
            .write(true)
            .open("/dev/fuse")
            .and_then(|_| {
                Trial::of(dir).run(|options, merged| mount_fuse(&program, options, merged))
            }),
    };
    let why = format!("overlays: {overlay}");
    match fuse {
        Ok(()) => (Snapshotter::FuseOverlay, Some(why)),
        Err(fuse) => (
            Snapshotter::Native,
            Some(format!("{why}; fuse-overlayfs: {fuse}")),
        ),
    }
}

fn mount_overlay(options: &str, merged: &Path) -> io::Result<()> {
    let options = CString::new(format!("{options},userxattr"))?;
    let none = MountFlags::empty();
    Ok(mount(
        "overlay",
        merged,
        "overlay",
        none,
        options.as_c_str(),
    )?)
}

fn mount_fuse(program: &Path, options: &str, merged: &Path) -> io::Result<()> {
    let output = Command::new(program)
        .args(["-o", options])
        .arg(merged)
        .stdin(Stdio::null())
        .output()?;
    let said = || io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    output.status.success().then_some(()).ok_or_else(said)
}

/// Two layers, of which the upper hides a file and what was in a folder.
struct Trial {
    base: PathBuf,
}

impl Trial {
    fn of(dir: &Path) -> Self {
        Self {
            base: dir.join(".skiff-layer-test"),
        }
    }

    fn run(&self, put_together: impl Fn(&str, &Path) -> io::Result<()>) -> io::Result<()> {
        self.clear();
        let result = self.lay_out().and_then(|()| self.hide(put_together));
        self.clear();
        result
    }

    fn lay_out(&self) -> io::Result<()> {
        for folder in ["low/hidden", "up", "work", "merged"] {
            fs::create_dir_all(self.base.join(folder))?;
        }
        fs::write(self.base.join("low/gone"), b"x")?;
        fs::write(self.base.join("low/hidden/old"), b"x")
    }

    fn hide(&self, put_together: impl Fn(&str, &Path) -> io::Result<()>) -> io::Result<()> {
        let at = |name: &str| self.base.join(name).display().to_string();
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            at("low"),
            at("up"),
            at("work")
        );
        let merged = self.base.join("merged");
        put_together(&options, &merged)?;
        fs::remove_file(merged.join("gone"))?;
        fs::remove_dir_all(merged.join("hidden"))?;
        fs::create_dir(merged.join("hidden"))?;
        let shows = merged.join("gone").exists() || merged.join("hidden/old").exists();
        if shows {
            return Err(io::Error::other("hidden files are still there"));
        }
        Ok(())
    }

    fn clear(&self) {
        // Where nothing is mounted there is nothing to do.
        let _ = unmount(self.base.join("merged"), UnmountFlags::DETACH);
        let _ = fs::remove_dir_all(&self.base);
    }
}
