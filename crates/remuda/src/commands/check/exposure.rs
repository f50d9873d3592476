//! Who can reach a server, and what is in the way.
//!
//! Owner: the [`checklist`](super::checklist). Invariant: nothing here fails the command, for
//! a proxy in front may be all that can connect.

use std::time::SystemTime;

use remuda_config::{BindAddress, Config, PeerRange};
use remuda_http::Tls;

use super::checklist::{Item, Verdict, item};

/// The lines about it.
pub(super) fn exposure(config: &Config, now: SystemTime) -> Vec<Item> {
    let shown: Vec<String> = config.bind.iter().map(ToString::to_string).collect();
    let is_public = !config.bind.iter().all(is_local);
    let mut items = vec![item(
        is_public,
        Verdict::Look,
        "other machines can connect, or whoever has been handed a socket",
        format!("only this machine can connect, at {}; set bind to 0.0.0.0:8000", shown.join(", ")),
    )];
    if config.bind.iter().any(|address| matches!(address, BindAddress::Tcp { .. })) {
        items.extend(encryption(config, now));
    }
    let believed = &config.http.forwarded_allow_ips.0;
    if is_public && believed.contains(&PeerRange::Everybody) {
        let text = "whoever connects is believed about who its clients are, for \
                    http.forwarded_allow_ips is *; name the proxies in front";
        items.push(Item { verdict: Verdict::Look, text: text.to_owned() });
    }
    items
}

fn encryption(config: &Config, now: SystemTime) -> Vec<Item> {
    let Some(tls) = &config.http.tls else {
        let text = "TCP connections are not encrypted; set http.tls_cert and http.tls_key, unless \
                    a proxy in front speaks TLS";
        return vec![Item { verdict: Verdict::Look, text: text.to_owned() }];
    };
    // What cannot be used has ended the command before.
    let warning = Tls::build(tls).ok().and_then(|tls| tls.warning(now));
    let expires = item(
        warning.is_none(),
        Verdict::Look,
        "the certificate is valid for more than 14 days",
        warning.unwrap_or_default(),
    );
    vec![item(true, Verdict::Pass, "TCP connections are encrypted", ""), expires]
}

/// Whether only this machine can connect.
pub(super) fn is_local(address: &BindAddress) -> bool {
    match address {
        BindAddress::Tcp { host, .. } => ["127.0.0.1", "localhost", "::1"].contains(&host.as_str()),
        BindAddress::Unix { .. } | BindAddress::Descriptor(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::tests::of_flags;

    /// All lines with these flags.
    fn lines(flags: &[(&'static str, &str)]) -> String {
        let config = of_flags(flags);
        let lines = exposure(&config, SystemTime::UNIX_EPOCH);
        lines.iter().map(|line| format!("{line}\n")).collect()
    }

    #[test]
    fn what_is_open_is_said() {
        let everybody = ("http.forwarded_allow_ips", "*");
        let (public, local) = (("bind", "0.0.0.0:80"), ("bind", "127.0.0.1:80"));
        let socket = ("bind", "unix:/run/app.sock");
        let plain = "look  TCP connections are not encrypted";
        let believed = "look  whoever connects is believed";
        for (flags, said, is_said) in [
            (&[public][..], "pass  other machines can connect", true),
            (&[local], "look  only this machine can connect, at 127.0.0.1:80; set bind", true),
            (&[public], plain, true),
            (&[local], plain, true),
            (&[socket], plain, false),
            (&[public], believed, false),
            (&[public, everybody], believed, true),
            (&[local, everybody], believed, false),
        ] {
            let lines = lines(flags);
            assert_eq!(lines.contains(said), is_said, "{said}, {flags:?}: {lines}");
        }
    }
}
