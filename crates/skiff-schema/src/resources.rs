//! What a task asks of a node: CPUs, memory, image, place.

use serde::{Deserialize, Serialize};

use crate::faults::Fault;
use crate::fields::{self, Field, Fields, Vocabulary};
use crate::quantity::{Cpus, Memory};
use crate::yaml::Value;

/// Where the task may run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Infra {
    /// A Kubernetes cluster.
    Kubernetes {
        /// The kubeconfig context; None is the one that the configuration or kubeconfig chooses.
        context: Option<String>,
    },
}

/// The `resources` of a task, as far as this version reads them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// CPUs of each node.
    pub cpus: Option<Cpus>,
    /// Memory of each node.
    pub memory: Option<Memory>,
    /// The container image, without the `docker:` prefix.
    pub image_id: Option<String>,
    /// Where to run.
    pub infra: Option<Infra>,
}

const VOCABULARY: Vocabulary = Vocabulary {
    known: &["cpus", "memory", "image_id", "infra"],
    unsupported: &[
        "accelerators",
        "gpus",
        "accelerator_args",
        "any_of",
        "autostop",
        "cloud",
        "disk_size",
        "disk_tier",
        "ephemeral_storage",
        "instance_type",
        "job_recovery",
        "labels",
        "local_disk",
        "max_hourly_cost",
        "network_tier",
        "ordered",
        "ports",
        "priority",
        "priority_class",
        "region",
        "use_spot",
        "volumes",
        "zone",
    ],
    ignored: &[
        "_cluster_config_overrides",
        "_docker_login_config",
        "_is_image_managed",
        "_no_missing_accel_warnings",
        "_requires_fuse",
    ],
};

/// Places that `SkyPilot` knows and that are not Kubernetes.
const OTHER_CLOUDS: [&str; 22] = [
    "aws",
    "azure",
    "cudo",
    "do",
    "fluidstack",
    "gcp",
    "hyperbolic",
    "ibm",
    "lambda",
    "nebius",
    "oci",
    "paperspace",
    "primeintellect",
    "runpod",
    "scp",
    "seeweb",
    "shadeform",
    "slurm",
    "ssh",
    "vast",
    "verda",
    "vsphere",
];

impl Resources {
    pub(crate) fn read(path: &str, field: Field<'_>, faults: &mut Vec<Fault>) -> Self {
        let Some(mut fields) = Fields::open(path, field, faults) else {
            return Self::default();
        };
        let cpus = amount(&mut fields, "cpus", "a number", Cpus::parse, faults);
        let memory = amount(&mut fields, "memory", "an amount", Memory::parse, faults);
        let image_id = fields
            .take("image_id")
            .and_then(|field| image(field, faults));
        let infra = infra(&mut fields, faults);
        fields.finish(&VOCABULARY, faults);
        Self {
            cpus,
            memory,
            image_id,
            infra,
        }
    }
}

fn amount<T>(
    fields: &mut Fields<'_>,
    name: &str,
    what: &str,
    parse: fn(&str) -> Result<T, crate::quantity::NotAnAmount>,
    faults: &mut Vec<Fault>,
) -> Option<T> {
    let field = fields.take(name)?;
    let path = fields.path(name);
    if !matches!(
        field.node.value,
        Value::Int(_) | Value::Float(_) | Value::String(_)
    ) {
        faults.push(field.must_be(&path, what));
        return None;
    }
    match parse(&field.node.value.to_python_string()) {
        Ok(amount) => Some(amount),
        Err(error) => {
            faults.push(error.of(&path).at(field.span(), ""));
            None
        }
    }
}

/// `image`, `docker:image`, or `{docker: image}`.
fn image(field: Field<'_>, faults: &mut Vec<Fault>) -> Option<String> {
    let path = "resources.image_id";
    let (text, span) = match &field.node.value {
        Value::String(text) => (text, field.span()),
        Value::Mapping(_) => {
            let mut fields = Fields::open(path, field, faults)?;
            let inner = fields.take("docker");
            let vocabulary = Vocabulary {
                known: &["docker"],
                unsupported: &[],
                ignored: &[],
            };
            fields.finish(&vocabulary, faults);
            let inner = inner?;
            let Value::String(text) = &inner.node.value else {
                faults.push(inner.must_be("resources.image_id.docker", "a string"));
                return None;
            };
            (text, inner.span())
        }
        _ => {
            faults.push(field.must_be(path, "a string"));
            return None;
        }
    };
    parse_image(path, text)
        .map_err(|fault| faults.push(fault.at(span, "")))
        .ok()
}

/// An image's name without `docker:`.
pub(crate) fn parse_image(path: &str, text: &str) -> Result<String, Fault> {
    let image = text.strip_prefix("docker:").unwrap_or(text);
    if image.is_empty()
        || image
            .chars()
            .any(|char| char.is_whitespace() || char.is_control())
    {
        let help = "write it as for `docker pull`: ubuntu:22.04, ghcr.io/me/image@sha256:…";
        return Err(Fault::new(format!("`{path}`: `{text}` is not an image")).help(help));
    }
    Ok(image.to_owned())
}

fn infra(fields: &mut Fields<'_>, faults: &mut Vec<Fault>) -> Option<Infra> {
    let field = fields.take("infra")?;
    let path = fields.path("infra");
    let Value::String(text) = &field.node.value else {
        faults.push(field.must_be(&path, "a string"));
        return None;
    };
    Infra::parse(&path, text)
        .map_err(|fault| faults.push(fault.at(field.span(), "")))
        .ok()
}

impl Infra {
    /// The kubeconfig context that was named.
    pub fn context(&self) -> Option<&str> {
        let Self::Kubernetes { context } = self;
        context.as_deref()
    }

    pub(crate) fn parse(path: &str, text: &str) -> Result<Self, Fault> {
        let (place, context) = text
            .split_once('/')
            .map_or((text, None), |(place, context)| (place, Some(context)));
        let place = place.trim().to_lowercase();
        let help = "write k8s, or k8s/<context> for a context of your kubeconfig";
        if OTHER_CLOUDS.contains(&place.as_str()) {
            let message = format!("`{path}`: Skiff runs on Kubernetes only, not on `{place}`");
            return Err(Fault::new(message).help(help));
        }
        match (place.as_str(), context) {
            ("k8s" | "kubernetes", Some("")) | ("", _) => {
                Err(Fault::new(format!("`{path}`: `{text}` is incomplete")).help(help))
            }
            ("k8s" | "kubernetes", None | Some("*")) | ("*", None) => {
                Ok(Self::Kubernetes { context: None })
            }
            ("k8s" | "kubernetes", Some(context)) => Ok(Self::Kubernetes {
                context: Some(context.to_owned()),
            }),
            _ => {
                let known = ["k8s", "kubernetes"];
                let like = fields::similar(&place, known.into_iter());
                let help = like.map_or(help.to_owned(), |word| format!("did you mean `{word}`?"));
                Err(Fault::new(format!("`{path}`: `{text}` is no place to run")).help(help))
            }
        }
    }
}
