//! Tries a task's candidates one after the other: the first that can be launched is the one.

use std::fmt::Write;

use skiff_engine::{LaunchRequest, Prepared, prepare};
use skiff_kube::Cluster;
use skiff_proto::ExitStatus;
use skiff_schema::{KubernetesConfig, ResolvedTask};

use crate::error::CommandError;
use crate::setup::Setup;

/// A launch that can go on, and where.
pub(crate) struct Candidate {
    pub(crate) cluster: Cluster,
    pub(crate) prepared: Prepared,
    /// Its place among all.
    pub(crate) index: usize,
}

/// Prepares the launch of the first candidate that its Kubernetes can hold. Nothing is created. The error of a task
/// with several says of each why it will not do.
pub(crate) async fn first(
    setup: &Setup,
    task: &ResolvedTask,
    config: &[String],
    request: impl Fn(ResolvedTask, KubernetesConfig) -> LaunchRequest,
) -> Result<Candidate, CommandError> {
    let mut refused = Vec::new();
    for (index, resources) in task.resources.iter().enumerate() {
        let task = ResolvedTask {
            resources: vec![resources.clone()],
            ..task.clone()
        };
        match attempt(setup, &task, config, &request).await {
            Ok((cluster, prepared)) => {
                return Ok(Candidate {
                    cluster,
                    prepared,
                    index,
                });
            }
            // A file that is wrong is wrong for all.
            Err(error @ CommandError::Faults(_)) => return Err(error),
            Err(error) => refused.push((label(&task), error)),
        }
    }
    Err(none_will_do(refused))
}

async fn attempt(
    setup: &Setup,
    task: &ResolvedTask,
    flags: &[String],
    request: &impl Fn(ResolvedTask, KubernetesConfig) -> LaunchRequest,
) -> Result<(Cluster, Prepared), CommandError> {
    let (cluster, config) = setup.connect_for_task(task.context(), flags).await?;
    let config = config.for_task(Some(&cluster.context), &task.config);
    let prepared = Box::pin(prepare(&cluster, request(task.clone(), config))).await?;
    Ok((cluster, prepared))
}

/// A candidate in one line.
fn label(task: &ResolvedTask) -> String {
    let resources = task.resources_text(task.first());
    match task.context() {
        Some(context) => format!("{resources} on {context}"),
        None => resources,
    }
}

/// One error of all candidates' own.
fn none_will_do(mut refused: Vec<(String, CommandError)>) -> CommandError {
    let mut texts = refused.iter().map(|(_, error)| error.message());
    let first = texts.next();
    if texts.all(|text| Some(text) == first) {
        return refused.swap_remove(0).1;
    }
    let mut message = format!("none of the {} candidates can be launched:", refused.len());
    for (number, (label, error)) in refused.iter().enumerate() {
        let _ = write!(
            message,
            "\n{}. {label}\n   {}",
            number + 1,
            indented(&error.message())
        );
        if let Some(hint) = error.hint() {
            let _ = write!(message, "\n   hint: {}", indented(hint));
        }
    }
    CommandError::Failed {
        error: message.into(),
        hint: None,
        exit: ExitStatus::Failure,
    }
}

fn indented(text: &str) -> String {
    text.replace('\n', "\n   ")
}
