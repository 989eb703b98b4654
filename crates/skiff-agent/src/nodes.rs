//! The nodes of the cluster as the head knows them: who they are, who is there, and stages on any of them.
//!
//! Must not decide what runs where.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use skiff_proto::{Fault, FaultKind, StageOrder, node_name};
use skiff_wire::Session;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::environment::Surroundings;
use crate::fault;
use crate::link::LinkKey;
use crate::stages::{Stage, StageEvent, Stages};

mod links;
mod remote;
mod table;
#[cfg(test)]
mod tests;

use links::{Link, Links};
use table::Table;

/// Whether a node is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// It answers.
    Here {
        /// The identity of its agent, which changes whenever its container is restarted.
        boot: String,
    },
    /// It does not.
    Away {
        /// Why, as far as known.
        why: String,
    },
}

/// The cluster's nodes.
#[derive(Clone, Debug)]
pub(crate) struct Nodes(Arc<Own>);

#[derive(Debug)]
struct Own {
    rank: u32,
    count: u32,
    table: Table,
    stages: Stages,
    links: Arc<Links>,
}

impl Nodes {
    /// The nodes as this one's variables tell them; stages of its own are started by `stages`. The head's begin to look for
    /// the others; must be called where a runtime is.
    pub(crate) fn new(surroundings: &Surroundings, stages: Stages, key: Option<&LinkKey>) -> Self {
        let number = |name, default: u32| {
            let text = surroundings.own_or(name, "");
            text.to_str()
                .and_then(|text| text.parse().ok())
                .unwrap_or(default)
        };
        let rank = number("SKIFF_RANK", 0);
        let count = number("SKIFF_NODES", 1).max(rank.saturating_add(1));
        let address = surroundings.own_or("SKIFF_POD_IP", "");
        let address = address.to_str().and_then(|text| text.parse().ok());
        let table = Table::load(surroundings.layout.nodes(), rank, count, address);
        let links = Arc::new(Links::new(rank, count, &surroundings.boot));
        if rank == 0 {
            match key {
                Some(key) => Links::keep(&links, key, &table),
                None => links.give_up("the pod has no key of the cluster"),
            }
        }
        Self(Arc::new(Own {
            rank,
            count,
            table,
            stages,
            links,
        }))
    }

    /// This node's rank; 0 is the head.
    pub(crate) fn rank(&self) -> u32 {
        self.0.rank
    }

    /// How many nodes the cluster has, this one included.
    pub(crate) fn count(&self) -> u32 {
        self.0.count
    }

    /// What people call the node of this rank.
    pub(crate) fn name(rank: u32) -> String {
        node_name(rank)
    }

    /// The nodes' addresses by rank, as far as they are known: up to the first that is not.
    pub(crate) fn addresses(&self) -> Vec<String> {
        let known = self.0.table.watch().borrow().clone();
        let known = known.into_iter().map_while(|address| address);
        known.map(|address| address.to_string()).collect()
    }

    /// Takes the nodes' addresses by rank from a client, and keeps them beyond the agent's end.
    pub(crate) fn learn(&self, addresses: &[String]) -> Result<(), Fault> {
        let invalid = |message| Fault {
            kind: FaultKind::Invalid,
            message,
        };
        if self.0.rank != 0 {
            let name = Self::name(self.0.rank);
            return Err(invalid(format!("{name} is told of no nodes: ask the head")));
        }
        if u32::try_from(addresses.len()) != Ok(self.0.count) {
            let (theirs, ours) = (addresses.len(), self.0.count);
            return Err(invalid(format!(
                "{theirs} addresses for the {ours} nodes of the cluster"
            )));
        }
        let parsed: Vec<IpAddr> = addresses
            .iter()
            .map(|text| {
                text.parse()
                    .map_err(|_| invalid(format!("{text:?} is not an address")))
            })
            .collect::<Result<_, _>>()?;
        let table = &self.0.table;
        let failed = |error| fault::of(&error, "keep the nodes' addresses", table.path());
        table.learn(parsed).map_err(failed)
    }

    /// The conversation with a worker, while its link holds.
    pub(crate) fn session(&self, rank: u32) -> Option<Arc<Session>> {
        self.0.links.session(rank)
    }

    /// The conversation with a worker, waiting for its link for so long.
    pub(crate) async fn session_within(&self, rank: u32, limit: Duration) -> Option<Arc<Session>> {
        let mut presence = self.watch();
        let is_here =
            |all: &Vec<Presence>| matches!(all.get(rank as usize), Some(Presence::Here { .. }));
        // Where the time is over, it is not there.
        let _ = timeout(limit, presence.wait_for(is_here)).await;
        self.session(rank)
    }

    /// Which nodes are there, by rank, now and whenever that changes.
    pub(crate) fn watch(&self) -> watch::Receiver<Vec<Presence>> {
        self.0.links.presence()
    }

    /// Starts a stage on the node of this rank.
    pub(crate) fn start(&self, rank: u32, order: &StageOrder) -> Stage {
        if rank == self.0.rank {
            return self.0.stages.start(order);
        }
        let (stage, driver) = Stage::new();
        match self.0.links.link(rank) {
            Link::Up(session) | Link::Leaving { session, .. } => {
                let links = Arc::clone(&self.0.links);
                tokio::spawn(remote::drive(links, rank, session, order.clone(), driver));
            }
            Link::Down { why, .. } => {
                let node = Self::name(rank);
                // There is room: nothing was sent before.
                let _ = driver.events.try_send(StageEvent::Lost { node, why });
            }
        }
        stage
    }
}
