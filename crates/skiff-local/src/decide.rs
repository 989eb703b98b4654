//! What `up` makes of a request: a new cluster, or one that is there already.
//!
//! Pure: the record on disk and the machine's state are arguments.

use std::{net::Ipv4Addr, path::PathBuf};

use thiserror::Error;

use crate::{
    address::{Cidr, ClusterRange},
    ports,
    record::ClusterRecord,
    up::UpOptions,
    version::Version,
};

/// A request cannot be met.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RequestError {
    /// No nodes, or more than a cluster's addresses suffice for.
    #[error("{0} nodes were asked for, 1 to {max} are possible", max = ClusterRange::MAX_NODES)]
    Nodes(u8),
    /// The cluster has more nodes.
    #[error("the cluster has {has} nodes, {asked} were asked for, and nodes are never removed")]
    FewerNodes {
        /// How many there are.
        has: u8,
        /// How many were asked for.
        asked: u8,
    },
    /// The cluster has a way out.
    #[error("the cluster was made with a way out, and --no-egress cannot take it away")]
    Egress,
    /// The binaries are of another version than the cluster.
    #[error("the cluster runs Kubernetes {has}, the binaries found are {found}")]
    OtherVersion {
        /// What the cluster was made with.
        has: String,
        /// What the binaries are.
        found: Version,
    },
    /// The binaries are older than what Skiff supports.
    #[error("Kubernetes {0} is too old, {oldest} is the oldest that works",
        oldest = Version::OLDEST_KUBERNETES)]
    TooOld(Version),
    /// Every range of addresses is in use.
    #[error("no private range of addresses is free: the host's routes cover all that were tried")]
    NoRange,
    /// The range of a cluster that does not run is now in use by something else.
    #[error("the cluster's addresses {0} are in use by something else now")]
    RangeTaken(Cidr),
    /// Every port is in use.
    #[error("no free ports for the control plane")]
    NoPorts,
}

impl RequestError {
    /// Whether a new cluster in the old one's place would meet the request.
    pub fn is_met_by_new_cluster(&self) -> bool {
        matches!(
            self,
            Self::FewerNodes { .. }
                | Self::Egress
                | Self::OtherVersion { .. }
                | Self::RangeTaken(_)
        )
    }
}

/// What the machine has for a cluster.
pub(crate) struct Offer<'a> {
    pub(crate) kubernetes: Version,
    pub(crate) kubernetes_folder: PathBuf,
    pub(crate) kubeconfig: PathBuf,
    pub(crate) mtu: u32,
    /// Networks that something else uses.
    pub(crate) taken: &'a [Cidr],
}

/// Checks the request alone.
pub(crate) fn check(options: &UpOptions, kubernetes: Version) -> Result<(), RequestError> {
    if kubernetes < Version::OLDEST_KUBERNETES {
        return Err(RequestError::TooOld(kubernetes));
    }
    match options.nodes {
        Some(nodes) if nodes == 0 || nodes > ClusterRange::MAX_NODES => {
            Err(RequestError::Nodes(nodes))
        }
        _ => Ok(()),
    }
}

/// The record of a cluster that did not exist.
pub(crate) fn new_cluster(
    options: &UpOptions,
    offer: Offer<'_>,
    free: impl Fn(Ipv4Addr, u16) -> bool,
) -> Result<ClusterRecord, RequestError> {
    check(options, offer.kubernetes)?;
    let range = ClusterRange::choose(offer.taken).ok_or(RequestError::NoRange)?;
    let ports = ports::choose(|port| free(range.loopback_address(), port));
    Ok(ClusterRecord {
        form: ClusterRecord::CURRENT_FORM,
        kubernetes: offer.kubernetes.to_string(),
        kubernetes_folder: offer.kubernetes_folder,
        nodes: options.nodes.unwrap_or(1),
        egress: !options.no_egress,
        range,
        mtu: offer.mtu,
        ports: ports.ok_or(RequestError::NoPorts)?,
        kubeconfig: offer.kubeconfig,
        previous_context: None,
    })
}

/// The record of a cluster that exists, with the nodes that the request adds.
pub(crate) fn old_cluster(
    options: &UpOptions,
    record: ClusterRecord,
    kubernetes: Version,
    kubernetes_folder: PathBuf,
) -> Result<ClusterRecord, RequestError> {
    check(options, kubernetes)?;
    if record.kubernetes != kubernetes.to_string() {
        return Err(RequestError::OtherVersion {
            has: record.kubernetes,
            found: kubernetes,
        });
    }
    if options.no_egress && record.egress {
        return Err(RequestError::Egress);
    }
    let nodes = options.nodes.unwrap_or(record.nodes);
    if nodes < record.nodes {
        return Err(RequestError::FewerNodes {
            has: record.nodes,
            asked: nodes,
        });
    }
    Ok(ClusterRecord {
        kubernetes_folder,
        nodes,
        ..record
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::example;

    const KUBERNETES: Version = Version {
        major: 1,
        minor: 20,
        patch: 2,
    };

    fn options(nodes: Option<u8>, no_egress: bool) -> UpOptions {
        UpOptions {
            nodes,
            no_egress,
            ..UpOptions::default()
        }
    }

    fn new(options: &UpOptions, kubernetes: Version) -> Result<ClusterRecord, RequestError> {
        let offer = Offer {
            kubernetes,
            kubernetes_folder: "/k".into(),
            kubeconfig: "/c".into(),
            mtu: 1400,
            taken: &["10.200.0.0/16".parse().unwrap()],
        };
        new_cluster(options, offer, |_, _| true)
    }

    fn old(options: &UpOptions) -> Result<ClusterRecord, RequestError> {
        old_cluster(options, example(), KUBERNETES, "/other".into())
    }

    #[test]
    fn a_new_cluster_has_one_node_and_a_way_out_unless_told() {
        let record = new(&options(None, false), KUBERNETES).unwrap();
        assert_eq!((record.nodes, record.egress), (1, true));
        assert_eq!(record.range.all().to_string(), "10.201.0.0/16");
        assert!(!new(&options(Some(3), true), KUBERNETES).unwrap().egress);
    }

    #[test]
    fn impossible_requests_are_refused() {
        let refused = |options: &UpOptions| new(options, KUBERNETES).unwrap_err();
        assert_eq!(refused(&options(Some(0), false)), RequestError::Nodes(0));
        assert_eq!(refused(&options(Some(65), false)), RequestError::Nodes(65));
        let too_old = new(&options(None, false), Version::new(1, 19)).unwrap_err();
        assert_eq!(too_old, RequestError::TooOld(Version::new(1, 19)));
    }

    #[test]
    fn an_old_cluster_keeps_what_was_decided_and_may_grow() {
        let record = old(&options(None, false)).unwrap();
        assert_eq!(
            record,
            ClusterRecord {
                kubernetes_folder: "/other".into(),
                ..example()
            }
        );
        assert_eq!(old(&options(Some(3), false)).unwrap().nodes, 3);
    }

    #[test]
    fn what_an_old_cluster_cannot_become_is_said() {
        let fewer = old(&options(Some(1), false)).unwrap_err();
        assert_eq!(fewer, RequestError::FewerNodes { has: 2, asked: 1 });
        assert!(fewer.is_met_by_new_cluster());
        assert_eq!(old(&options(None, true)).unwrap_err(), RequestError::Egress);
        let newer = Version::new(1, 30);
        let other = old_cluster(&options(None, false), example(), newer, "/k".into());
        assert!(matches!(other, Err(RequestError::OtherVersion { .. })));
    }
}
