//! The queue's decisions, one behaviour a test.

use skiff_proto::{JobId, JobRecord, JobStatus};

use crate::record::Past;

use super::{Departure, Effect, Event, Queue, Stage, Work, step};

/// A queue with the effects that it asked for since they were last looked at.
struct Run {
    queue: Option<Queue>,
    effects: Vec<Effect>,
}

impl Run {
    fn new(capacity: usize, docker: bool) -> Self {
        Self {
            queue: Some(Queue::new(capacity, docker, Past::default())),
            effects: Vec::new(),
        }
    }

    fn event(&mut self, event: Event) -> &mut Self {
        let (queue, effects) = step(self.queue.take().expect("a queue"), 7, event);
        self.queue = Some(queue);
        self.effects.extend(effects);
        self
    }

    fn submit(&mut self, id: JobId, setup: bool, run: bool) -> &mut Self {
        self.event(Event::Submitted {
            record: record(id),
            work: Work { setup, run },
        })
    }

    fn exited(&mut self, job: JobId, code: i32) -> &mut Self {
        self.event(Event::Exited {
            job,
            code,
            cause: None,
        })
    }

    fn status(&self, id: JobId) -> JobStatus {
        self.record(id).status
    }

    fn record(&self, id: JobId) -> &JobRecord {
        self.queue
            .as_ref()
            .expect("a queue")
            .record(id)
            .expect("a job")
    }

    fn starts(&mut self) -> Vec<(JobId, Stage)> {
        self.effects
            .drain(..)
            .filter_map(|effect| match effect {
                Effect::Start { job, stage, .. } => Some((job, stage)),
                _ => None,
            })
            .collect()
    }

    fn asked(&self, effect: &Effect) -> bool {
        self.effects.contains(effect)
    }
}

fn record(id: JobId) -> JobRecord {
    JobRecord {
        id,
        submission: id.to_string(),
        name: None,
        user: "u".into(),
        resources: String::new(),
        status: JobStatus::Pending,
        submitted_ms: 1,
        started_ms: None,
        ended_ms: None,
        exit_code: None,
        num_nodes: 1,
        exit_codes: Vec::new(),
        cause: None,
        log_dir: String::new(),
        secrets: Vec::new(),
    }
}

#[test]
fn half_a_cpu_a_job_and_at_least_one_job() {
    assert_eq!(
        [0.1, 0.5, 1.0, 2.2, 4.0].map(Queue::capacity_of),
        [1, 1, 2, 4, 8]
    );
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
    assert!(!run.asked(&Effect::Terminate(2)));
}

#[test]
fn a_running_job_is_cancelled_when_it_has_ended() {
    let mut run = Run::new(1, false);
    run.submit(1, false, true)
        .event(Event::Cancel { jobs: vec![1] })
        .event(Event::Cancel { jobs: vec![1] });
    assert_eq!(run.status(1), JobStatus::Running);
    assert_eq!(
        run.effects
            .iter()
            .filter(|e| **e == Effect::Terminate(1))
            .count(),
        1
    );
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
    assert!(
        run.record(1)
            .cause
            .as_deref()
            .is_some_and(|cause| cause.contains("no overlay"))
    );
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
    assert!(
        run.record(1)
            .cause
            .as_deref()
            .is_some_and(|cause| cause.contains("killed"))
    );
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
    assert!(run.asked(&Effect::Terminate(1)) && !run.asked(&Effect::Depart));
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
    run.event(Event::NotStarted {
        job: 1,
        cause: "the image has neither bash nor sh".into(),
    });
    assert_eq!(run.status(1), JobStatus::FailedDriver);
    assert_eq!(run.starts(), [(2, Stage::Run)]);
}

#[test]
fn after_a_restart_the_last_setup_runs_again_before_anything_else() {
    let past = Past {
        setup: Some(4),
        last_id: 6,
        ..Past::default()
    };
    let mut run = Run {
        queue: Some(Queue::new(2, false, past)),
        effects: Vec::new(),
    };
    run.submit(7, false, true).submit(8, false, true);
    let again = Effect::Start {
        job: 7,
        stage: Stage::Setup,
        scripts: 4,
    };
    assert!(run.asked(&again));
    assert_eq!(run.starts(), [(7, Stage::Setup)]);
    run.exited(7, 0);
    assert_eq!(run.starts(), [(7, Stage::Run), (8, Stage::Run)]);
}

#[test]
fn after_a_restart_a_jobs_own_setup_does_and_a_failed_one_stays_due() {
    let past = Past {
        setup: Some(1),
        last_id: 1,
        ..Past::default()
    };
    let mut run = Run {
        queue: Some(Queue::new(1, false, past)),
        effects: Vec::new(),
    };
    run.submit(2, true, true).exited(2, 1).submit(3, true, true);
    assert!(run.asked(&Effect::Start {
        job: 3,
        stage: Stage::Setup,
        scripts: 3
    }));
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
