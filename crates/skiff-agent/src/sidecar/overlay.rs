//! Whether a folder can be the upper layer of an overlay, found out by making one: two layers, with a
//! file and a folder that the upper one hides, and the attributes that Docker writes. The name of a file
//! system tells less.

use std::ffi::CString;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{XattrFlags, getxattr, setxattr};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

/// What the kernel refused of what Docker does with layers.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// What was tried.
    what: &'static str,
    /// What the kernel said.
    error: io::Error,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.error)
    }
}

/// Tests the folder.
pub(super) fn test(dir: &Path) -> Result<(), Refusal> {
    let probe = Probe {
        base: dir.join(".skiff-overlay-test"),
    };
    probe.clear();
    let result = probe
        .lay_out()
        .map_err(refused("it cannot be written to"))
        .and_then(|()| probe.run());
    probe.clear();
    result
}

fn refused(what: &'static str) -> impl Fn(io::Error) -> Refusal {
    move |error| Refusal { what, error }
}

/// An attribute that only overlays and their owner see: where overlays keep their own notes.
const TRUSTED: (&str, &[u8]) = ("trusted.skiff", b"x");
/// The right to open low ports, as files in images have it: `ping` and web servers.
const CAPABILITY: (&str, &[u8]) = (
    "security.capability",
    &[1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
);

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
        fs::write(self.at("low/kept"), b"x")?;
        fs::write(self.at("low/hidden/old"), b"x")
    }

    fn run(&self) -> Result<(), Refusal> {
        let merged = self.at("merged");
        set(&self.at("mid"), TRUSTED).map_err(refused("the attribute trusted.* failed"))?;
        self.mount(&["low"], "mid", "mid-work")
            .map_err(refused("an overlay cannot be mounted"))?;
        let hidden = (|| {
            fs::remove_file(merged.join("gone"))?;
            fs::remove_dir_all(merged.join("hidden"))?;
            fs::create_dir(merged.join("hidden"))?;
            fs::write(merged.join("hidden/new"), b"x")
        })();
        let given = set(&merged.join("kept"), CAPABILITY);
        self.unmount();
        hidden.map_err(refused("a layer cannot hide the files of a lower one"))?;
        given.map_err(refused("the attribute security.capability failed"))?;

        self.mount(&["mid", "low"], "top", "top-work")
            .map_err(refused("a second layer cannot be mounted"))?;
        let seen = (|| {
            fs::write(merged.join("written"), b"x")?;
            let hides = !merged.join("gone").exists()
                && !merged.join("hidden/old").exists()
                && merged.join("hidden/new").exists();
            if !hides {
                return Err(io::Error::other("the hidden files are still there"));
            }
            is_set(&merged.join("kept"), CAPABILITY)
        })();
        self.unmount();
        seen.map_err(refused("layers cannot be read through"))
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

fn set(path: &Path, (name, value): (&str, &[u8])) -> io::Result<()> {
    Ok(setxattr(path, name, value, XattrFlags::empty())?)
}

fn is_set(path: &Path, (name, value): (&str, &[u8])) -> io::Result<()> {
    let mut found = [0; 32];
    let length = getxattr(path, name, &mut found[..])?;
    if found.get(..length) == Some(value) {
        return Ok(());
    }
    Err(io::Error::other(format!("the attribute {name} is lost")))
}
