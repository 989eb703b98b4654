//! What the queue knows of the cluster's nodes: which are there, and which of them need the setup again. Pure.

use std::collections::{BTreeMap, BTreeSet};

use skiff_proto::{JobId, node_name};

use crate::record::PastSetup;

/// The nodes.
#[derive(Clone, Debug)]
pub(super) struct Members {
    count: u32,
    /// Those that are not there, and why.
    absent: BTreeMap<u32, String>,
    /// The last job whose setup has run: what it did to a container, the container's restart has undone.
    last_setup: Option<JobId>,
    /// The nodes on which that setup must run again.
    due: BTreeSet<u32>,
    /// Counts the waits for absent nodes.
    waits: u64,
    /// The wait that goes on.
    waiting: Option<u64>,
}

impl Members {
    /// The nodes at the head's start: itself. Its container is new, so an earlier setup is due on it; one that was
    /// cut off is due everywhere.
    pub(super) fn new(count: u32, past: Option<PastSetup>) -> Self {
        let absent = (1..count).map(|node| (node, "it has not joined yet".to_owned()));
        let due = match past {
            None => 0..0,
            Some(PastSetup {
                was_whole: true, ..
            }) => 0..1,
            Some(PastSetup {
                was_whole: false, ..
            }) => 0..count,
        };
        Self {
            count,
            absent: absent.collect(),
            last_setup: past.map(|past| past.job),
            due: due.collect(),
            waits: 0,
            waiting: None,
        }
    }

    /// The ranks of all nodes.
    pub(super) fn all(&self) -> std::ops::Range<u32> {
        0..self.count
    }

    /// A node's name as causes and lines begin with it.
    pub(super) fn name(node: u32) -> String {
        node_name(node)
    }

    /// `worker1: ` before what is told of one node of several; nothing where there is one only.
    pub(super) fn prefix(&self, node: u32) -> String {
        match self.count {
            1 => String::new(),
            _ => format!("{}: ", Self::name(node)),
        }
    }

    pub(super) fn joined(&mut self, node: u32, is_restarted: bool) {
        self.absent.remove(&node);
        if is_restarted && self.last_setup.is_some() {
            self.due.insert(node);
        }
    }

    pub(super) fn lost(&mut self, node: u32, cause: String) {
        self.absent.insert(node, cause);
    }

    pub(super) fn is_present(&self, node: u32) -> bool {
        !self.absent.contains_key(&node)
    }

    /// Whether the nodes that are there suffice for a job on so many, or on all of them.
    pub(super) fn suffice(&self, nodes: u32, all: bool) -> bool {
        let absent = u32::try_from(self.absent.len()).unwrap_or(u32::MAX);
        absent == 0 || (!all && self.count.saturating_sub(absent) >= nodes)
    }

    /// Who is not there and why: `worker1 (no answer for 7 s), worker2 (it has not joined yet)`.
    pub(super) fn absentees(&self) -> String {
        let each = self
            .absent
            .iter()
            .map(|(node, why)| format!("{} ({why})", Self::name(*node)));
        each.collect::<Vec<_>>().join(", ")
    }

    /// Begins a wait for absent nodes unless one goes on; gives its number.
    pub(super) fn begin_wait(&mut self) -> Option<u64> {
        if self.waiting.is_some() {
            return None;
        }
        self.waits += 1;
        self.waiting = Some(self.waits);
        self.waiting
    }

    /// Ends the wait that goes on.
    pub(super) fn end_wait(&mut self) {
        self.waiting = None;
    }

    /// Whether this is the wait that goes on.
    pub(super) fn is_waiting(&self, wait: u64) -> bool {
        self.waiting == Some(wait)
    }

    /// The setup that must run again on some of these nodes, and on which.
    pub(super) fn due_on(&self, nodes: impl Iterator<Item = u32>) -> Option<(JobId, Vec<u32>)> {
        let due: Vec<u32> = nodes.filter(|node| self.due.contains(node)).collect();
        self.last_setup
            .filter(|_| !due.is_empty())
            .map(|job| (job, due))
    }

    /// A setup has run on these nodes: this job's own, or once more the last one.
    pub(super) fn set_up(&mut self, own: Option<JobId>, nodes: &[u32]) {
        self.last_setup = own.or(self.last_setup);
        for node in nodes {
            self.due.remove(node);
        }
    }
}
