//! Whether a cluster can run Docker in its pods: what is asked of it before anything is created there.

mod access;
mod machines;
mod pod;
mod self_test;
mod storage;

use std::fmt;

use serde::Serialize;
use skiff_kube::Cluster;
use skiff_schema::DockerMode;

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

/// One thing that was checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What: `rights`, `pod`.
    pub check: &'static str,
    /// For which mode; None: for all.
    pub mode: Option<DockerMode>,
    /// How it is.
    pub verdict: Verdict,
    /// Why: a fragment or a sentence.
    pub reason: String,
    /// What to do about it.
    pub fix: Option<String>,
}

/// The modes in the words of `enable_docker`.
pub fn mode_name(mode: DockerMode) -> &'static str {
    match mode {
        DockerMode::Off => "OFF",
        DockerMode::All => "ALL",
        DockerMode::Build => "BUILD",
    }
}

impl Finding {
    fn new(check: &'static str, verdict: Verdict, reason: impl Into<String>) -> Self {
        Self {
            check,
            mode: None,
            verdict,
            reason: reason.into(),
            fix: None,
        }
    }

    fn of(self, mode: DockerMode) -> Self {
        Self {
            mode: Some(mode),
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
#[derive(Clone, Debug, Serialize)]
pub struct DockerCheck {
    /// One thing after the other.
    pub findings: Vec<Finding>,
}

impl DockerCheck {
    /// Whether nothing that was found forbids a mode.
    pub fn can_work(&self, mode: DockerMode) -> bool {
        let forbids = |finding: &Finding| {
            finding.verdict == Verdict::No && finding.mode.is_none_or(|own| own == mode)
        };
        !self.findings.iter().any(forbids)
    }
}

/// Checks modes, with a launch that would use each of them. Nothing is created; what may not be read is unknown.
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
                findings: vec![finding.maybe_fix(error.hint())],
            };
        }
    };
    let mut findings = vec![machines::server(&facts), rights];
    findings.push(access::pod_security(cluster, &facts, labels));
    for mode in modes {
        let shape = Shape::compile(cluster, request, &facts, *mode);
        findings.extend(pod::check(cluster, shape, &nodes, &runtimes, *mode).await);
    }
    findings.extend(machines::traps(&nodes, modes));
    findings.push(machines::runtime_classes(&runtimes));
    findings.push(classes);
    DockerCheck { findings }
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
