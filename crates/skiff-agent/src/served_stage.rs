//! A stage that the head has ordered: the worker's side of [`skiff_proto::Request::Stage`].

use skiff_proto::{Fault, FaultKind, Response, StageEnd, StageOrder};

use crate::connection::{Gone, Piece, Reply, Upload};
use crate::server::Service;
use crate::stages::{Stage, StageControl, StageEvent};

/// The code of a stage that was told to end before it began, as SIGTERM would have given it.
const TERMINATED: i32 = 143;

/// Runs the stage and sends what happens to it. When this is dropped, the stage is ended.
pub(crate) async fn serve(
    order: StageOrder,
    mut demands: Upload,
    reply: Reply,
    service: Service,
) -> Result<(), Gone> {
    let ready = async {
        // What an earlier conversation has left is being ended: it still has the node's memory and GPUs.
        service.stages.abandoned_ended().await;
        service.docker_gate.pass().await
    };
    tokio::select! {
        ready = ready => if let Err(cause) = ready {
            return refuse(&reply, cause).await;
        },
        () = told_to_end(&mut demands) => {
            let end = StageEnd { code: TERMINATED, cause: None };
            reply.send(Response::StageEnded { end }).await?;
            return reply.end().await;
        }
    }
    let stage = service.stages.start(&order);
    let control = stage.control();
    tokio::select! {
        sent = send(stage, &reply) => sent,
        never = obey(demands, control) => never,
    }
}

async fn send(mut stage: Stage, reply: &Reply) -> Result<(), Gone> {
    while let Some(event) = stage.next().await {
        match event {
            StageEvent::Started { pid } => reply.send(Response::StageStarted { pid }).await?,
            StageEvent::Output(bytes) => reply.data(bytes).await?,
            StageEvent::Ended(end) => reply.send(Response::StageEnded { end }).await?,
            StageEvent::NotStarted { cause } => return refuse(reply, cause).await,
            StageEvent::Lost { node, why } => {
                return refuse(reply, format!("{node} was lost: {why}")).await;
            }
        }
    }
    reply.end().await
}

async fn refuse(reply: &Reply, message: String) -> Result<(), Gone> {
    let kind = FaultKind::System;
    let fault = Fault { kind, message };
    reply.send(Response::Failed { fault }).await
}

/// The first end of the request's data means to end, the second to end at once.
async fn obey(mut demands: Upload, control: StageControl) -> Result<(), Gone> {
    told_to_end(&mut demands).await;
    control.terminate();
    told_to_end(&mut demands).await;
    control.kill();
    std::future::pending().await
}

async fn told_to_end(demands: &mut Upload) {
    loop {
        match demands.next().await {
            Some(Piece::End) => return,
            Some(Piece::Data(_)) => {}
            // The connection is gone, and this with it.
            None => std::future::pending().await,
        }
    }
}
