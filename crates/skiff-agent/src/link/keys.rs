//! The two keys of a cluster's links, and TLS that knows nothing else: raw public keys (RFC 7250), no certificates, names
//! or clocks.

use std::fs;
use std::io;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime,
};
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::{CertifiedKey, SigningKey};
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error,
    PeerIncompatible, ServerConfig, SignatureScheme,
};
use skiff_proto::{ClusterKey, paths};
use thiserror::Error;

use crate::layout::Layout;

/// What stands before the 32 bytes of an Ed25519 seed in PKCS #8 (RFC 8410, section 7).
const PKCS8: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// What the two keys of a cluster make of TLS at either end of its links.
#[derive(Clone, Debug)]
pub(crate) struct LinkKey {
    /// A worker's, which lets only the head in.
    pub(super) worker: Arc<ServerConfig>,
    /// The head's, which trusts only workers.
    pub(super) head: Arc<ClientConfig>,
}

/// The pod's key of the cluster is of no use.
#[derive(Debug, Error)]
pub(crate) enum KeyError {
    /// The file cannot be read.
    #[error("cannot read it")]
    Read(#[source] io::Error),
    /// It holds something else.
    #[error("it does not hold 64 hex digits")]
    Malformed,
    /// There is no such key pair.
    #[error("no keys can be made of it")]
    Unusable(#[source] Error),
}

impl LinkKey {
    /// The keys of the cluster that this pod belongs to; None where the pod has no key.
    pub(crate) fn read(layout: &Layout) -> Result<Option<Self>, KeyError> {
        match fs::read_to_string(layout.at(paths::CLUSTER_KEY)) {
            Ok(text) => {
                let key = ClusterKey::parse(&text).ok_or(KeyError::Malformed)?;
                Self::new(&key).map(Some).map_err(KeyError::Unusable)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(KeyError::Read(error)),
        }
    }

    pub(crate) fn new(key: &ClusterKey) -> Result<Self, Error> {
        Self::of_seeds(key.host_seed(), key.link_seed())
    }

    /// Of the key by which a worker shows that it is one, and that by which the head does.
    pub(super) fn of_seeds(host: [u8; 32], head: [u8; 32]) -> Result<Self, Error> {
        let provider = Arc::new(ring::default_provider());
        let of_seed = |seed: [u8; 32]| {
            let pkcs8 = [PKCS8.as_slice(), &seed].concat();
            let key = PrivateKeyDer::Pkcs8(pkcs8.into());
            provider.key_provider.load_private_key(key)
        };
        let (host, head) = (of_seed(host)?, of_seed(head)?);
        Ok(Self {
            worker: Arc::new(worker(&host, Only::new(&head, &provider)?, &provider)?),
            head: Arc::new(self::head(&head, Only::new(&host, &provider)?, &provider)?),
        })
    }
}

fn worker(
    own: &Arc<dyn SigningKey>,
    head: Only,
    provider: &Arc<CryptoProvider>,
) -> Result<ServerConfig, Error> {
    let own = AlwaysResolvesServerRawPublicKeys::new(certified(own)?);
    let mut config = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(Arc::new(head))
        .with_cert_resolver(Arc::new(own));
    // Who comes again shows its key again.
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn head(
    own: &Arc<dyn SigningKey>,
    host: Only,
    provider: &Arc<CryptoProvider>,
) -> Result<ClientConfig, Error> {
    let own = AlwaysResolvesClientRawPublicKeys::new(certified(own)?);
    let mut config = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(host))
        .with_client_cert_resolver(Arc::new(own));
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    Ok(config)
}

/// The public key, as TLS carries it.
fn public(key: &Arc<dyn SigningKey>) -> Result<SubjectPublicKeyInfoDer<'static>, Error> {
    let public = key.public_key().map(SubjectPublicKeyInfoDer::into_owned);
    public.ok_or_else(|| Error::General("the key has no public half".to_owned()))
}

fn certified(key: &Arc<dyn SigningKey>) -> Result<Arc<CertifiedKey>, Error> {
    let public = CertificateDer::from(public(key)?.to_vec());
    Ok(Arc::new(CertifiedKey::new(vec![public], Arc::clone(key))))
}

/// Trusts whoever has one key, and nobody else.
#[derive(Debug)]
struct Only {
    key: SubjectPublicKeyInfoDer<'static>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Only {
    fn new(key: &Arc<dyn SigningKey>, provider: &CryptoProvider) -> Result<Self, Error> {
        Ok(Self {
            key: public(key)?,
            algorithms: provider.signature_verification_algorithms,
        })
    }

    /// That it has the key, TLS makes sure of after this by the signature.
    fn is_it(&self, shown: &CertificateDer<'_>) -> Result<(), Error> {
        if shown.as_ref() == self.key.as_ref() {
            Ok(())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }
}

/// What both verifiers say of signatures: those of TLS 1.3, by raw keys.
macro_rules! by_raw_key {
    () => {
        fn verify_tls12_signature(
            &self,
            _message: &[u8],
            _shown: &CertificateDer<'_>,
            _signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Err(PeerIncompatible::ServerDoesNotSupportTls12Or13.into())
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            shown: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            let key = SubjectPublicKeyInfoDer::from(shown.as_ref());
            verify_tls13_signature_with_raw_key(message, &key, signature, &self.algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.algorithms.supported_schemes()
        }

        fn requires_raw_public_keys(&self) -> bool {
            true
        }
    };
}

impl ServerCertVerifier for Only {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.is_it(shown).map(|()| ServerCertVerified::assertion())
    }

    by_raw_key!();
}

impl ClientCertVerifier for Only {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        shown: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.is_it(shown).map(|()| ClientCertVerified::assertion())
    }

    by_raw_key!();
}
