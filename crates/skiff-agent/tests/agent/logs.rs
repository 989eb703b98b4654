//! Logs: following, offsets, tails, slow readers.

use skiff_proto::{FaultKind, Frame, LogPart, LogSource, Request, Response};

use crate::support::{Agent, job, shell};

/// How much a job of much output writes.
const MUCH: usize = 100 << 20;

#[test]
fn a_log_resumes_at_any_offset() {
    let agent = Agent::start();
    let mut client = agent.client();
    let whole = client.run(job("seq 1 1000"));
    assert_eq!(whole.offset, 0);
    for offset in [1, 100, whole.text.len() as u64 - 1, whole.text.len() as u64] {
        let rest = client
            .log(LogSource::Id(1), offset, None, true)
            .expect("the job is there");
        assert_eq!(rest.offset, offset);
        assert_eq!(
            rest.text,
            whole.text[usize::try_from(offset).expect("small")..]
        );
    }
}

#[test]
fn tail_gives_the_last_lines_and_says_where_they_begin() {
    let agent = Agent::start();
    let mut client = agent.client();
    let whole = client.run(job("seq 1 100"));
    let tail = client
        .log(LogSource::Latest, 0, Some(3), false)
        .expect("the job is there");
    let last: Vec<&str> = whole.text.lines().collect();
    assert_eq!(
        tail.text.lines().collect::<Vec<_>>(),
        last[last.len() - 3..]
    );
    assert_eq!(
        tail.offset + tail.text.len() as u64,
        whole.text.len() as u64
    );
}

#[test]
fn without_follow_the_log_ends_where_it_is() {
    let agent = Agent::start();
    let mut client = agent.client();
    let id = client.submit(job("sleep 1000")).id;
    let log = client
        .log(LogSource::Id(id), 0, None, false)
        .expect("the job is there");
    assert!(
        log.text.starts_with("Waiting for task resources"),
        "{}",
        log.text
    );
    assert!(!log.job.status.is_final());
}

#[test]
fn a_log_can_be_asked_for_right_behind_the_submission() {
    let agent = Agent::start();
    let mut client = agent.client();
    let spec = job("echo hi");
    let submission = LogSource::Submission(spec.submission.clone());
    client.request(Request::Submit { job: spec });
    let log = client
        .log(submission, 0, None, true)
        .expect("the job is there");
    assert!(log.text.contains(") hi\n"), "{}", log.text);
}

#[test]
fn a_partial_line_is_seen_before_its_end() {
    let agent = Agent::start();
    let mut client = agent.client();
    let fifo = agent.home().join("fifo");
    shell(&format!("mkfifo {}", fifo.display()));
    let job = client.submit(job(&format!(
        "printf 'name? '; read x < {}",
        fifo.display()
    )));
    let id = client.request(Request::Logs {
        job: LogSource::Id(job.id),
        offset: 0,
        tail: None,
        follow: true,
        part: LogPart::Job,
    });
    let mut seen = String::new();
    while !seen.ends_with("name? ") {
        if let Some(Frame::Data(of, bytes)) = client.receive()
            && of == id
        {
            seen.push_str(&String::from_utf8(bytes).expect("text"));
        }
    }
    shell(&format!("echo ann > {}", fifo.display()));
    assert!(matches!(client.answer(id), Response::LogEnd { .. }));
}

#[test]
fn there_is_no_log_of_no_job() {
    let agent = Agent::start();
    let mut client = agent.client();
    for source in [
        LogSource::Latest,
        LogSource::Id(4),
        LogSource::Submission("x".into()),
    ] {
        let fault = client
            .log(source, 0, None, true)
            .err()
            .expect("there is no job");
        assert_eq!(fault.kind, FaultKind::NotFound);
    }
}

#[test]
fn a_slow_reader_of_much_output_costs_the_agent_no_memory() {
    let agent = Agent::start();
    let mut client = agent.client();
    let run = format!(
        "yes 0123456789012345678901234567890123456789012345678901234567890123456789 | head -c {MUCH}"
    );
    let id = client.submit(job(&run)).id;
    // This one takes a window's worth and then nothing.
    let mut slow = agent.client();
    slow.request(Request::Logs {
        job: LogSource::Id(id),
        offset: 0,
        tail: None,
        follow: true,
        part: LogPart::Job,
    });
    let log = client.follow(id);
    assert!(log.text.len() > MUCH, "{}", log.text.len());
    let status = std::fs::read_to_string(format!("/proc/{}/status", agent.pid())).expect("it runs");
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .expect("a peak");
    let peak: u64 = peak
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .expect("a number");
    assert!(peak < 16 << 10, "{peak} KiB at the peak");
    // The slow one gets everything all the same, once it goes on.
    let mut received = 0;
    loop {
        match slow.receive().expect("the agent goes on") {
            Frame::Data(of, bytes) => {
                received += bytes.len();
                slow.send(&Frame::Credit(
                    of,
                    u32::try_from(bytes.len()).expect("small"),
                ));
            }
            Frame::Response(_, Response::LogEnd { .. }) => break,
            _ => {}
        }
    }
    assert_eq!(received, log.text.len());
}
