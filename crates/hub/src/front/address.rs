//! The client's address: the peer's, unless the peer is a proxy that the operator trusts.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use ipnet::IpNet;

use crate::config::ForwardHeader;

/// The address that counts. The forwarding header is read only if `peer` is in `trusted`; then it is the rightmost
/// address that is not itself a trusted proxy. What a client wrote further left is never believed.
pub(crate) fn client(
    peer: IpAddr,
    trusted: &[IpNet],
    header: ForwardHeader,
    headers: &HeaderMap,
) -> IpAddr {
    let peer = peer.to_canonical();
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(&address));
    if !is_trusted(peer) {
        return peer;
    }
    let mut nearest = peer;
    for hop in hops(header, headers).into_iter().rev() {
        // An unreadable hop hides what is behind it: the last readable one counts.
        let Some(address) = hop else { return nearest };
        nearest = address;
        if !is_trusted(address) {
            return address;
        }
    }
    nearest
}

/// The forwarding chain, client first, as the one header that counts tells it.
fn hops(header: ForwardHeader, headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let values = |name: &str| -> Vec<String> {
        headers
            .get_all(name)
            .iter()
            .flat_map(|value| {
                value
                    .to_str()
                    .unwrap_or("unreadable")
                    .split(',')
                    .map(|part| part.trim().to_owned())
            })
            .collect()
    };
    match header {
        ForwardHeader::XForwardedFor => values("x-forwarded-for")
            .iter()
            .map(|text| parse(text))
            .collect(),
        ForwardHeader::Forwarded => values("forwarded")
            .iter()
            .map(|element| forwarded_for(element).and_then(parse))
            .collect(),
    }
}

/// Whether somebody between the client and us says that they passed the request on.
pub(crate) fn is_forwarded(headers: &HeaderMap) -> bool {
    ["x-forwarded-for", "forwarded", "x-real-ip", "via"]
        .iter()
        .any(|name| headers.contains_key(*name))
}

/// The `for=` of one `Forwarded` element.
fn forwarded_for(element: &str) -> Option<&str> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        name.eq_ignore_ascii_case("for")
            .then(|| value.trim_matches('"'))
    })
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
fn parse(text: &str) -> Option<IpAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(text);
    bare.parse::<IpAddr>()
        .or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()))
        .ok()
        .map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Read by the header that comes first, as an operator would configure it.
    fn check(peer: &str, trusted: &[&str], headers: &[(&'static str, &str)], expected: &str) {
        let header = match headers.first() {
            Some(("forwarded", _)) => ForwardHeader::Forwarded,
            _ => ForwardHeader::XForwardedFor,
        };
        let trusted: Vec<IpNet> = trusted
            .iter()
            .map(|network| network.parse().unwrap())
            .collect();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        assert_eq!(
            client(peer.parse().unwrap(), &trusted, header, &map).to_string(),
            expected,
            "{headers:?}"
        );
    }

    #[test]
    fn nobody_trusted_means_headers_are_ignored() {
        check(
            "192.0.2.9",
            &[],
            &[("x-forwarded-for", "10.1.1.1")],
            "192.0.2.9",
        );
        check(
            "192.0.2.9",
            &["10.0.0.0/8"],
            &[("forwarded", "for=10.1.1.1")],
            "192.0.2.9",
        );
    }

    #[test]
    fn the_rightmost_untrusted_hop_counts() {
        let proxies = &["10.0.0.0/8"];
        check(
            "10.0.0.1",
            proxies,
            &[("x-forwarded-for", "1.1.1.1, 203.0.113.5, 10.0.0.2")],
            "203.0.113.5",
        );
        check(
            "10.0.0.1",
            proxies,
            &[
                ("x-forwarded-for", "1.1.1.1"),
                ("x-forwarded-for", "203.0.113.5"),
            ],
            "203.0.113.5",
        );
        check(
            "10.0.0.1",
            proxies,
            &[(
                "forwarded",
                "for=1.1.1.1, for=\"[2001:db8::7]:90\";proto=https",
            )],
            "2001:db8::7",
        );
        check(
            "10.0.0.1",
            proxies,
            &[("x-forwarded-for", "10.0.0.3, 10.0.0.2")],
            "10.0.0.3",
        );
    }

    #[test]
    fn what_a_client_writes_into_the_other_header_is_ignored() {
        let (proxies, real) = (&["10.0.0.0/8"], "203.0.113.5");
        let (simple, standard) = (("x-forwarded-for", "1.1.1.1"), ("forwarded", "for=1.1.1.1"));
        check(
            "10.0.0.1",
            proxies,
            &[("forwarded", "for=203.0.113.5"), simple],
            real,
        );
        check(
            "10.0.0.1",
            proxies,
            &[("x-forwarded-for", real), standard],
            real,
        );
    }

    #[test]
    fn what_cannot_be_read_is_not_looked_behind() {
        check(
            "10.0.0.1",
            &["10.0.0.0/8"],
            &[("x-forwarded-for", "1.1.1.1, unknown")],
            "10.0.0.1",
        );
        check(
            "10.0.0.1",
            &["10.0.0.0/8"],
            &[("forwarded", "for=1.1.1.1, for=_hidden")],
            "10.0.0.1",
        );
        check("10.0.0.1", &["10.0.0.0/8"], &[], "10.0.0.1");
    }

    #[test]
    fn mapped_addresses_are_plain_ones() {
        check("::ffff:192.0.2.9", &[], &[], "192.0.2.9");
        check(
            "::ffff:10.0.0.1",
            &["10.0.0.0/8"],
            &[("x-forwarded-for", "::ffff:203.0.113.5")],
            "203.0.113.5",
        );
    }
}
