//! The clusters that a command is about: names, globs, or all.

use clap::Args;
use skiff_engine::{Matched, SkiffCluster};
use skiff_kube::Cluster;

use crate::error::CommandError;
use crate::setup::Setup;

#[derive(Debug, Args)]
pub(crate) struct ClusterArgs {
    /// Names of clusters, or globs such as `'dev*'`
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    clusters: Vec<String>,
    /// All of your clusters
    #[arg(short, long)]
    all: bool,
}

/// The clusters that were found, and what is to be said of the others in the end.
pub(crate) struct Found {
    pub(crate) clusters: Vec<SkiffCluster>,
    missing: Option<CommandError>,
    is_all: bool,
}

impl ClusterArgs {
    /// Finds them; that some are not there is no obstacle to the others.
    pub(crate) async fn find(
        &self,
        cluster: &Cluster,
        setup: &Setup,
    ) -> Result<Found, CommandError> {
        let every = ["*".to_owned()];
        let patterns = if self.all {
            &every
        } else {
            self.clusters.as_slice()
        };
        let found = Matched::find(cluster, &setup.user(), patterns).await?;
        let missing = found.unmatched.first().map(|name| {
            let message = format!(
                "there is no cluster `{name}` in namespace {} of context {}",
                cluster.namespace, cluster.context
            );
            CommandError::failure(
                message,
                Some("`skiff status` lists your clusters".to_owned()),
            )
        });
        Ok(Found {
            clusters: found.clusters,
            missing: missing.filter(|_| !self.all),
            is_all: self.all,
        })
    }
}

impl Found {
    /// Their names, for a question.
    pub(crate) fn names(&self) -> String {
        let names: Vec<&str> = self
            .clusters
            .iter()
            .map(|skiff| skiff.record.name.as_str())
            .collect();
        names.join(", ")
    }

    /// Says what of it was not there, after the rest is done; `nothing` where all are meant and there is none.
    pub(crate) fn end(self, setup: &Setup, nothing: &str) -> Result<(), CommandError> {
        if self.is_all && self.clusters.is_empty() {
            setup.printer.note(nothing);
        }
        self.missing.map_or(Ok(()), Err)
    }
}
