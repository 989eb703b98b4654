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

/// No candidate will do.
pub(crate) struct Refused {
    pub(crate) error: CommandError,
    /// Whether that may change by itself.
    pub(crate) unavailable: bool,
}

/// Prepares the launch of the first candidate from this one on that its Kubernetes can hold. Nothing is created. The
/// error of a task with several says of each why it will not do.
pub(crate) async fn first(
    setup: &Setup,
    task: &ResolvedTask,
    config: &[String],
    from: usize,
    request: impl Fn(ResolvedTask, KubernetesConfig) -> LaunchRequest,
) -> Result<Candidate, Refused> {
    let mut refused = Vec::new();
    let mut unavailable = false;
    for (index, resources) in task.resources.iter().enumerate().skip(from) {
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
            Err(Refused {
                error: error @ CommandError::Faults(_),
                unavailable,
            }) => return Err(Refused { error, unavailable }),
            Err(refusal) => {
                unavailable |= refusal.unavailable;
                refused.push((label(&task), refusal.error));
            }
        }
    }
    Err(Refused {
        error: none_will_do(refused),
        unavailable,
    })
}

async fn attempt(
    setup: &Setup,
    task: &ResolvedTask,
    flags: &[String],
    request: &impl Fn(ResolvedTask, KubernetesConfig) -> LaunchRequest,
) -> Result<(Cluster, Prepared), Refused> {
    let for_good = |error| Refused {
        error,
        unavailable: false,
    };
    let connected = setup.connect_for_task(task.context(), flags).await;
    let (cluster, config) = connected.map_err(for_good)?;
    let config = config.for_task(Some(&cluster.context), &task.config);
    let prepared = Box::pin(prepare(&cluster, request(task.clone(), config))).await;
    match prepared {
        Ok(prepared) => Ok((cluster, prepared)),
        Err(error) => Err(Refused {
            unavailable: error.is_unavailable(),
            error: error.into(),
        }),
    }
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
