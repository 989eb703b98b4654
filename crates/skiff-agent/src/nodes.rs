//! The nodes of the cluster as the head knows them: who they are, who is there, and stages on any of them.
//!
//! Must not decide what runs where.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use skiff_proto::StageOrder;
use skiff_wire::Session;
use thiserror::Error;
use tokio::sync::watch;

use crate::environment::Surroundings;
use crate::stages::{Stage, StageEvent, Stages};

/// Whether a node is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// It answers.
    Here,
    /// It does not.
    Away {
        /// Why, as far as known.
        why: String,
    },
}

/// Some nodes are not there.
#[derive(Debug, Error)]
pub(crate) struct Absent {
    /// Their names, and why each is not there.
    pub(crate) nodes: Vec<(String, String)>,
}

impl fmt::Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (name, why)) in self.nodes.iter().enumerate() {
            let separator = if at == 0 { "" } else { "; " };
            write!(f, "{separator}node {name} is not there: {why}")?;
        }
        Ok(())
    }
}

/// The cluster's nodes.
#[derive(Clone, Debug)]
pub(crate) struct Nodes {
    own: Arc<Own>,
    presence: watch::Receiver<Vec<Presence>>,
}

#[derive(Debug)]
struct Own {
    rank: u32,
    count: u32,
    address: String,
    stages: Stages,
    presence: watch::Sender<Vec<Presence>>,
}

impl Nodes {
    /// The nodes as this one's variables tell them; stages of its own are started by `stages`.
    pub(crate) fn new(surroundings: &Surroundings, stages: Stages) -> Self {
        let number = |name, default: u32| {
            let text = surroundings.own_or(name, "");
            text.to_str()
                .and_then(|text| text.parse().ok())
                .unwrap_or(default)
        };
        let rank = number("SKIFF_RANK", 0);
        let count = number("SKIFF_NODES", 1).max(rank.saturating_add(1));
        let all = (0..count).map(|of| {
            if of == rank {
                Presence::Here
            } else {
                let why = "its address is not known yet".to_owned();
                Presence::Away { why }
            }
        });
        let address = surroundings.own_or("SKIFF_POD_IP", "127.0.0.1");
        let (sender, presence) = watch::channel(all.collect());
        let own = Own {
            rank,
            count,
            address: address.to_string_lossy().into_owned(),
            stages,
            presence: sender,
        };
        Self {
            own: Arc::new(own),
            presence,
        }
    }

    /// This node's rank; 0 is the head.
    pub(crate) fn rank(&self) -> u32 {
        self.own.rank
    }

    /// How many nodes the cluster has, this one included.
    pub(crate) fn count(&self) -> u32 {
        self.own.count
    }

    /// What people call the node of this rank.
    pub(crate) fn name(rank: u32) -> String {
        match rank {
            0 => "head".to_owned(),
            rank => format!("worker{rank}"),
        }
    }

    /// The nodes' addresses by rank, as far as they are known.
    pub(crate) fn addresses(&self) -> Vec<String> {
        vec![self.own.address.clone()]
    }

    /// The conversation with a worker, while its link holds.
    pub(crate) fn session(&self, _rank: u32) -> Option<Arc<Session>> {
        None
    }

    /// Which nodes are there, by rank, now and whenever that changes.
    pub(crate) fn watch(&self) -> watch::Receiver<Vec<Presence>> {
        self.own.presence.subscribe()
    }

    /// Waits until all nodes are there, but no longer than this.
    pub(crate) async fn all_present(&self, limit: Duration) -> Result<(), Absent> {
        let mut presence = self.presence.clone();
        let all = |all: &Vec<Presence>| all.iter().all(|one| *one == Presence::Here);
        if let Ok(Ok(_)) = tokio::time::timeout(limit, presence.wait_for(all)).await {
            return Ok(());
        }
        let presence = presence.borrow();
        let nodes = (0..)
            .zip(presence.iter())
            .filter_map(|(rank, one)| match one {
                Presence::Here => None,
                Presence::Away { why } => Some((Self::name(rank), why.clone())),
            });
        Err(Absent {
            nodes: nodes.collect(),
        })
    }

    /// Starts a stage on the node of this rank.
    pub(crate) fn start(&self, rank: u32, order: &StageOrder) -> Stage {
        if rank == self.own.rank {
            return self.own.stages.start(order);
        }
        let (stage, driver) = Stage::new();
        let lost = StageEvent::Lost {
            node: Self::name(rank),
            why: "there is no link to it".to_owned(),
        };
        // There is room: nothing was sent before.
        let _ = driver.events.try_send(lost);
        stage
    }
}
