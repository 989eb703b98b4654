//! Container images: `python:3.12`, `docker:python:3.12`, `{docker: python:3.12}`, or one for each
//! context.

use indexmap::IndexMap;

use crate::faults::Fault;
use crate::grammar::{Notation, Problem, ScalarKind};
use crate::path::Path;
use crate::words;
use crate::yaml::{Node, Value};

/// How an image is written.
pub(crate) static IMAGE: Notation = Notation {
    what: "an image",
    kinds: &[ScalarKind::Text],
    pattern: r"^\s*(docker:)?[^\s]+\s*$",
    check: |text| parse(text).map(drop),
};

/// How a key of a mapping of images is written: any text.
pub(super) static IMAGE_KEY: Notation = Notation {
    what: "`docker`, or a context",
    kinds: &[ScalarKind::Text],
    pattern: "",
    check: |_| Ok(()),
};

/// The image or images that were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Image {
    /// One for all contexts, without `docker:`.
    Any(String),
    /// One for each context or region.
    By(IndexMap<String, String>),
}

impl Image {
    /// Reads a scalar or a mapping that was checked.
    pub(super) fn read(node: &Node, path: &Path<'_>, faults: &mut Vec<Fault>) -> Option<Self> {
        let entries = match &node.value {
            Value::String(text) => return Some(Self::Any(parse(text).ok()?.to_owned())),
            Value::Mapping(entries) => entries,
            _ => return None,
        };
        let mut images = IndexMap::new();
        let mut docker = None;
        let mut with_prefix = None;
        for entry in entries {
            let Value::String(text) = &entry.value.value else {
                continue;
            };
            let Ok(image) = parse(text) else { continue };
            if entry.key.value == Value::Null {
                return Some(Self::Any(image.to_owned()));
            }
            let key = entry.key.value.to_python_string().trim().to_owned();
            if key == "docker" {
                docker = Some(image.to_owned());
            } else {
                let has_prefix = text.trim_start().starts_with("docker:");
                with_prefix = with_prefix.or(has_prefix.then_some(entry.value.span));
                images.insert(key, image.to_owned());
            }
        }
        if let Some(span) = with_prefix.filter(|_| docker.is_some()) {
            let message = format!("`{path}` names container images in two ways");
            let help = "keep `docker`, or the images by context";
            faults.push(Fault::new(message).at(span, "").help(help));
        }
        match docker {
            Some(image) => Some(Self::Any(image)),
            None if images.is_empty() => None,
            None => Some(Self::By(images)),
        }
    }

    /// The image for a context, or for the one that will be found.
    pub(super) fn choose(&self, context: Option<&str>) -> Result<&str, Problem> {
        let images = match self {
            Self::Any(image) => return of_container(image),
            Self::By(images) => images,
        };
        let keys = context.into_iter().chain(["kubernetes", "k8s"]);
        let by_key = keys.into_iter().find_map(|key| images.get(key));
        let only = images.values().next().filter(|_| images.len() == 1);
        if let Some(image) = by_key.or(only.filter(|_| context.is_none())) {
            return of_container(image);
        }
        let known: Vec<&str> = images.keys().map(String::as_str).take(10).collect();
        let message = format!(
            "no image is for {}: there are {}",
            context.map_or("Kubernetes".to_owned(), |name| format!("`{name}`")),
            words::all_of(&known)
        );
        let help = "write `{docker: <image>}`, or the image of the context under its name";
        Err(Problem::new(message, help))
    }
}

/// Refuses the images of virtual machines that can be told by their names.
fn of_container(image: &str) -> Result<&str, Problem> {
    let is_machine = image.starts_with("ami-")
        || image.starts_with("skypilot:")
        || (image.starts_with("projects/") && image.contains("/images/"));
    if is_machine {
        let message = format!("`{image}` is an image of virtual machines");
        let help = "write a container image such as docker:ubuntu:22.04, or leave it out";
        return Err(Problem::new(message, help));
    }
    Ok(image)
}

/// An image's name without `docker:`.
pub(crate) fn parse(text: &str) -> Result<&str, Problem> {
    let text = text.trim();
    let image = text.strip_prefix("docker:").unwrap_or(text);
    let is_odd = |char: char| char.is_whitespace() || char.is_control();
    if image.is_empty() || image.contains(is_odd) {
        let help = "write it as for `docker pull`: ubuntu:22.04, ghcr.io/me/image@sha256:…";
        let message = match image {
            "" => "the image is empty".to_owned(),
            _ => format!("`{text}` is not an image"),
        };
        return Err(Problem::new(message, help));
    }
    Ok(image)
}
