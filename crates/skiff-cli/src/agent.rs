//! The agents that this executable can deliver: embedded in a release, beside the executable otherwise.

use std::borrow::Cow;

use skiff_engine::AgentExecutable;

use crate::error::CommandError;

/// The one architecture that is built for now.
const ARCHITECTURE: &str = "amd64";

#[cfg(feature = "embedded-agent")]
#[expect(
    clippy::unnecessary_wraps,
    reason = "without the feature there may be no agent"
)]
pub(crate) fn agents() -> Result<Vec<AgentExecutable>, CommandError> {
    static AMD64: &[u8] = include_bytes!(env!("SKIFF_AGENT_AMD64"));
    Ok(vec![AgentExecutable {
        architecture: ARCHITECTURE,
        bytes: Cow::Borrowed(AMD64),
    }])
}

#[cfg(not(feature = "embedded-agent"))]
pub(crate) fn agents() -> Result<Vec<AgentExecutable>, CommandError> {
    let executable = std::env::current_exe().unwrap_or_default();
    let path = executable.with_file_name(format!("skiff-agent-{ARCHITECTURE}"));
    match std::fs::read(&path) {
        Ok(bytes) => Ok(vec![AgentExecutable {
            architecture: ARCHITECTURE,
            bytes: Cow::Owned(bytes),
        }]),
        Err(error) => Err(CommandError::failure(
            format!(
                "this build of skiff has no agent in it, and {} cannot be read: {error}",
                path.display()
            ),
            Some("`make build` builds both into one executable".to_owned()),
        )),
    }
}
