//! The clusters that names and globs mean.

use globset::Glob;
use skiff_kube::{ApiError, Cluster};

use crate::User;
use crate::cluster::{SkiffCluster, list};

/// Which of the user's clusters names and globs mean, and which of them mean none.
#[derive(Debug, Default)]
pub struct Matched {
    /// The clusters.
    pub clusters: Vec<SkiffCluster>,
    /// Names and globs without a match.
    pub unmatched: Vec<String>,
}

impl Matched {
    /// Finds the clusters that names and globs mean; `*` means all.
    pub async fn find(
        cluster: &Cluster,
        user: &User,
        patterns: &[String],
    ) -> Result<Self, ApiError> {
        let clusters = list(cluster, Some(user)).await?;
        let mut found = Self::default();
        for pattern in patterns {
            let matches = matching(&clusters, pattern);
            if matches.is_empty() {
                found.unmatched.push(pattern.clone());
            }
            for cluster in matches {
                if found.clusters.iter().all(|known| known.id != cluster.id) {
                    found.clusters.push(cluster.clone());
                }
            }
        }
        Ok(found)
    }
}

fn matching<'a>(clusters: &'a [SkiffCluster], pattern: &str) -> Vec<&'a SkiffCluster> {
    let glob = Glob::new(pattern).map(|glob| glob.compile_matcher());
    clusters
        .iter()
        .filter(|cluster| {
            cluster.record.name == pattern
                || glob
                    .as_ref()
                    .is_ok_and(|glob| glob.is_match(&cluster.record.name))
        })
        .collect()
}
