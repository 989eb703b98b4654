//! What the configuration says of the sidecar, from its environment.

use std::env::VarError;

use skiff_proto::{DOCKER_SETTINGS, DockerSettings};
use thiserror::Error;

/// The sidecar cannot know what it is to do.
#[derive(Debug, Error)]
pub(crate) enum SettingsError {
    /// The variable is no text.
    #[error("cannot read the variable {DOCKER_SETTINGS}")]
    Variable(#[source] VarError),
    /// The text is not what this agent knows.
    #[error("the variable {DOCKER_SETTINGS} is not as this agent knows it")]
    Unknown(#[source] serde_json::Error),
}

/// The settings; the defaults where nothing is configured.
pub(crate) fn read() -> Result<DockerSettings, SettingsError> {
    match std::env::var(DOCKER_SETTINGS) {
        Ok(text) => parse(&text),
        Err(VarError::NotPresent) => Ok(DockerSettings::default()),
        Err(error) => Err(SettingsError::Variable(error)),
    }
}

fn parse(text: &str) -> Result<DockerSettings, SettingsError> {
    serde_json::from_str(text).map_err(SettingsError::Unknown)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn what_is_not_written_is_as_usual_and_what_is_unknown_an_error() {
        let settings = parse("{\"mtu\":1400,\"expose_tcp\":true}").expect("settings");
        assert_eq!((settings.mtu, settings.expose_tcp), (Some(1400), true));
        assert_eq!(settings.registry_mirrors, Vec::<String>::new());
        let error = parse("{\"of_a_newer_skiff\":1}").expect_err("an error");
        assert!(error.to_string().contains("SKIFF_DOCKER"), "{error}");
    }
}
