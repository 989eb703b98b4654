//! The ladder with real mounts, which need root: elsewhere there is nothing to test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use skiff_proto::{DockerSettings, Storage as Wish};
use tempfile::TempDir;

use super::{Ladder, Storage, StorageError};

const MIB: u64 = 1 << 20;

/// A pod's places: a folder for data, and what is mounted over it.
struct Pod {
    dir: TempDir,
}

impl Drop for Pod {
    fn drop(&mut self) {
        for name in ["data", "room"] {
            while unmount(self.dir.path().join(name), UnmountFlags::DETACH).is_ok() {}
        }
    }
}

impl Pod {
    /// A pod whose data folder is on the machine's disk; None without root.
    fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let dir = tempfile::tempdir().expect("a folder");
        let pod = Self { dir };
        for name in ["data", "room", "low"] {
            fs::create_dir(pod.at(name)).expect("a folder");
        }
        Some(pod)
    }

    /// A pod whose data folder is itself an overlay, over which no other can be: that of a container's own
    /// files.
    fn on_an_overlay(size: u64) -> Option<Self> {
        let pod = Self::new()?;
        let options = format!("size={size}\0");
        let options = std::ffi::CStr::from_bytes_with_nul(options.as_bytes()).expect("text");
        let flags = MountFlags::empty();
        mount("tmpfs", pod.at("room"), "tmpfs", flags, options).expect("root may");
        for name in ["room/up", "room/work"] {
            fs::create_dir(pod.at(name)).expect("a folder");
        }
        let at = |name| pod.at(name).display().to_string();
        let (low, up, work) = (at("low"), at("room/up"), at("room/work"));
        let options = format!("lowerdir={low},upperdir={up},workdir={work}\0");
        let options = std::ffi::CStr::from_bytes_with_nul(options.as_bytes()).expect("text");
        mount("overlay", pod.at("data"), "overlay", flags, options).expect("root may");
        Some(pod)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn climb(
        &self,
        settings: &DockerSettings,
        memory: Option<u64>,
    ) -> Result<Storage, StorageError> {
        self.climb_with(&self.at("no-device"), settings, memory)
    }

    fn climb_with(
        &self,
        device: &Path,
        settings: &DockerSettings,
        memory: Option<u64>,
    ) -> Result<Storage, StorageError> {
        let ladder = Ladder {
            data: &self.at("data"),
            device,
            settings,
            memory,
            holder: "a test",
            is_over: &|| true,
        };
        ladder.climb()
    }

    /// What becomes of the mounts of a container that ends.
    fn end_container(&self) {
        unmount(self.at("data"), UnmountFlags::empty()).expect("something was mounted");
    }

    fn loop_devices(&self) -> usize {
        let all = fs::read_dir("/sys/block")
            .expect("the machine's disks")
            .flatten();
        let files =
            all.filter_map(|disk| fs::read_to_string(disk.path().join("loop/backing_file")).ok());
        let own = self.dir.path().display().to_string();
        files.filter(|file| file.starts_with(&own)).count()
    }
}

fn settings(storage: Wish, storage_bytes: Option<u64>) -> DockerSettings {
    DockerSettings {
        storage,
        storage_bytes,
        ..DockerSettings::default()
    }
}

#[test]
fn a_folder_that_takes_overlays_is_used_as_it_is() {
    let Some(pod) = Pod::new() else { return };
    let storage = pod
        .climb(&settings(Wish::Auto, Some(MIB)), None)
        .expect("a place");
    assert_eq!((storage.driver, storage.share), (None, Some(MIB)));
    assert_eq!(storage.tried, Vec::<String>::new());
    let left: Vec<_> = fs::read_dir(pod.at("data"))
        .expect("a folder")
        .flatten()
        .collect();
    assert_eq!(left.len(), 1, "the lock alone is left: {left:?}");
}

#[test]
fn a_folder_that_takes_none_gets_a_disk_image_which_outlives_its_container() {
    let Some(pod) = Pod::on_an_overlay(1024 * MIB) else {
        return;
    };
    let auto = settings(Wish::Auto, Some(512 * MIB));
    let storage = pod.climb(&auto, None).expect("a place");
    assert_eq!(
        storage.chosen,
        "a disk image of 496 MiB on overlayfs (ext4)"
    );
    let tried = storage.tried.join("; ");
    assert!(
        tried.starts_with("the volume on overlayfs: an overlay cannot be mounted: "),
        "{tried}"
    );
    assert!(
        tried.contains("a block device: the pod has none"),
        "{tried}"
    );
    fs::write(pod.at("data/layer"), "kept").expect("room");
    drop(storage);
    pod.end_container();
    assert_eq!(pod.loop_devices(), 0, "a loop device is left");

    let _storage = pod.climb(&auto, None).expect("a place");
    assert_eq!(
        fs::read_to_string(pod.at("data/layer")).expect("kept"),
        "kept"
    );
    assert_eq!(pod.loop_devices(), 1);
}

#[test]
fn an_image_that_a_crash_left_half_made_is_made_anew() {
    let Some(pod) = Pod::on_an_overlay(1024 * MIB) else {
        return;
    };
    fs::write(pod.at("data/.skiff-disk.img.new"), "half").expect("room");
    let storage = pod.climb(&settings(Wish::Loop, Some(320 * MIB)), None);
    assert!(
        storage
            .expect("a place")
            .chosen
            .starts_with("a disk image of 310 MiB")
    );
}

/// A disk: a loop device that goes with its last use.
fn disk(pod: &Pod) -> PathBuf {
    let file = pod.at("disk");
    fs::File::create(&file)
        .expect("a file")
        .set_len(300 * MIB)
        .expect("sparse");
    let made = Command::new("losetup")
        .args(["--find", "--show"])
        .arg(&file)
        .output();
    let made = made.expect("losetup is part of util-linux").stdout;
    PathBuf::from(String::from_utf8(made).expect("a path").trim())
}

#[test]
fn a_block_device_gets_a_file_system_once_and_foreign_data_is_left_alone() {
    let Some(pod) = Pod::on_an_overlay(64 * MIB) else {
        return;
    };
    let disk = disk(&pod);
    let block = settings(Wish::Block, None);
    let storage = pod.climb_with(&disk, &block, None).expect("a place");
    assert_eq!(storage.chosen, "a block device (ext4)");
    fs::write(pod.at("data/layer"), "kept").expect("room");
    drop(storage);
    pod.end_container();
    // What works on a volume that takes no overlays is found without being told.
    let storage = pod.climb_with(&disk, &settings(Wish::Auto, None), None);
    assert_eq!(storage.expect("a place").chosen, "a block device (ext4)");
    assert_eq!(
        fs::read_to_string(pod.at("data/layer")).expect("kept"),
        "kept"
    );
    pod.end_container();

    let foreign = [vec![0; 512], b"EFI PART".to_vec(), vec![0; 2 << 20]].concat();
    fs::write(&disk, &foreign).expect("root may");
    let refused = pod.climb_with(&disk, &block, None);
    let _ = Command::new("losetup").arg("--detach").arg(&disk).status();
    let error = refused.expect_err("foreign data").to_string();
    assert!(
        error.contains("`storage: block` is not possible here"),
        "{error}"
    );
    assert!(error.contains("it is left as it is"), "{error}");
    assert!(
        fs::read(pod.at("disk"))
            .expect("readable")
            .starts_with(&foreign)
    );
}

#[test]
fn memory_is_bounded_also_where_kubernetes_has_mounted_it() {
    let Some(pod) = Pod::new() else { return };
    let memory = settings(Wish::Memory, Some(300 * MIB));
    let storage = pod.climb(&memory, None).expect("a place");
    assert_eq!(storage.chosen, "300 MiB of memory (tmpfs)");
    assert_eq!(super::FileSystem::of(&pod.at("data")).size, 300 * MIB);
    drop(storage);
    let smaller = settings(Wish::Memory, Some(280 * MIB));
    let _storage = pod.climb(&smaller, None).expect("a place");
    assert_eq!(super::FileSystem::of(&pod.at("data")).size, 280 * MIB);
}

#[test]
fn where_nothing_does_every_try_is_told_and_copies_are_for_those_who_allow_them() {
    let Some(pod) = Pod::on_an_overlay(8 * MIB) else {
        return;
    };
    let auto = settings(Wish::Auto, None);
    let error = pod
        .climb(&auto, None)
        .expect_err("nothing does")
        .to_string();
    for part in [
        "the volume on overlayfs: an overlay cannot be mounted",
        "a disk image: only 8 MiB are free",
        "memory: the container has no memory limit",
        "`allow_slow_storage: true`",
    ] {
        assert!(error.contains(part), "{error}");
    }
    let memory = pod
        .climb(&auto, Some(1024 * MIB))
        .expect("half of the limit");
    assert_eq!(memory.chosen, "512 MiB of memory (tmpfs)");
    drop(memory);
    pod.end_container();
    let slow = DockerSettings {
        allow_slow_storage: true,
        ..auto
    };
    let storage = pod.climb(&slow, None).expect("copies");
    assert_eq!(storage.driver, Some("vfs"));
    assert_eq!(storage.chosen, "copies of whole images on overlayfs");
}

#[test]
fn a_cache_volume_that_cannot_hold_layers_is_refused_and_nothing_takes_its_place() {
    let Some(pod) = Pod::on_an_overlay(1024 * MIB) else {
        return;
    };
    let cache = DockerSettings {
        cache_holder: Some("cluster c, rank 0".into()),
        ..settings(Wish::Auto, None)
    };
    let error = pod
        .climb(&cache, Some(1024 * MIB))
        .expect_err("refused")
        .to_string();
    assert!(error.starts_with("the cache volume at "), "{error}");
    assert!(
        error.contains("is on overlayfs, which cannot hold"),
        "{error}"
    );
    assert!(error.contains("leave `cache_volume` out"), "{error}");
}

#[test]
fn the_second_daemon_on_a_folder_is_refused_before_it_touches_anything() {
    let Some(pod) = Pod::new() else { return };
    let auto = settings(Wish::Auto, None);
    let first = pod.climb(&auto, None).expect("a place");
    let error = pod.climb(&auto, None).expect_err("held").to_string();
    assert!(error.contains("in use by a test"), "{error}");
    drop(first);
    pod.climb(&auto, None).expect("free again");
}
