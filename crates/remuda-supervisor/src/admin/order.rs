//! Orders as they stand in a request.
//!
//! Owner: the [service](super::service). Invariant: pure; a request that is not exactly
//! one of the orders is refused with the form that would have been accepted.

use super::call::Order;

/// The paths that take orders, how they are written in full, and what they do.
pub(super) const ORDERS: [(&str, &str, &str); 4] = [
    ("/reload", "/reload", "read the configuration again and replace all workers"),
    ("/drain", "/drain", "finish what is in flight and end the server"),
    ("/scale", "/scale?workers=N", "run N workers"),
    ("/restart", "/restart?worker=I", "replace worker I"),
];

/// What a request with this path and query orders.
///
/// # Errors
/// A sentence that says what is wrong and how it is right.
pub(super) fn parse(path: &str, query: Option<&str>) -> Result<Order, String> {
    let form = ORDERS.iter().find(|(known, ..)| *known == path).map_or(path, |(_, form, _)| form);
    let remedy = format!("the request is POST {form}");
    let query = query.unwrap_or_default();
    let only = |name: &str| match query.split_once('=') {
        Some((key, value)) if key == name && !value.contains('&') => Ok(value),
        _ if query.is_empty() => Err(format!("{name} is missing; {remedy}")),
        _ => Err(format!("{name} is the one parameter, given once; {remedy}")),
    };
    let number = |name: &str| {
        let value = only(name)?;
        value.parse().map_err(|_| format!("{name} is a whole number; {remedy}"))
    };
    match path {
        "/scale" => match number("workers")? {
            0 => Err("at least one worker stays; POST /drain ends the server".to_owned()),
            workers => Ok(Order::Scale(workers)),
        },
        "/restart" => number("worker").map(Order::Restart),
        "/reload" | "/drain" if !query.is_empty() => Err(format!("no parameters; {remedy}")),
        "/reload" => Ok(Order::Reload),
        "/drain" => Ok(Order::Drain),
        _ => Err("no such order".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_read() {
        for (path, query, order) in [
            ("/reload", None, Order::Reload),
            ("/reload", Some(""), Order::Reload),
            ("/drain", None, Order::Drain),
            ("/scale", Some("workers=3"), Order::Scale(3)),
            ("/restart", Some("worker=0"), Order::Restart(0)),
        ] {
            assert_eq!(parse(path, query), Ok(order), "{path} {query:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_answered_with_what_is_right() {
        for (path, query, reason) in [
            ("/scale", None, "workers is missing; the request is POST /scale?workers=N"),
            ("/scale", Some("workers="), "workers is a whole number; "),
            ("/scale", Some("workers=-1"), "workers is a whole number; "),
            ("/scale", Some("workers=99999999999999999999"), "workers is a whole number; "),
            ("/scale", Some("workers=0"), "at least one worker stays; POST /drain"),
            ("/scale", Some("worker=2"), "workers is the one parameter, given once; "),
            ("/scale", Some("workers=2&workers=3"), "workers is the one parameter, given once; "),
            ("/restart", Some("worker=all"), "worker is a whole number; "),
            ("/reload", Some("now=1"), "no parameters; the request is POST /reload"),
        ] {
            let refused = parse(path, query).expect_err("refused");
            assert!(refused.starts_with(reason), "{path} {query:?}: {refused}");
        }
    }
}
