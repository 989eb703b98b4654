//! The cluster's hooks on this node: scripts that run before it goes, once, one after the other, each for its time.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use skiff_proto::{
    Hook, HookEvent, Hooks, SecretVariables, StageEnd, StageKind, StageOrder, paths,
};
use tokio::sync::{OnceCell, watch};
use tokio::time::{Instant, sleep_until};

use crate::environment::Surroundings;
use crate::layout::Layout;
use crate::nodes::Nodes;
use crate::report;
use crate::stages::{StageControl, StageEvent, Stages};

mod log;

use log::HookLog;

/// The job that hooks pass for: none has this number.
const NO_JOB: u64 = 0;
/// How long the kernel has to let go of what was killed.
const KILLED: Duration = Duration::from_secs(2);

/// Runs this node's hooks.
#[derive(Clone, Debug)]
pub(crate) struct HookRunner {
    own: Arc<Own>,
}

#[derive(Debug)]
struct Own {
    layout: Layout,
    home: PathBuf,
    boot: String,
    stages: Stages,
    /// Variables of this node for its hooks.
    node: BTreeMap<String, String>,
    /// Filled once they have run.
    ran: OnceCell<()>,
    /// When they must have ended, where the system does not wait for all of their time.
    deadline: watch::Sender<Option<Instant>>,
}

impl HookRunner {
    /// The hooks of this node, to be started by `stages`.
    pub(crate) fn new(surroundings: &Surroundings, nodes: &Nodes, stages: Stages) -> Self {
        let node = [
            ("SKYPILOT_NODE_RANK", nodes.rank()),
            ("SKYPILOT_NUM_NODES", nodes.count()),
        ];
        let own = Own {
            layout: surroundings.layout.clone(),
            home: surroundings.home.dir.clone(),
            boot: surroundings.boot.clone(),
            stages,
            node: node
                .map(|(name, number)| (name.to_owned(), number.to_string()))
                .into(),
            ran: OnceCell::new(),
            deadline: watch::Sender::new(None),
        };
        Self { own: Arc::new(own) }
    }

    /// Runs the hooks of an event and waits for their end. Once they have run, for whatever event, they do not run again.
    pub(crate) async fn run(&self, event: HookEvent) {
        self.own.ran.get_or_init(|| self.run_all(event)).await;
    }

    /// The container is told to stop: what runs now has no more time than hooks of preemption would have.
    pub(crate) fn hurry(&self) {
        let left = Duration::from_secs(self.all().limit_s(HookEvent::Preemption));
        self.own.deadline.send_replace(Some(Instant::now() + left));
    }

    /// The hooks as they are now: a launch on a cluster that is up may change them.
    pub(crate) fn all(&self) -> Hooks {
        let file = self.own.layout.at(paths::HOOKS);
        let read = fs::read(&file).and_then(|bytes| {
            serde_json::from_slice(&bytes)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
        });
        read.unwrap_or_else(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                report(&format!("cannot read {}: {error}", file.display()));
            }
            Hooks::default()
        })
    }

    async fn run_all(&self, event: HookEvent) {
        let hooks = self.all();
        let whole = Instant::now() + Duration::from_secs(hooks.limit_s(event));
        let mut log = None;
        for (number, hook) in (1..).zip(hooks.before(event)) {
            let log = log.get_or_insert_with(|| HookLog::open(&self.own.home, event));
            let until = whole.min(Instant::now() + Duration::from_secs(hook.timeout_s));
            log.line(&format!("hook {number} begins"));
            let order = self.order(hook, number, event, &hooks);
            match self.run_one(&order, until, log).await {
                End::Code(0) => log.line(&format!("hook {number} has ended")),
                End::Code(code) => log.line(&format!("hook {number} failed with code {code}")),
                End::TimeUp => log.line(&format!("hook {number} was killed: its time was over")),
                End::NotStarted(cause) => {
                    log.line(&format!("hook {number} could not be started: {cause}"));
                }
            }
        }
    }

    fn order(&self, hook: &Hook, number: u32, event: HookEvent, hooks: &Hooks) -> StageOrder {
        let mut env = self.own.node.clone();
        env.extend(hooks.env.clone());
        env.insert("SKYPILOT_HOOK_EVENT".into(), event.as_str().into());
        let secrets: SecretVariables = hooks.secrets.clone();
        StageOrder {
            job: NO_JOB,
            kind: StageKind::Run,
            mark: format!("{}-hook{number}", self.own.boot),
            script: hook.run.clone(),
            env,
            secrets,
        }
    }

    async fn run_one(&self, order: &StageOrder, until: Instant, log: &mut HookLog) -> End {
        let mut stage = self.own.stages.start(order);
        let control = stage.control();
        let mut deadline = self.own.deadline.subscribe();
        // Once it is killed: how long it has to be gone.
        let mut killed: Option<Instant> = None;
        loop {
            let hurried = *deadline.borrow_and_update();
            let until = killed.unwrap_or_else(|| until.min(hurried.unwrap_or(until)));
            tokio::select! {
                event = stage.next() => match event {
                    Some(StageEvent::Output(bytes)) => log.output(&bytes),
                    Some(StageEvent::Ended(end)) => return End::of(&end, killed.is_some()),
                    Some(StageEvent::NotStarted { cause }) => return End::NotStarted(cause),
                    Some(StageEvent::Started { .. }) => {}
                    Some(StageEvent::Lost { .. }) | None => return End::Code(255),
                },
                // Its sender lives as long as this.
                _ = deadline.changed(), if killed.is_none() => {}
                () = sleep_until(until) => {
                    if killed.replace(Instant::now() + KILLED).is_some() {
                        return End::TimeUp;
                    }
                    StageControl::kill(&control);
                }
            }
        }
    }
}

/// How a hook ended.
enum End {
    Code(i32),
    TimeUp,
    NotStarted(String),
}

impl End {
    fn of(end: &StageEnd, killed: bool) -> Self {
        if killed {
            Self::TimeUp
        } else {
            Self::Code(end.code)
        }
    }
}
