//! Where to listen: `bind` and `admin`.
//!
//! Purpose: both together, for no address can be taken twice, and sockets that were
//! passed are shared out between them. Owner: validation of the server. Invariant: no
//! address with a port, path or number of its own is named twice.

use std::ops::Range;

use crate::{
    config::BindAddress,
    raw::PASSED,
    source::Source,
    validate::Reader,
    value::{Bind, Off},
};

const BIND: &str = "bind";
const ADMIN: &str = "admin";

/// `None` is not valid.
pub(super) struct Addresses {
    pub(super) bind: Option<Vec<BindAddress>>,
    /// The inner `None` is turned off.
    pub(super) admin: Option<Option<BindAddress>>,
}

pub(super) fn addresses(
    read: &mut Reader<'_>,
    passed: &Range<i32>,
    warnings: &mut Vec<String>,
) -> Addresses {
    let admin = read.take(ADMIN, &Off(Bind));
    let for_admin = admin.clone().flatten();
    let bind = bind(read, for_admin.as_ref());
    let Some(bind) = bind else { return Addresses { bind, admin } };
    if let Some(address) = for_admin.filter(|admin| exclusive(admin) && bind.contains(admin)) {
        let (ours, theirs) = (read.source(ADMIN), read.source(BIND));
        // The default is nobody's mistake: whoever chose the other one reads of it.
        let source = if ours == Source::Default { theirs } else { ours };
        let problem = format!("{address} cannot be both in bind and admin");
        read.fail(ADMIN, source, problem, "change one of them, or turn admin off");
        return Addresses { bind: Some(bind), admin: None };
    }
    warn_of_unused(passed, &bind, admin.as_ref().and_then(Option::as_ref), warnings);
    Addresses { bind: Some(bind), admin }
}

fn bind(read: &mut Reader<'_>, admin: Option<&BindAddress>) -> Option<Vec<BindAddress>> {
    let mut given = read.take_list(BIND, &Bind)?;
    let source = read.source(BIND);
    if source == Source::Environment(PASSED.to_owned()) {
        given.retain(|(address, _)| admin != Some(address));
        let shown: Vec<String> = given.iter().map(|(address, _)| address.to_string()).collect();
        let reason = Some("the sockets that were passed".to_owned());
        read.record(BIND, shown.join(", "), &source, reason);
    }
    if given.is_empty() {
        read.fail(BIND, source, "needs at least one address", "try 127.0.0.1:8000");
        return None;
    }
    let mut addresses = Vec::new();
    for (address, source) in given {
        if exclusive(&address) && addresses.contains(&address) {
            read.fail(BIND, source, format!("{address} is given twice"), "remove one of them");
        } else {
            addresses.push(address);
        }
    }
    Some(addresses)
}

/// With port 0, the kernel chooses another one each time.
fn exclusive(address: &BindAddress) -> bool {
    !matches!(address, BindAddress::Tcp { port: 0, .. })
}

/// Whoever set up socket activation expects it to be used.
fn warn_of_unused(
    passed: &Range<i32>,
    bind: &[BindAddress],
    admin: Option<&BindAddress>,
    warnings: &mut Vec<String>,
) {
    let unused: Vec<String> = passed
        .clone()
        .map(BindAddress::Descriptor)
        .filter(|passed| !bind.contains(passed) && admin != Some(passed))
        .map(|passed| passed.to_string())
        .collect();
    if !unused.is_empty() {
        warnings.push(format!(
            "{PASSED}: sockets were passed that bind does not name, and they are not used; try \
             --bind {}, or leave bind out",
            unused.join(",")
        ));
    }
}
