//! Who is asking: the address at the other end, or, where that is a proxy we were
//! told to trust, the one it says it asks for.

use std::net::IpAddr;

use http::HeaderMap;
use ipnet::IpNet;

/// The header that lists the hops so far.
pub(super) const FORWARDED_FOR: &str = "x-forwarded-for";

/// The other end of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    /// The address of the connection's other end.
    pub(super) address: IpAddr,
    /// It is one of the `trusted_proxies`, so what it forwards is believed.
    pub(super) trusted: bool,
    /// It speaks TLS to us.
    pub(super) secure: bool,
}

impl Peer {
    /// The peer behind a connection.
    pub(super) fn new(address: IpAddr, trusted_proxies: &[IpNet]) -> Self {
        // An IPv4 client on an IPv6 socket is the same client.
        let address = address.to_canonical();
        Self {
            address,
            trusted: contains(trusted_proxies, address),
            secure: false,
        }
    }

    /// Over a connection that is encrypted, or is not.
    pub(super) const fn over_tls(self, secure: bool) -> Self {
        Self { secure, ..self }
    }

    /// The scheme of the URL that it asked for, as far as we can see.
    pub(super) const fn scheme(self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }

    /// Whose request it is: the last hop that is not a trusted proxy. None when a
    /// trusted proxy forwarded something that is no address.
    pub(super) fn client(self, headers: &HeaderMap, trusted_proxies: &[IpNet]) -> Option<IpAddr> {
        if !self.trusted {
            return Some(self.address);
        }
        let mut client = self.address;
        for value in headers.get_all(FORWARDED_FOR).iter().rev() {
            for hop in value.to_str().ok()?.rsplit(',') {
                client = hop.trim().parse::<IpAddr>().ok()?.to_canonical();
                if !contains(trusted_proxies, client) {
                    return Some(client);
                }
            }
        }
        Some(client)
    }

    /// May it post to a route with these `sources`? Empty sources admit anybody.
    pub(super) fn admitted(
        self,
        sources: &[IpNet],
        headers: &HeaderMap,
        trusted_proxies: &[IpNet],
    ) -> bool {
        sources.is_empty()
            || self
                .client(headers, trusted_proxies)
                .is_some_and(|client| contains(sources, client))
    }
}

fn contains(networks: &[IpNet], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(list: &[&str]) -> Vec<IpNet> {
        list.iter().map(|net| net.parse().unwrap()).collect()
    }

    #[test]
    fn only_a_trusted_proxy_can_speak_for_somebody_else() {
        let trusted = networks(&["10.0.0.0/8"]);
        for (peer, forwarded, client) in [
            ("192.0.2.1", Some("203.0.113.9"), Some("192.0.2.1")),
            ("10.0.0.1", Some("203.0.113.9"), Some("203.0.113.9")),
            (
                "10.0.0.1",
                Some("1.1.1.1, 203.0.113.9, 10.2.3.4"),
                Some("203.0.113.9"),
            ),
            ("10.0.0.1", Some("10.9.9.9"), Some("10.9.9.9")),
            ("10.0.0.1", Some("unknown"), None),
            ("10.0.0.1", None, Some("10.0.0.1")),
            ("::ffff:10.0.0.1", Some("203.0.113.9"), Some("203.0.113.9")),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(forwarded) = forwarded {
                headers.insert(FORWARDED_FOR, forwarded.parse().unwrap());
            }
            let peer = Peer::new(peer.parse().unwrap(), &trusted);
            assert_eq!(
                peer.client(&headers, &trusted),
                client.map(|client| client.parse().unwrap()),
                "{peer:?} {forwarded:?}"
            );
        }
    }

    #[test]
    fn sources_admit_their_networks_and_nobody_else() {
        let sources = networks(&["192.0.2.0/24"]);
        let headers = HeaderMap::new();
        for (peer, admitted) in [("192.0.2.7", true), ("192.0.3.7", false)] {
            let peer = Peer::new(peer.parse().unwrap(), &[]);
            assert_eq!(peer.admitted(&sources, &headers, &[]), admitted);
            assert!(peer.admitted(&[], &headers, &[]), "no sources, no question");
        }
    }
}
