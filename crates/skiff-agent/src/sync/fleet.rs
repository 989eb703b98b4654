//! Passes a sync on to the workers while it arrives: the user's bytes come over the user's link once.

use std::time::Duration;

use skiff_proto::tree::Need;
use skiff_proto::{Frame, Request, Response};
use skiff_wire::{Call, SessionError};

use super::error::SyncError;
use super::work::Order;
use crate::nodes::{Nodes, Presence};

/// How long a worker may be away before the client is told: it comes back within seconds, or is lost.
const PATIENCE: Duration = Duration::from_secs(20);

/// The workers that are told of one sync; none where there are none, or where this node is one.
pub(super) struct Fleet(Vec<Worker>);

struct Worker {
    name: String,
    call: Call,
    /// Bytes that it has room for.
    credit: usize,
    /// Whether it has given its last answer.
    is_done: bool,
}

impl Fleet {
    /// Begins the same sync on all workers.
    pub(super) async fn start(nodes: &Nodes, sync: &str, order: &Order) -> Result<Self, SyncError> {
        let mut workers = Vec::new();
        if nodes.rank() == 0 && nodes.count() > 1 {
            wait_for_all(nodes).await?;
            for rank in 1..nodes.count() {
                workers.push(Worker::start(nodes, rank, sync, order).await?);
            }
        }
        Ok(Self(workers))
    }

    /// Passes some bytes on.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> Result<(), SyncError> {
        for worker in &mut self.0 {
            worker.send(bytes.to_vec()).await?;
        }
        Ok(())
    }

    /// What this node and the workers need together, from where the first of them needs it.
    pub(super) async fn needs(&mut self, own: Vec<Need>) -> Result<Vec<Need>, SyncError> {
        let mut all = own;
        for worker in &mut self.0 {
            all.extend(worker.needs().await?);
        }
        all.sort_unstable();
        all.dedup_by_key(|need| need.entry);
        Ok(all)
    }

    /// Tells the workers that this was all, and waits until each has placed it.
    pub(super) async fn end(mut self) -> Result<(), SyncError> {
        for worker in &self.0 {
            let told = worker.call.finish().await;
            told.map_err(|error| worker.failed(error))?;
        }
        for worker in &mut self.0 {
            worker.end().await?;
        }
        Ok(())
    }
}

impl Worker {
    async fn start(nodes: &Nodes, rank: u32, sync: &str, order: &Order) -> Result<Self, SyncError> {
        let name = Nodes::name(rank);
        let lost = |why: String| SyncError::NodeLost(Nodes::name(rank), why);
        let session = nodes
            .session(rank)
            .ok_or_else(|| lost("it does not answer".to_owned()))?;
        let request = Request::Sync {
            sync: sync.to_owned(),
            roots: order.roots.clone(),
            manifest: order.manifest,
        };
        let call = session.start(request).await;
        Ok(Self {
            name,
            call: call.map_err(|error| lost(error.to_string()))?,
            credit: Frame::WINDOW as usize,
            is_done: false,
        })
    }

    async fn send(&mut self, bytes: Vec<u8>) -> Result<(), SyncError> {
        while self.credit < bytes.len() {
            self.take().await?;
        }
        self.credit -= bytes.len();
        let sent = self.call.send(bytes).await;
        sent.map_err(|error| self.failed(error))
    }

    /// Takes what it says, which is not its last answer; some bytes of its needs, where these are.
    async fn take(&mut self) -> Result<Option<Vec<u8>>, SyncError> {
        match self.call.next().await {
            Ok(Frame::Credit(_, bytes)) => {
                self.credit += bytes as usize;
                Ok(Some(Vec::new()))
            }
            Ok(Frame::Data(_, bytes)) => {
                let credited = self.call.credit(bytes.len()).await;
                credited.map_err(|error| self.failed(error))?;
                Ok(Some(bytes))
            }
            Ok(Frame::Response(_, Response::Needs)) => Ok(None),
            Ok(_) => Err(self.failed(SessionError::Unexpected)),
            Err(error) => Err(self.failed(error)),
        }
    }

    async fn needs(&mut self) -> Result<Vec<Need>, SyncError> {
        let mut bytes = Vec::new();
        while let Some(more) = self.take().await? {
            bytes.extend(more);
        }
        Need::decode_all(&bytes).map_err(|_| self.failed(SessionError::Unexpected))
    }

    async fn end(&mut self) -> Result<(), SyncError> {
        let answer = self.call.response().await;
        self.is_done = true;
        match answer {
            Ok(Response::Done) => Ok(()),
            Ok(_) => Err(self.failed(SessionError::Unexpected)),
            Err(error) => Err(self.failed(error)),
        }
    }

    fn failed(&self, error: SessionError) -> SyncError {
        match error {
            SessionError::Refused(fault) => SyncError::Node(self.name.clone(), fault),
            error => SyncError::NodeLost(self.name.clone(), error.to_string()),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if !self.is_done {
            // It would wait for the rest as long as the link holds.
            tokio::spawn(self.call.cancel());
        }
    }
}

/// Waits until every worker answers.
async fn wait_for_all(nodes: &Nodes) -> Result<(), SyncError> {
    let mut presence = nodes.watch();
    let is_away = |one: &Presence| matches!(one, Presence::Away { .. });
    let all = presence.wait_for(|all| !all.iter().any(is_away));
    if let Ok(Ok(_)) = tokio::time::timeout(PATIENCE, all).await {
        return Ok(());
    }
    let lost = (0..).zip(presence.borrow().iter()).find_map(|(rank, one)| {
        let Presence::Away { why } = one else {
            return None;
        };
        Some(SyncError::NodeLost(Nodes::name(rank), why.clone()))
    });
    lost.map_or(Ok(()), Err)
}
