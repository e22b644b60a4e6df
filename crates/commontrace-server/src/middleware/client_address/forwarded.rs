//! What proxies say about whom they forward for: `X-Forwarded-For`, and `Forwarded` (RFC 7239).
//!
//! Each proxy appends the address it was called from, so only what stands at the end is believed,
//! and only as far back as proxies are trusted. A proxy usually writes one of the two headers and
//! passes on the other as a client sent it. So if both are there they have to agree.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;
use ipnet::IpNet;

/// Proxies that a request passes at most; what stands before them is not looked at.
const HOPS_MAX: usize = 16;

/// Returns the address behind all trusted proxies: the last one that is not one of theirs. A proxy
/// that does not say whom it forwards for, or not so that it can be read, is the client itself.
pub fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |ip: &IpAddr| trusted.iter().any(|net| net.contains(ip));
    if !is_trusted(&peer) {
        return peer;
    }
    let behind = |name, hop: fn(&str) -> Option<IpAddr>| {
        headers
            .contains_key(name)
            .then(|| last_untrusted(peer, hops(headers, name), hop, &is_trusted))
    };
    match (
        behind("x-forwarded-for", address),
        behind("forwarded", forwarded_for),
    ) {
        (Some(one), Some(other)) if one != other => peer,
        (Some(client), _) | (None, Some(client)) => client,
        (None, None) => peer,
    }
}

/// Returns what the headers of this name list, the last first. The fields of a header that is there
/// several times are one list.
fn hops<'h>(headers: &'h HeaderMap, name: &str) -> impl Iterator<Item = &'h str> {
    let mut values: Vec<_> = headers.get_all(name).iter().collect();
    values.reverse();
    values.into_iter().flat_map(|value| {
        // A value that is not text is one element that cannot be read.
        value.to_str().unwrap_or("?").rsplit(',').map(str::trim)
    })
}

fn last_untrusted<'h>(
    peer: IpAddr,
    hops: impl Iterator<Item = &'h str>,
    read: fn(&str) -> Option<IpAddr>,
    is_trusted: &impl Fn(&IpAddr) -> bool,
) -> IpAddr {
    let mut client = peer;
    for hop in hops.take(HOPS_MAX).filter(|hop| !hop.is_empty()) {
        let Some(ip) = read(hop) else { break };
        client = ip;
        if !is_trusted(&ip) {
            break;
        }
    }
    client
}

/// Reads the `for` of an element of `Forwarded`.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?;
    let value = value.trim();
    let quoted = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
    address(quoted.unwrap_or(value))
}

/// Reads an address with or without a port, an IPv6 address with or without brackets.
fn address(text: &str) -> Option<IpAddr> {
    let bare = |text: &str| text.parse::<IpAddr>().ok();
    let bracketed = || bare(text.strip_prefix('[')?.strip_suffix(']')?);
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    bare(text)
        .or_else(bracketed)
        .or_else(with_port)
        .map(|ip| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    fn found(peer: &str, sent: &[(&'static str, &str)]) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            let value = HeaderValue::from_bytes(value.as_bytes()).expect("a header value");
            headers.append(HeaderName::from_static(name), value);
        }
        let trusted: Vec<IpNet> = ["10.0.0.0/8", "2001:db8:1::/48"]
            .map(|net| net.parse().expect("a network"))
            .into();
        client(peer.parse().expect("an address"), &headers, &trusted).to_string()
    }

    #[test]
    fn the_last_address_that_is_no_trusted_proxys_is_the_client() {
        let xff = "x-forwarded-for";
        for (peer, sent, expected) in [
            ("10.0.0.1", &[(xff, "192.0.2.7")][..], "192.0.2.7"),
            ("10.0.0.1", &[(xff, "192.0.2.7, 10.0.0.2")], "192.0.2.7"),
            // The client has made up the first one.
            ("10.0.0.1", &[(xff, "1.1.1.1, 192.0.2.7")], "192.0.2.7"),
            (
                "10.0.0.1",
                &[(xff, "1.1.1.1"), (xff, "192.0.2.7")],
                "192.0.2.7",
            ),
            // Nobody's proxy: whatever it says is ignored.
            ("192.0.2.9", &[(xff, "1.1.1.1")], "192.0.2.9"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &[(xff, "10.0.0.3, 10.0.0.2")], "10.0.0.3"),
            ("10.0.0.1", &[(xff, "192.0.2.7:4711")], "192.0.2.7"),
            ("10.0.0.1", &[(xff, "2001:db8::7")], "2001:db8::7"),
            ("10.0.0.1", &[(xff, "[2001:db8::7]:4711")], "2001:db8::7"),
            ("10.0.0.1", &[(xff, "[2001:db8::7]")], "2001:db8::7"),
            ("2001:db8:1::1", &[(xff, "::ffff:192.0.2.7")], "192.0.2.7"),
            ("10.0.0.1", &[(xff, "192.0.2.7, ,")], "192.0.2.7"),
        ] {
            assert_eq!(found(peer, sent), expected, "{peer} {sent:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_ends_the_search_at_the_proxy_that_said_it() {
        let xff = "x-forwarded-for";
        for sent in [
            "unknown",
            "192.0.2.7, _hidden",
            "192.0.2.7, \u{e9}",
            "300.1.1.1",
            "*",
        ] {
            assert_eq!(found("10.0.0.1", &[(xff, sent)]), "10.0.0.1", "{sent}");
        }
        let chain = "1.1.1.1, 300.1.1.1, 10.0.0.2";
        assert_eq!(found("10.0.0.1", &[(xff, chain)]), "10.0.0.2");
        let long = format!("1.1.1.1{}", ", 10.0.0.2".repeat(100_000));
        assert_eq!(found("10.0.0.1", &[(xff, &long)]), "10.0.0.2");
    }

    #[test]
    fn forwarded_is_read_as_its_standard_says() {
        for (sent, expected) in [
            ("for=192.0.2.7", "192.0.2.7"),
            ("For=\"192.0.2.7:4711\";proto=https", "192.0.2.7"),
            ("proto=https; for=\"[2001:db8::7]:4711\"", "2001:db8::7"),
            ("for=1.1.1.1, for=192.0.2.7;by=10.0.0.1", "192.0.2.7"),
            ("for=192.0.2.7, for=10.0.0.2", "192.0.2.7"),
            ("for=_hidden", "10.0.0.1"),
            ("by=192.0.2.7", "10.0.0.1"),
            ("for=\"192.0.2.7", "10.0.0.1"),
        ] {
            assert_eq!(
                found("10.0.0.1", &[("forwarded", sent)]),
                expected,
                "{sent}"
            );
        }
    }

    #[test]
    fn a_header_that_the_proxy_only_passes_on_cannot_contradict_its_own() {
        let both = |xff, forwarded| {
            found(
                "10.0.0.1",
                &[("x-forwarded-for", xff), ("forwarded", forwarded)],
            )
        };
        assert_eq!(both("192.0.2.7", "for=192.0.2.7"), "192.0.2.7");
        assert_eq!(both("192.0.2.7", "for=1.1.1.1"), "10.0.0.1");
        assert_eq!(both("1.1.1.1", "for=192.0.2.7"), "10.0.0.1");
    }

    proptest! {
        #[test]
        fn nothing_that_is_sent_panics_or_moves_a_peer_that_is_not_trusted(
            xff in "[ -~]{0,60}", forwarded in "[ -~]{0,60}",
        ) {
            let sent = [("x-forwarded-for", xff.as_str()), ("forwarded", &forwarded)];
            found("10.0.0.1", &sent);
            prop_assert_eq!(found("192.0.2.9", &sent), "192.0.2.9");
        }
    }
}
