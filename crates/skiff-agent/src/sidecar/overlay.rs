//! Whether a folder can be the upper layer of an overlay, found out by making one: two layers, with a
//! file and a folder that the upper one hides. The name of a file system tells less.

use std::ffi::CString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use thiserror::Error;

/// The daemon's data cannot lie there.
#[derive(Debug, Error)]
pub(crate) enum OverlayError {
    /// The folder itself cannot be used.
    #[error("cannot write to {0}, where Docker's data belongs")]
    Write(PathBuf, #[source] io::Error),
    /// The kernel refuses the overlay or what Docker does in it.
    #[error(
        "{dir} is on {kind}, which cannot hold Docker's layers ({what} failed); it needs a volume on a \
             local disk"
    )]
    Refused {
        /// The folder.
        dir: PathBuf,
        /// The kind of its file system.
        kind: String,
        /// What was tried.
        what: &'static str,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

/// Tests the folder; gives what it lies on, for the report.
pub(super) fn test(dir: &Path) -> Result<String, OverlayError> {
    let kind = kind(dir);
    let probe = Probe {
        base: dir.join(".skiff-overlay-test"),
    };
    probe.clear();
    probe
        .lay_out()
        .map_err(|error| OverlayError::Write(dir.to_owned(), error))?;
    let result = probe.run();
    probe.clear();
    let refused = |(what, source)| OverlayError::Refused {
        dir: dir.to_owned(),
        kind: kind.clone(),
        what,
        source,
    };
    result.map_err(refused)?;
    Ok(format!("{kind}, takes overlays"))
}

/// What was tried, and why it failed.
type Failure = (&'static str, io::Error);

struct Probe {
    base: PathBuf,
}

impl Probe {
    fn at(&self, name: &str) -> PathBuf {
        self.base.join(name)
    }

    fn lay_out(&self) -> io::Result<()> {
        for folder in ["low/hidden", "mid", "mid-work", "top", "top-work", "merged"] {
            fs::create_dir_all(self.at(folder))?;
        }
        fs::write(self.at("low/gone"), b"x")?;
        fs::write(self.at("low/hidden/old"), b"x")
    }

    fn run(&self) -> Result<(), Failure> {
        let merged = self.at("merged");
        self.mount(&["low"], "mid", "mid-work")
            .map_err(|error| ("an overlay mount", error))?;
        let hidden = (|| {
            fs::remove_file(merged.join("gone"))?;
            fs::remove_dir_all(merged.join("hidden"))?;
            fs::create_dir(merged.join("hidden"))?;
            fs::write(merged.join("hidden/new"), b"x")
        })();
        self.unmount();
        hidden.map_err(|error| ("hiding a lower layer's files", error))?;

        self.mount(&["mid", "low"], "top", "top-work")
            .map_err(|error| ("a second layer", error))?;
        let seen = (|| {
            fs::write(merged.join("written"), b"x")?;
            let hides = !merged.join("gone").exists()
                && !merged.join("hidden/old").exists()
                && merged.join("hidden/new").exists();
            hides
                .then_some(())
                .ok_or_else(|| io::Error::other("the hidden files are still there"))
        })();
        self.unmount();
        seen.map_err(|error| ("reading through layers", error))
    }

    fn mount(&self, lower: &[&str], upper: &str, work: &str) -> io::Result<()> {
        let lower: Vec<String> = lower
            .iter()
            .map(|name| self.at(name).display().to_string())
            .collect();
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            lower.join(":"),
            self.at(upper).display(),
            self.at(work).display(),
        );
        let options = CString::new(options)?;
        mount(
            "overlay",
            self.at("merged"),
            "overlay",
            MountFlags::empty(),
            options.as_c_str(),
        )?;
        Ok(())
    }

    fn unmount(&self) {
        // Where nothing is mounted there is nothing to do.
        let _ = unmount(self.at("merged"), UnmountFlags::DETACH);
    }

    fn clear(&self) {
        self.unmount();
        // What cannot be removed does not harm Docker's data beside it.
        let _ = fs::remove_dir_all(&self.base);
    }
}

/// The kind of file system, in words.
fn kind(dir: &Path) -> String {
    let Ok(found) = rustix::fs::statfs(dir) else {
        return "an unknown file system".to_owned();
    };
    let name = match u64::try_from(found.f_type).unwrap_or_default() {
        0xef53 => "ext4",
        0x5846_5342 => "xfs",
        0x9123_683e => "btrfs",
        0x0102_1994 => "tmpfs",
        0x794c_7630 => "overlayfs",
        0x6969 => "NFS",
        0x6573_5546 => "FUSE",
        0x0102_1997 => "9p",
        0xff53_4d42 => "CIFS",
        0x2fc1_2fc1 => "zfs",
        other => return format!("a file system of type {other:#x}"),
    };
    name.to_owned()
}
