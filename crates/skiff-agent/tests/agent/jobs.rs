//! Jobs: shells, variables, codes, the queue.

use std::os::unix::fs::PermissionsExt;

use skiff_proto::{JobSpec, JobStatus, Request, Response};

use crate::nodes::until;
use crate::support::{Agent, job, shell};

/// The lines that the job's own processes wrote, without their prefix.
fn output(text: &str) -> Vec<&str> {
    text.lines()
        .filter_map(|line| {
            line.strip_prefix('(')?
                .split_once(") ")
                .map(|(_, text)| text)
        })
        .collect()
}

#[test]
fn a_job_runs_and_its_log_reads_as_users_know_it() {
    let agent = Agent::start();
    let spec = JobSpec {
        name: Some("train".into()),
        ..job("echo hello; echo err >&2")
    };
    let log = agent.client().run(spec);
    let lines: Vec<&str> = log.text.lines().collect();
    assert_eq!(lines[0], "Waiting for task resources on 1 node.");
    assert_eq!(
        lines[1],
        "Job started. Streaming logs... (Ctrl-C to exit log streaming; job will not be killed)"
    );
    assert!(
        lines[2].starts_with("(train, pid=") && lines[2].ends_with(") hello"),
        "{}",
        lines[2]
    );
    assert!(lines[3].ends_with(") err"), "{}", lines[3]);
    assert_eq!(lines[4..], ["Job finished (status: SUCCEEDED)."]);
    assert_eq!(
        (log.job.status, log.job.exit_code),
        (JobStatus::Succeeded, Some(0))
    );
    assert_eq!(log.job.log_dir, "~/sky_logs/1-train");
    let raw = agent.home().join("sky_logs/1-train/tasks/run.log");
    assert_eq!(
        std::fs::read_to_string(raw).expect("a raw log"),
        "hello\nerr\n"
    );
}

#[test]
fn the_code_is_the_last_commands_and_signals_count_from_128() {
    let agent = Agent::start();
    let mut client = agent.client();
    for (run, code) in [
        ("false; exit 7", 7),
        ("false; true", 0),
        ("kill -KILL $$", 137),
        ("nosuchcmd", 127),
    ] {
        let log = client.run(job(run));
        assert_eq!(log.job.exit_code, Some(code), "{run}");
        let status = if code == 0 {
            JobStatus::Succeeded
        } else {
            JobStatus::Failed
        };
        assert_eq!(log.job.status, status, "{run}");
        if code != 0 {
            let line = format!(
                "ERROR: Job {} failed with return code list: [{code}]",
                log.job.id
            );
            assert!(log.text.contains(&line), "{}", log.text);
        }
    }
}

#[test]
fn setup_runs_first_and_its_failure_is_its_own_state() {
    let agent = Agent::start();
    let mut client = agent.client();
    let spec = JobSpec {
        setup: Some("echo prepare > made; echo in setup".into()),
        ..job("cat made")
    };
    let log = client.run(spec);
    assert!(log.text.contains("(setup pid="), "{}", log.text);
    assert_eq!(output(&log.text), ["in setup", "prepare"]);
    let setup_log = agent.home().join("sky_logs/1-None/setup.log");
    assert_eq!(
        std::fs::read_to_string(setup_log).expect("a log"),
        "in setup\n"
    );

    let log = client.run(JobSpec {
        setup: Some("exit 3".into()),
        ..job("echo never")
    });
    assert_eq!(
        (log.job.status, log.job.exit_code),
        (JobStatus::FailedSetup, Some(3))
    );
    assert!(
        log.text.contains("setup failed with return code list: [3]"),
        "{}",
        log.text
    );
    assert!(!log.text.contains("never"), "{}", log.text);
}

#[test]
fn jobs_see_their_variables_and_secrets_never_reach_the_disk() {
    let agent = Agent::start();
    let mut spec = job(
        "echo $SECRET-$SKYPILOT_NUM_NODES-$SKYPILOT_NODE_RANK-$SKYPILOT_INTERNAL_JOB_ID-\
                        $PYTHONUNBUFFERED-$SKYPILOT_USER-$HOME; pwd -P",
    );
    spec.env.insert("SECRET".into(), "hush-hush".into());
    spec.setup = Some("true".into());
    let log = agent.client().run(spec);
    let home = agent.home();
    let workdir = agent
        .root()
        .join("sky_workdir")
        .canonicalize()
        .expect("a folder");
    assert_eq!(
        output(&log.text),
        [
            format!("hush-hush-1-0-1-1-ann-{}", home.display()),
            workdir.display().to_string()
        ]
    );
    let dir = agent.root().join("jobs/1");
    for file in ["record.json", "setup.sh"] {
        let text = std::fs::read_to_string(dir.join(file)).expect("a file");
        assert!(!text.contains("hush-hush"), "{file}");
        let mode = dir
            .join(file)
            .metadata()
            .expect("a file")
            .permissions()
            .mode();
        assert_eq!(mode & 0o077, 0, "{file} is only for its user");
    }
}

#[test]
fn bashrc_counts_and_bash_is_quiet_without_a_terminal() {
    let agent = Agent::start();
    std::fs::write(
        agent.home().join(".bashrc"),
        "export FROM_RC=yes; alias hi='echo aliased'\n",
    )
    .expect("written");
    let log = agent.client().run(job("echo $FROM_RC; hi; echo \"wow!!\""));
    assert_eq!(output(&log.text), ["yes", "aliased", "wow!!"]);
    assert!(
        !log.text.contains("job control") && !log.text.contains("terminal"),
        "{}",
        log.text
    );
    assert!(!agent.home().join(".bash_history").exists());
}

#[test]
fn an_unwritable_home_falls_back_and_the_log_says_so() {
    let agent = Agent::start_with(|command| {
        command.env("HOME", "/proc/nothing");
    });
    let log = agent.client().run(job("touch made && echo $HOME"));
    assert_eq!(log.job.status, JobStatus::Succeeded);
    let says = log.text.contains("HOME is ");
    // Where the account's own home can be written, that one is taken, and there is nothing to say.
    assert_eq!(
        says,
        output(&log.text)[0].ends_with("skiff/home"),
        "{}",
        log.text
    );
}

#[test]
fn an_image_with_nothing_but_sh_is_enough() {
    let Some(agent) = Agent::start_in_bare_image() else {
        return;
    };
    let mut client = agent.client();
    let log = client.run(JobSpec {
        setup: Some("echo set up".into()),
        ..job("echo $0 $HOME; echo err >&2")
    });
    assert_eq!(
        output(&log.text),
        ["set up", "/skiff/stages/1/run.sh /skiff/home", "err"]
    );
    assert!(
        log.text
            .contains("HOME is /skiff/home: the image names no home folder."),
        "{}",
        log.text
    );
    let id = client.submit(job("sh -c 'while :; do :; done'")).id;
    assert_eq!(client.cancel(vec![id])[0].exit_code, Some(143));
}

#[test]
fn jobs_wait_for_their_turn_in_order() {
    let agent = Agent::start();
    let mut client = agent.client();
    let fifo = agent.home().join("fifo");
    let first = client.submit(job(&format!(
        "mkfifo {0}; read line < {0}; echo first",
        fifo.display()
    )));
    let second = client.submit(job("echo second"));
    let third = client.submit(job("echo third"));
    let states: Vec<JobStatus> = client.queue().iter().map(|job| job.status).collect();
    assert_eq!(
        states,
        [JobStatus::Running, JobStatus::Pending, JobStatus::Pending]
    );
    shell(&format!(
        "until [ -p {0} ]; do :; done; echo go > {0}",
        fifo.display()
    ));
    let ended: Vec<u64> = [first.id, second.id, third.id]
        .map(|id| client.follow(id).job.ended_ms.expect("ended"))
        .to_vec();
    assert!(ended.is_sorted(), "{ended:?}");
}

#[test]
fn slots_are_two_a_cpu() {
    let agent = Agent::start_with(|command| {
        command.env("SKIFF_CPUS", "1");
    });
    let mut client = agent.client();
    let meet = agent.home().join("meet");
    // Each of the two needs the other to run at the same time.
    let (a, b) = (meet.with_extension("a"), meet.with_extension("b"));
    for fifo in [&a, &b] {
        shell(&format!("mkfifo {}", fifo.display()));
    }
    let one = client.submit(job(&format!(
        "echo x > {}; read y < {}",
        a.display(),
        b.display()
    )));
    let two = client.submit(job(&format!(
        "read y < {}; echo x > {}",
        a.display(),
        b.display()
    )));
    for id in [one.id, two.id] {
        assert_eq!(client.follow(id).job.status, JobStatus::Succeeded);
    }
}

#[test]
fn the_same_submission_twice_is_one_job() {
    let agent = Agent::start();
    let spec = job("echo once");
    let (first, second) = (
        agent.client().submit(spec.clone()),
        agent.client().submit(spec.clone()),
    );
    assert_eq!(first.id, second.id);
    assert_eq!(agent.client().queue().len(), 1);
}

#[test]
fn a_name_cannot_lead_out_of_the_logs() {
    let agent = Agent::start();
    let log = agent.client().run(JobSpec {
        name: Some("../../x y".into()),
        ..job("echo hi")
    });
    assert_eq!(log.job.log_dir, "~/sky_logs/1-..-..-x-y");
    assert!(agent.root().join("sky_logs/1-..-..-x-y/run.log").is_file());
}

#[test]
fn background_processes_outlive_the_job_and_their_output_is_kept() {
    let agent = Agent::start();
    let fifo = agent.home().join("fifo");
    let mut client = agent.client();
    let run = format!(
        "mkfifo {0}; (read line < {0}; echo late $line; echo done > {0}) & echo early",
        fifo.display()
    );
    let log = client.run(job(&run));
    assert!(
        log.text.ends_with("Job finished (status: SUCCEEDED).\n"),
        "{}",
        log.text
    );
    shell(&format!("echo word > {0}; cat {0}", fifo.display()));
    let raw = agent.home().join("sky_logs/1-None/tasks/run.log");
    // The process is done before the agent has read what it wrote.
    until(|| std::fs::read_to_string(&raw).expect("a log") == "early\nlate word\n");
}

#[test]
fn a_task_with_nothing_to_run_succeeds() {
    let agent = Agent::start();
    let log = agent.client().run(JobSpec {
        run: None,
        ..job("")
    });
    assert_eq!(log.job.status, JobStatus::Succeeded);
}

#[test]
fn docker_is_off_without_the_flag() {
    let agent = Agent::start();
    let Response::Docker { state, .. } = agent.client().ask(Request::Docker) else {
        panic!("no state")
    };
    assert_eq!(state, skiff_proto::DockerState::Off);
}

#[test]
fn secrets_reach_the_job_and_nothing_on_disk() {
    let agent = Agent::start();
    let secrets = [("TOKEN", "hunter2"), ("BOTH", "from secrets")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let log = agent.client().run(JobSpec {
        setup: Some("[ \"$TOKEN\" = hunter\"$((1 + 1))\" ] && echo in setup".into()),
        env: [("BOTH".to_owned(), "from env".to_owned())].into(),
        secrets: secrets.into_iter().collect(),
        ..job("echo length ${#TOKEN} ${BOTH%secrets}; tr '\\0' ' ' < /proc/$$/cmdline")
    });
    assert!(log.text.contains(") in setup\n"), "{}", log.text);
    assert!(log.text.contains(") length 7 from\n"), "{}", log.text);
    assert_eq!(log.job.secrets, ["BOTH", "TOKEN"]);
    let found = shell(&format!(
        "grep -rl hunter2 {} || true",
        agent.root().display()
    ));
    assert_eq!(found, "");
}
