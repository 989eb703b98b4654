//! File mounts, buckets and volumes.

use serde_json::json;
use skiff_schema::{FileMount, ResolvedTask, TaskFile, TaskOverrides, VolumeMount};

fn resolve(text: &str) -> Result<ResolvedTask, Vec<String>> {
    let read = TaskFile::read("task.yaml", text);
    let resolved = read.and_then(|file| file.tasks()[0].resolve(&TaskOverrides::default()));
    resolved.map_err(|faults| {
        let faults = faults.iter();
        faults.map(|fault| fault.message().to_owned()).collect()
    })
}

/// A bucket with defaults, or what is wrong with it.
fn bucket(text: &str) -> Result<serde_json::Value, String> {
    let task = resolve(&format!("file_mounts: {{/data: {text}}}\n"));
    let mut task = task.map_err(|faults| faults.join("\n"))?;
    let Some(FileMount::Storage(storage)) = task.file_mounts.swap_remove("/data") else {
        unreachable!("a mapping is a bucket")
    };
    Ok(storage)
}

/// A volume, or what is wrong with it.
fn volume(text: &str) -> Result<VolumeMount, String> {
    let task = resolve(&format!("num_nodes: 2\nvolumes: {{/data: {text}}}\n"));
    let mut task = task.map_err(|faults| faults.join("\n"))?;
    Ok(task.volumes.swap_remove("/data").expect("one volume"))
}

#[test]
fn paths_are_local_and_addresses_are_in_the_cloud() {
    let text = "
file_mounts:
  /a: ./a
  ~/b: ~/b
  c: ../c
  /s3: s3://bucket/folder
  /hf: hf://org/model
  /az: https://account.blob.core.windows.net/container
  1: ./one
";
    let mounts = resolve(text).expect("valid").file_mounts;
    let local = |path: &str| FileMount::Local(path.to_owned());
    let cloud = |address: &str| FileMount::Cloud(address.to_owned());
    assert_eq!(mounts["/a"], local("./a"));
    assert_eq!(mounts["~/b"], local("~/b"));
    assert_eq!(mounts["c"], local("../c"));
    assert_eq!(mounts["1"], local("./one"));
    assert_eq!(mounts["/s3"], cloud("s3://bucket/folder"));
    assert_eq!(mounts["/hf"], cloud("hf://org/model"));
    assert_eq!(
        mounts["/az"],
        cloud("https://account.blob.core.windows.net/container")
    );
}

#[test]
fn wrong_mounts_are_refused() {
    let wrong = [
        (
            "{/data/: ./a}",
            "`file_mounts`: `/data/` must not end with `/`",
        ),
        (
            "{/data: ./a/}",
            "`file_mounts./data`: `./a/` must not end with `/`",
        ),
        (
            "{/data: s3://b/}",
            "`file_mounts./data`: `s3://b/` must not end with `/`",
        ),
        (
            "{s3://b: ./a}",
            "`file_mounts`: `s3://b` is an address, and here stands where it appears",
        ),
        (
            "{/data: s4://b}",
            "`file_mounts./data`: nothing is copied from `s4://`",
        ),
        ("{/data: }", "`file_mounts./data` has no source"),
        ("{/data: ''}", "`file_mounts./data`: the source is empty"),
        ("{'': ./a}", "`file_mounts`: a path is empty"),
        (
            "{/data: 1}",
            "`file_mounts./data` must be a path or an address or a mapping, and this is a whole number",
        ),
        ("[a]", "`file_mounts` must be a mapping, and this is a list"),
    ];
    for (text, message) in wrong {
        let told = resolve(&format!("file_mounts: {text}\n")).expect_err(text);
        assert_eq!(told, [message], "{text}");
    }
    assert!(resolve("file_mounts: {~/sky_workdir: ./a}\n").is_ok());
    for mount in ["./a", "{name: bucket}"] {
        let told = resolve(&format!(
            "workdir: .\nfile_mounts: {{~/sky_workdir: {mount}}}\n"
        ));
        assert_eq!(
            told,
            Err(vec!["`~/sky_workdir` is where `workdir` goes".to_owned()])
        );
    }
}

#[test]
fn buckets_have_defaults_and_words_in_one_case() {
    assert_eq!(
        bucket("{name: scratch}"),
        Ok(json!({ "name": "scratch", "mode": "MOUNT", "persistent": true }))
    );
    assert_eq!(
        bucket(
            "{source: s3://b, store: s3, mode: mount_cached, type: dataset_ro, persistent: false}"
        ),
        Ok(json!({
            "source": "s3://b", "store": "S3", "mode": "MOUNT_CACHED", "type": "DATASET_RO",
            "persistent": false,
        }))
    );
    for right in [
        "{name: x, source: [./a, ./b.txt], mode: COPY}",
        "{source: s3://b/folder, mode: COPY}",
        "{source: hf://org/repo/folder}",
        "{source: cos://region/bucket/}",
        "{source: s3://b/, config: {mount: {read_only: true}}}",
        "{source: gs://b, mode: MOUNT_CACHED, config: {mount_cached: {transfers: 8, buffer_size: 64M, vfs_cache_max_age: 1h30m, vfs_write_back: 5s}}}",
        "{name: x, _is_sky_managed: true, _bucket_sub_path: a, _force_delete: false}",
    ] {
        assert!(bucket(right).is_ok(), "{right}: {:?}", bucket(right));
    }
}

#[test]
fn buckets_that_contradict_themselves_are_refused() {
    let wrong = [
        (
            "{}",
            "`file_mounts./data` has neither a `name` nor a `source`",
        ),
        ("{source: ./a}", "`file_mounts./data` has no `name`"),
        (
            "{name: x, source: s3://b}",
            "`file_mounts./data` has both a `name` and the address of a bucket",
        ),
        (
            "{name: s3://x}",
            "`file_mounts./data.name` holds an address",
        ),
        (
            "{name: x, mode: COPY}",
            "`file_mounts./data` has no `source` to copy from",
        ),
        (
            "{source: ftp://x}",
            "`file_mounts./data.source`: `ftp://` is no place of buckets",
        ),
        (
            "{source: s3://b/folder}",
            "`file_mounts./data.source`: a folder of a bucket cannot be mounted",
        ),
        (
            "{source: cos://region/b/folder}",
            "`file_mounts./data.source`: a folder of a bucket cannot be mounted",
        ),
        (
            "{name: x, source: ./a/}",
            "`file_mounts./data.source`: a path must not end with `/`",
        ),
        (
            "{name: x, source: []}",
            "`file_mounts./data.source` is an empty list",
        ),
        (
            "{name: x, source: [a/x, b/x]}",
            "`file_mounts./data.source` has several files or folders that are called `x`",
        ),
        (
            "{source: s3://b, type: DATASET_RO}",
            "`file_mounts./data.type` is for `mode: MOUNT_CACHED`, and this is MOUNT",
        ),
        (
            "{source: s3://b, config: {mount_cached: {transfers: 1}}}",
            "`file_mounts./data.config.mount_cached` is for `mode: MOUNT_CACHED`, and this is MOUNT",
        ),
        (
            "{source: s3://b, mode: COPY, config: {mount: {read_only: true}}}",
            "`file_mounts./data.config.mount` is for `mode: MOUNT`, and this is COPY",
        ),
        (
            "{name: disk, store: volume}",
            "`file_mounts./data.store`: Kubernetes has no disks of Google Cloud",
        ),
        (
            "{name: x, mode: LINK}",
            "`file_mounts./data.mode`: `LINK` is not known here",
        ),
        (
            "{source: s3://b, mode: MOUNT_CACHED, config: {mount_cached: {buffer_size: 64MB}}}",
            "`file_mounts./data.config.mount_cached.buffer_size`: `64MB` is not a size",
        ),
        (
            "{source: s3://b, mode: MOUNT_CACHED, config: {mount_cached: {vfs_write_back: soon}}}",
            "`file_mounts./data.config.mount_cached.vfs_write_back`: `soon` is not a duration",
        ),
    ];
    for (text, message) in wrong {
        assert_eq!(bucket(text), Err(message.to_owned()), "{text}");
    }
}

#[test]
fn volumes_exist_or_are_made_for_the_cluster() {
    let named = |sub_path: Option<&str>| VolumeMount::Named {
        name: "disk".to_owned(),
        sub_path: sub_path.map(str::to_owned),
    };
    assert_eq!(volume("disk"), Ok(named(None)));
    assert_eq!(volume("{name: disk}"), Ok(named(None)));
    assert_eq!(
        volume("{name: disk, sub_path: a/b..c}"),
        Ok(named(Some("a/b..c")))
    );
    assert_eq!(
        volume("{size: 100Gi, config: {access_mode: ReadWriteMany}}"),
        Ok(VolumeMount::Ephemeral(
            json!({ "size": "100Gi", "config": { "access_mode": "ReadWriteMany" } })
        ))
    );
    for size in ["10", "'10'", "10GB", "1Ti", "2048Mi"] {
        assert!(volume(&format!("{{size: {size}}}")).is_ok(), "{size}");
    }
}

#[test]
fn wrong_volumes_are_refused() {
    let wrong = [
        ("", "`volumes./data` names no volume"),
        ("{}", "`volumes./data` has neither `name` nor `size`"),
        (
            "{name: a, size: 1Gi}",
            "`volumes./data` has both `name` and `size`",
        ),
        (
            "{name: a, labels: {a: b}}",
            "`volumes./data.labels` is for new volumes, and this one exists",
        ),
        (
            "{size: 1Gi, sub_path: a}",
            "`volumes./data.sub_path` is for volumes that exist, and this is a new one",
        ),
        (
            "{size: big}",
            "`volumes./data.size`: `big` is not the size of a volume",
        ),
        (
            "{size: 10Mi}",
            "`volumes./data.size`: `10Mi` is less than 1 GB",
        ),
        (
            "{size: 1Gi, type: k8s-hostpath}",
            "`volumes./data.type`: `k8s-hostpath` is not known here",
        ),
        (
            "{name: a, sub_path: /a}",
            "`volumes./data.sub_path`: `/a` is not a folder of a volume",
        ),
        (
            "{name: a, sub_path: a/../b}",
            "`volumes./data.sub_path`: `a/../b` leads out of the volume",
        ),
        (
            "{host_path: /x}",
            "`volumes./data.host_path`: folders of the machine are for Slurm",
        ),
        (
            "{size: 1Gi, config: {access_mode: ReadWriteOnce}}",
            "`volumes./data.config.access_mode`: ReadWriteOnce is for one node, and the task has 2",
        ),
        (
            "5",
            "`volumes./data` must be the name of a volume or a mapping, and this is a whole number",
        ),
    ];
    for (text, message) in wrong {
        assert_eq!(volume(text), Err(message.to_owned()), "{text}");
    }
    let both = resolve("file_mounts: {/a: ./a}\nvolumes: {/a: disk, /b/: disk}\nworkdir: .\n");
    let told = [
        "`/a` is in `file_mounts` and in `volumes`",
        "`volumes`: `/b/` must not end with `/`",
    ];
    assert_eq!(both.expect_err("wrong"), told);
}
