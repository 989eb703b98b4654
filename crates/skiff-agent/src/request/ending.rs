//! Requests that are about the cluster's end.

use skiff_proto::{Ending, HookEvent, Response, paths};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::connection::Reply;
use crate::fault;
use crate::idle::Kept;
use crate::keeper::Command;
use crate::queue::Departure;
use crate::server::Service;

use super::{finish, gone};

/// Hands a policy to the watch, and answers when it is on disk.
pub(super) async fn set_autostop(policy: Kept, reply: Reply, service: &Service) -> JoinHandle<()> {
    let (kept, is_kept) = oneshot::channel();
    // Where the watch is gone, so is the answer's sender, which its receiver sees.
    let _ = service.autostop.send((policy, kept)).await;
    let file = service.layout.at(paths::AUTOSTOP);
    tokio::spawn(async move {
        let result = match is_kept.await {
            Ok(kept) => kept.map_err(|error| fault::of(&error, "write", &file)),
            Err(_) => Err(gone()),
        };
        finish(&reply, result.map(|()| Response::Done)).await;
    })
}

/// Runs this node's hooks.
pub(super) fn run_hooks(event: HookEvent, reply: Reply, service: &Service) -> JoinHandle<()> {
    let hooks = service.hooks.clone();
    tokio::spawn(async move {
        hooks.run(event).await;
        finish(&reply, Ok(Response::Done)).await;
    })
}

/// Says what goes on at this node.
pub(super) fn activity(reply: Reply, service: &Service) -> JoinHandle<()> {
    let (sessions, quiet_ms) = service.activity.sessions();
    let response = Response::Activity { sessions, quiet_ms };
    tokio::spawn(async move { finish(&reply, Ok(response)).await })
}

/// Says when this node begins to leave.
pub(super) fn await_leave(reply: Reply, service: &Service) -> JoinHandle<()> {
    let mut leaving = service.leaving.clone();
    tokio::spawn(async move {
        let cause = leaving.wait_for(Option::is_some).await;
        let cause = cause.map(|cause| cause.clone().unwrap_or_default());
        let result = cause.map_err(|_| gone());
        finish(&reply, result.map(|cause| Response::Leaving { cause })).await;
    })
}

/// Closes the queue, demands the end, and answers when everything has ended.
pub(super) async fn shut_down(ending: Ending, reply: Reply, service: &Service) -> JoinHandle<()> {
    // Both are gone only when everything has ended already.
    let _ = service.keeper.send(Command::Close).await;
    let departure = match ending {
        Ending::Down => Departure::Down,
        Ending::Stop => Departure::Stop,
    };
    let _ = service.departure.send(departure).await;
    let mut departed = service.departed.clone();
    tokio::spawn(async move {
        let _ = departed.wait_for(|departed| *departed).await;
        finish(&reply, Ok(Response::Done)).await;
    })
}
