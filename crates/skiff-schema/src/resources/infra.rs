//! Where a task may run: `k8s`, `k8s/<context>`, `ssh/<pool>`, and the clouds that Skiff does not
//! reach.

use std::fmt;

use crate::grammar::{Notation, Problem, ScalarKind};
use crate::words;

/// How a place is written.
pub(crate) static INFRA: Notation = Notation {
    what: "a place to run",
    kinds: &[ScalarKind::Text],
    pattern: r"^([a-zA-Z0-9]+|\*)(/.+)?$",
    check: |text| Place::parse(text).map(drop),
};

/// Places that `SkyPilot` knows, by the words of `cloud`.
pub(crate) const CLOUDS: [&str; 26] = [
    "kubernetes",
    "k8s",
    "ssh",
    "aws",
    "azure",
    "cudo",
    "do",
    "fluidstack",
    "gcp",
    "hyperbolic",
    "ibm",
    "lambda",
    "mithril",
    "nebius",
    "oci",
    "paperspace",
    "primeintellect",
    "runpod",
    "scp",
    "seeweb",
    "shadeform",
    "slurm",
    "vast",
    "verda",
    "vsphere",
    "yotta",
];

const HELP: &str = "write k8s, or k8s/<context> for a context of your kubeconfig";

/// Where the task may run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Infra {
    /// A Kubernetes cluster.
    Kubernetes {
        /// The kubeconfig context; None is the one that the configuration or kubeconfig chooses.
        context: Option<String>,
    },
}

impl Infra {
    /// The kubeconfig context that was named.
    pub fn context(&self) -> Option<&str> {
        let Self::Kubernetes { context } = self;
        context.as_deref()
    }
}

impl fmt::Display for Infra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let context = self.context();
        match (context, context.and_then(|name| name.strip_prefix(POOL))) {
            (_, Some(pool)) => write!(f, "ssh/{pool}"),
            (Some(context), None) => write!(f, "kubernetes/{context}"),
            (None, None) => f.write_str("kubernetes"),
        }
    }
}

/// What the contexts of node pools begin with.
const POOL: &str = "ssh-";

/// A place as written, on Kubernetes or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Wherever the configuration says.
    Anywhere,
    /// On Kubernetes.
    Here(Infra),
    /// On another cloud.
    Elsewhere(String),
}

impl Place {
    /// `cloud/region/zone`, where Kubernetes has contexts, which may contain `/`.
    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        let wrong = |why: &str| Problem::new(format!("`{text}` {why}"), HELP);
        let parts: Vec<&str> = text.split('/').map(str::trim).collect();
        if parts.iter().any(|part| part.is_empty()) {
            return Err(wrong("is incomplete"));
        }
        let [_, rest @ ..] = parts.as_slice() else {
            return Err(wrong("is incomplete"));
        };
        let cloud = text.split('/').next().unwrap_or_default().to_lowercase();
        if cloud == "*" && rest.get(1).is_some_and(|zone| *zone != "*") {
            return Err(wrong("names a zone, which Kubernetes does not have"));
        }
        let context = rest.join("/");
        let context = if cloud == "*" {
            rest.first().copied()
        } else {
            Some(context.as_str())
        };
        let context = context.filter(|context| !context.is_empty() && *context != "*");
        if cloud == "ssh" && context.is_none() {
            return Err(wrong("names no pool: write ssh/<pool>"));
        }
        let like = || words::similar(&cloud, CLOUDS.into_iter());
        Self::of(&cloud, context).ok_or_else(|| {
            let problem = wrong("is no place to run");
            match like() {
                Some(word) => Problem::new(problem.message, format!("did you mean `{word}`?")),
                None => problem,
            }
        })
    }

    /// A cloud by its word in lower case, and a context or region; None is no cloud.
    pub(crate) fn of(cloud: &str, context: Option<&str>) -> Option<Self> {
        let here = |context| Self::Here(Infra::Kubernetes { context });
        let named = context.map(str::to_owned);
        match cloud {
            "*" if named.is_none() => Some(Self::Anywhere),
            "k8s" | "kubernetes" | "*" => Some(here(named)),
            "ssh" => Some(here(named.map(|pool| {
                if pool.starts_with(POOL) {
                    pool
                } else {
                    format!("{POOL}{pool}")
                }
            }))),
            cloud if CLOUDS.contains(&cloud) => Some(Self::Elsewhere(cloud.to_owned())),
            _ => None,
        }
    }
}

/// What a user of another cloud needs to know.
pub(crate) fn not_here(cloud: &str) -> Problem {
    Problem::new(
        format!("Skiff runs on Kubernetes only, not on `{cloud}`"),
        HELP,
    )
}
