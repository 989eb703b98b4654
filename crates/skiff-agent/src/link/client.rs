//! The head's end of a link.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use rustls::{CertificateError, Error};
use skiff_proto::paths;
use skiff_wire::SessionError;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{DialError, LinkKey, WELCOME};

/// Connects to the worker at this address and makes sure that it is one of this cluster, which takes this node for its
/// head. Sets no limit to the time.
pub(crate) async fn dial(
    address: IpAddr,
    key: &LinkKey,
) -> Result<TlsStream<TcpStream>, DialError> {
    let connected = TcpStream::connect((address, paths::LINK_PORT)).await;
    let stream = connected.map_err(|error| match error.kind() {
        io::ErrorKind::ConnectionRefused => DialError::Refused(address),
        _ => DialError::Connect(address, error),
    })?;
    // Small frames are not to wait for larger ones. A socket that cannot do so is slower, and works.
    let _ = stream.set_nodelay(true);
    let connector = TlsConnector::from(Arc::clone(&key.head));
    let secured = connector.connect(address.into(), stream).await;
    let mut link = secured.map_err(|error| failed(address, error))?;
    let welcome = link.read_u8().await;
    match welcome.map_err(|error| failed(address, error))? {
        WELCOME => Ok(link),
        _ => Err(DialError::Session(SessionError::Unexpected)),
    }
}

fn failed(address: IpAddr, error: io::Error) -> DialError {
    match error.downcast::<Error>() {
        Ok(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)) => {
            DialError::Stranger(address)
        }
        Ok(Error::AlertReceived(_)) => DialError::NotLetIn(address),
        Ok(error) => DialError::Tls(address, error),
        Err(error) => DialError::Connect(address, error),
    }
}
