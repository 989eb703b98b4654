//! What users change of the pods: fragments of a Kubernetes pod, merged as Kubernetes merges.

use crate::yaml::Node;

/// A fragment of a pod: `metadata` and `spec`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PodConfig {
    fragment: Option<Node>,
}

impl PodConfig {
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.fragment.is_none()
    }
}
