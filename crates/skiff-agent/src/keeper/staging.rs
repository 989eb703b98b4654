//! Starts the stages of jobs on their nodes.

use std::collections::BTreeMap;
use std::sync::Arc;

use skiff_proto::{JobId, JobRecord, StageKind, StageOrder};

use super::Keeper;
use super::output::Output;
use crate::environment::Place;
use crate::nodes::Nodes;
use crate::queue::{Share, Stage};
use crate::record;

impl Keeper {
    /// Starts a stage on all of its nodes; the error is why it starts on none.
    pub(super) fn start(
        &mut self,
        job: JobId,
        stage: Stage,
        scripts: JobId,
        shares: &[Share],
    ) -> Result<(), String> {
        let kind = match stage {
            Stage::Setup => StageKind::Setup,
            _ => StageKind::Run,
        };
        let gone = || "it has ended".to_owned();
        let record = self.queue.record(job).ok_or_else(gone)?;
        let kept = self.jobs.get_mut(&job).ok_or_else(gone)?;
        let live = kept.live.as_mut().ok_or_else(gone)?;
        let log = live.open_log().ok_or("its log cannot be written")?;
        if let Some(note) = &self.surroundings.home.note {
            live.say(std::slice::from_ref(note));
        }
        let spec = Arc::clone(&live.spec);
        let script = match kind {
            StageKind::Setup if scripts != job => {
                record::read_setup(&self.surroundings.layout, scripts)
                    .map_err(|error| format!("cannot read the setup of job {scripts}: {error}"))?
            }
            StageKind::Setup => spec.setup.clone().unwrap_or_default(),
            StageKind::Run => spec.run.clone().unwrap_or_default(),
        };
        let mut order = StageOrder {
            job,
            kind,
            mark: self.surroundings.mark(record),
            script,
            env: BTreeMap::new(),
            secrets: spec.secrets.clone(),
        };
        let gang = Gang::new(&self.nodes, kind, shares);
        let has_gpus = self.queue.has_gpus();
        live.running.clear();
        for (at, share) in shares.iter().enumerate() {
            let place = Place {
                kind,
                addresses: &gang.addresses,
                rank: gang.rank(at, share),
                gpus: has_gpus.then_some(share.gpus.as_slice()),
            };
            order.env = self.surroundings.ordered(&spec, record, place);
            // Nodes may share their processes' numbers, and must not end each other's.
            order.mark = format!("{}/{}", self.surroundings.mark(record), share.node);
            let output = gang.output(record, at, share);
            let stage = self.nodes.start(share.node, &order);
            live.running.push((share.node, stage.control()));
            let (log, commands) = (log.clone(), self.commands.clone());
            tokio::spawn(output.follow(job, share.node, stage, log, commands));
        }
        Ok(())
    }
}

/// The nodes of one stage together.
struct Gang {
    kind: StageKind,
    is_alone: bool,
    /// By the ranks in the stage.
    addresses: Vec<String>,
}

impl Gang {
    fn new(nodes: &Nodes, kind: StageKind, shares: &[Share]) -> Self {
        let all = nodes.addresses();
        let address = |share: &Share| all.get(share.node as usize).cloned().unwrap_or_default();
        Self {
            kind,
            is_alone: nodes.count() == 1,
            addresses: match kind {
                StageKind::Setup => all,
                StageKind::Run => shares.iter().map(address).collect(),
            },
        }
    }

    /// The rank of a share among those of the stage. A setup is one of all nodes, even where it runs again on one.
    fn rank(&self, at: usize, share: &Share) -> usize {
        match self.kind {
            StageKind::Setup => share.node as usize,
            StageKind::Run => at,
        }
    }

    fn output(&self, record: &JobRecord, at: usize, share: &Share) -> Output {
        if self.is_alone {
            return Output::of_only_node(self.kind, record.name.as_deref());
        }
        let rank = self.rank(at, share);
        let address = self.addresses.get(rank).map_or("", String::as_str);
        let node = Nodes::name(share.node);
        Output::of_node(self.kind, rank, &node, address)
    }
}
