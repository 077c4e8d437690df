//! The certificate authority and the leaf that it issues.

use anyhow::{Context, ensure};
use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData,
};
use std::fmt;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::parse_x509_pem;

const DAY: SignedDuration = SignedDuration::from_hours(24);
/// The authority's lifetime. Replacing it means to trust two for a while; not done yet.
const AUTHORITY_DAYS: i32 = 3650;
/// A leaf's lifetime.
const LEAF_DAYS: i32 = 90;
/// A leaf with less than this left is renewed: two monthly runs may fail.
const RENEW_BEFORE_DAYS: i32 = 60;
/// Clocks of nodes differ.
const BACKDATE: SignedDuration = SignedDuration::from_mins(10);

/// A certificate and its key, as PEM.
pub(super) struct Pair {
    pub(super) certificate: String,
    pub(super) key: String,
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pair").finish_non_exhaustive()
    }
}

/// The certificate authority of one installation.
#[derive(Debug)]
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pair: Pair,
}

impl Authority {
    /// A new one.
    pub(super) fn new(now: Timestamp) -> anyhow::Result<Self> {
        let key = KeyPair::generate()?;
        let mut params = params("perpro", AUTHORITY_DAYS, now)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?.pem();
        Self::load(Pair { certificate, key: key.serialize_pem() })
    }

    /// The one that a pair holds.
    pub(super) fn load(pair: Pair) -> anyhow::Result<Self> {
        let key = KeyPair::from_pem(&pair.key).context("the key is unreadable")?;
        let (_, pem) =
            parse_x509_pem(pair.certificate.as_bytes()).context("the certificate is unreadable")?;
        let certificate = pem.parse_x509().context("the certificate is unreadable")?;
        ensure!(certificate.is_ca(), "the certificate is not an authority's");
        ensure!(
            certificate.public_key().raw == key.subject_public_key_info(),
            "key and certificate don't belong together"
        );
        let issuer =
            Issuer::from_ca_cert_pem(&pair.certificate, key).context("the certificate is unreadable")?;
        Ok(Self { issuer, pair })
    }

    pub(super) fn pair(&self) -> &Pair {
        &self.pair
    }

    /// A serving certificate for `hosts`.
    pub(super) fn issue(&self, hosts: &[String], now: Timestamp) -> anyhow::Result<Pair> {
        let key = KeyPair::generate()?;
        let mut params = params(hosts.first().map_or("", String::as_str), LEAF_DAYS, now)?;
        params.subject_alt_names = CertificateParams::new(hosts)?.subject_alt_names;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Pair { certificate, key: key.serialize_pem() })
    }

    /// Whether a pair serves `hosts` under this authority, and long enough.
    pub(super) fn vouches_for(&self, leaf: &Pair, hosts: &[String], now: Timestamp) -> bool {
        self.check(leaf, hosts, now).unwrap_or(false)
    }

    fn check(&self, leaf: &Pair, hosts: &[String], now: Timestamp) -> anyhow::Result<bool> {
        let (_, pem) = parse_x509_pem(leaf.certificate.as_bytes())?;
        let certificate = pem.parse_x509()?;
        let (_, authority) = parse_x509_pem(self.pair.certificate.as_bytes())?;
        let signed = certificate.issuer() == authority.parse_x509()?.subject()
            && certificate.verify_signature(Some(authority.parse_x509()?.public_key())).is_ok();
        let paired = certificate.public_key().raw == KeyPair::from_pem(&leaf.key)?.subject_public_key_info();
        let names = certificate
            .subject_alternative_name()?
            .map(|e| e.value.general_names.clone())
            .unwrap_or_default();
        let covered =
            hosts.iter().all(|h| names.iter().any(|n| matches!(n, GeneralName::DNSName(d) if d == h)));
        let renew_at = certificate.validity().not_after.timestamp() - (DAY * RENEW_BEFORE_DAYS).as_secs();
        Ok(signed && paired && covered && now.as_second() < renew_at)
    }
}

fn params(name: &str, days: i32, now: Timestamp) -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    let at = |t: Timestamp| time::OffsetDateTime::from_unix_timestamp(t.as_second());
    params.not_before = at(now - BACKDATE)?;
    params.not_after = at(now + DAY * days)?;
    Ok(params)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts() -> [String; 1] {
        ["perpro-webhook.perpro-system.svc".to_owned()]
    }

    fn at(day: i32) -> Timestamp {
        "2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap() + DAY * day
    }

    #[test]
    fn a_leaf_is_good_until_two_months_before_its_end() {
        let authority = Authority::new(at(0)).unwrap();
        let leaf = authority.issue(&hosts(), at(0)).unwrap();
        assert!(authority.vouches_for(&leaf, &hosts(), at(29)));
        assert!(!authority.vouches_for(&leaf, &hosts(), at(31)));
        assert!(!authority.vouches_for(&leaf, &["other.svc".to_owned()], at(0)));
    }

    #[test]
    fn a_leaf_of_another_authority_or_key_is_not_good() {
        let (ours, theirs) = (Authority::new(at(0)).unwrap(), Authority::new(at(0)).unwrap());
        let foreign = theirs.issue(&hosts(), at(0)).unwrap();
        assert!(!ours.vouches_for(&foreign, &hosts(), at(0)));
        let mut mixed = ours.issue(&hosts(), at(0)).unwrap();
        mixed.key = foreign.key;
        assert!(!ours.vouches_for(&mixed, &hosts(), at(0)));
    }

    #[test]
    fn what_is_no_authority_is_not_loaded() {
        let authority = Authority::new(at(0)).unwrap();
        let leaf = authority.issue(&hosts(), at(0)).unwrap();
        assert!(Authority::load(leaf).is_err());
        assert!(!format!("{:?}", authority.pair()).contains("PRIVATE"));
    }
}
