//! The queue's decisions, one behaviour a test.

use skiff_proto::{JobId, JobRecord, JobSpec, JobStatus};

use crate::record::{Past, PastSetup};

use super::{Capacity, Departure, Effect, Event, Need, NodeEnd, Queue, Stage, Work, step};

/// A queue with the effects that it asked for since they were last looked at.
struct Run {
    queue: Option<Queue>,
    effects: Vec<Effect>,
}

impl Run {
    /// One node with room for so many jobs.
    fn new(jobs: u32, docker: bool) -> Self {
        Self::with(Queue::new(capacity(1, jobs), docker, Past::default()))
    }

    /// A cluster of so many nodes, all of them there, with room for so many jobs on each.
    fn cluster(nodes: u32, jobs: u32) -> Self {
        let mut run = Self::absent(nodes, jobs);
        for node in 1..nodes {
            run.joined(node);
        }
        run
    }

    /// The same before any worker has joined.
    fn absent(nodes: u32, jobs: u32) -> Self {
        Self::with(Queue::new(capacity(nodes, jobs), false, Past::default()))
    }

    fn with(queue: Queue) -> Self {
        Self {
            queue: Some(queue),
            effects: Vec::new(),
        }
    }

    fn event(&mut self, event: Event) -> &mut Self {
        let (queue, effects) = step(self.queue.take().expect("a queue"), 7, event);
        self.queue = Some(queue);
        self.effects.extend(effects);
        self
    }

    fn joined(&mut self, node: u32) -> &mut Self {
        self.event(Event::NodeJoined {
            node,
            is_restarted: false,
        })
    }

    fn lost(&mut self, node: u32, cause: &str) -> &mut Self {
        let cause = cause.to_owned();
        self.event(Event::NodeLost { node, cause })
    }

    fn submit(&mut self, id: JobId, setup: bool, run: bool) -> &mut Self {
        self.submit_on(id, 1, setup, run)
    }

    fn submit_on(&mut self, id: JobId, nodes: u32, setup: bool, run: bool) -> &mut Self {
        let need = Need {
            nodes,
            milli_gpus: 0,
        };
        self.event(Event::Submitted {
            record: Box::new(record(id)),
            work: Work { setup, run, need },
        })
    }

    fn exited(&mut self, job: JobId, code: i32) -> &mut Self {
        self.exited_on(job, 0, code)
    }

    fn exited_on(&mut self, job: JobId, node: u32, code: i32) -> &mut Self {
        let end = NodeEnd::Exited { code, cause: None };
        self.event(Event::Ended { job, node, end })
    }

    fn status(&self, id: JobId) -> JobStatus {
        self.record(id).status
    }

    fn cause(&self, id: JobId) -> &str {
        self.record(id).cause.as_deref().unwrap_or_default()
    }

    fn record(&self, id: JobId) -> &JobRecord {
        self.queue
            .as_ref()
            .expect("a queue")
            .record(id)
            .expect("a job")
    }

    fn starts(&mut self) -> Vec<(JobId, Stage)> {
        let starts = self.starts_on().into_iter();
        starts.map(|(job, stage, _)| (job, stage)).collect()
    }

    /// What was started, and on which nodes.
    fn starts_on(&mut self) -> Vec<(JobId, Stage, Vec<u32>)> {
        self.effects
            .drain(..)
            .filter_map(|effect| match effect {
                Effect::Start {
                    job, stage, shares, ..
                } => Some((job, stage, shares.iter().map(|share| share.node).collect())),
                _ => None,
            })
            .collect()
    }

    fn asked(&self, effect: &Effect) -> bool {
        self.effects.contains(effect)
    }

    fn says(&self, job: JobId, line: &str) -> bool {
        let mut lines = self.effects.iter().filter_map(|effect| match effect {
            Effect::Log(of, lines) if *of == job => Some(lines),
            _ => None,
        });
        lines.any(|lines| lines.iter().any(|said| said == line))
    }
}

fn capacity(nodes: u32, jobs: u32) -> Capacity {
    Capacity {
        nodes,
        jobs,
        gpus: 0,
    }
}

/// Earlier days, in which this job's setup ran.
fn past(job: JobId, was_whole: bool) -> Past {
    Past {
        setup: Some(PastSetup { job, was_whole }),
        last_id: job,
        ..Past::default()
    }
}

/// Whose scripts were started.
fn scripts(run: &Run) -> Vec<JobId> {
    let starts = run.effects.iter().filter_map(|effect| match effect {
        Effect::Start { scripts, .. } => Some(*scripts),
        _ => None,
    });
    starts.collect()
}

fn record(id: JobId) -> JobRecord {
    JobRecord::new(id, &JobSpec::default(), 1, String::new())
}

#[test]
fn jobs_start_in_order_as_slots_allow() {
    let mut run = Run::new(2, false);
    run.submit(1, false, true)
        .submit(2, false, true)
        .submit(3, false, true)
        .submit(4, false, true);
    assert_eq!(run.starts(), [(1, Stage::Run), (2, Stage::Run)]);
    run.exited(2, 0);
    assert_eq!(run.starts(), [(3, Stage::Run)]);
    assert_eq!(run.status(2), JobStatus::Succeeded);
    assert_eq!(run.status(4), JobStatus::Pending);
}

#[test]
fn setup_runs_before_run_and_its_failure_ends_the_job() {
    let mut run = Run::new(1, false);
    run.submit(1, true, true).submit(2, true, true);
    assert_eq!(run.starts(), [(1, Stage::Setup)]);
    assert_eq!(run.status(1), JobStatus::SettingUp);
    run.exited(1, 0);
    assert_eq!(run.starts(), [(1, Stage::Run)]);
    assert_eq!(run.status(1), JobStatus::Running);
    run.exited(1, 3);
    assert_eq!(
        (run.status(1), run.record(1).exit_code),
        (JobStatus::Failed, Some(3))
    );
    assert_eq!(run.starts(), [(2, Stage::Setup)]);
    run.exited(2, 5);
    assert_eq!(
        (run.status(2), run.record(2).exit_code),
        (JobStatus::FailedSetup, Some(5))
    );
}

#[test]
fn a_job_of_only_a_setup_succeeds_with_it() {
    let mut run = Run::new(1, false);
    run.submit(1, true, false).exited(1, 0);
    assert_eq!(run.status(1), JobStatus::Succeeded);
}

#[test]
fn a_queued_job_is_cancelled_at_once() {
    let mut run = Run::new(1, false);
    run.submit(1, false, true)
        .submit(2, false, true)
        .event(Event::Cancel { jobs: vec![2] });
    assert_eq!(run.status(2), JobStatus::Cancelled);
    assert!(!run.asked(&Effect::Terminate(2, vec![0])));
}

#[test]
fn a_running_job_is_told_once_to_end_and_is_cancelled_when_it_has() {
    let mut run = Run::new(1, false);
    run.submit(1, false, true)
        .event(Event::Cancel { jobs: vec![1] })
        .event(Event::Cancel { jobs: vec![1] });
    let told = |effect: &&Effect| **effect == Effect::Terminate(1, vec![0]);
    assert_eq!(run.effects.iter().filter(told).count(), 1);
    assert_eq!(run.status(1), JobStatus::Running);
    run.exited(1, 143);
    assert_eq!(
        (run.status(1), run.record(1).exit_code),
        (JobStatus::Cancelled, Some(143))
    );
}

#[test]
fn jobs_wait_for_docker_and_say_so_once() {
    let mut run = Run::new(2, true);
    run.submit(1, false, true).submit(2, false, true);
    let waiting = run.effects.iter().filter(|effect| {
        matches!(effect, Effect::Log(_, lines) if lines == &["Waiting for Docker...".to_owned()])
    });
    assert_eq!(waiting.count(), 1);
    assert!(run.asked(&Effect::AwaitDocker));
    assert_eq!(run.starts(), []);
    run.event(Event::DockerReady);
    assert_eq!(run.starts(), [(1, Stage::Run), (2, Stage::Run)]);
}

#[test]
fn docker_that_never_comes_fails_the_waiting_jobs_and_later_ones_wait_anew() {
    let mut run = Run::new(1, true);
    run.submit(1, false, true).event(Event::DockerLate {
        cause: "no overlay".into(),
    });
    assert_eq!(run.status(1), JobStatus::Failed);
    assert!(run.cause(1).contains("no overlay"));
    run.effects.clear();
    run.submit(2, false, true);
    assert!(run.asked(&Effect::AwaitDocker));
}

#[test]
fn a_job_that_fails_after_docker_died_says_so() {
    let mut run = Run::new(2, true);
    run.event(Event::DockerReady)
        .submit(1, false, true)
        .submit(2, false, true);
    run.event(Event::DockerLost {
        cause: "killed".into(),
    })
    .exited(1, 1)
    .exited(2, 0);
    assert!(run.cause(1).contains("killed"));
    assert_eq!(
        (run.status(2), &run.record(2).cause),
        (JobStatus::Succeeded, &None)
    );
}

#[test]
fn leaving_ends_all_jobs_then_departs() {
    let mut run = Run::new(1, false);
    run.submit(1, false, true)
        .submit(2, false, true)
        .event(Event::Leave(Departure::Stopped));
    assert_eq!(run.status(2), JobStatus::Failed);
    assert!(run.asked(&Effect::Terminate(1, vec![0])) && !run.asked(&Effect::Depart));
    run.exited(1, 0);
    assert_eq!(run.status(1), JobStatus::Failed);
    assert!(run.asked(&Effect::Depart));
}

#[test]
fn leaving_with_nothing_to_do_departs_once() {
    let mut run = Run::new(1, false);
    run.event(Event::Leave(Departure::Down))
        .event(Event::Leave(Departure::Stopped));
    assert_eq!(run.effects, [Effect::Depart]);
}

#[test]
fn a_job_that_cannot_start_is_the_drivers_failure_and_frees_its_slot() {
    let mut run = Run::new(1, false);
    run.submit(1, false, true).submit(2, false, true);
    run.starts();
    let cause = "the image has neither bash nor sh".to_owned();
    run.event(Event::Ended {
        job: 1,
        node: 0,
        end: NodeEnd::NotStarted {
            cause: cause.clone(),
        },
    });
    assert_eq!(
        (run.status(1), run.cause(1)),
        (JobStatus::FailedDriver, cause.as_str())
    );
    assert!(run.says(1, "ERROR: Job 1 failed."));
    assert_eq!(run.starts(), [(2, Stage::Run)]);
}

#[test]
fn after_a_restart_the_last_setup_runs_again_before_anything_else() {
    let mut run = Run::with(Queue::new(capacity(1, 2), false, past(4, true)));
    run.submit(7, false, true).submit(8, false, true);
    assert_eq!(scripts(&run), [4]);
    assert_eq!(run.starts(), [(7, Stage::Setup)]);
    run.exited(7, 0);
    assert_eq!(run.starts(), [(7, Stage::Run), (8, Stage::Run)]);
}

#[test]
fn after_a_restart_a_jobs_own_setup_does_and_a_failed_one_stays_due() {
    let mut run = Run::with(Queue::new(capacity(1, 1), false, past(1, true)));
    run.submit(2, true, true).exited(2, 1).submit(3, true, true);
    assert_eq!(scripts(&run), [2, 3]);
    run.exited(3, 0).exited(3, 0).submit(4, false, true);
    run.starts();
    assert_eq!(run.status(4), JobStatus::Running);
}

#[test]
fn a_closed_queue_starts_nothing_and_lets_jobs_run() {
    let mut run = Run::new(1, false);
    run.submit(1, false, true).submit(2, false, true);
    run.starts();
    run.event(Event::Close).exited(1, 0);
    assert_eq!(run.starts(), []);
    assert_eq!(run.status(1), JobStatus::Succeeded);
    assert_eq!(run.status(2), JobStatus::Pending);
    run.event(Event::Leave(Departure::Idle));
    assert_eq!(run.status(2), JobStatus::Cancelled);
    assert!(run.asked(&Effect::Depart));
}

#[test]
fn setup_runs_on_all_nodes_and_run_on_as_many_as_the_job_asks_for() {
    let mut run = Run::cluster(3, 1);
    run.submit_on(1, 2, true, true);
    assert_eq!(run.starts_on(), [(1, Stage::Setup, vec![0, 1, 2])]);
    run.exited_on(1, 2, 0).exited_on(1, 0, 0);
    assert_eq!(run.starts_on(), []);
    run.exited_on(1, 1, 0);
    assert_eq!(run.starts_on(), [(1, Stage::Run, vec![0, 1])]);
    run.exited_on(1, 1, 0);
    assert_eq!(run.status(1), JobStatus::Running);
    run.exited_on(1, 0, 0);
    let record = run.record(1);
    assert_eq!(
        (record.status, record.exit_codes.as_slice()),
        (JobStatus::Succeeded, &[0, 0][..])
    );
}

#[test]
fn one_failing_node_ends_the_others_and_its_code_is_the_jobs() {
    let mut run = Run::cluster(3, 1);
    run.submit_on(1, 3, false, true).exited_on(1, 0, 0);
    run.exited_on(1, 2, 5);
    assert!(run.asked(&Effect::Terminate(1, vec![1])));
    assert_eq!(run.status(1), JobStatus::Running);
    run.exited_on(1, 1, 143);
    let record = run.record(1);
    assert_eq!(
        (record.status, record.exit_code),
        (JobStatus::Failed, Some(5))
    );
    assert_eq!(record.exit_codes, [0, 137, 5]);
    assert!(run.says(1, "ERROR: Job 1 failed with return code list: [0, 137, 5]"));
}

#[test]
fn a_setup_that_fails_anywhere_fails_the_job() {
    let mut run = Run::cluster(2, 1);
    run.submit_on(1, 1, true, true)
        .exited_on(1, 1, 3)
        .exited_on(1, 0, 143);
    assert_eq!(run.status(1), JobStatus::FailedSetup);
    assert!(run.says(
        1,
        "ERROR: Job 1's setup failed with return code list: [137, 3]"
    ));
    assert_eq!(run.starts(), [(1, Stage::Setup)]);
}

#[test]
fn a_lost_node_fails_its_jobs_by_name_and_leaves_the_others() {
    let mut run = Run::cluster(2, 1);
    run.submit(1, false, true).submit(2, false, true);
    assert_eq!(
        run.starts_on(),
        [(1, Stage::Run, vec![0]), (2, Stage::Run, vec![1])]
    );
    run.lost(1, "no answer for 7 s");
    let cause = "no answer for 7 s".to_owned();
    run.event(Event::Ended {
        job: 2,
        node: 1,
        end: NodeEnd::Lost { cause },
    });
    assert_eq!(
        (run.status(2), run.cause(2)),
        (JobStatus::Failed, "worker1 was lost: no answer for 7 s")
    );
    assert_eq!(run.status(1), JobStatus::Running);
    run.submit(3, false, true);
    assert_eq!(run.status(3), JobStatus::Pending);
    run.joined(1);
    assert_eq!(run.starts_on(), [(3, Stage::Run, vec![1])]);
}

#[test]
fn a_gang_waits_for_absent_nodes_says_for_which_and_fails_when_they_are_late() {
    let mut run = Run::absent(3, 1);
    run.joined(2).submit_on(1, 3, false, true);
    run.submit_on(2, 2, false, true).submit(3, true, true);
    assert!(run.says(1, "Waiting for worker1 (it has not joined yet)."));
    assert!(run.asked(&Effect::AwaitNodes(1)));
    assert_eq!(run.starts(), []);
    run.event(Event::NodesLate(1));
    for in_vain in [1, 3] {
        assert_eq!(run.status(in_vain), JobStatus::Failed);
        assert_eq!(
            run.cause(in_vain),
            "nodes are missing: worker1 (it has not joined yet)"
        );
    }
    assert_eq!(run.starts_on(), [(2, Stage::Run, vec![0, 2])]);
}

#[test]
fn a_wait_that_was_over_in_time_fails_nothing() {
    let mut run = Run::absent(2, 1);
    run.submit_on(1, 2, false, true).joined(1);
    assert_eq!(run.starts(), [(1, Stage::Run)]);
    run.exited_on(1, 0, 0).exited_on(1, 1, 0);
    run.lost(1, "gone").submit_on(2, 2, false, true);
    run.event(Event::NodesLate(1));
    assert_eq!(run.status(2), JobStatus::Pending);
    assert!(run.asked(&Effect::AwaitNodes(2)));
}

#[test]
fn a_smaller_job_behind_a_gang_does_not_overtake_it() {
    let mut run = Run::cluster(2, 1);
    run.submit(1, false, true)
        .submit_on(2, 2, false, true)
        .submit(3, false, true);
    assert_eq!(run.starts(), [(1, Stage::Run)]);
    run.exited(1, 0);
    assert_eq!(run.starts_on(), [(2, Stage::Run, vec![0, 1])]);
    run.exited_on(2, 0, 0).exited_on(2, 1, 0);
    assert_eq!(run.starts(), [(3, Stage::Run)]);
}

#[test]
fn a_cancelled_gang_ends_on_every_node() {
    let mut run = Run::cluster(2, 1);
    run.submit_on(1, 2, false, true)
        .exited_on(1, 0, 0)
        .event(Event::Cancel { jobs: vec![1] });
    assert!(run.asked(&Effect::Terminate(1, vec![1])));
    run.exited_on(1, 1, 143);
    assert_eq!(run.status(1), JobStatus::Cancelled);
    assert_eq!(run.record(1).exit_codes, [0, 143]);
}

#[test]
fn a_restarted_worker_gets_the_setup_again_before_its_next_job() {
    let mut run = Run::cluster(2, 1);
    run.submit_on(1, 1, true, true);
    run.exited_on(1, 0, 0).exited_on(1, 1, 0).exited_on(1, 0, 0);
    run.lost(1, "gone").event(Event::NodeJoined {
        node: 1,
        is_restarted: true,
    });
    run.effects.clear();
    run.submit(2, false, true).submit(3, false, true);
    assert!(run.says(
        3,
        "The task container of worker1 was restarted: its setup runs again first."
    ));
    assert_eq!(scripts(&run), [2, 1]);
    assert_eq!(
        run.starts_on(),
        [(2, Stage::Run, vec![0]), (3, Stage::Setup, vec![1])]
    );
    run.exited_on(3, 1, 0);
    assert_eq!(run.starts_on(), [(3, Stage::Run, vec![1])]);
}

#[test]
fn a_setup_that_the_heads_restart_cut_off_is_due_everywhere() {
    for (was_whole, nodes) in [(true, vec![0]), (false, vec![0, 1])] {
        let mut run = Run::with(Queue::new(capacity(2, 1), false, past(1, was_whole)));
        run.joined(1).submit_on(2, 2, false, true);
        assert_eq!(run.starts_on(), [(2, Stage::Setup, nodes)]);
    }
}

#[test]
fn a_job_that_comes_while_the_agent_leaves_ends_with_the_others() {
    let mut run = Run::new(1, false);
    run.submit(1, false, true)
        .event(Event::Leave(Departure::Down))
        .submit(2, false, true);
    assert_eq!(run.status(2), JobStatus::Cancelled);
}
