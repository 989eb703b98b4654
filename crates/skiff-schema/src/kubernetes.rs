//! Values of the `kubernetes` section, which stands in configuration files and in tasks.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::faults::Fault;
use crate::fields::{Field, Fields, Vocabulary};
use crate::yaml::Value;

/// Which Docker a task gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DockerMode {
    /// None.
    #[default]
    Off,
    /// A daemon of its own in a privileged sidecar.
    All,
}

/// When a node pulls an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ImagePullPolicy {
    /// At each start.
    Always,
    /// When the node has none.
    IfNotPresent,
    /// Not at all.
    Never,
}

impl ImagePullPolicy {
    /// The word that Kubernetes and the configuration use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}

/// How long to wait for pods to be scheduled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProvisionTimeout {
    /// Give up after this time.
    After(Duration),
    /// Wait for ever.
    Forever,
}

/// Reads `enable_docker` in all its forms.
pub(crate) fn read_docker(fields: &mut Fields<'_>, faults: &mut Vec<Fault>) -> Option<DockerMode> {
    let field = fields.take("enable_docker")?;
    let path = fields.path("enable_docker");
    match &field.node.value {
        Value::Mapping(_) => docker_mapping(&path, field, faults),
        _ => docker_word(&path, field, faults),
    }
}

fn docker_mapping(path: &str, field: Field<'_>, faults: &mut Vec<Fault>) -> Option<DockerMode> {
    let mut fields = Fields::open(path, field, faults)?;
    let mode = fields
        .take("mode")
        .map(|field| (fields.path("mode"), field));
    let enabled = fields
        .take("enabled")
        .map(|field| (fields.path("enabled"), field));
    let vocabulary = Vocabulary {
        known: &["mode", "enabled"],
        unsupported: &["cache_volume"],
        ignored: &[],
    };
    fields.finish(&vocabulary, faults);
    match (mode, enabled) {
        (Some((_, field)), Some(_)) => {
            let fault = Fault::new(format!("`{path}` has both `mode` and `enabled`"));
            faults.push(fault.at(field.key_span(), "").help("write `mode` alone"));
            None
        }
        (Some((path, field)), None) | (None, Some((path, field))) => {
            docker_word(&path, field, faults)
        }
        (None, None) => {
            let fault = Fault::new(format!("`{path}` has no `mode`")).at(field.span(), "");
            faults.push(fault.help("write `mode: ALL`"));
            None
        }
    }
}

fn docker_word(path: &str, field: Field<'_>, faults: &mut Vec<Fault>) -> Option<DockerMode> {
    match &field.node.value {
        Value::Bool(true) => return Some(DockerMode::All),
        Value::Bool(false) => return Some(DockerMode::Off),
        Value::String(word) if word.eq_ignore_ascii_case("all") => return Some(DockerMode::All),
        Value::String(word) if word.eq_ignore_ascii_case("build") => {
            let message = format!("`{path}`: this version of Skiff supports only ALL");
            let help = "write `true` or `ALL`: it builds images too, with a privileged sidecar";
            faults.push(Fault::new(message).at(field.span(), "").help(help));
        }
        Value::String(word) => {
            let fault = Fault::new(format!("`{path}`: `{word}` is no Docker mode"));
            faults.push(fault.at(field.span(), "").help("write true, false or ALL"));
        }
        _ => {
            let fault = field.must_be(path, "a boolean or a string");
            faults.push(fault.help("write true, false or ALL"));
        }
    }
    None
}

/// Reads `provision_timeout`: seconds, and any negative number for ever.
pub(crate) fn read_provision_timeout(
    fields: &mut Fields<'_>,
    faults: &mut Vec<Fault>,
) -> Option<ProvisionTimeout> {
    let field = fields.take("provision_timeout")?;
    let seconds = match &field.node.value {
        Value::Int(integer) => integer.to_i64(),
        _ => None,
    };
    let Some(seconds) = seconds else {
        let fault = field.must_be(
            &fields.path("provision_timeout"),
            "a whole number of seconds",
        );
        faults.push(fault.help("-1 waits for ever"));
        return None;
    };
    Some(
        u64::try_from(seconds).map_or(ProvisionTimeout::Forever, |seconds| {
            ProvisionTimeout::After(Duration::from_secs(seconds))
        }),
    )
}
