//! Which configuration files and flags there are: the layers of the configuration.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use skiff_schema::ConfigLayer;

use crate::environment::Environment;
use crate::error::CommandError;
use crate::files;

/// A file of configuration that there may be.
struct Candidate {
    path: PathBuf,
    /// The environment variable that names it: then it must be there.
    variable: Option<&'static str>,
}

/// Reads every layer, the lowest first: the local cluster's own, the user's, the project's, then what `--config` says.
pub(crate) fn layers(
    environment: &Environment,
    context: Option<&str>,
    flags: &[String],
) -> Result<Vec<ConfigLayer>, CommandError> {
    let mut layers = Vec::new();
    for candidate in candidates(environment, context) {
        layers.extend(read(&candidate)?);
    }
    for flag in flags {
        layers.push(read_flag(environment, flag)?);
    }
    Ok(layers)
}

/// Finds what is wrong with `--config` where nothing needs what it says.
pub(crate) fn check_flags(environment: &Environment, flags: &[String]) -> Result<(), CommandError> {
    for flag in flags {
        read_flag(environment, flag)?;
    }
    Ok(())
}

fn candidates(environment: &Environment, context: Option<&str>) -> Vec<Candidate> {
    let maybe = |path| Candidate {
        path,
        variable: None,
    };
    let named = |path: &Option<PathBuf>, variable| {
        path.as_ref().map(|path| Candidate {
            path: in_home(environment, path),
            variable: Some(variable),
        })
    };
    let local = context
        .and_then(|context| context.strip_prefix("skiff-"))
        .map(|name| environment.skiff_home.join("local").join(name))
        .map(|folder| maybe(folder.join("config.yaml")));
    let own = environment.skiff_home.join("config.yaml");
    let user = named(&environment.global_config, "SKYPILOT_GLOBAL_CONFIG").unwrap_or_else(|| {
        let skypilots = || environment.home.join(".sky/config.yaml");
        maybe(if own.exists() { own } else { skypilots() })
    });
    let project = named(&environment.project_config, "SKYPILOT_PROJECT_CONFIG")
        .unwrap_or_else(|| maybe(PathBuf::from(".sky.yaml")));
    local.into_iter().chain([user, project]).collect()
}

fn read(candidate: &Candidate) -> Result<Option<ConfigLayer>, CommandError> {
    let path = candidate.path.display();
    match (files::try_read(&candidate.path), candidate.variable) {
        (Ok(bytes), _) => Ok(Some(ConfigLayer::read_bytes(&path.to_string(), &bytes)?)),
        (Err(error), None) if error.kind() == ErrorKind::NotFound => Ok(None),
        (Err(error), None) => Err(CommandError::failure(
            format!("cannot read the configuration {path}: {error}"),
            None,
        )),
        (Err(error), Some(variable)) => Err(CommandError::failure(
            format!("cannot read the configuration {path}, which {variable} names: {error}"),
            Some(format!(
                "correct the variable, or go on without it: unset {variable}"
            )),
        )),
    }
}

/// One `--config`: the path of a file, or a key and its value.
fn read_flag(environment: &Environment, flag: &str) -> Result<ConfigLayer, CommandError> {
    let path = in_home(environment, Path::new(flag));
    if !path.is_file() {
        return Ok(ConfigLayer::from_flag(flag)?);
    }
    let bytes = files::read(&path)?;
    let layer = ConfigLayer::read_bytes(&path.display().to_string(), &bytes)?;
    Ok(layer.as_flag())
}

/// `~/config.yaml` in the home folder; any other path as it is.
fn in_home(environment: &Environment, path: &Path) -> PathBuf {
    path.strip_prefix("~")
        .map_or_else(|_| path.to_owned(), |rest| environment.home.join(rest))
}
