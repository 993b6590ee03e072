//! The alerter's side: a handshake in which the pager's certificate is verified, unless a defect
//! says otherwise.

use std::io::{Error, Result};
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::version::TLS13;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::authority::authority_path;
use super::{NAME, provider};

/// Whose certificates are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Those of the lab's own authority, in their time and for the pager's name.
    Authority,
    /// With the defect only.
    Anybody,
}

/// Opens TLS on connections to the pager.
#[derive(Debug, Clone)]
pub(crate) struct Connector(Arc<ClientConfig>);

impl Connector {
    /// For the lab in `state`.
    pub(crate) fn of(state: &Path, trust: Trust) -> Result<Self> {
        let provider = provider()?;
        let algorithms = provider.signature_verification_algorithms;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(Error::other)?;
        let config = match trust {
            Trust::Authority => {
                let authority = CertificateDer::from_pem_file(authority_path(state));
                let mut roots = RootCertStore::empty();
                roots.add(authority.map_err(Error::other)?).map_err(Error::other)?;
                builder.with_root_certificates(roots).with_no_client_auth()
            }
            Trust::Anybody => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Anybody(algorithms)))
                .with_no_client_auth(),
        };
        Ok(Self(Arc::new(config)))
    }

    /// Shakes hands; an error of it holds a [`rustls::Error`].
    pub(crate) async fn connect(&self, stream: TcpStream) -> Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(NAME).expect("it is a plain name");
        TlsConnector::from(Arc::clone(&self.0)).connect(name, stream).await
    }
}

/// Takes every certificate, whoever signed it, whenever it ended.
#[derive(Debug)]
struct Anybody(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
