//! The variables of a job's processes. Pure: the agent's own variables come as an argument.
//!
//! What a node knows by itself (its image's variables, its home folder, Docker) comes from that node; what the job and
//! its place in it are comes with the head's order.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::{Arc, Mutex, PoisonError};

use skiff_proto::{JobRecord, JobSpec, SecretVariables, StageKind, StageOrder, paths};

use crate::arguments::Engine;
use crate::clock;
use crate::containers::Containers;
use crate::home::Home;
use crate::layout::Layout;

/// Variables by name, in name order.
pub(crate) type Variables = BTreeMap<OsString, OsString>;

/// Marks every process of a job: the boot's identity and the job's number.
pub(crate) const MARK: &str = "SKIFF_JOB";

const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const GPUS: &str = "CUDA_VISIBLE_DEVICES";

/// What all jobs of one agent have in common.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    /// The agent's own variables: the image's and the pod's.
    pub(crate) own: Variables,
    /// Where jobs are at home.
    pub(crate) home: Home,
    /// Where things lie.
    pub(crate) layout: Layout,
    /// What makes images in the pod, if anything does.
    pub(crate) engine: Option<Engine>,
    /// The identity of this run of the agent.
    pub(crate) boot: String,
    /// What the last job's processes had on this node.
    pub(crate) last: LastOrder,
}

/// The variables that came with the last order, for those who work on the node beside its jobs.
#[derive(Clone, Debug, Default)]
pub(crate) struct LastOrder(Arc<Mutex<(BTreeMap<String, String>, SecretVariables)>>);

/// A stage's place among the nodes that run it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    /// Setup or run.
    pub(crate) kind: StageKind,
    /// The addresses of these nodes, by rank.
    pub(crate) addresses: &'a [String],
    /// The rank among them.
    pub(crate) rank: usize,
    /// GPUs of the node that are this job's; None where the node has none.
    pub(crate) gpus: Option<&'a [u32]>,
}

impl Surroundings {
    /// The mark of a job's processes.
    pub(crate) fn mark(&self, record: &JobRecord) -> String {
        format!("{}/{}", self.boot, record.id)
    }

    /// The containers that processes with this mark make; None where there is no Docker.
    pub(crate) fn containers(&self, mark: &str) -> Option<Containers> {
        let socket = self.layout.at(paths::DOCKER_SOCKET);
        (self.engine == Some(Engine::Daemon)).then(|| Containers::new(socket, mark.to_owned()))
    }

    /// What the head orders for one node: Skiff's variables, then the user's own on top.
    pub(crate) fn ordered(
        &self,
        spec: &JobSpec,
        record: &JobRecord,
        place: Place<'_>,
    ) -> BTreeMap<String, String> {
        let in_setup = place.kind == StageKind::Setup;
        let scope = if in_setup {
            "SKYPILOT_SETUP_"
        } else {
            "SKYPILOT_"
        };
        let whole_gpus = spec.milli_gpus.div_ceil(1000);
        let mut variables = BTreeMap::from([
            (format!("{scope}NODE_IPS"), place.addresses.join("\n")),
            (format!("{scope}NODE_RANK"), place.rank.to_string()),
            (format!("{scope}NUM_GPUS_PER_NODE"), whole_gpus.to_string()),
            ("SKYPILOT_NUM_NODES".into(), spec.num_nodes.to_string()),
            ("SKYPILOT_TASK_ID".into(), self.task_id(record)),
            ("SKYPILOT_USER".into(), record.user.clone()),
        ]);
        if !in_setup {
            variables.insert("SKYPILOT_INTERNAL_JOB_ID".into(), record.id.to_string());
            if let Some(gpus) = place.gpus {
                let gpus: Vec<_> = gpus.iter().map(u32::to_string).collect();
                variables.insert(GPUS.into(), gpus.join(","));
            }
        }
        variables.extend(spec.env.clone());
        variables
    }

    /// All variables of one stage's processes on this node: the node's own, then those of the order.
    pub(crate) fn variables(&self, order: &StageOrder) -> Variables {
        self.last.remember(order);
        let mut variables = self.with(&order.env, &order.secrets);
        if order.kind == StageKind::Setup && !order.env.contains_key(GPUS) {
            variables.remove(&OsString::from(GPUS));
        }
        variables.insert(MARK.into(), order.mark.clone().into());
        variables
    }

    /// The variables of a session beside the jobs: the same, with those of the last job on this node.
    pub(crate) fn session(&self) -> Variables {
        let (env, secrets) = self.last.get();
        self.with(&env, &secrets)
    }

    fn with(&self, env: &BTreeMap<String, String>, secrets: &SecretVariables) -> Variables {
        let mut variables = self.own.clone();
        // What the shell would take from the agent's own start.
        for stale in ["PWD", "OLDPWD", "SHLVL", "_"] {
            variables.remove(&OsString::from(stale));
        }
        variables.insert("HOME".into(), self.home.dir.clone().into());
        variables.insert("PYTHONUNBUFFERED".into(), "1".into());
        if let Some(user) = &self.home.user {
            for name in ["USER", "LOGNAME"] {
                variables.entry(name.into()).or_insert_with(|| user.into());
            }
        }
        variables.extend(env.iter().map(|(name, value)| (name.into(), value.into())));
        variables.extend(
            secrets
                .reveal()
                .map(|(name, value)| (name.into(), value.into())),
        );
        self.set_path(&mut variables);
        variables
    }

    fn set_path(&self, variables: &mut Variables) {
        let path = variables
            .entry("PATH".into())
            .or_insert_with(|| USUAL_PATH.into());
        if self.engine.is_some() {
            let mut with_tools = self.layout.at(paths::TOOLS_BIN).into_os_string();
            with_tools.push(":");
            with_tools.push(&*path);
            *path = with_tools;
            let at = |path| {
                let mut host = OsString::from("unix://");
                host.push(self.layout.at(path));
                host
            };
            let host = variables.entry("DOCKER_HOST".into());
            host.or_insert_with(|| at(paths::DOCKER_SOCKET));
            if self.engine == Some(Engine::Builder) {
                let host = variables.entry("BUILDKIT_HOST".into());
                host.or_insert_with(|| at(paths::BUILDKIT_SOCKET));
                self.choose_builder(variables);
            }
        }
    }

    /// Has `docker buildx` use the pod's builder, unless the user has builders of his own elsewhere.
    fn choose_builder(&self, variables: &mut Variables) {
        let folder = OsString::from("BUILDX_CONFIG");
        if variables.contains_key(&folder) {
            return;
        }
        variables.insert(folder, self.layout.at(paths::BUILDX).into());
        let builder = variables.entry("BUILDX_BUILDER".into());
        builder.or_insert_with(|| paths::BUILDX_BUILDER.into());
    }

    /// `sky-<time>_<cluster>_<job>`.
    fn task_id(&self, record: &JobRecord) -> String {
        let cluster = self.own_or("SKIFF_CLUSTER", "skiff");
        let stamp = clock::stamp(record.submitted_ms);
        format!("sky-{stamp}_{}_{}", cluster.to_string_lossy(), record.id)
    }

    /// One of the agent's own variables, or what stands for it.
    pub(crate) fn own_or(&self, name: &str, default: &str) -> OsString {
        self.own
            .get(&OsString::from(name))
            .cloned()
            .unwrap_or_else(|| default.into())
    }
}

impl LastOrder {
    fn remember(&self, order: &StageOrder) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) =
            (order.env.clone(), order.secrets.clone());
    }

    fn get(&self) -> (BTreeMap<String, String>, SecretVariables) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use skiff_proto::{JobRecord, JobSpec, JobStatus, StageKind, StageOrder};

    use super::{LastOrder, MARK, Place, Surroundings, Variables};
    use crate::home::Home;
    use crate::layout::Layout;

    fn surroundings(own: &[(&str, &str)]) -> Surroundings {
        Surroundings {
            own: own.iter().map(|(k, v)| (k.into(), v.into())).collect(),
            home: Home {
                dir: "/home/ann".into(),
                user: Some("ann".into()),
                note: None,
                workdir: "/skiff/sky_workdir".into(),
            },
            layout: Layout::default(),
            engine: None,
            boot: "b".into(),
            last: LastOrder::default(),
        }
    }

    fn order(head: &Surroundings, kind: StageKind, rank: usize) -> StageOrder {
        let spec = JobSpec {
            num_nodes: 2,
            milli_gpus: 1500,
            env: [("USERS".to_owned(), "own".to_owned())].into(),
            secrets: [("TOKEN".to_owned(), "t".to_owned())].into_iter().collect(),
            ..JobSpec::default()
        };
        let record = JobRecord::new(3, &spec, 0, String::new());
        assert_eq!(record.status, JobStatus::Pending);
        let place = Place {
            kind,
            addresses: &["10.0.0.1".to_owned(), "10.0.0.2".to_owned()],
            rank,
            gpus: Some(&[1, 3]),
        };
        StageOrder {
            job: 3,
            kind,
            mark: head.mark(&record),
            script: String::new(),
            env: head.ordered(&spec, &record, place),
            secrets: spec.secrets,
        }
    }

    fn get<'a>(variables: &'a Variables, name: &str) -> Option<&'a str> {
        variables.get(OsStr::new(name)).and_then(|v| v.to_str())
    }

    #[test]
    fn a_run_knows_its_place_and_the_worker_adds_what_is_its_own() {
        let head = surroundings(&[("SKIFF_CLUSTER", "dev"), ("FROM_IMAGE", "heads")]);
        let worker = surroundings(&[("FROM_IMAGE", "workers"), ("SHLVL", "3")]);
        let variables = worker.variables(&order(&head, StageKind::Run, 1));
        for (name, value) in [
            ("SKYPILOT_NODE_IPS", "10.0.0.1\n10.0.0.2"),
            ("SKYPILOT_NODE_RANK", "1"),
            ("SKYPILOT_NUM_NODES", "2"),
            ("SKYPILOT_NUM_GPUS_PER_NODE", "2"),
            ("SKYPILOT_TASK_ID", "sky-1970-01-01-00-00-00-000000_dev_3"),
            ("SKYPILOT_INTERNAL_JOB_ID", "3"),
            ("CUDA_VISIBLE_DEVICES", "1,3"),
            ("FROM_IMAGE", "workers"),
            ("HOME", "/home/ann"),
            ("USERS", "own"),
            ("TOKEN", "t"),
            (MARK, "b/3"),
        ] {
            assert_eq!(get(&variables, name), Some(value), "{name}");
        }
        assert_eq!(get(&variables, "SHLVL"), None);
        assert_eq!(get(&variables, "SKYPILOT_SETUP_NODE_RANK"), None);
    }

    #[test]
    fn a_setup_has_its_own_names_and_no_gpus_of_its_own() {
        let node = surroundings(&[("CUDA_VISIBLE_DEVICES", "0")]);
        let variables = node.variables(&order(&node, StageKind::Setup, 0));
        assert_eq!(get(&variables, "SKYPILOT_SETUP_NODE_RANK"), Some("0"));
        assert_eq!(
            get(&variables, "SKYPILOT_SETUP_NUM_GPUS_PER_NODE"),
            Some("2")
        );
        for absent in [
            "SKYPILOT_NODE_RANK",
            "SKYPILOT_INTERNAL_JOB_ID",
            "CUDA_VISIBLE_DEVICES",
        ] {
            assert_eq!(get(&variables, absent), None, "{absent}");
        }
    }

    #[test]
    fn a_session_has_what_the_last_job_had() {
        let node = surroundings(&[]);
        assert_eq!(get(&node.session(), "TOKEN"), None);
        node.variables(&order(&node, StageKind::Run, 0));
        let session = node.session();
        assert_eq!(get(&session, "TOKEN"), Some("t"));
        assert_eq!(get(&session, "SKYPILOT_NODE_RANK"), Some("0"));
        assert_eq!(get(&session, MARK), None);
    }
}
