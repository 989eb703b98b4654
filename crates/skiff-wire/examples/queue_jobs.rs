//! Fills an agent's queue with short jobs and prints what that took: seconds for each job from the first submission to the
//! last job's end, then seconds that the table of all jobs took while the queue was full. `cargo xtask bench queue_1000`
//! runs it with the number of jobs and a command that leads to an agent.

#![allow(
    clippy::print_stdout,
    reason = "what it prints is what it is there for"
)]

use std::error::Error;
use std::process::Stdio;
use std::time::{Duration, Instant};

use skiff_proto::{JobRecord, JobSpec, JobStatus, Request, Response};
use skiff_wire::{Patience, Session};
use tokio::process::Command;

/// Submissions that are under way at once: fewer than an agent takes on one connection.
const AT_ONCE: usize = 32;
/// How often the table is asked for while the queue is full.
const TABLES: usize = 9;
/// How often it is looked whether all jobs have ended: seldom, for the agent has other work.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long all jobs may take.
const PATIENCE: Duration = Duration::from_mins(5);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let jobs: usize = arguments.next().ok_or("how many jobs?")?.parse()?;
    let program = arguments.next().ok_or("which command?")?;
    let mut agent = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let (input, output) = (agent.stdin.take(), agent.stdout.take());
    let (input, output) = (input.ok_or("no input")?, output.ok_or("no output")?);
    let session = Session::open(input, output, Patience::CLIENT).await?;

    let started = Instant::now();
    let stamp = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)?
        .as_nanos();
    let ids: Vec<usize> = (0..jobs).collect();
    for some in ids.chunks(AT_ONCE) {
        let mut calls = Vec::new();
        for id in some {
            let job = JobSpec {
                submission: format!("bench-{stamp}-{id}"),
                user: "bench".to_owned(),
                run: Some("true".to_owned()),
                ..JobSpec::default()
            };
            calls.push(session.start(Request::Submit { job }).await?);
        }
        for mut call in calls {
            let Response::Submitted { .. } = call.response().await? else {
                return Err("a job was not submitted".into());
            };
        }
    }
    let mut answers = Vec::new();
    for _ in 0..TABLES {
        let asked = Instant::now();
        table(&session).await?;
        answers.push(asked.elapsed());
    }
    answers.sort();

    while !has_ended(&table(&session).await?)? {
        if started.elapsed() > PATIENCE {
            return Err("the jobs do not end".into());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let jobs = u32::try_from(jobs)?;
    println!("{}", (started.elapsed() / jobs).as_secs_f64());
    println!("{}", answers[TABLES / 2].as_secs_f64());
    Ok(())
}

async fn table(session: &Session) -> Result<Vec<JobRecord>, Box<dyn Error>> {
    match session.ask(Request::Queue).await? {
        Response::Jobs { jobs } => Ok(jobs),
        _ => Err("the agent gave no table".into()),
    }
}

/// Whether the last job, and with it all before it, has ended well.
fn has_ended(jobs: &[JobRecord]) -> Result<bool, Box<dyn Error>> {
    let failed = |job: &&JobRecord| job.status.is_final() && job.status != JobStatus::Succeeded;
    if let Some(job) = jobs.iter().find(failed) {
        return Err(format!("job {} is {}", job.id, job.status).into());
    }
    Ok(jobs.iter().all(|job| job.status.is_final()))
}
