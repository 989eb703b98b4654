//! Trees of files on their way to the nodes: what arrives, what it costs, and what breaks on the way.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::{Duration, Instant};

use skiff_test::Namespace;
use skiff_test::host;
use skiff_test::namespace::{small, with_namespace};
use skiff_test::proxy::Cut;

use crate::streams::{proxy, through};

/// Bytes of a file that takes a while.
const LARGE: usize = 12 << 20;
/// How much of it has gone when something happens.
const SOME: u64 = 6 << 20;
/// What else goes over the line: requests, handshakes, what is on its way when a line breaks.
const REST: u64 = 3 << 20;
/// How long the API server is away.
const OUTAGE: Duration = Duration::from_secs(20);

/// Bytes that cannot be compressed: each number leads to the next.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes
}

/// Writes a large file into the folder `code` of the test; gives its hash as `b3sum` and others would not: as a sum of
/// words that the shell of any image has.
fn large(namespace: &Namespace, seed: u64) -> String {
    let path = namespace.write("code/large", "");
    fs::write(&path, noise(seed, LARGE)).expect("a file in the test's home");
    let sum = std::process::Command::new("md5sum").arg(path).output();
    let sum = sum.expect("md5sum is part of coreutils").stdout;
    String::from_utf8_lossy(&sum)
        .split(' ')
        .next()
        .expect("a word")
        .to_owned()
}

/// What a job on so many nodes prints, without the prefixes of the nodes and in order.
async fn printed(namespace: &Namespace, nodes: &str, script: &str) -> Vec<String> {
    let words = ["exec", "c", "--num-nodes", nodes, script];
    let finished = namespace.skiff().run(&words).await.code(0);
    let lines = finished.stdout.lines();
    let mut lines: Vec<String> = lines
        .filter(|line| line.starts_with('('))
        .filter_map(|line| Some(line.split_once(") ")?.1.trim_end().to_owned()))
        .collect();
    lines.sort();
    lines
}

/// Waits until a script in the pod says that something is so.
async fn wait_inside(namespace: &Namespace, script: &str) {
    let since = Instant::now();
    let script = format!("if {script}; then echo so; fi");
    while namespace.inside("c", &script).await != b"so\n" {
        assert!(since.elapsed() < Duration::from_secs(30), "never: {script}");
    }
}

#[tokio::test]
async fn trees_are_on_all_nodes_and_their_bytes_go_over_the_users_line_once() {
    with_namespace(async |namespace| {
        let launched = namespace.launch("c", &["--num-nodes", "2", "true"]).await;
        launched.code(0);
        let sum = large(namespace, 1);
        let script = namespace.write("code/bin/run.sh", "echo ran\n");
        fs::set_permissions(&script, fs::Permissions::from_mode(0o750)).expect("own file");
        namespace.write("code/with space/empty", "");
        let code = script.parent().and_then(std::path::Path::parent).expect("code");
        for (target, link) in [("bin/run.sh", "link"), ("/no/such", "dangling")] {
            symlink(target, code.join(link)).expect("a link in the test's home");
        }
        let sparse = fs::File::create(code.join("sparse")).expect("own file");
        sparse.set_len(64 << 20).expect("a hole takes no room");
        namespace.write("data/deep/one", "1\n");
        namespace.write("task.yaml", "workdir: code\nfile_mounts:\n  /srv/of/mine: ./data\n  ~/.one: ./data/deep/one\n  given/two: ./data/deep/one\n");

        let line = proxy(namespace, Cut::Never).await;
        let words = small("c", &["--num-nodes", "2", "task.yaml"]);
        let synced = through(namespace, &line).run(&words).await.code(0);
        synced.notes("workdir and 3 file mounts");
        let bytes = LARGE as u64;
        assert!((bytes..bytes + REST).contains(&line.passed()), "{} bytes", line.passed());
        let look = "md5sum < large; stat -c '%a %N' bin/run.sh link dangling 'with space'/*; ./link; \
                    test $(du -k sparse | cut -f1) -lt 1000 && stat -c 'sparse %s' sparse; \
                    cat /srv/of/mine/deep/one ~/.one given/two";
        let each = [
            format!("{sum}  -"),
            "750 'bin/run.sh'".to_owned(),
            "777 'link' -> 'bin/run.sh'".to_owned(),
            "777 'dangling' -> '/no/such'".to_owned(),
            "644 'with space/empty'".to_owned(),
            "ran".to_owned(),
            "sparse 67108864".to_owned(),
            "1".to_owned(),
            "1".to_owned(),
            "1".to_owned(),
        ];
        let mut expected: Vec<String> = each.iter().chain(&each).cloned().collect();
        expected.sort();
        assert_eq!(printed(namespace, "2", look).await, expected);

        // What is gone here goes there, what jobs have made stays, and nothing is sent again.
        assert!(printed(namespace, "2", "echo mine > bin/result").await.is_empty());
        fs::remove_file(&script).expect("own file");
        fs::remove_file(code.join("sparse")).expect("own file");
        let line = proxy(namespace, Cut::Never).await;
        through(namespace, &line).run(&words).await.code(0);
        assert!(line.passed() < 1 << 20, "{} bytes", line.passed());
        let left = printed(namespace, "2", "find . -type f | tr '\\n' ' '").await;
        let mut names: Vec<&str> = left[0].split(' ').collect();
        names.sort_unstable();
        assert_eq!(names, ["./bin/result", "./large", "./with", "space/empty"]);
        assert_eq!(left[0].len(), left[1].len(), "{left:?}");
    })
    .await;
}

#[tokio::test]
async fn a_sync_goes_on_after_twenty_seconds_without_the_api_server() {
    with_namespace(async |namespace| {
        namespace.launch("c", &["true"]).await.code(0);
        let sum = large(namespace, 2);
        let line = proxy(namespace, Cut::Outage(SOME)).await;
        let exec = ["exec", "c", "--workdir", "code", "md5sum large"];
        let exec = through(namespace, &line).start(&exec);
        line.wait_for_a_cut().await;
        tokio::time::sleep(OUTAGE).await;
        line.heal();
        let finished = exec.end().await.code(0).says(&sum);
        finished.notes("Connection lost").notes("Synced workdir");
        // What had arrived was not sent again.
        assert!(
            line.passed() < LARGE as u64 + REST,
            "{} bytes",
            line.passed()
        );
    })
    .await;
}

#[tokio::test]
async fn a_killed_sync_is_gone_on_with_by_the_next() {
    with_namespace(async |namespace| {
        namespace.launch("c", &["true"]).await.code(0);
        let sum = large(namespace, 3);
        let exec = ["exec", "c", "--workdir", "code", "md5sum large"];
        let line = proxy(namespace, Cut::Stall(SOME)).await;
        let killed = through(namespace, &line).start(&exec);
        line.wait_for_a_cut().await;
        killed.kill();
        assert_eq!(killed.end().await.code, None);
        wait_inside(namespace, "test -n \"$(ls /skiff/sync/kept)\"").await;
        wait_inside(namespace, "test ! -e ~/sky_workdir/large").await;
        let line = proxy(namespace, Cut::Never).await;
        let again = through(namespace, &line).run(&exec).await.code(0);
        again.says(&sum);
        let lacking = LARGE as u64 - SOME;
        assert!(line.passed() < lacking + REST, "{} bytes", line.passed());
    })
    .await;
}

#[tokio::test]
async fn a_file_that_changes_on_its_way_arrives_as_it_is_in_the_end() {
    with_namespace(async |namespace| {
        namespace.launch("c", &["true"]).await.code(0);
        large(namespace, 4);
        let line = proxy(namespace, Cut::Outage(SOME)).await;
        let exec = ["exec", "c", "--workdir", "code", "md5sum large"];
        let exec = through(namespace, &line).start(&exec);
        line.wait_for_a_cut().await;
        let sum = large(namespace, 5);
        line.heal();
        exec.end().await.code(0).says(&sum);
    })
    .await;
}

#[tokio::test]
async fn mounts_outside_the_home_outlive_their_container_and_what_cannot_be_is_refused() {
    with_namespace(async |namespace| {
        namespace.write("data/one", "one\n");
        namespace.write("merged/two", "two\n");
        let task = "file_mounts:\n  /srv/of/mine: ./data\n  /usr/share: ./merged\n";
        namespace.write("task.yaml", task);
        namespace.launch("c", &["task.yaml"]).await.code(0);
        let head = namespace.head("c").await;
        host::kill_agent(&head).expect("the agent runs on this machine");
        let restarted = |pod: Option<&k8s_openapi::api::core::v1::Pod>| {
            let statuses = pod.and_then(|pod| pod.status.as_ref()?.container_statuses.as_ref());
            statuses.is_some_and(|all| all.iter().any(|one| one.restart_count > 0 && one.ready))
        };
        namespace
            .wait_for_pod(
                &namespace.head_name("c"),
                "container that runs again",
                restarted,
            )
            .await;
        let look = "cat /srv/of/mine/one /usr/share/two; ls -d /usr/share/?*";
        let there = printed(namespace, "1", look).await;
        for line in ["one", "two", "/usr/share/two"] {
            assert!(there.iter().any(|there| there == line), "{there:?}");
        }
        assert!(there.len() > 3, "the image's own files went: {there:?}");

        let refused = [
            ("/proc/x", "/proc is the system's own"),
            ("/skiff/bin", "/skiff is Skiff's own"),
            (
                "/etc/passwd",
                "it is a file, and what is to appear there is a folder",
            ),
            ("~/../x", "the path contains `..`"),
        ];
        for (place, why) in refused {
            let task = format!("file_mounts: {{'{place}': ./data}}\nrun: echo never\n");
            namespace.write("refused.yaml", &task);
            let launch = namespace.launch("c", &["refused.yaml"]).await.code(1);
            launch.one_error().notes(why).never_says("never");
        }
    })
    .await;
}

#[tokio::test]
async fn the_example_brings_its_files_to_both_nodes() {
    with_namespace(async |namespace| {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
        let skiff = namespace.skiff().inside(root);
        let launch = skiff.run(&["launch", "-y", "-c", "files", "examples/files.yaml"]);
        let finished = launch.await.code(0);
        finished
            .says("5 words on node 0")
            .says("5 words on node 1")
            .says("the same words");
    })
    .await;
}
