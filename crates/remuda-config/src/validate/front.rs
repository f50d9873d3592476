//! What happens to a connection before HTTP, and what is believed of its client.
//!
//! Owner: validation of the server. Invariant: a certificate has a key, and a key a
//! certificate; what is in the files is not asked here.

use crate::{
    config::{Identity, Tls, TrustedPeers},
    validate::Reader,
    value::{Choice, HostPath, Peers, Unset},
};

const CERT: &str = "http.tls_cert";
const KEY: &str = "http.tls_key";

/// `None` is not valid.
pub(super) struct Front {
    /// The inner `None` is plain HTTP.
    pub(super) tls: Option<Option<Tls>>,
    pub(super) proxy_protocol: Option<bool>,
    pub(super) forwarded_allow_ips: Option<TrustedPeers>,
}

pub(super) fn front(read: &mut Reader<'_>) -> Front {
    const SWITCH: Choice<bool> =
        Choice(&[("off", false), ("on", true), ("false", false), ("true", true)]);
    let peers = read.take_list("http.forwarded_allow_ips", &Peers);
    Front {
        tls: tls(read),
        proxy_protocol: read.take("http.proxy_protocol", &SWITCH),
        forwarded_allow_ips: peers
            .map(|peers| TrustedPeers(peers.into_iter().map(|(peers, _)| peers).collect())),
    }
}

fn tls(read: &mut Reader<'_>) -> Option<Option<Tls>> {
    let cert = read.take(CERT, &Unset(HostPath("/etc/remuda/cert.pem")));
    let key = read.take(KEY, &Unset(HostPath("/etc/remuda/key.pem")));
    match (cert?, key?) {
        (Some(cert), Some(key)) => Some(Some(Tls { cert, key, identity: Identity::default() })),
        (None, None) => Some(None),
        (Some(_), None) => {
            let source = read.source(CERT);
            let remedy = "set http.tls_key (--tls-key) to the file with its private key";
            read.fail(CERT, source, "a certificate needs its key", remedy);
            None
        }
        (None, Some(_)) => {
            let source = read.source(KEY);
            let remedy = "set http.tls_cert (--tls-cert) to the file with its certificate chain";
            read.fail(KEY, source, "a key needs its certificate", remedy);
            None
        }
    }
}
