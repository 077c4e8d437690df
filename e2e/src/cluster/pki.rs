//! The certificates of a cluster: one CA for the cluster, one for etcd (so that no client of the cluster is a client of
//! its store), one for the API server as a proxy (whom it names is believed), and the key that signs service account
//! tokens.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::Result;
use jiff::{Timestamp, ToSpan, tz::TimeZone};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};

use super::layout::Layout;
use super::network;
use crate::files;

/// Who a client certificate speaks for, and the file that holds it.
struct Client {
    file: &'static str,
    user: &'static str,
    group: Option<&'static str>,
}

const CLIENTS: [Client; 6] = [
    Client { file: "admin", user: "perpro-e2e-admin", group: Some("system:masters") },
    Client { file: "kube-controller-manager", user: "system:kube-controller-manager", group: None },
    Client { file: "kube-scheduler", user: "system:kube-scheduler", group: None },
    Client { file: "kube-proxy", user: "system:kube-proxy", group: None },
    Client { file: "kubelet", user: "system:node:perpro", group: Some("system:nodes") },
    Client {
        file: "apiserver-kubelet-client",
        user: "kube-apiserver-kubelet-client",
        group: Some("system:masters"),
    },
];

/// A CA that can sign, and its certificate.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: Certificate,
}

/// A certificate and its key, both PEM.
pub(crate) struct Leaf {
    /// The certificate.
    pub(crate) certificate: String,
    /// The key.
    pub(crate) key: String,
}

impl Authority {
    /// A new CA.
    ///
    /// # Errors
    /// When the library cannot make one.
    pub(crate) fn new(name: &str) -> Result<Self> {
        let mut params = params(name, None)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        Ok(Self { issuer: Issuer::new(params, key), certificate })
    }

    /// Its certificate, PEM.
    pub(crate) fn certificate(&self) -> String {
        self.certificate.pem()
    }

    /// A certificate for a server with these names and addresses.
    ///
    /// # Errors
    /// When a name cannot be in a certificate.
    pub(crate) fn server(&self, names: &[&str], addresses: &[Ipv4Addr]) -> Result<Leaf> {
        let mut params = params(names.first().unwrap_or(&"server"), None)?;
        let addresses = addresses.iter().map(|address| Ok(SanType::IpAddress(IpAddr::V4(*address))));
        let names = names.iter().map(|name| Ok(SanType::DnsName((*name).try_into()?)));
        params.subject_alt_names = names.chain(addresses).collect::<Result<_>>()?;
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params)
    }

    /// A certificate for a client.
    ///
    /// # Errors
    /// When the library cannot make one.
    pub(crate) fn client(&self, user: &str, group: Option<&str>) -> Result<Leaf> {
        let mut params = params(user, group)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params)
    }

    fn sign(&self, mut params: CertificateParams) -> Result<Leaf> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Leaf { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

/// Makes all certificates of a cluster whose API server has this address.
///
/// # Errors
/// When one cannot be made or written.
pub(crate) fn create(layout: &Layout, address: Ipv4Addr) -> Result<()> {
    let loopback = Ipv4Addr::LOCALHOST;
    files::private_dir(&layout.pki())?;

    let ca = Authority::new("perpro-e2e")?;
    files::write(&layout.certificate("ca"), ca.certificate())?;
    files::write(&layout.key("ca"), ca.issuer.key().serialize_pem())?;
    let names = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        "localhost",
    ];
    let addresses = [loopback, address, network::API_SERVER];
    write(layout, "kube-apiserver", &ca.server(&names, &addresses)?)?;
    write(layout, "local-server", &ca.server(&["localhost"], &[loopback])?)?;
    write(layout, "kubelet-server", &ca.server(&["perpro"], &[address])?)?;
    for Client { file, user, group } in CLIENTS {
        write(layout, file, &ca.client(user, group)?)?;
    }

    let etcd_ca = Authority::new("perpro-e2e-etcd")?;
    files::write(&layout.certificate("etcd-ca"), etcd_ca.certificate())?;
    write(layout, "etcd-server", &etcd_ca.server(&["localhost"], &[loopback])?)?;
    write(layout, "etcd-client", &etcd_ca.client("kube-apiserver", None)?)?;

    let front_proxy_ca = Authority::new("perpro-e2e-front-proxy")?;
    files::write(&layout.certificate("front-proxy-ca"), front_proxy_ca.certificate())?;
    write(layout, "front-proxy-client", &front_proxy_ca.client("front-proxy-client", None)?)?;

    let tokens = KeyPair::generate()?;
    files::write(&layout.key("service-accounts"), tokens.serialize_pem())?;
    files::write(&layout.pki().join("service-accounts.pub"), tokens.public_key_pem())
}

fn write(layout: &Layout, name: &str, leaf: &Leaf) -> Result<()> {
    files::write(&layout.certificate(name), &leaf.certificate)?;
    files::write(&layout.key(name), &leaf.key)
}

/// Valid for a year, from yesterday on.
fn params(name: &str, group: Option<&str>) -> Result<CertificateParams> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    if let Some(group) = group {
        params.distinguished_name.push(DnType::OrganizationName, group);
    }
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    let midnight = |date: jiff::civil::Date| -> Result<_> {
        Ok(rcgen::date_time_ymd(date.year().into(), u8::try_from(date.month())?, u8::try_from(date.day())?))
    };
    params.not_before = midnight(today.checked_sub(1.day())?)?;
    params.not_after = midnight(today.checked_add(365.days())?)?;
    Ok(params)
}
