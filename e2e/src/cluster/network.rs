//! The addresses of a cluster. Its ranges are odd on purpose: they should collide with nobody's network.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};

use anyhow::{Context, Result, bail};

/// Where Services get their addresses.
pub(crate) const SERVICES: &str = "10.203.0.0/16";
/// Where pods get theirs.
pub(crate) const PODS: &str = "10.204.0.0/24";
/// Whether this is a pod's address.
pub(crate) fn is_pod(address: Ipv4Addr) -> bool {
    address.octets().starts_with(&[10, 204, 0])
}

/// The Service `kubernetes`: always the first address of the range.
pub(crate) const API_SERVER: Ipv4Addr = Ipv4Addr::new(10, 203, 0, 1);

/// The address with which this machine speaks to others: pods reach the API server at it, and the API server the
/// kubelet.
///
/// # Errors
/// When there is no route to anywhere.
pub(crate) fn own_address() -> Result<Ipv4Addr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    // Connecting a UDP socket asks the kernel for a route and sends nothing.
    socket.connect((Ipv4Addr::new(203, 0, 113, 1), 9)).context(
        "this machine has no route to anywhere, so pods could not reach the API server; try --nodeless",
    )?;
    match socket.local_addr()?.ip() {
        IpAddr::V4(address) if !address.is_loopback() => Ok(address),
        other => bail!("this machine speaks to others as {other}; pods could not reach it; try --nodeless"),
    }
}
