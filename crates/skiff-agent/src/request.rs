//! What each request of a client does.

use skiff_proto::{
    DockerState, Fault, FaultKind, JobId, JobRecord, JobSpec, LogSource, Request, Response,
    StageOrder,
};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::connection::{Gone, Peer, Reply, Upload};
use crate::docker_report::DockerReport;
use crate::idle::Kept;
use crate::keeper::{Command, JobHandle};
use crate::log_stream::{self, Wanted};
use crate::nodes::Nodes;
use crate::served_stage;
use crate::server::Service;
use crate::sync::{self, Order};

mod ending;

/// Room for records in one answer, well below the largest frame.
const RECORDS_ROOM: usize = 900 << 10;

/// Starts on a request. What it asks of the keeper has been asked, in the order of the requests, when
/// this returns; the answer comes from the task.
pub(crate) async fn start(
    request: Request,
    peer: Peer,
    receiving: Option<Upload>,
    reply: Reply,
    service: &Service,
) -> JoinHandle<()> {
    if let Err(fault) = is_at_its_place(&request, peer, service) {
        return answer(reply, Err(fault));
    }
    match request {
        Request::Submit { job } => submit(job, reply, service).await,
        Request::Logs {
            job,
            offset,
            tail,
            follow,
            part,
        } => {
            let wanted = Wanted {
                offset,
                tail,
                follow,
                part,
            };
            logs(job, wanted, reply, service).await
        }
        Request::LogFiles { job } => log_files(job, reply, service).await,
        Request::Queue => queue(reply, service).await,
        Request::Cancel { jobs } => cancel(jobs, reply, service).await,
        Request::Docker => {
            let state: DockerState = service.docker.borrow().clone();
            let report = DockerReport::read(&service.layout);
            let facts = report.map(DockerReport::facts).map(Box::new);
            answer(reply, Ok(Response::Docker { state, facts }))
        }
        Request::Nodes { addresses } => {
            let learnt = service.nodes.learn(&addresses);
            answer(reply, learnt.map(|()| Response::Done))
        }
        Request::Stage { order } => stage(order, receiving, reply, service),
        Request::SetAutostop { autostop, owner } => {
            ending::set_autostop(Kept { autostop, owner }, reply, service).await
        }
        Request::RunHooks { event } => ending::run_hooks(event, reply, service),
        Request::Activity => ending::activity(reply, service),
        Request::AwaitLeave => ending::await_leave(reply, service),
        Request::Shutdown { ending } => ending::shut_down(ending, reply, service).await,
        Request::Sync {
            sync: name,
            roots,
            manifest,
        } => {
            let order = Order { roots, manifest };
            receive(name, order, receiving, reply, service)
        }
    }
}

async fn submit(job: JobSpec, reply: Reply, service: &Service) -> JoinHandle<()> {
    let asked = ask(service, |answer| Command::Submit(Box::new(job), answer)).await;
    tokio::spawn(async move {
        let result = asked.await.unwrap_or_else(|_| Err(gone()));
        finish(&reply, result.map(|job| Response::Submitted { job })).await;
    })
}

async fn logs(job: LogSource, wanted: Wanted, reply: Reply, service: &Service) -> JoinHandle<()> {
    let missing = no_job(&job);
    let asked = ask(service, |answer| Command::Find(job, answer)).await;
    tokio::spawn(async move {
        let Some(handle) = asked.await.ok().flatten() else {
            return finish(&reply, Err(missing)).await;
        };
        if let Ok(result) = log_stream::send(handle, wanted, &reply).await {
            finish(&reply, result).await;
        }
    })
}

async fn log_files(job: LogSource, reply: Reply, service: &Service) -> JoinHandle<()> {
    let missing = no_job(&job);
    let asked = ask(service, |answer| Command::Find(job, answer)).await;
    tokio::spawn(async move {
        let result = match asked.await.ok().flatten() {
            Some(handle) => log_stream::files(&handle),
            None => Err(missing),
        };
        finish(&reply, result).await;
    })
}

async fn queue(reply: Reply, service: &Service) -> JoinHandle<()> {
    let asked = ask(service, Command::Queue).await;
    tokio::spawn(async move {
        let result = asked.await.map_err(|_| gone());
        let result = result.map(|jobs| Response::Jobs { jobs: newest(jobs) });
        finish(&reply, result).await;
    })
}

async fn cancel(jobs: Vec<JobId>, reply: Reply, service: &Service) -> JoinHandle<()> {
    let asked = ask(service, |answer| Command::Cancel(jobs, answer)).await;
    tokio::spawn(async move {
        let result = match asked.await.unwrap_or_else(|_| Err(gone())) {
            Ok(handles) => Ok(Response::Jobs {
                jobs: ended(handles).await,
            }),
            Err(fault) => Err(fault),
        };
        finish(&reply, result).await;
    })
}

fn stage(
    order: StageOrder,
    receiving: Option<Upload>,
    reply: Reply,
    service: &Service,
) -> JoinHandle<()> {
    let service = service.clone();
    tokio::spawn(async move {
        if let Some(receiving) = receiving {
            // A head that is gone has ended the stage.
            let _ = served_stage::serve(order, receiving, reply, service).await;
        }
    })
}

fn receive(
    name: String,
    order: Order,
    receiving: Option<Upload>,
    reply: Reply,
    service: &Service,
) -> JoinHandle<()> {
    let service = service.clone();
    tokio::spawn(async move {
        if let Some(receiving) = receiving
            && let Some(result) = sync::receive(name, order, receiving, &reply, &service).await
        {
            finish(&reply, result.map(|()| Response::Done)).await;
        }
    })
}

/// Jobs are the head's, and stages the workers': who asks at the wrong place is told so.
fn is_at_its_place(request: &Request, peer: Peer, service: &Service) -> Result<(), Fault> {
    let rank = service.nodes.rank();
    let message = match request {
        Request::Submit { .. }
        | Request::Logs { .. }
        | Request::Queue
        | Request::Cancel { .. }
        | Request::Nodes { .. }
        | Request::SetAutostop { .. }
            if rank > 0 =>
        {
            format!("{} has no jobs: ask the head", Nodes::name(rank))
        }
        Request::Stage { .. } if peer != Peer::Head => {
            "only the head of the cluster orders stages".to_owned()
        }
        _ => return Ok(()),
    };
    let kind = FaultKind::Invalid;
    Err(Fault { kind, message })
}

/// Whether the cluster is not idle while this is worked on.
pub(crate) fn is_work(request: &Request) -> bool {
    !matches!(
        request,
        Request::Logs { .. }
            | Request::LogFiles { .. }
            | Request::Queue
            | Request::Docker
            | Request::Nodes { .. }
            | Request::Stage { .. }
            | Request::Shutdown { .. }
            | Request::SetAutostop { .. }
            | Request::RunHooks { .. }
            | Request::Activity
            | Request::AwaitLeave
    )
}

/// Asks the keeper; the receiver fails where the keeper is gone.
async fn ask<T>(
    service: &Service,
    command: impl FnOnce(oneshot::Sender<T>) -> Command,
) -> oneshot::Receiver<T> {
    let (answer, asked) = oneshot::channel();
    // Where the keeper is gone, the answer's sender goes too, which the receiver sees.
    let _ = service.keeper.send(command(answer)).await;
    asked
}

/// Sends an answer that is known already.
fn answer(reply: Reply, result: Result<Response, Fault>) -> JoinHandle<()> {
    tokio::spawn(async move { finish(&reply, result).await })
}

async fn finish(reply: &Reply, result: Result<Response, Fault>) {
    let response = result.unwrap_or_else(|fault| Response::Failed { fault });
    if let Err(Gone) = reply.send(response).await {
        // Nobody waits for it.
    }
}

/// The records of these jobs when all of them have ended.
async fn ended(handles: Vec<JobHandle>) -> Vec<JobRecord> {
    let mut records = Vec::new();
    for mut handle in handles {
        // The view's sender lives as long as the job's keeper: its last word counts.
        let _ = handle
            .view
            .wait_for(|view| view.record.status.is_final())
            .await;
        records.push(handle.view.borrow().record.clone());
    }
    newest(records)
}

/// As many records as one answer holds, the newest ones where it cannot hold all.
fn newest(mut records: Vec<JobRecord>) -> Vec<JobRecord> {
    let mut room = RECORDS_ROOM;
    let kept = records.iter().rev().take_while(|record| {
        let size = serde_json::to_vec(record).map_or(0, |bytes| bytes.len() + 1);
        let fits = size <= room;
        room = room.saturating_sub(size);
        fits
    });
    let surplus = records.len() - kept.count();
    records.drain(..surplus);
    records
}

fn gone() -> Fault {
    Fault {
        kind: FaultKind::ShuttingDown,
        message: "the cluster is going down".to_owned(),
    }
}

fn no_job(asked: &LogSource) -> Fault {
    let message = match asked {
        LogSource::Id(id) => format!("there is no job {id}"),
        LogSource::Latest => "there is no job yet".to_owned(),
        LogSource::Submission(_) => "the job was not submitted".to_owned(),
    };
    Fault {
        kind: FaultKind::NotFound,
        message,
    }
}
