//! Logs: following, offsets, tails, slow readers.

use skiff_proto::{FaultKind, Frame, JobSpec, LogPart, LogSource, Request, Response};

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
fn a_log_that_grew_beyond_what_is_kept_says_what_is_left_out_and_goes_on() {
    let agent = Agent::start();
    let mut client = agent.client();
    let id = client.submit(job("seq -f '%063.0f' 1 5000000")).id;
    client.log_end(id);
    let whole = client.extent(id, "run.log");
    let kept = whole.1 - whole.0;
    assert!((200 << 20..=256 << 20).contains(&kept), "{kept}");
    let log = client.log(LogSource::Id(id), 7, None, true);
    let log = log.expect("the job is there");
    assert_eq!(log.gap, whole.0 - 7);
    assert_eq!(log.text.len() as u64, kept);
    let numbers = log.text.lines().filter_map(number);
    let numbers: Vec<u32> = numbers.collect();
    assert_eq!(numbers.last(), Some(&5_000_000));
    assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]));
    // More lines than one file has.
    let tail = client.log(LogSource::Id(id), 0, Some(1_000_000), false);
    let tail = tail.expect("the job is there");
    assert_eq!(tail.text.lines().count(), 1_000_000);
    assert_eq!(tail.gap, 0);
    let folder = agent.root().join("sky_logs/1-None");
    assert!(folder.join("run.log.10").exists());
    let newest = std::fs::read_to_string(folder.join("run.log")).expect("a log");
    assert!(log.text.ends_with(&newest));
    // A restart of the container changes no offset.
    let agent = Agent::start_in(agent.kill(), |_| {});
    let mut client = agent.client();
    assert_eq!(client.extent(id, "run.log"), whole);
    let rest = client.log(LogSource::Id(id), whole.1 - 100, None, true);
    assert_eq!(
        rest.expect("the job is there").text,
        log.text[log.text.len() - 100..]
    );
}

/// The number of a row.
fn number(line: &str) -> Option<u32> {
    line.split_once(") ")?.1.parse().ok()
}

#[test]
fn secrets_appear_in_no_log() {
    let agent = Agent::start();
    let mut client = agent.client();
    let secrets = [("TOKEN", "hf_S3cretValue"), ("FLAG", "1")];
    let log = client.run(JobSpec {
        setup: Some("echo setup $TOKEN".into()),
        secrets: secrets
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into_iter()
            .collect(),
        ..job("env | grep TOKEN; printf hf_S3; sleep 0.2; echo cretValue $FLAG")
    });
    assert!(log.text.contains("TOKEN=*****\n"), "{}", log.text);
    assert!(log.text.contains(") ***** 1\n"), "{}", log.text);
    let found = shell(&format!(
        "grep -rl S3cret {}/sky_logs",
        agent.root().display()
    ));
    assert_eq!(found, "");
}

#[test]
fn the_logs_of_a_job_are_listed_and_read_one_by_one() {
    let agent = Agent::start();
    let mut client = agent.client();
    let log = client.run(JobSpec {
        setup: Some("echo ready".into()),
        ..job("echo hi")
    });
    let Response::LogFiles { job, files } = client.ask(Request::LogFiles {
        job: LogSource::Latest,
    }) else {
        panic!("no logs")
    };
    assert_eq!(job, log.job);
    let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["run.log", "setup.log", "tasks/run.log"]);
    assert_eq!(files[0].end, log.text.len() as u64);
    let mut part = |part: LogPart| client.part(part).map(|log| log.text);
    assert_eq!(
        part(LogPart::File("setup.log".into())).as_deref(),
        Ok("ready\n")
    );
    assert_eq!(part(LogPart::Rank(0)).as_deref(), Ok("hi\n"));
    for missing in [LogPart::Rank(1), LogPart::File("../1-None/run.log".into())] {
        let fault = part(missing).expect_err("there is no such log");
        assert_eq!(fault.kind, FaultKind::NotFound);
    }
}

#[test]
fn the_log_of_a_rank_can_be_followed_before_it_is_there() {
    let agent = Agent::start();
    let mut client = agent.client();
    let gate = agent.home().join("gate");
    shell(&format!("mkfifo {}", gate.display()));
    client.submit(JobSpec {
        setup: Some(format!("read x < {}", gate.display())),
        ..job("echo hi")
    });
    let id = client.request(Request::Logs {
        job: LogSource::Latest,
        offset: 0,
        tail: None,
        follow: true,
        part: LogPart::Rank(0),
    });
    // Answered after the request for the log has been taken.
    client.queue();
    shell(&format!("echo > {}", gate.display()));
    let mut text = Vec::new();
    loop {
        match client.receive().expect("the agent goes on") {
            Frame::Data(of, bytes) if of == id => text.extend(bytes),
            Frame::Response(of, Response::LogEnd { .. }) if of == id => break,
            _ => {}
        }
    }
    assert_eq!(String::from_utf8(text).as_deref(), Ok("hi\n"));
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
    let before = agent.peak_kib();
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
    let grown = agent.peak_kib() - before;
    assert!(grown < 8 << 10, "{grown} KiB more at the peak");
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
