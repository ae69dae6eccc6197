//! Which addresses are public, which may be called, and names that are resolved to nothing else.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::{Ipv4Net, Ipv6Net};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

const fn v4(a: u8, b: u8, c: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, 0), prefix)
}

const fn v6(a: u16, b: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0), prefix)
}

/// Not reachable by everybody: IANA's registry of special-purpose IPv4 addresses, and multicast.
const SPECIAL_V4: [Ipv4Net; 15] = [
    v4(0, 0, 0, 8),       // this network
    v4(10, 0, 0, 8),      // private
    v4(100, 64, 0, 10),   // shared by the customers of a provider
    v4(127, 0, 0, 8),     // this machine
    v4(169, 254, 0, 16),  // this link; clouds keep credentials there
    v4(172, 16, 0, 12),   // private
    v4(192, 0, 0, 24),    // protocols
    v4(192, 0, 2, 24),    // documentation
    v4(192, 88, 99, 24),  // relays of 6to4
    v4(192, 168, 0, 16),  // private
    v4(198, 18, 0, 15),   // benchmarks
    v4(198, 51, 100, 24), // documentation
    v4(203, 0, 113, 24),  // documentation
    v4(224, 0, 0, 4),     // multicast
    v4(240, 0, 0, 4),     // reserved, and broadcast
];

/// All that is given out for use by everybody (RFC 4291).
const GLOBAL_V6: Ipv6Net = v6(0x2000, 0, 3);

/// What is not, within that.
const SPECIAL_V6: [Ipv6Net; 3] = [
    v6(0x2001, 0, 23),      // protocols, Teredo among them
    v6(0x2001, 0x0db8, 32), // documentation
    v6(0x3fff, 0, 20),      // documentation
];

/// Whether everybody can reach this address. One that stands for an IPv4 address is judged by that.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !SPECIAL_V4.iter().any(|network| network.contains(&address)),
        IpAddr::V6(address) => match embedded(address) {
            Some(address) => is_public(address.into()),
            None => {
                let is_special = SPECIAL_V6.iter().any(|network| network.contains(&address));
                GLOBAL_V6.contains(&address) && !is_special
            }
        },
    }
}

/// The IPv4 address that an IPv6 address stands for: compatible or mapped (RFC 4291), translated by
/// NAT64 (RFC 6052), or behind 6to4 (RFC 3056).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    match address.segments() {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => Some(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low))),
        _ => None,
    }
}

/// Which addresses may be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Public ones alone.
    Public,
    /// Those alone that are not public.
    Private,
    Any,
}

impl Reach {
    /// Where a destination may be; `None` if it may be nowhere, since what is not encrypted never goes
    /// to a public address.
    pub fn of(is_encrypted: bool, allow_private: bool) -> Option<Self> {
        match (is_encrypted, allow_private) {
            (true, false) => Some(Self::Public),
            (true, true) => Some(Self::Any),
            (false, true) => Some(Self::Private),
            (false, false) => None,
        }
    }

    /// Whether it may be at this address.
    pub fn allows(self, address: IpAddr) -> bool {
        match self {
            Self::Public => is_public(address),
            Self::Private => !is_public(address),
            Self::Any => true,
        }
    }

    /// What a host has that it does not allow.
    fn missed(self) -> &'static str {
        match self {
            Self::Public => "no public address",
            Self::Private => "public addresses alone",
            Self::Any => "no address",
        }
    }
}

/// Resolves names to the addresses alone that may be called. It is asked at each connection, since what a
/// name stands for may change.
impl Resolve for Reach {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(addresses(name.as_str().to_owned(), *self))
    }
}

/// A host without an address that may be called.
#[derive(Debug, thiserror::Error)]
#[error("`{host}` has {}", .reach.missed())]
pub(super) struct OutOfReach {
    host: String,
    pub reach: Reach,
}

/// The addresses of a host that may be called, with port 0, which stands for that of the URL.
async fn addresses(host: String, reach: Reach) -> Result<Addrs, Box<dyn Error + Send + Sync>> {
    let found = tokio::net::lookup_host((host.as_str(), 0)).await?;
    let allowed = found.filter(|address| reach.allows(address.ip()));
    let allowed: Vec<SocketAddr> = allowed.collect();
    if allowed.is_empty() {
        return Err(Box::new(OutOfReach { host, reach }));
    }
    Ok(Box::new(allowed.into_iter()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_are_public_unless_they_are_set_aside() {
        for (address, expected) in [
            ("1.1.1.1", true),
            ("9.255.255.255", true),
            ("100.63.255.255", true),
            ("100.128.0.0", true),
            ("172.15.255.255", true),
            ("172.32.0.0", true),
            ("198.17.255.255", true),
            ("198.20.0.0", true),
            ("223.255.255.255", true),
            ("0.0.0.0", false),
            ("0.1.2.3", false),
            ("10.255.255.255", false),
            ("100.64.0.0", false),
            ("100.127.255.255", false),
            ("127.0.0.1", false),
            ("169.254.169.254", false),
            ("172.16.0.0", false),
            ("172.31.255.255", false),
            ("192.0.0.192", false),
            ("192.0.2.1", false),
            ("192.88.99.1", false),
            ("192.168.1.1", false),
            ("198.18.0.0", false),
            ("198.19.255.255", false),
            ("198.51.100.1", false),
            ("203.0.113.1", false),
            ("224.0.0.1", false),
            ("240.0.0.1", false),
            ("255.255.255.255", false),
            ("2606:4700:4700::1111", true),
            ("2a00::1", true),
            ("2003::1", true),
            ("::", false),
            ("::1", false),
            ("64:ff9b:1::1", false),
            ("100::1", false),
            ("2001::1", false),
            ("2001:db8::1", false),
            ("3fff::1", false),
            ("5f00::1", false),
            ("fc00::1", false),
            ("fd12:3456::1", false),
            ("fe80::1", false),
            ("fec0::1", false),
            ("ff02::1", false),
        ] {
            assert_eq!(is_public(address.parse().unwrap()), expected, "{address}");
        }
    }

    proptest! {
        #[test]
        fn a_form_of_an_address_is_as_public_as_the_address(bits in any::<u32>()) {
            let expected = is_public(Ipv4Addr::from(bits).into());
            let low = u128::from(bits);
            for form in [
                low,
                (0xffff << 32) | low,
                (0x64_ff9b << 96) | low,
                (0x2002 << 112) | (low << 80) | 1,
            ] {
                let form = Ipv6Addr::from(form);
                prop_assert_eq!(is_public(form.into()), expected);
            }
        }
    }

    #[test]
    fn what_is_not_encrypted_stays_inside() {
        for (is_encrypted, allow_private, outside, inside) in [
            (true, false, true, false),
            (true, true, true, true),
            (false, true, false, true),
            (false, false, false, false),
        ] {
            let reach = Reach::of(is_encrypted, allow_private);
            let allows = |address: &str| {
                let address = address.parse().unwrap();
                reach.is_some_and(|reach| reach.allows(address))
            };
            for (address, expected) in [("1.1.1.1", outside), ("10.0.0.1", inside)] {
                assert_eq!(allows(address), expected, "{reach:?} {address}");
            }
        }
    }

    #[tokio::test]
    async fn a_name_is_resolved_to_what_may_be_called() {
        // Nobody has to be asked what these stand for.
        for (host, reach, expected) in [
            ("1.1.1.1", Reach::Public, None),
            ("127.0.0.1", Reach::Public, Some("no public address")),
            ("::1", Reach::Public, Some("no public address")),
            ("10.0.0.1", Reach::Public, Some("no public address")),
            ("1.1.1.1", Reach::Private, Some("public addresses alone")),
            ("2a00::1", Reach::Private, Some("public addresses alone")),
            ("10.0.0.1", Reach::Private, None),
            ("1.1.1.1", Reach::Any, None),
            ("10.0.0.1", Reach::Any, None),
        ] {
            match (addresses(host.to_owned(), reach).await, expected) {
                (Ok(found), None) => {
                    let found: Vec<IpAddr> = found.map(|address| address.ip()).collect();
                    assert_eq!(found, [host.parse::<IpAddr>().unwrap()]);
                }
                (Err(error), Some(expected)) => {
                    assert!(error.is::<OutOfReach>(), "{host}: {error}");
                    assert_eq!(error.to_string(), format!("`{host}` has {expected}"));
                }
                (found, _) => panic!("{host} {reach:?}: {:?}", found.err()),
            }
        }
    }
}
