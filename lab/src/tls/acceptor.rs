//! The pager's side: TLS and plain text on one port, and the certificate that is shown.

use std::fmt;
use std::io::{Error, Result};
use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::authority::{certificate_path, key_path};
use super::{Certificate, provider};

/// The first byte of a TLS handshake: the type of its record, RFC 8446, 5.1. No method of HTTP
/// begins with it.
const HANDSHAKE: u8 = 22;

/// Who says which certificate is shown; asked at each handshake.
pub(crate) trait Shows: fmt::Debug + Send + Sync + 'static {
    /// The one that is shown now.
    fn shown(&self) -> Certificate;
}

/// Takes connections of both kinds.
#[derive(Debug, Clone)]
pub(crate) struct Acceptor(Arc<ServerConfig>);

/// A connection, as its first byte tells.
pub(crate) enum Opened {
    Plain(TcpStream),
    Secure(Box<TlsStream<TcpStream>>),
}

#[derive(Debug)]
struct Resolver {
    valid: Arc<CertifiedKey>,
    expired: Arc<CertifiedKey>,
    shows: Arc<dyn Shows>,
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(match self.shows.shown() {
            Certificate::Valid => &self.valid,
            Certificate::Expired => &self.expired,
        }))
    }
}

impl Acceptor {
    /// With the certificates of the lab in `state`.
    pub(crate) fn of(state: &Path, shows: Arc<dyn Shows>) -> Result<Self> {
        let provider = provider()?;
        let certified = |certificate| -> Result<Arc<CertifiedKey>> {
            let chain = CertificateDer::from_pem_file(certificate_path(state, certificate));
            let key = PrivateKeyDer::from_pem_file(key_path(state)).map_err(Error::other)?;
            let chain = vec![chain.map_err(Error::other)?];
            CertifiedKey::from_der(chain, key, &provider).map(Arc::new).map_err(Error::other)
        };
        let valid = certified(Certificate::Valid)?;
        let expired = certified(Certificate::Expired)?;
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])
            .map_err(Error::other)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Resolver { valid, expired, shows }));
        // A session that is resumed shows no certificate.
        config.send_tls13_tickets = 0;
        Ok(Self(Arc::new(config)))
    }

    /// Looks at the first byte, which stays where it is, and shakes hands where it is TLS.
    pub(crate) async fn open(&self, stream: TcpStream) -> Result<Opened> {
        let mut first = [0];
        let count = stream.peek(&mut first).await?;
        if count == 0 || first[0] != HANDSHAKE {
            return Ok(Opened::Plain(stream));
        }
        let secure = TlsAcceptor::from(Arc::clone(&self.0)).accept(stream).await?;
        Ok(Opened::Secure(Box::new(secure)))
    }
}
