use std::sync::Arc;

use skiff_proto::SecretVariables;

use super::{JobLog, LogFolder};

struct Logs {
    dir: tempfile::TempDir,
    log: JobLog,
}

impl Logs {
    fn new() -> Self {
        Self::with_secret("")
    }

    fn with_secret(value: &str) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let secrets: SecretVariables = [("TOKEN".to_owned(), value.to_owned())]
            .into_iter()
            .collect();
        let folder = Arc::new(LogFolder::new(dir.path().join("1-train")));
        let log = JobLog::open(folder, &secrets).expect("opened");
        Self { dir, log }
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.dir.path().join("1-train").join(name)).expect("a log")
    }
}

#[test]
fn one_process_alone_is_seen_at_once() {
    let logs = Logs::new();
    let source = logs.log.source("tasks/run.log", "(p) ".into());
    source.output(b"name? ");
    assert_eq!(logs.text("run.log"), "(p) name? ");
    assert_eq!(logs.text("tasks/run.log"), "name? ");
}

#[test]
fn lines_of_several_processes_do_not_mix() {
    let logs = Logs::new();
    let a = logs.log.source("tasks/0-head.log", "(a) ".into());
    let b = logs.log.source("tasks/1-worker1.log", "(b) ".into());
    a.output(b"one ");
    b.output(b"two\nthr");
    a.output(b"line\n");
    b.output(b"ee\n");
    assert_eq!(logs.text("run.log"), "(b) two\n(a) one line\n(b) three\n");
    assert_eq!(logs.text("tasks/1-worker1.log"), "two\nthree\n");
}

#[test]
fn a_line_that_does_not_end_is_written_all_the_same() {
    let logs = Logs::new();
    let a = logs.log.source("tasks/0-head.log", "(a) ".into());
    let b = logs.log.source("tasks/1-worker1.log", "(b) ".into());
    let long = "x".repeat(70 << 10);
    a.output(long.as_bytes());
    b.output(b"two\n");
    a.output(b"end\n");
    assert_eq!(
        logs.text("run.log"),
        format!("(a) {long}\n(b) two\n(a) end\n")
    );
}

#[test]
fn what_waits_is_written_when_its_process_has_ended() {
    let logs = Logs::new();
    let a = logs.log.source("tasks/0-head.log", "(a) ".into());
    let b = logs.log.source("tasks/1-worker1.log", "(b) ".into());
    a.output(b"half");
    drop(a);
    b.output(b"two\n");
    logs.log.lines(&["Job finished.".into()]);
    assert_eq!(logs.text("run.log"), "(a) half\n(b) two\nJob finished.\n");
}

#[tokio::test]
async fn a_line_that_waits_long_is_written() {
    let logs = Logs::new();
    let a = logs.log.source("tasks/0-head.log", "(a) ".into());
    let _b = logs.log.source("tasks/1-worker1.log", "(b) ".into());
    a.output(b"name? ");
    assert_eq!(logs.text("run.log"), "");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while logs.text("run.log") != "(a) name? " {
        assert!(std::time::Instant::now() < deadline, "the line never came");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[test]
fn secrets_are_masked_in_all_logs() {
    let logs = Logs::with_secret("s3cret-token");
    let source = logs.log.source("tasks/run.log", "(p) ".into());
    source.output(b"token is s3cret");
    source.output(b"-token!\n");
    assert_eq!(logs.text("run.log"), "(p) token is *****!\n");
    assert_eq!(logs.text("tasks/run.log"), "token is *****!\n");
    source.output(b"s3cret");
    drop(source);
    assert!(logs.text("run.log").ends_with("(p) s3cret"));
}
