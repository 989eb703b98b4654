//! Logs of jobs on real nodes: whole lines of several nodes, secrets, single logs, downloads, full disks, lost servers.

use std::fs;
use std::time::Duration;

use skiff_test::Namespace;
use skiff_test::host;
use skiff_test::namespace::with_namespace;
use skiff_test::program::Finished;
use skiff_test::proxy::Cut;
use tokio::time::sleep;

use crate::streams::{proxy, through};

/// How long the API server is not to be reached.
const OUTAGE: Duration = Duration::from_secs(20);
/// Rows that each of two nodes writes as fast as it can.
const ROWS: usize = 50_000;
/// A secret that tasks print.
const SECRET: &str = "hf_S3cretValue";

/// The numbers of `row N` in a log.
fn rows(text: &str) -> Vec<usize> {
    let rows = text.lines().filter_map(|line| line.split_once(") row "));
    rows.map(|(_, row)| {
        let number = row.split(' ').next().and_then(|number| number.parse().ok());
        number.unwrap_or_else(|| panic!("not a whole row: {row:?}"))
    })
    .collect()
}

#[track_caller]
fn assert_counts_on(rows: &[usize]) {
    let odd = rows.windows(2).find(|pair| pair[0] + 1 != pair[1]);
    assert_eq!((rows.first(), odd), (Some(&1), None));
}

async fn launch_two_nodes(namespace: &Namespace) -> Finished {
    namespace.write(
        "task.yaml",
        &format!(
            "name: rows\nnum_nodes: 2\nsecrets: {{TOKEN: {SECRET}}}\nsetup: echo setup with $TOKEN\n\
             run: |\n  echo run with $TOKEN\n  seq -f \"row %.0f of rank $SKYPILOT_NODE_RANK.\" 1 {ROWS}\n"
        ),
    );
    namespace.launch("c", &["task.yaml"]).await
}

/// Each node's rows are there, whole, once and in order.
#[track_caller]
fn assert_rows_of_both(shown: &str) {
    for (rank, prefix) in ["(head, rank=0, pid=", "(worker1, rank=1, pid="]
        .into_iter()
        .enumerate()
    {
        let own: String = shown
            .split_inclusive('\n')
            .filter(|line| line.starts_with(prefix))
            .collect();
        assert!(own.contains(") run with *****\n"), "rank {rank}");
        let own_rows = rows(&own);
        assert_counts_on(&own_rows);
        assert_eq!(own_rows.len(), ROWS, "rank {rank}");
        assert_eq!(
            own.matches(&format!(" of rank {rank}.\n")).count(),
            ROWS,
            "rank {rank}"
        );
    }
}

/// Downloads the logs and looks into each.
async fn assert_downloaded(namespace: &Namespace, shown: &str) {
    let folder = namespace.home().join("sky_logs/c/1-rows");
    let path = folder.display().to_string();
    let skiff = namespace.skiff();
    skiff
        .run(&["logs", "c", "--sync-down"])
        .await
        .code(0)
        .says(&path);
    let read = |name: &str| fs::read_to_string(folder.join(name)).expect(name);
    assert!(read("run.log") == shown, "run.log is not what was shown");
    for (name, rank) in [("tasks/0-head.log", 0), ("tasks/1-worker1.log", 1)] {
        let rows: Vec<String> = (1..=ROWS)
            .map(|row| format!("row {row} of rank {rank}.\n"))
            .collect();
        assert!(
            read(name) == format!("run with *****\n{}", rows.concat()),
            "{name}"
        );
    }
    for name in ["setup.log", "setup-worker1.log"] {
        assert_eq!(read(name), "setup with *****\n", "{name}");
    }
}

#[tokio::test]
async fn two_nodes_write_whole_lines_without_secrets_which_are_read_by_rank_and_downloaded() {
    with_namespace(async |namespace| {
        let launched = launch_two_nodes(namespace).await.code(0).never_says(SECRET);
        assert_rows_of_both(&launched.stdout);
        assert_eq!(launched.stdout.matches(") setup with *****\n").count(), 2);

        let skiff = namespace.skiff();
        let worker = skiff
            .run(&["logs", "c", "1", "--rank", "1", "--tail", "2"])
            .await
            .code(0);
        let last = [ROWS - 1, ROWS].map(|row| format!("row {row} of rank 1.\n"));
        assert_eq!(worker.stdout, last.concat());
        skiff
            .run(&["logs", "c", "1", "--rank", "2"])
            .await
            .code(102)
            .one_error();

        // Downloaded again, the logs are as they were.
        for _ in 0..2 {
            assert_downloaded(namespace, &launched.stdout).await;
        }
        let leaks = namespace
            .inside("c", &format!("grep -rl {SECRET} /skiff/sky_logs; true"))
            .await;
        assert_eq!(String::from_utf8_lossy(&leaks), "");
    })
    .await;
}

#[tokio::test]
async fn the_state_of_a_job_is_told_by_words_and_exit_codes() {
    with_namespace(async |namespace| {
        namespace.launch("c", &["true"]).await.code(0);
        let skiff = namespace.skiff();
        skiff.run(&["exec", "c", "exit 3"]).await.code(100);
        skiff
            .run(&["exec", "-d", "c", "echo begun; sleep 100000"])
            .await
            .code(0);
        for (job, code, state) in [("1", 0, "SUCCEEDED"), ("2", 100, "FAILED"), ("9", 102, "")] {
            let told = skiff.run(&["logs", "c", job, "--status"]).await.code(code);
            told.says(state);
        }
        let mut follower = skiff.start(&["logs", "c", "3"]);
        follower.stdout_has("begun").await;
        skiff
            .run(&["logs", "c", "--status"])
            .await
            .code(101)
            .says("Job 3: RUNNING");
        follower.interrupt();
        follower.end().await.code(130).notes("The job goes on.");
        skiff.run(&["cancel", "-y", "c", "3"]).await.code(0);
        skiff
            .run(&["logs", "c", "3", "--status"])
            .await
            .code(103)
            .says("CANCELLED");
        skiff
            .run(&["logs", "nowhere", "--status"])
            .await
            .code(1)
            .one_error();
    })
    .await;
}

#[tokio::test]
async fn a_follower_goes_on_after_an_api_server_that_could_not_be_reached_for_20_s() {
    with_namespace(async |namespace| {
        namespace.launch("c", &["true"]).await.code(0);
        let run = "n=0; until test -e ~/enough; do seq -f 'row %.0f' $((n + 1)) $((n + 500)); \
                   n=$((n + 500)); sleep 0.1; done; echo $n > ~/count";
        namespace
            .skiff()
            .run(&["exec", "-d", "c", run])
            .await
            .code(0);
        let line = proxy(namespace, Cut::Never).await;
        let mut follower = through(namespace, &line).start(&["logs", "c", "2", "--tail", "0"]);
        follower.stdout_has("row 500\n").await;
        line.begin_outage();
        follower.stderr_has("Connection lost").await;
        sleep(OUTAGE).await;
        line.heal();
        follower.stderr_has("Connected again").await;
        namespace.inside("c", "touch ~/enough").await;
        let finished = follower.end().await.code(0);
        let rows = rows(&finished.stdout);
        assert_counts_on(&rows);
        let count = namespace.inside("c", "cat ~/count").await;
        let count = String::from_utf8_lossy(&count).trim().parse();
        assert_eq!(count.ok(), Some(rows.len()));
        // As much as the job wrote meanwhile.
        assert!(rows.len() > 5_000, "only {} rows", rows.len());
        finished.says("Job finished (status: SUCCEEDED).");
    })
    .await;
}

/// Runs a job with room for one full file of its log and the beginning of the next, until it makes more room.
async fn run_with_little_room(namespace: &Namespace) -> Finished {
    let pod = namespace.head("c").await;
    namespace
        .inside("c", "mkdir -p /skiff/sky_logs/2-full")
        .await;
    host::mount_in_pod(&pod, "/skiff/sky_logs/2-full", "44m").await;
    namespace.write(
        "task.yaml",
        "name: full\nrun: |\n  echo kept > ~/sky_logs/2-full/filler\n  \
         head -c 4000000 /dev/zero >> ~/sky_logs/2-full/filler\n  \
         seq -f 'row %.0f of text that takes its room on the disk of the pod' 1 500000\n  \
         rm ~/sky_logs/2-full/filler\n  echo after; touch ~/went-on\n",
    );
    namespace.skiff().run(&["exec", "c", "task.yaml"]).await
}

#[tokio::test]
async fn a_job_whose_logs_find_no_room_goes_on_and_tells_how_much_is_missing() {
    with_namespace(async |namespace| {
        namespace.launch("c", &["true"]).await.code(0);
        let finished = run_with_little_room(namespace).await.code(0);
        let told = finished
            .stdout
            .lines()
            .filter(|line| line.contains("bytes of output were lost: the disk was full]"));
        assert_eq!(
            told.count(),
            1,
            "{}",
            &finished.stdout[finished.stdout.len() - 500..]
        );
        let finished = finished
            .says(") after\n")
            .says("Job finished (status: SUCCEEDED).");
        assert!(
            finished.stdout.contains("row 100000 "),
            "the log was full too early"
        );
        let files = namespace
            .inside("c", "ls ~/sky_logs/2-full; ls ~/went-on")
            .await;
        let files = String::from_utf8_lossy(&files).into_owned();
        assert!(
            files.contains("run.log.1\n") && files.contains("went-on"),
            "{files}"
        );
        // The agent has lived through it.
        namespace
            .skiff()
            .run(&["exec", "c", "echo alive"])
            .await
            .code(0)
            .says(") alive\n");
        let status = namespace
            .head("c")
            .await
            .status
            .and_then(|status| status.container_statuses);
        let restarts: i32 = status
            .iter()
            .flatten()
            .map(|status| status.restart_count)
            .sum();
        assert_eq!(restarts, 0);
    })
    .await;
}
