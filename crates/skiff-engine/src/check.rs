//! Whether a cluster can run Docker in its pods: what is asked of it before anything is created there.

mod access;
mod machines;
mod pod;
mod self_test;
mod storage;

use std::fmt;

use serde::Serialize;
use skiff_kube::Cluster;
use skiff_schema::{DockerMode, KubernetesConfig};

use crate::LaunchRequest;
use pod::Shape;

pub use self_test::{SelfTest, SelfTestError, script, self_test};

/// What became of one check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It could not be found out.
    Unknown,
    /// It may do harm.
    Warning,
    /// It cannot work.
    No,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Unknown => "unknown",
            Self::Warning => "warning",
            Self::No => "no",
        })
    }
}

/// A way to have Docker: a mode, and the sandbox that its pods run in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Way {
    /// The mode.
    pub mode: DockerMode,
    /// The runtime class; None: whatever the configuration says.
    pub runtime: Option<String>,
}

impl Way {
    /// The configuration of a launch that goes this way.
    pub fn configuration(&self, config: &KubernetesConfig) -> KubernetesConfig {
        let mut config = config.clone();
        config.docker.mode = self.mode;
        if let Some(runtime) = &self.runtime {
            config.pod_config = config.pod_config.with_runtime_class(runtime);
        }
        config
    }

    fn plain(mode: DockerMode) -> Self {
        Self {
            mode,
            runtime: None,
        }
    }
}

/// In the words of `enable_docker`: `ALL`, `ALL on kata`.
impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.mode {
            DockerMode::Off => "OFF",
            DockerMode::All => "ALL",
            DockerMode::Build => "BUILD",
        })?;
        match &self.runtime {
            Some(runtime) => write!(f, " on {runtime}"),
            None => Ok(()),
        }
    }
}

/// One thing that was checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What: `rights`, `pod`.
    pub check: &'static str,
    /// Of which way; None: of all.
    #[serde(flatten)]
    pub way: Option<Way>,
    /// How it is.
    pub verdict: Verdict,
    /// Why: a fragment or a sentence.
    pub reason: String,
    /// What to do about it.
    pub fix: Option<String>,
}

impl Finding {
    fn new(check: &'static str, verdict: Verdict, reason: impl Into<String>) -> Self {
        Self {
            check,
            way: None,
            verdict,
            reason: reason.into(),
            fix: None,
        }
    }

    fn of(self, way: &Way) -> Self {
        Self {
            way: Some(way.clone()),
            ..self
        }
    }

    fn fix(self, fix: impl Into<String>) -> Self {
        Self {
            fix: Some(fix.into()),
            ..self
        }
    }

    fn maybe_fix(self, fix: Option<String>) -> Self {
        Self { fix, ..self }
    }
}

/// Everything that was found.
#[derive(Clone, Debug)]
pub struct DockerCheck {
    /// The ways that were looked at.
    pub ways: Vec<Way>,
    /// One thing after the other.
    pub findings: Vec<Finding>,
}

impl DockerCheck {
    /// Whether nothing that was found forbids a way.
    pub fn can_work(&self, way: &Way) -> bool {
        let forbids = |finding: &Finding| {
            finding.verdict == Verdict::No && finding.way.as_ref().is_none_or(|own| own == way)
        };
        !self.findings.iter().any(forbids)
    }
}

/// Checks modes, with a launch that would use each of them, and ALL in the sandboxes that there are. Nothing is created; what may not be read is unknown.
pub async fn check_docker(
    cluster: &Cluster,
    request: &LaunchRequest,
    modes: &[DockerMode],
) -> DockerCheck {
    let (facts, nodes, rights, classes, runtimes, labels) = futures::join!(
        cluster.facts(),
        cluster.nodes(),
        access::rights(cluster, &request.config),
        storage::caches(cluster, &request.config),
        machines::runtimes(cluster),
        cluster.namespace_labels(),
    );
    let facts = match facts {
        Ok(facts) => facts,
        Err(error) => {
            let finding = Finding::new("server", Verdict::No, told(&error));
            return DockerCheck {
                ways: modes.iter().copied().map(Way::plain).collect(),
                findings: vec![finding.maybe_fix(error.hint())],
            };
        }
    };
    let mut findings = vec![machines::server(&facts), rights];
    findings.push(access::pod_security(cluster, &facts, labels));
    let mut ways: Vec<Way> = modes.iter().copied().map(Way::plain).collect();
    if modes.contains(&DockerMode::All) && request.config.pod_config.runtime_class().is_none() {
        ways.extend(machines::sandboxed(&runtimes));
    }
    for way in &ways {
        let shape = Shape::compile(cluster, request, &facts, way);
        findings.extend(pod::check(cluster, shape, &nodes, &runtimes, way).await);
    }
    findings.extend(machines::traps(&nodes, modes));
    findings.push(machines::runtime_classes(&runtimes));
    findings.push(classes);
    DockerCheck { ways, findings }
}

/// An error with its causes, on one line.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
