//! Which configuration files there are, and what they say together.

use std::path::{Path, PathBuf};

use skiff_schema::{Config, ConfigLayer};

use crate::environment::Environment;
use crate::error::CommandError;
use crate::printer::Printer;

/// Reads every layer, the lowest first: the local cluster's own, the user's, the project's.
pub(crate) fn load(
    environment: &Environment,
    context: Option<&str>,
    printer: Printer,
) -> Result<Config, CommandError> {
    let mut layers = Vec::new();
    for path in files(environment, context) {
        let Some(text) = read(&path)? else { continue };
        let layer = ConfigLayer::read(&path.display().to_string(), &text)?;
        for warning in &layer.warnings {
            printer.note(&format!("warning: {}", warning.message));
        }
        layers.push(layer);
    }
    Ok(Config::merge(layers))
}

fn files(environment: &Environment, context: Option<&str>) -> Vec<PathBuf> {
    let local = context
        .and_then(|context| context.strip_prefix("skiff-"))
        .map(|name| {
            environment
                .skiff_home
                .join("local")
                .join(name)
                .join("config.yaml")
        });
    let own = environment.skiff_home.join("config.yaml");
    let user = match &environment.global_config {
        Some(path) => path.clone(),
        None if own.exists() => own,
        None => environment.home.join(".sky/config.yaml"),
    };
    let project = environment
        .project_config
        .clone()
        .unwrap_or_else(|| PathBuf::from(".sky.yaml"));
    local.into_iter().chain([user, project]).collect()
}

fn read(path: &Path) -> Result<Option<String>, CommandError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(CommandError::failure(
            format!("cannot read {}: {error}", path.display()),
            None,
        )),
    }
}
