//! The slots of a cluster's nodes: who has how much of which node, and where a job finds room. Pure.
//!
//! All nodes are alike, as they are pods of one task.

/// Thousandths of a whole GPU.
const WHOLE: u32 = 1000;

/// What a job takes of each of its nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Need {
    /// On how many nodes.
    pub(crate) nodes: u32,
    /// Thousandths of GPUs on each; half a CPU where there are none.
    pub(crate) milli_gpus: u32,
}

/// A job's part of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    /// The node's rank in the cluster.
    pub(crate) node: u32,
    /// Which of its GPUs.
    pub(crate) gpus: Vec<u32>,
}

/// What each node of a cluster has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Capacity {
    /// Number of nodes.
    pub(crate) nodes: u32,
    /// Jobs that take half a CPU, on each.
    pub(crate) jobs: u32,
    /// Whole GPUs on each.
    pub(crate) gpus: u32,
}

impl Capacity {
    /// The capacity of so many nodes with so many CPUs and GPUs each: every job takes half a CPU, and one always fits.
    pub(crate) fn new(nodes: u32, cpus: f64, gpus: u32) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "saturates"
        )]
        let jobs = (cpus * 2.0).floor() as u32;
        Self {
            nodes: nodes.max(1),
            jobs: jobs.max(1),
            gpus,
        }
    }

    /// Why a job can never run here; None where it can.
    pub(crate) fn refusal(&self, need: Need) -> Option<String> {
        let Need { nodes, milli_gpus } = need;
        if nodes == 0 {
            return Some("a job needs at least one node".to_owned());
        }
        if nodes > self.nodes {
            let has = counted(self.nodes, "node");
            return Some(format!(
                "the job asks for {nodes} nodes, the cluster has {has}"
            ));
        }
        if milli_gpus > WHOLE && !milli_gpus.is_multiple_of(WHOLE) {
            return Some("a job takes whole GPUs or a part of one".to_owned());
        }
        let asked = milli_gpus.div_ceil(WHOLE);
        if asked > self.gpus {
            let (asks, has) = (counted(asked, "GPU"), counted(self.gpus, "GPU"));
            return Some(format!(
                "the job asks for {asks} on each node, a node of the cluster has {has}"
            ));
        }
        None
    }
}

fn counted(count: u32, what: &str) -> String {
    match count {
        0 => "none".to_owned(),
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

/// What is taken of each node.
#[derive(Clone, Debug)]
pub(crate) struct Slots {
    capacity: Capacity,
    nodes: Vec<Taken>,
}

#[derive(Clone, Debug)]
struct Taken {
    jobs: u32,
    /// Thousandths of each GPU.
    gpus: Vec<u32>,
}

impl Slots {
    /// All free.
    pub(crate) fn new(capacity: Capacity) -> Self {
        let taken = Taken {
            jobs: 0,
            gpus: vec![0; capacity.gpus as usize],
        };
        Self {
            capacity,
            nodes: vec![taken; capacity.nodes as usize],
        }
    }

    /// What there is in all.
    pub(crate) fn capacity(&self) -> Capacity {
        self.capacity
    }

    /// Takes what a job needs, on nodes that are present; None where there is no room now. The shares are in the
    /// order of the nodes.
    ///
    /// Jobs of CPUs go where the fewest are, so that one node is not loaded while others idle; jobs of GPUs go where
    /// they fill a gap, so that whole GPUs stay free for those that need them.
    pub(crate) fn take(
        &mut self,
        need: Need,
        is_present: impl Fn(u32) -> bool,
    ) -> Option<Vec<Share>> {
        let mut rooms: Vec<(u32, Share)> = (0..self.capacity.nodes)
            .filter(|node| is_present(*node))
            .filter_map(|node| self.room(node, need.milli_gpus))
            .collect();
        if rooms.len() < need.nodes as usize {
            return None;
        }
        rooms.sort_by_key(|(rest, share)| (*rest, share.node));
        rooms.truncate(need.nodes as usize);
        let mut shares: Vec<Share> = rooms.into_iter().map(|(_, share)| share).collect();
        shares.sort_by_key(|share| share.node);
        for share in &shares {
            self.add(share, need.milli_gpus);
        }
        Some(shares)
    }

    /// Gives back what a job had.
    pub(crate) fn give_back(&mut self, shares: &[Share], milli_gpus: u32) {
        for share in shares {
            let Some(node) = self.nodes.get_mut(share.node as usize) else {
                continue;
            };
            if share.gpus.is_empty() {
                node.jobs = node.jobs.saturating_sub(1);
            }
            for gpu in &share.gpus {
                if let Some(taken) = node.gpus.get_mut(*gpu as usize) {
                    *taken = taken.saturating_sub(milli_gpus.min(WHOLE));
                }
            }
        }
    }

    /// A share of this node, and how little it suits: the least is taken first.
    fn room(&self, node: u32, milli_gpus: u32) -> Option<(u32, Share)> {
        let taken = self.nodes.get(node as usize)?;
        if milli_gpus == 0 {
            let share = Share {
                node,
                gpus: Vec::new(),
            };
            return (taken.jobs < self.capacity.jobs).then_some((taken.jobs, share));
        }
        let each = milli_gpus.min(WHOLE);
        let free = |gpu: u32| WHOLE - taken.gpus[gpu as usize];
        let mut gpus: Vec<u32> = (0..self.capacity.gpus)
            .filter(|gpu| free(*gpu) >= each)
            .collect();
        // Among parts of GPUs the fullest one that has room.
        gpus.sort_by_key(|gpu| (free(*gpu), *gpu));
        let count = milli_gpus.div_ceil(WHOLE) as usize;
        if gpus.len() < count {
            return None;
        }
        gpus.truncate(count);
        gpus.sort_unstable();
        let free_in_all: u32 = (0..self.capacity.gpus).map(free).sum();
        Some((free_in_all, Share { node, gpus }))
    }

    fn add(&mut self, share: &Share, milli_gpus: u32) {
        let node = &mut self.nodes[share.node as usize];
        if share.gpus.is_empty() {
            node.jobs += 1;
        }
        for gpu in &share.gpus {
            node.gpus[*gpu as usize] += milli_gpus.min(WHOLE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Capacity, Need, Share, Slots};

    fn need(nodes: u32, milli_gpus: u32) -> Need {
        Need { nodes, milli_gpus }
    }

    fn slots(nodes: u32, cpus: f64, gpus: u32) -> Slots {
        Slots::new(Capacity::new(nodes, cpus, gpus))
    }

    /// The nodes and GPUs that a job gets.
    fn taken(slots: &mut Slots, need: Need) -> Option<Vec<(u32, Vec<u32>)>> {
        let shares = slots.take(need, |_| true)?;
        Some(shares.into_iter().map(|s| (s.node, s.gpus)).collect())
    }

    #[test]
    fn half_a_cpu_a_job_and_at_least_one_job() {
        let jobs = [0.1, 0.5, 1.0, 2.2, 4.0].map(|cpus| Capacity::new(1, cpus, 0).jobs);
        assert_eq!(jobs, [1, 1, 2, 4, 8]);
    }

    #[test]
    fn jobs_go_to_the_nodes_with_the_fewest_and_never_past_the_last_slot() {
        let mut slots = slots(2, 1.0, 0);
        let mut one = || taken(&mut slots, need(1, 0)).map(|shares| shares[0].0);
        let got = [one(), one(), one(), one(), one()];
        assert_eq!(got, [Some(0), Some(1), Some(0), Some(1), None]);
    }

    #[test]
    fn a_gang_takes_all_of_its_nodes_or_none() {
        let mut slots = slots(3, 0.5, 0);
        assert_eq!(taken(&mut slots, need(1, 0)), Some(vec![(0, vec![])]));
        assert_eq!(taken(&mut slots, need(3, 0)), None);
        let two = slots.take(need(2, 0), |_| true).expect("room");
        assert_eq!(two.iter().map(|s| s.node).collect::<Vec<_>>(), [1, 2]);
        slots.give_back(&two, 0);
        assert_eq!(taken(&mut slots, need(2, 0)).map(|s| s.len()), Some(2));
    }

    #[test]
    fn absent_nodes_have_no_room() {
        let mut slots = slots(2, 0.5, 0);
        assert_eq!(slots.take(need(2, 0), |node| node == 1), None);
        let share = Share {
            node: 1,
            gpus: vec![],
        };
        assert_eq!(slots.take(need(1, 0), |node| node == 1), Some(vec![share]));
    }

    #[test]
    fn parts_of_gpus_share_one_and_leave_the_others_whole() {
        let mut slots = slots(2, 8.0, 2);
        assert_eq!(taken(&mut slots, need(1, 500)), Some(vec![(0, vec![0])]));
        assert_eq!(taken(&mut slots, need(1, 500)), Some(vec![(0, vec![0])]));
        assert_eq!(taken(&mut slots, need(1, 700)), Some(vec![(0, vec![1])]));
        assert_eq!(
            taken(&mut slots, need(1, 2000)),
            Some(vec![(1, vec![0, 1])])
        );
        assert_eq!(taken(&mut slots, need(1, 500)), None);
        assert_eq!(taken(&mut slots, need(1, 300)), Some(vec![(0, vec![1])]));
        // A job without GPUs is in nobody's way.
        assert_eq!(taken(&mut slots, need(1, 0)), Some(vec![(0, vec![])]));
    }

    #[test]
    fn gpus_come_back() {
        let mut slots = slots(1, 1.0, 2);
        let part = slots.take(need(1, 400), |_| true).expect("room");
        let other = slots.take(need(1, 400), |_| true).expect("room");
        slots.give_back(&part, 400);
        assert_eq!(slots.take(need(1, 2000), |_| true), None);
        slots.give_back(&other, 400);
        assert!(slots.take(need(1, 2000), |_| true).is_some());
    }

    #[test]
    fn what_can_never_run_is_refused_with_both_numbers() {
        let capacity = Capacity::new(2, 1.0, 1);
        let refusal = |nodes, milli| capacity.refusal(need(nodes, milli)).unwrap_or_default();
        assert_eq!(refusal(2, 1000), "");
        assert_eq!(
            refusal(3, 0),
            "the job asks for 3 nodes, the cluster has 2 nodes"
        );
        assert_eq!(
            refusal(1, 2000),
            "the job asks for 2 GPUs on each node, a node of the cluster has 1 GPU"
        );
        assert!(refusal(1, 1500).contains("whole GPUs or a part of one"));
        assert!(refusal(0, 0).contains("at least one node"));
        let bare = Capacity::new(1, 1.0, 0).refusal(need(1, 300));
        assert!(bare.is_some_and(|why| why.ends_with("a node of the cluster has none")));
    }
}
