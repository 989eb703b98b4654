//! Slots: GPUs and their variables, what is refused, many jobs at once.

use skiff_proto::{FaultKind, JobSpec, JobStatus, Request, Response};

use crate::support::{Agent, Client, job, shell};

fn with_gpus(gpus: &str) -> Agent {
    Agent::start_with(|command| {
        command.env("SKIFF_GPUS", gpus);
    })
}

fn gpu_job(milli_gpus: u32, run: &str) -> JobSpec {
    JobSpec {
        milli_gpus,
        ..job(run)
    }
}

fn refusal(client: &mut Client, job: JobSpec) -> String {
    match client.ask(Request::Submit { job }) {
        Response::Failed { fault } => {
            assert_eq!(fault.kind, FaultKind::Invalid, "{fault}");
            fault.message
        }
        other => panic!("it was taken: {other:?}"),
    }
}

#[test]
fn jobs_that_run_together_see_different_gpus_and_setups_see_none_of_their_own() {
    let agent = with_gpus("3");
    let mut client = agent.client();
    let fifo = agent.home().join("fifo");
    shell(&format!("mkfifo {}", fifo.display()));
    let shown = "echo gpus=$CUDA_VISIBLE_DEVICES per node=$SKYPILOT_NUM_GPUS_PER_NODE";
    let first = client.submit(JobSpec {
        setup: Some("echo setup=${CUDA_VISIBLE_DEVICES-unset}".into()),
        ..gpu_job(2000, &format!("{shown}; read x < {}", fifo.display()))
    });
    let second = client.run(gpu_job(500, shown));
    assert!(
        second.text.contains(") gpus=2 per node=1\n"),
        "{}",
        second.text
    );
    // One without GPUs runs beside them, and is in the way of none of theirs.
    let third = client.run(job("echo gpus=[$CUDA_VISIBLE_DEVICES]"));
    assert!(third.text.contains(") gpus=[]\n"), "{}", third.text);
    let waiting = client.submit(gpu_job(2000, "true"));
    assert_eq!(client.queue()[3].status, JobStatus::Pending);
    shell(&format!("echo > {}", fifo.display()));
    let first = client.follow(first.id);
    assert!(first.text.contains(") setup=unset\n"), "{}", first.text);
    assert!(
        first.text.contains(") gpus=0,1 per node=2\n"),
        "{}",
        first.text
    );
    assert_eq!(client.follow(waiting.id).job.status, JobStatus::Succeeded);
}

#[test]
fn a_job_that_can_never_run_is_refused_at_once() {
    let agent = with_gpus("1");
    let mut client = agent.client();
    assert_eq!(
        refusal(&mut client, gpu_job(2000, "true")),
        "the job asks for 2 GPUs on each node, a node of the cluster has 1 GPU"
    );
    let two_nodes = JobSpec {
        num_nodes: 2,
        ..job("true")
    };
    assert_eq!(
        refusal(&mut client, two_nodes),
        "the job asks for 2 nodes, the cluster has 1 node"
    );
    assert!(client.queue().is_empty());
    assert_eq!(client.run(job("true")).job.id, 1);
}

#[test]
fn hundreds_of_queued_jobs_hold_no_file_open_and_all_run_in_order() {
    const JOBS: usize = 300;
    let agent = Agent::start();
    let mut client = agent.client();
    let fifo = agent.home().join("fifo");
    shell(&format!("mkfifo {}", fifo.display()));
    let first = client.submit(job(&format!("read x < {}", fifo.display())));
    let open = || {
        let fds = format!("/proc/{}/fd", agent.pid());
        std::fs::read_dir(fds).expect("its files").count()
    };
    let before = open();
    let order = agent.home().join("order");
    let mut last = first.id;
    for _ in 1..JOBS {
        let run = format!("echo $SKYPILOT_INTERNAL_JOB_ID >> {}", order.display());
        last = client.submit(job(&run)).id;
    }
    let after = open();
    assert!(
        after < before + 20,
        "{before} files were open, then {after}"
    );
    let table = client.queue();
    assert_eq!(table.len(), JOBS);
    let pending = |job: &&skiff_proto::JobRecord| job.status == JobStatus::Pending;
    assert_eq!(table.iter().filter(pending).count(), JOBS - 1);
    shell(&format!("echo > {}", fifo.display()));
    assert_eq!(client.follow(last).job.status, JobStatus::Succeeded);
    assert_eq!(client.follow(first.id).job.status, JobStatus::Succeeded);
    let ran = std::fs::read_to_string(order).expect("they ran");
    let ran: Vec<usize> = ran
        .lines()
        .map(|id| id.parse().expect("a number"))
        .collect();
    assert_eq!(ran, (2..=JOBS).collect::<Vec<_>>());
}

#[test]
fn the_same_submission_from_two_clients_at_once_is_one_job() {
    let agent = Agent::start();
    let spec = job("echo once");
    let mut clients: Vec<Client> = (0..4).map(|_| agent.client()).collect();
    let asked: Vec<u32> = clients
        .iter_mut()
        .map(|client| client.request(Request::Submit { job: spec.clone() }))
        .collect();
    for (client, id) in clients.iter_mut().zip(asked) {
        match client.answer(id) {
            Response::Submitted { job } => assert_eq!(job.id, 1),
            other => panic!("not submitted: {other:?}"),
        }
    }
    assert_eq!(agent.client().queue().len(), 1);
}
