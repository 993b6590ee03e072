//! `expired-certificate`: a service shows those who speak TLS with it a certificate that has
//! expired. Nothing else about it is wrong: who signed it, its name and its key are as before.

use std::sync::Arc;

use harness_core::fault::{Cx, Debt, FaultError, Hold, PROCESS, Sighting, Witness};
use harness_core::ids::ServiceName;
use harness_core::system::BoxFuture;
use harness_core::topology::Topology;
use harness_core::units::Duration;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::leased::{Leased, LeasedSpec};
use super::spend::LabControl;
use super::system::AUTHORITY;
use crate::proxy::read;

/// The one service that shows a certificate: its control, and the name in its certificate.
const PAGER: &str = "pager";

/// What a scenario says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(description = "A service shows a certificate that has expired.")]
pub(crate) struct ExpiredCertificateSpec {
    /// The service: `pager`, the one with a certificate.
    #[serde(deserialize_with = "with_certificate")]
    pub(crate) service: ServiceName,
}

fn with_certificate<'de, D: Deserializer<'de>>(from: D) -> Result<ServiceName, D::Error> {
    let service = ServiceName::deserialize(from)?;
    if service.as_str() == PAGER {
        return Ok(service);
    }
    Err(D::Error::custom(format!("`{service}` shows no certificate; write `service: {PAGER}`")))
}

/// The undo record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ExpiredCertificateDebt {
    /// Who shows the certificate.
    pub(crate) pager: LabControl,
    /// The order's name there; used by no other fault, ever.
    pub(crate) name: String,
    /// Who signs the lab's certificates, in PEM: the witness trusts nobody else.
    pub(crate) authority: String,
}

impl Leased for ExpiredCertificateDebt {
    fn control(&self) -> &LabControl {
        &self.pager
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn body(&self) -> Value {
        json!({ "name": self.name, "order": { "certificate": "expired" } })
    }
}

impl LeasedSpec for ExpiredCertificateSpec {
    const KIND: &'static str = "expired-certificate";
    const SUMMARY: &'static str = "a service shows a certificate that has expired";
    const MECHANISM: &'static str = "order to the pager";
    const CONTROL: &'static str = PAGER;
    const HOLDS: &'static [Hold] = &[Hold::Changed("the certificate"), Hold::Needed(PROCESS)];
    type Order = ExpiredCertificateDebt;

    async fn order(
        &self,
        cx: &Cx<'_>,
        pager: LabControl,
        name: String,
    ) -> Result<ExpiredCertificateDebt, FaultError> {
        Ok(ExpiredCertificateDebt { pager, name, authority: authority(cx.topology)? })
    }
}

/// The certificate of who signs those of the lab.
fn authority(topology: &Topology) -> Result<String, FaultError> {
    let path = topology.controls.get(AUTHORITY).ok_or_else(|| FaultError::Unavailable {
        mechanism: "TLS".to_owned(),
        why: "the lab names no authority; it was started by an earlier version".to_owned(),
    })?;
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string());
    text.and_then(|text| client(&text).map(|_| text)).map_err(|why| FaultError::Failed {
        action: format!("read the certificate of the lab's authority in {path}"),
        why,
    })
}

/// A client that takes what this authority has signed, and nothing else.
fn client(authority: &str) -> Result<Arc<ClientConfig>, String> {
    let certificate = CertificateDer::from_pem_slice(authority.as_bytes());
    let certificate = certificate.map_err(|error| error.to_string())?;
    let mut roots = RootCertStore::empty();
    roots.add(certificate).map_err(|error| error.to_string())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    // A new client for each look has no session that it could resume without a certificate.
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}

/// What a client makes of the certificate that it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It is signed, in its time, for the name, and its key is at hand.
    Accepted,
    /// Its `notAfter` is past.
    Expired { now: UnixTime, not_after: UnixTime },
}

/// Shakes hands as any client would; `Err` says why nothing is known.
async fn shake_hands(address: &str, authority: &str, within: Duration) -> Result<Verdict, String> {
    let connector = TlsConnector::from(client(authority)?);
    let name = ServerName::try_from(PAGER).expect("it is a plain name");
    let exchange = async {
        let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
        match connector.connect(name, stream).await {
            Ok(_) => Ok(Verdict::Accepted),
            Err(error) => expiry(&error).ok_or_else(|| error.to_string()),
        }
    };
    let ended = tokio::time::timeout(within.as_std(), exchange).await;
    ended.map_err(|_| format!("no handshake within {within}"))?
}

/// That a certificate was refused because it has expired.
fn expiry(error: &std::io::Error) -> Option<Verdict> {
    match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { time, not_after }) => {
            Some(Verdict::Expired { now: *time, not_after: *not_after })
        }
        _ => None,
    }
}

/// Shakes hands with the service on a connection of its own, verifies as a client does, and reads
/// when the certificate that it was shown has ended. What the service says of itself is not asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CertificateWitness;

impl CertificateWitness {
    async fn see(cx: &Cx<'_>, undo: &Value) -> Result<Sighting, FaultError> {
        let undo: ExpiredCertificateDebt = read("undo record", undo)?;
        let seen = shake_hands(undo.pager.address(), &undo.authority, cx.deadline).await;
        Ok(sighting(seen))
    }
}

fn sighting(seen: Result<Verdict, String>) -> Sighting {
    match seen {
        Ok(Verdict::Accepted) => {
            Sighting::NotInForce("a client accepts the certificate".to_owned())
        }
        Ok(Verdict::Expired { now, not_after }) => {
            let ago = Duration::from_secs(now.as_secs().saturating_sub(not_after.as_secs()));
            Sighting::InForce(format!("the certificate has expired {ago} ago"))
        }
        Err(why) => Sighting::Unknown(why),
    }
}

impl Witness for CertificateWitness {
    fn method(&self) -> &'static str {
        "TLS handshakes that verify the certificate"
    }

    fn baseline<'a>(
        &'a self,
        cx: &'a Cx<'a>,
        _spec: &'a Value,
        undo: &'a Value,
    ) -> BoxFuture<'a, Result<Value, FaultError>> {
        Box::pin(async move {
            let action = format!("see the certificate of {PAGER} accepted");
            Self::see(cx, undo).await?.none_before(&action)?;
            Ok(Value::Null)
        })
    }

    fn look<'a>(&'a self, cx: &'a Cx<'a>, debt: Debt<'a>) -> BoxFuture<'a, Sighting> {
        Box::pin(async move {
            Self::see(cx, debt.undo)
                .await
                .unwrap_or_else(|error| Sighting::Unknown(error.to_string()))
        })
    }
}

#[cfg(test)]
mod tests {
    use harness_core::fault::DynInjector as _;
    use rcgen::{
        BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd,
    };
    use rustls::ServerConfig;
    use rustls::pki_types::PrivateKeyDer;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::super::kind::lab_kind;
    use super::super::leased::LeasedFault;
    use super::*;

    const INJECTOR: LeasedFault<ExpiredCertificateSpec> = LeasedFault::INJECTOR;
    const WITHIN: Duration = Duration::from_secs(5);

    #[test]
    fn only_a_service_with_a_certificate_can_show_one() {
        let spec = json!({"service": "pager"});
        assert_eq!(INJECTOR.check(&spec).unwrap(), spec);
        let error = INJECTOR.check(&json!({"service": "checkout"})).unwrap_err();
        assert_eq!(
            (error.path.as_slice(), error.hint.as_str()),
            (&["service".to_owned()][..], "write `service: pager`",)
        );
        assert!(error.message.contains("`checkout` shows no certificate"), "{}", error.message);
        assert!(INJECTOR.check(&json!({"service": "pager", "days": 3})).is_err());
        assert!(INJECTOR.check(&json!({})).is_err());
    }

    #[test]
    fn it_touches_the_one_instance_and_no_edge() {
        let shop = &lab_kind(Vec::new()).declared["shop"];
        let radius = INJECTOR.blast_radius(&json!({"service": "pager"}), shop).unwrap();
        assert_eq!((radius.instances, radius.edges), (vec!["pager/pager-0".to_owned()], vec![]));
    }

    #[test]
    fn without_an_authority_nothing_is_armed() {
        let mut topology = Topology::default();
        assert!(matches!(authority(&topology), Err(FaultError::Unavailable { .. })));
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.pem");
        topology.controls.insert(AUTHORITY.to_owned(), path.to_str().unwrap().to_owned());
        assert!(matches!(authority(&topology), Err(FaultError::Failed { .. })), "no file");
        std::fs::write(&path, "not a certificate").unwrap();
        assert!(matches!(authority(&topology), Err(FaultError::Failed { .. })), "no PEM");
        let pem = Authority::new().pem();
        std::fs::write(&path, &pem).unwrap();
        assert_eq!(authority(&topology), Ok(pem));
    }

    /// Who signs.
    struct Authority(CertifiedIssuer<'static, KeyPair>);

    impl Authority {
        fn new() -> Self {
            let mut params = CertificateParams::default();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
        }

        fn pem(&self) -> String {
            self.0.pem()
        }

        /// A server whose certificate ends with a year.
        fn server(&self, name: &str, to_year: i32) -> TlsAcceptor {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
            params.not_before = date_time_ymd(2001, 1, 1);
            params.not_after = date_time_ymd(to_year, 1, 1);
            let certificate = params.signed_by(&key, &self.0).unwrap();
            let private = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let config = ServerConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(vec![certificate.der().clone()], private)
                .unwrap();
            TlsAcceptor::from(Arc::new(config))
        }
    }

    /// What the witness says of a server, trusting an authority.
    async fn seen(server: &TlsAcceptor, authority: &str) -> Sighting {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let serve = async {
            let (stream, _) = listener.accept().await.unwrap();
            // Whoever refuses a certificate ends the handshake.
            server.accept(stream).await.is_ok()
        };
        sighting(tokio::join!(shake_hands(&address, authority, WITHIN), serve).0)
    }

    #[tokio::test]
    async fn only_an_expired_certificate_is_the_fault_and_only_a_good_one_is_health() {
        let (own, other) = (Authority::new(), Authority::new());
        let good = own.server(PAGER, 2100);
        assert!(matches!(seen(&good, &own.pem()).await, Sighting::NotInForce(_)));
        let expired = seen(&own.server(PAGER, 2002), &own.pem()).await;
        assert!(
            matches!(&expired, Sighting::InForce(why) if why.contains("expired")),
            "{expired:?}"
        );
        for (server, authority) in [(own.server("other", 2100), &own), (good, &other)] {
            let unclear = seen(&server, &authority.pem()).await;
            assert!(matches!(unclear, Sighting::Unknown(_)), "{unclear:?}");
        }
    }

    #[tokio::test]
    async fn without_tls_or_a_listener_nothing_is_known() {
        let authority = Authority::new().pem();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        };
        let plain = tokio::join!(shake_hands(&address, &authority, WITHIN), serve).0;
        assert!(matches!(sighting(plain), Sighting::Unknown(_)));
        let silent = shake_hands(&address, &authority, Duration::from_millis(50)).await;
        assert!(matches!(sighting(silent), Sighting::Unknown(_)), "nobody takes the connection");
        drop(listener);
        let absent = shake_hands(&address, &authority, WITHIN).await;
        assert!(matches!(sighting(absent), Sighting::Unknown(_)));
    }
}
