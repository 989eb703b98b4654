//! The certificates and keys of one cluster.
//!
//! Made once and kept; a certificate whose files are there is never made again. All are valid from
//! two days ago, for machines whose clock is set back, and for ten years.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};
use thiserror::Error;

use crate::{
    cluster::{Cluster, Node},
    controller,
    file::{self, FileError},
};

const DAY: Duration = Duration::from_hours(24);
/// How far before now validity starts.
const BACKDATED: Duration = DAY.saturating_mul(2);
/// How long certificates are valid.
const VALIDITY: Duration = DAY.saturating_mul(3650);

/// Certificates could not be made.
#[derive(Debug, Error)]
pub enum PkiError {
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A key or certificate could not be made or read.
    #[error("cannot make the certificate {name}")]
    Certificate {
        /// The name of its files.
        name: String,
        /// Why.
        #[source]
        source: rcgen::Error,
    },
}

/// Paths of the cluster's certificates and keys.
#[derive(Clone, Debug)]
pub(crate) struct Pki {
    folder: PathBuf,
}

/// What a certificate is for.
struct Subject {
    common_name: String,
    organization: Option<&'static str>,
    names: Vec<SanType>,
    usages: Vec<ExtendedKeyUsagePurpose>,
}

impl Subject {
    fn client(common_name: impl Into<String>, organization: Option<&'static str>) -> Self {
        Self {
            common_name: common_name.into(),
            organization,
            names: Vec::new(),
            usages: vec![ExtendedKeyUsagePurpose::ClientAuth],
        }
    }

    fn server(common_name: &str, dns: &[&str], addresses: &[Ipv4Addr]) -> Self {
        let dns = dns
            .iter()
            .filter_map(|name| Some(SanType::DnsName((*name).try_into().ok()?)));
        let addresses = addresses
            .iter()
            .map(|ip| SanType::IpAddress(IpAddr::V4(*ip)));
        Self {
            common_name: common_name.to_owned(),
            organization: None,
            names: dns.chain(addresses).collect(),
            usages: vec![
                ExtendedKeyUsagePurpose::ServerAuth,
                ExtendedKeyUsagePurpose::ClientAuth,
            ],
        }
    }

    fn parameters(self) -> CertificateParams {
        let mut parameters = CertificateParams::default();
        let mut name = DistinguishedName::new();
        name.push(DnType::CommonName, self.common_name);
        if let Some(organization) = self.organization {
            name.push(DnType::OrganizationName, organization);
        }
        parameters.distinguished_name = name;
        parameters.subject_alt_names = self.names;
        parameters.extended_key_usages = self.usages;
        parameters.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
        ];
        validity(&mut parameters);
        parameters
    }
}

fn validity(parameters: &mut CertificateParams) {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let epoch = date_time_ymd(1970, 1, 1);
    parameters.not_before = epoch + now.saturating_sub(BACKDATED);
    parameters.not_after = epoch + (now + VALIDITY);
}

impl Pki {
    pub(crate) fn new(cluster: &Cluster) -> Self {
        Self {
            folder: cluster.layout.pki(),
        }
    }

    /// The path of a certificate.
    pub(crate) fn certificate(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.crt"))
    }

    /// The path of a private key.
    pub(crate) fn key(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.key"))
    }

    /// Makes what is missing: three authorities, the control plane's and every node's certificates.
    pub(crate) fn make(&self, cluster: &Cluster) -> Result<(), PkiError> {
        file::make_folder(&self.folder)?;
        let context = cluster.layout.name().context();
        let authority = self.authority("ca", &context)?;
        let etcd = self.authority("etcd-ca", &format!("{context}-etcd"))?;
        let front = self.authority("front-proxy-ca", &format!("{context}-front-proxy"))?;
        let loopback = Ipv4Addr::LOCALHOST;
        let own = cluster.record.range.loopback_address();

        self.issue(&etcd, "etcd", || {
            Subject::server("etcd", &["localhost"], &[loopback, own])
        })?;
        self.issue(&etcd, "etcd-client", || {
            Subject::client("kube-apiserver", None)
        })?;
        self.issue(&front, "front-proxy", || {
            Subject::client("front-proxy", None)
        })?;
        self.issue(&authority, "apiserver", || api_server(cluster))?;
        let masters = Some("system:masters");
        for (name, user, group) in [
            ("apiserver-kubelet-client", "kube-apiserver", masters),
            ("admin", "skiff-admin", masters),
            ("controller-manager", "system:kube-controller-manager", None),
            ("scheduler", "system:kube-scheduler", None),
            ("proxy", "system:kube-proxy", None),
            (controller::NAME, controller::NAME, None),
        ] {
            self.issue(&authority, name, || Subject::client(user, group))?;
        }
        for node in cluster.nodes() {
            let node_name = node.files.name.clone();
            self.issue(&authority, &kubelet_client(&node), || {
                Subject::client(format!("system:node:{node_name}"), Some("system:nodes"))
            })?;
            self.issue(&authority, &kubelet_server(&node), || {
                Subject::server(
                    &node_name,
                    &[&node_name, "localhost"],
                    &[node.address, loopback],
                )
            })?;
        }
        self.service_accounts()
    }

    fn error(name: &str) -> impl Fn(rcgen::Error) -> PkiError {
        move |source| PkiError::Certificate {
            name: name.to_owned(),
            source,
        }
    }

    fn authority(
        &self,
        name: &str,
        common_name: &str,
    ) -> Result<Issuer<'static, KeyPair>, PkiError> {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = DistinguishedName::new();
        parameters
            .distinguished_name
            .push(DnType::CommonName, common_name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
        ];
        validity(&mut parameters);
        let (certificate, key) = (self.certificate(name), self.key(name));
        let pair = if certificate.exists() && key.exists() {
            let pem = fs::read_to_string(&key).map_err(FileError::at("read", &key))?;
            KeyPair::from_pem(&pem).map_err(Self::error(name))?
        } else {
            let pair = KeyPair::generate().map_err(Self::error(name))?;
            let signed = parameters.self_signed(&pair).map_err(Self::error(name))?;
            file::write(&key, &pair.serialize_pem())?;
            file::write(&certificate, &signed.pem())?;
            pair
        };
        // An issuer is its name and its key, which is all that certificates refer to.
        Ok(Issuer::new(parameters, pair))
    }

    fn issue(
        &self,
        issuer: &Issuer<'_, KeyPair>,
        name: &str,
        subject: impl FnOnce() -> Subject,
    ) -> Result<(), PkiError> {
        if self.certificate(name).exists() && self.key(name).exists() {
            return Ok(());
        }
        let key = KeyPair::generate().map_err(Self::error(name))?;
        let certificate = subject()
            .parameters()
            .signed_by(&key, issuer)
            .map_err(Self::error(name))?;
        file::write(&self.key(name), &key.serialize_pem())?;
        Ok(file::write(&self.certificate(name), &certificate.pem())?)
    }

    /// The key pair that signs service account tokens.
    fn service_accounts(&self) -> Result<(), PkiError> {
        let (private, public) = (
            self.key("service-accounts"),
            self.service_account_public_key(),
        );
        if private.exists() && public.exists() {
            return Ok(());
        }
        let pair = KeyPair::generate().map_err(Self::error("service-accounts"))?;
        file::write(&private, &pair.serialize_pem())?;
        Ok(file::write(&public, &pair.public_key_pem())?)
    }

    /// The public half of the key that signs service account tokens.
    pub(crate) fn service_account_public_key(&self) -> PathBuf {
        self.folder.join("service-accounts.pub")
    }
}

/// The name of a kubelet's client certificate.
pub(crate) fn kubelet_client(node: &Node) -> String {
    format!("node{}-kubelet-client", node.index)
}

/// The name of a kubelet's serving certificate.
pub(crate) fn kubelet_server(node: &Node) -> String {
    format!("node{}-kubelet", node.index)
}

fn api_server(cluster: &Cluster) -> Subject {
    let range = cluster.record.range;
    Subject::server(
        "kube-apiserver",
        &[
            "localhost",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
        ],
        &[
            range.host_address(),
            range.api_service(),
            Ipv4Addr::LOCALHOST,
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{layout::Layout, record::example};

    fn cluster(folder: &std::path::Path) -> Cluster {
        let layout = Layout::new(folder, &"local".parse().unwrap());
        Cluster {
            layout,
            record: example(),
        }
    }

    #[test]
    fn a_second_making_changes_nothing_but_adds_new_nodes() {
        let folder = tempfile::tempdir().unwrap();
        let mut cluster = cluster(folder.path());
        let pki = Pki::new(&cluster);
        pki.make(&cluster).unwrap();
        let read = |name: &str| fs::read_to_string(pki.certificate(name)).unwrap();
        let (authority, server) = (read("ca"), read("apiserver"));
        assert!(!pki.certificate("node3-kubelet").exists());
        cluster.record.nodes = 3;
        pki.make(&cluster).unwrap();
        assert_eq!((authority, server), (read("ca"), read("apiserver")));
        assert!(pki.certificate("node3-kubelet").exists() && pki.key("node3-kubelet").exists());
    }

    #[test]
    fn validity_starts_two_days_ago() {
        let mut parameters = CertificateParams::default();
        validity(&mut parameters);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let age = now.as_secs().cast_signed() - parameters.not_before.unix_timestamp();
        assert!((172_800..172_900).contains(&age), "{age}");
    }
}
