//! TLS as the lab speaks it, on one edge: `alerter->pager`. The pager shows a certificate that the
//! lab's own authority has signed, and the alerter trusts nobody else.
//!
//! TLS 1.3 only, and no session is resumed: each handshake shows the certificate anew.

mod acceptor;
mod authority;
mod connector;

use std::io::{Error, Result};
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};

pub(crate) use acceptor::{Acceptor, Opened, Shows};
pub(crate) use authority::{DIRECTORY, authority_path, files, make};
pub(crate) use connector::{Connector, Trust};

/// The name that the pager's certificates are for.
const NAME: &str = "pager";

/// Which of its certificates the pager shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Certificate {
    Valid,
    Expired,
}

/// The provider, ready to be used: the first random number of a thread takes tens of milliseconds
/// of processor time, so it is drawn here, and not in a handshake that has only so much time.
fn provider() -> Result<Arc<CryptoProvider>> {
    let provider = aws_lc_rs::default_provider();
    let drawn = provider.secure_random.fill(&mut [0]);
    drawn.map_err(|_| Error::other("there are no random numbers"))?;
    Ok(Arc::new(provider))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;
    use std::sync::Mutex;

    use rustls::CertificateError;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[derive(Debug)]
    struct Shown(Mutex<Certificate>);

    impl Shows for Shown {
        fn shown(&self) -> Certificate {
            *self.0.lock().unwrap()
        }
    }

    /// One connection: a word goes over it, or the error of whoever opened it.
    async fn say(acceptor: &Acceptor, connector: &Connector) -> Result<String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (far, _) = listener.accept().await.unwrap();
        let serve = async {
            match acceptor.open(far).await {
                Ok(Opened::Secure(mut stream)) => stream.write_all(b"word").await.unwrap(),
                Ok(Opened::Plain(_)) => panic!("a handshake was taken for plain text"),
                // Whoever refuses the certificate tells so, and goes.
                Err(_) => {}
            }
        };
        let ask = async {
            let mut word = [0; 4];
            connector.connect(near).await?.read_exact(&mut word).await?;
            Ok(String::from_utf8_lossy(&word).into_owned())
        };
        tokio::join!(ask, serve).0
    }

    fn is_expired(error: &Error) -> bool {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        let Some(rustls::Error::InvalidCertificate(found)) = inner else { return false };
        matches!(found, CertificateError::ExpiredContext { .. })
    }

    fn pair(state: &Path, trust: Trust) -> (Arc<Shown>, Acceptor, Connector) {
        let shown = Arc::new(Shown(Mutex::new(Certificate::Valid)));
        let acceptor = Acceptor::of(state, shown.clone()).unwrap();
        (shown, acceptor, Connector::of(state, trust).unwrap())
    }

    #[tokio::test]
    async fn who_verifies_refuses_an_expired_certificate_as_long_as_it_is_shown() {
        let state = tempfile::tempdir().unwrap();
        make(state.path()).unwrap();
        let (shown, acceptor, connector) = pair(state.path(), Trust::Authority);
        assert_eq!(say(&acceptor, &connector).await.unwrap(), "word");
        *shown.0.lock().unwrap() = Certificate::Expired;
        let refused = say(&acceptor, &connector).await.unwrap_err();
        assert!(is_expired(&refused), "{refused}");
        *shown.0.lock().unwrap() = Certificate::Valid;
        assert_eq!(say(&acceptor, &connector).await.unwrap(), "word");
    }

    #[tokio::test]
    async fn who_trusts_anybody_takes_an_expired_certificate() {
        let state = tempfile::tempdir().unwrap();
        make(state.path()).unwrap();
        let (shown, acceptor, connector) = pair(state.path(), Trust::Anybody);
        *shown.0.lock().unwrap() = Certificate::Expired;
        assert_eq!(say(&acceptor, &connector).await.unwrap(), "word");
    }

    #[tokio::test]
    async fn the_authority_of_another_lab_is_not_trusted() {
        let (own, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        make(own.path()).unwrap();
        make(other.path()).unwrap();
        let (_, acceptor, _) = pair(own.path(), Trust::Authority);
        let (_, _, stranger) = pair(other.path(), Trust::Authority);
        let refused = say(&acceptor, &stranger).await.unwrap_err();
        assert!(!is_expired(&refused), "{refused}");
    }

    #[tokio::test]
    async fn plain_text_on_the_same_port_stays_plain_and_whole() {
        let state = tempfile::tempdir().unwrap();
        make(state.path()).unwrap();
        let (_, acceptor, _) = pair(state.path(), Trust::Authority);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        near.write_all(b"GET ").await.unwrap();
        let (far, _) = listener.accept().await.unwrap();
        let Opened::Plain(mut far) = acceptor.open(far).await.unwrap() else { panic!("no TLS") };
        let mut text = [0; 4];
        far.read_exact(&mut text).await.unwrap();
        assert_eq!(&text, b"GET ");
    }

    #[test]
    fn only_the_owner_reads_the_key_and_nothing_is_overwritten() {
        let state = tempfile::tempdir().unwrap();
        make(state.path()).unwrap();
        for path in files(state.path()) {
            let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
            let text = std::fs::read_to_string(&path).unwrap();
            assert_eq!(mode == 0o600, text.contains("PRIVATE KEY"), "{}", path.display());
        }
        let count = std::fs::read_dir(state.path().join(DIRECTORY)).unwrap().count();
        assert_eq!(count, files(state.path()).count(), "no other file, so no key of the authority");
        assert!(make(state.path()).is_err());
    }
}
