//! Who asks, as far as the network says: the peer of the connection, or, behind proxies that the operator trusts, the
//! address that they name. It is personal data: it is counted by (`flow/limits.rs`) and neither logged nor kept.
//!
//! Nothing else is taken from proxies. Addresses that we make are always below `public_url` of the configuration, whatever
//! `Host`, `X-Forwarded-Host` or `X-Forwarded-Proto` say.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderName, header};

use crate::config::{ForwardedHeader, Network};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The other end of the connection, put into every request by the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// The address of the client: going back from the peer over trusted proxies, the first that is none. Each proxy has
/// added the address that it saw to the right end of the header, so what stands further left is hearsay.
pub fn client_address(peer: Peer, headers: &HeaderMap, trusted: &[Network], by: ForwardedHeader) -> IpAddr {
    let mut address = peer.0.to_canonical();
    let name = match by {
        ForwardedHeader::XForwardedFor => X_FORWARDED_FOR,
        ForwardedHeader::Forwarded => header::FORWARDED,
    };
    let fields: Vec<_> = headers.get_all(name).iter().collect();
    let hops = fields.iter().rev().flat_map(|field| field.to_str().unwrap_or_default().rsplit(','));
    for hop in hops {
        if !trusted.iter().any(|network| network.contains(address)) {
            break;
        }
        let named = match by {
            ForwardedHeader::XForwardedFor => node(hop),
            ForwardedHeader::Forwarded => forwarded_for(hop),
        };
        // A hop that names nobody: the proxy before it is the last that we know.
        let Some(named) = named else { break };
        address = named;
    }
    address
}

/// The `for` of one element of `Forwarded` (RFC 7239 section 4).
fn forwarded_for(element: &str) -> Option<IpAddr> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        name.eq_ignore_ascii_case("for").then(|| node(value.trim_matches('"'))).flatten()
    })
}

/// `192.0.2.7`, `192.0.2.7:4711`, `2001:db8::7`, `[2001:db8::7]` or `[2001:db8::7]:4711`.
fn node(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip())).ok()?;
    Some(IpAddr::to_canonical(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, name: &HeaderName, values: &[&str], by: ForwardedHeader) -> String {
        let trusted = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap());
        let headers = values.iter().map(|value| (name.clone(), value.parse().unwrap())).collect();
        client_address(Peer(peer.parse().unwrap()), &headers, &trusted, by).to_string()
    }

    #[test]
    fn only_trusted_proxies_are_believed_and_only_what_they_saw() {
        let by = ForwardedHeader::XForwardedFor;
        for (peer, values, expected) in [
            ("192.0.2.1", vec!["203.0.113.9"], "192.0.2.1"),
            ("10.0.0.1", vec!["203.0.113.9"], "203.0.113.9"),
            ("::ffff:10.0.0.1", vec!["203.0.113.9:50000"], "203.0.113.9"),
            ("10.0.0.1", vec!["198.51.100.66, 203.0.113.9, 10.9.9.9"], "203.0.113.9"),
            ("10.0.0.1", vec!["198.51.100.66", "203.0.113.9"], "203.0.113.9"),
            ("10.0.0.1", vec!["10.2.2.2, 10.3.3.3"], "10.2.2.2"),
            ("10.0.0.1", vec!["203.0.113.9, unknown"], "10.0.0.1"),
            ("10.0.0.1", vec!["203.0.113.9, "], "10.0.0.1"),
            ("10.0.0.1", vec![], "10.0.0.1"),
            ("fd00::1", vec!["[2001:db8::7]:443"], "2001:db8::7"),
            ("fd00::1", vec!["2001:db8::7"], "2001:db8::7"),
        ] {
            assert_eq!(seen(peer, &X_FORWARDED_FOR, &values, by), expected, "{peer} {values:?}");
        }
        assert_eq!(seen("10.0.0.1", &header::FORWARDED, &["for=203.0.113.9"], by), "10.0.0.1", "the other header");
    }

    #[test]
    fn forwarded_is_read_by_rfc_7239() {
        let by = ForwardedHeader::Forwarded;
        for (values, expected) in [
            (vec!["for=203.0.113.9;proto=https;by=10.0.0.2"], "203.0.113.9"),
            (vec!["for=198.51.100.66, For=\"[2001:db8:cafe::17]:4711\""], "2001:db8:cafe::17"),
            (vec!["for=203.0.113.9, for=10.1.1.1"], "203.0.113.9"),
            (vec!["for=_hidden"], "10.0.0.1"),
            (vec!["for=203.0.113.9, by=10.1.1.1"], "10.0.0.1"),
        ] {
            assert_eq!(seen("10.0.0.1", &header::FORWARDED, &values, by), expected, "{values:?}");
        }
        assert_eq!(seen("10.0.0.1", &X_FORWARDED_FOR, &["203.0.113.9"], by), "10.0.0.1", "the other header");
    }

    proptest::proptest! {
        #[test]
        fn any_header_never_panics_and_strangers_are_never_believed(
            text in "[ -~]{0,80}|((for|by)=[\"\\[0-9a-f:.\\]]{0,20}[;,] ?){0,40}", peer in proptest::prelude::any::<[u8; 4]>(),
        ) {
            let value: axum::http::HeaderValue = text.parse().unwrap();
            let peer = IpAddr::from(peer);
            let networks = ["10.0.0.0/8".parse().unwrap()];
            for (name, by) in [(X_FORWARDED_FOR, ForwardedHeader::XForwardedFor), (header::FORWARDED, ForwardedHeader::Forwarded)] {
                let headers: HeaderMap = [(name, value.clone())].into_iter().collect();
                proptest::prop_assert_eq!(client_address(Peer(peer), &headers, &[], by), peer, "no proxy is trusted");
                let _ = client_address(Peer("10.0.0.1".parse().unwrap()), &headers, &networks, by);
            }
        }
    }
}
