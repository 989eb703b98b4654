//! The variables of a job's processes. Pure: the agent's own variables come as an argument.

use std::collections::BTreeMap;
use std::ffi::OsString;

use skiff_proto::{JobRecord, JobSpec, paths};

use crate::clock;
use crate::home::Home;
use crate::layout::Layout;
use crate::queue::Stage;

/// Variables by name, in name order.
pub(crate) type Variables = BTreeMap<OsString, OsString>;

/// Marks every process of a job: the boot's identity and the job's number.
pub(crate) const MARK: &str = "SKIFF_JOB";

const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What all jobs of one agent have in common.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    /// The agent's own variables: the image's and the pod's.
    pub(crate) own: Variables,
    /// Where jobs are at home.
    pub(crate) home: Home,
    /// Where things lie.
    pub(crate) layout: Layout,
    /// Whether there is Docker in the pod.
    pub(crate) docker: bool,
    /// The identity of this run of the agent.
    pub(crate) boot: String,
}

impl Surroundings {
    /// The mark of a job's processes.
    pub(crate) fn mark(&self, record: &JobRecord) -> String {
        format!("{}/{}", self.boot, record.id)
    }

    /// All variables of one stage of a job: the pod's, then Skiff's, then the user's own on top.
    pub(crate) fn variables(&self, spec: &JobSpec, record: &JobRecord, stage: Stage) -> Variables {
        let mut variables = self.own.clone();
        // What the shell would take from the agent's own start.
        for stale in ["PWD", "OLDPWD", "SHLVL", "_"] {
            variables.remove(&OsString::from(stale));
        }
        let mut set = |name: &str, value: OsString| variables.insert(name.into(), value);
        set("HOME", self.home.dir.clone().into());
        set("PYTHONUNBUFFERED", "1".into());
        let in_setup = stage == Stage::Setup;
        let nodes = if in_setup {
            "SKYPILOT_SETUP_"
        } else {
            "SKYPILOT_"
        };
        set(
            &format!("{nodes}NODE_IPS"),
            self.own_or("SKIFF_POD_IP", "127.0.0.1"),
        );
        set(&format!("{nodes}NODE_RANK"), "0".into());
        set(&format!("{nodes}NUM_GPUS_PER_NODE"), "0".into());
        set("SKYPILOT_NUM_NODES", "1".into());
        set("SKYPILOT_TASK_ID", self.task_id(record).into());
        set("SKYPILOT_USER", record.user.clone().into());
        if !in_setup {
            set("SKYPILOT_INTERNAL_JOB_ID", record.id.to_string().into());
        }
        if let Some(user) = &self.home.user {
            for name in ["USER", "LOGNAME"] {
                variables.entry(name.into()).or_insert_with(|| user.into());
            }
        }
        variables.extend(
            spec.env
                .iter()
                .map(|(name, value)| (name.into(), value.into())),
        );
        variables.extend(
            spec.secrets
                .reveal()
                .map(|(name, value)| (name.into(), value.into())),
        );
        variables.insert(MARK.into(), self.mark(record).into());
        self.set_path(&mut variables);
        variables
    }

    fn set_path(&self, variables: &mut Variables) {
        let path = variables
            .entry("PATH".into())
            .or_insert_with(|| USUAL_PATH.into());
        if self.docker {
            let mut with_tools = self.layout.at(paths::TOOLS_BIN).into_os_string();
            with_tools.push(":");
            with_tools.push(&*path);
            *path = with_tools;
            variables.entry("DOCKER_HOST".into()).or_insert_with(|| {
                let mut host = OsString::from("unix://");
                host.push(self.layout.at(paths::DOCKER_SOCKET));
                host
            });
        }
    }

    /// `sky-<time>_<cluster>_<job>`.
    fn task_id(&self, record: &JobRecord) -> String {
        let cluster = self.own_or("SKIFF_CLUSTER", "skiff");
        let stamp = clock::stamp(record.submitted_ms);
        format!("sky-{stamp}_{}_{}", cluster.to_string_lossy(), record.id)
    }

    fn own_or(&self, name: &str, default: &str) -> OsString {
        self.own
            .get(&OsString::from(name))
            .cloned()
            .unwrap_or_else(|| default.into())
    }
}
