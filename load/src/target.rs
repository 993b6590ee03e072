//! Where requests go: the base URL read, its addresses, and how connections are made to it.
//!
//! Addresses are looked up once per job, so that name service is no part of any latency.

use std::net::SocketAddr;
use std::sync::Arc;

use harness_core::load::LoadError;
use hyper::Uri;
use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio_rustls::TlsConnector;

/// At most this many addresses of one name are tried.
const ADDRESSES_MAX: usize = 16;
/// How long the look-up of a name may take.
const LOOKUP: std::time::Duration = std::time::Duration::from_secs(5);

/// The protocol on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2, without negotiation on a plain connection.
    Http2,
}

/// What a connection needs to know.
#[derive(Clone)]
pub(crate) struct Target {
    /// `https://shop.example:8443`, without a path.
    pub(crate) origin: String,
    /// `shop.example:8443`, for the header `host`.
    pub(crate) authority: String,
    /// The path of the base URL without its last slash; stands before each request's path.
    pub(crate) prefix: String,
    /// Tried in this order.
    pub(crate) addresses: Arc<[SocketAddr]>,
    /// For `https`.
    pub(crate) tls: Option<Tls>,
    /// What is spoken.
    pub(crate) protocol: Protocol,
}

/// How TLS connections are made.
#[derive(Clone)]
pub(crate) struct Tls {
    /// Holds roots and session cache.
    pub(crate) connector: TlsConnector,
    /// The name that the certificate must be for.
    pub(crate) name: ServerName<'static>,
}

impl Target {
    /// Reads a base URL and looks up its name.
    pub(crate) async fn new(
        url: &str,
        protocol: Protocol,
        roots: &[CertificateDer<'static>],
    ) -> Result<Self, LoadError> {
        let unusable = |why: String| LoadError::Target { target: url.to_owned(), why };
        let uri: Uri = url.parse().map_err(|error| unusable(format!("{error}")))?;
        let host = uri.host().ok_or_else(|| unusable("it names no host".to_owned()))?;
        let bare_host = host.trim_start_matches('[').trim_end_matches(']');
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(unusable("it must begin with http:// or https://".to_owned())),
        };
        if uri.query().is_some() {
            return Err(unusable("a base URL has no query".to_owned()));
        }
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let tls = if secure {
            let config =
                tls_config(protocol, roots).map_err(|error| unusable(error.to_string()))?;
            let name = ServerName::try_from(bare_host.to_owned())
                .map_err(|error| unusable(error.to_string()))?;
            Some(Tls { connector: TlsConnector::from(Arc::new(config)), name })
        } else {
            None
        };
        let addresses = look_up(bare_host, port).await.map_err(unusable)?;
        let authority = uri.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        Ok(Self {
            origin: format!("{}://{authority}", if secure { "https" } else { "http" }),
            authority,
            prefix: uri.path().trim_end_matches('/').to_owned(),
            addresses: addresses.into(),
            tls,
            protocol,
        })
    }
}

async fn look_up(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    let found = tokio::time::timeout(LOOKUP, tokio::net::lookup_host((host, port))).await;
    let found = found.map_err(|_| format!("no answer about its name within {LOOKUP:?}"))?;
    let addresses: Vec<_> = found.map_err(|error| error.to_string())?.take(ADDRESSES_MAX).collect();
    if addresses.is_empty() { Err("its name has no address".to_owned()) } else { Ok(addresses) }
}

/// The machine's own roots, and `roots` beside them. Certificates are always checked.
fn tls_config(
    protocol: Protocol,
    roots: &[CertificateDer<'static>],
) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?;
    let mut config = if roots.is_empty() {
        builder.with_platform_verifier()?.with_no_client_auth()
    } else {
        let verifier = rustls_platform_verifier::Verifier::new_with_extra_roots(
            roots.iter().cloned(),
            provider,
        )?;
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth()
    };
    config.alpn_protocols = vec![match protocol {
        Protocol::Http1 => b"http/1.1".to_vec(),
        Protocol::Http2 => b"h2".to_vec(),
    }];
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn base_urls_are_read() {
        let target = Target::new("http://127.0.0.1:8080/api/", Protocol::Http1, &[]).await.unwrap();
        assert_eq!(target.authority, "127.0.0.1:8080");
        assert_eq!(target.origin, "http://127.0.0.1:8080");
        assert_eq!(target.prefix, "/api");
        assert_eq!(target.addresses.to_vec(), ["127.0.0.1:8080".parse().unwrap()]);
        assert!(target.tls.is_none());
        let target = Target::new("https://[::1]", Protocol::Http2, &[]).await.unwrap();
        assert_eq!((target.authority.as_str(), target.prefix.as_str()), ("[::1]", ""));
        assert_eq!(target.addresses.to_vec(), ["[::1]:443".parse().unwrap()]);
        assert!(target.tls.is_some());
    }

    #[tokio::test]
    async fn unusable_targets_are_named() {
        for (url, why) in [
            ("127.0.0.1:80", "http://"),
            ("ftp://127.0.0.1", "http://"),
            ("/path", "no host"),
            ("http://127.0.0.1/?q=1", "query"),
        ] {
            let error = Target::new(url, Protocol::Http1, &[]).await.err().unwrap();
            let text = error.to_string();
            assert!(text.contains(url) && text.contains(why), "{text}");
        }
    }
}
