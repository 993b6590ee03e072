//! The lab's authority and what it signs: for the pager a certificate that is valid, and one that
//! has expired. The authority's own key is never written; it is gone when both are signed.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};

use super::{Certificate, NAME};
use crate::clock::unix_ms;

/// Where all of it lies, below the state directory.
pub(crate) const DIRECTORY: &str = "tls";
const AUTHORITY: &str = "ca.pem";
const VALID: &str = "pager.pem";
const EXPIRED: &str = "pager-expired.pem";
const KEY: &str = "pager.key";

/// So long before the lab's own beginning all certificates begin.
const BEGUN_BEFORE: Duration = Duration::from_hours(24);
/// Longer than any lab lives: about ten years.
const LASTING: Duration = Duration::from_hours(24 * 3_650);
/// So long before the lab's own beginning the expired certificate has ended.
const EXPIRED_BEFORE: Duration = Duration::from_hours(1);

/// The certificate of the authority.
pub(crate) fn authority_path(state: &Path) -> PathBuf {
    path(state, AUTHORITY)
}

/// A certificate of the pager.
pub(super) fn certificate_path(state: &Path, certificate: Certificate) -> PathBuf {
    match certificate {
        Certificate::Valid => path(state, VALID),
        Certificate::Expired => path(state, EXPIRED),
    }
}

/// The key of both certificates.
pub(super) fn key_path(state: &Path) -> PathBuf {
    path(state, KEY)
}

/// Every file that [`make`] writes.
pub(crate) fn files(state: &Path) -> impl Iterator<Item = PathBuf> {
    [AUTHORITY, VALID, EXPIRED, KEY].into_iter().map(|name| path(state, name))
}

fn path(state: &Path, name: &str) -> PathBuf {
    state.join(DIRECTORY).join(name)
}

/// What is written, in PEM.
struct Made {
    authority: String,
    valid: String,
    expired: String,
    key: String,
}

/// Makes everything, once per lab, before any role starts.
pub(crate) fn make(state: &Path) -> std::io::Result<()> {
    let made = sign().map_err(std::io::Error::other)?;
    fs::create_dir_all(state.join(DIRECTORY))?;
    write(&authority_path(state), 0o644, &made.authority)?;
    write(&certificate_path(state, Certificate::Valid), 0o644, &made.valid)?;
    write(&certificate_path(state, Certificate::Expired), 0o644, &made.expired)?;
    write(&key_path(state), 0o600, &made.key)
}

fn write(path: &Path, mode: u32, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())
}

fn sign() -> Result<Made, rcgen::Error> {
    let now = Duration::from_millis(u64::try_from(unix_ms()).unwrap_or_default());
    let begun = now.saturating_sub(BEGUN_BEFORE);
    let mut own = params("lab/shop", 1, [begun, now + LASTING]);
    own.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    own.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let authority = CertifiedIssuer::self_signed(own, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let for_pager = |serial: u64, end: Duration| -> Result<String, rcgen::Error> {
        let mut params = params(NAME, serial, [begun, end]);
        params.subject_alt_names = vec![SanType::DnsName(NAME.try_into()?)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.signed_by(&key, &authority).map(|certificate| certificate.pem())
    };
    Ok(Made {
        valid: for_pager(2, now + LASTING)?,
        expired: for_pager(3, now.saturating_sub(EXPIRED_BEFORE))?,
        authority: authority.pem(),
        key: key.serialize_pem(),
    })
}

/// A certificate that is valid from one time since the Unix epoch to another.
fn params(name: &str, serial: u64, [from, to]: [Duration; 2]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(serial.into());
    let epoch = date_time_ymd(1970, 1, 1);
    params.not_before = epoch + from;
    params.not_after = epoch + to;
    params
}
