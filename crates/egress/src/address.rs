//! Which addresses strangers' input does not reach by itself. In: an address. Out: whether it is denied, and
//! the same as networks, for routes. TEST-NET-3 (203.0.113.0/24) is not among them: mirrors resolve there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Special-purpose IPv4 (the registry of RFC 6890), and where clouds keep their metadata.
const V4: [Ipv4Net; 11] = [
    v4([0, 0, 0, 0], 8),
    v4([10, 0, 0, 0], 8),
    v4([100, 64, 0, 0], 10),
    v4([127, 0, 0, 0], 8),
    // Azure's agent; the others are link-local, or in a private range.
    v4([168, 63, 129, 16], 32),
    v4([169, 254, 0, 0], 16),
    v4([172, 16, 0, 0], 12),
    v4([192, 0, 0, 0], 24),
    v4([192, 168, 0, 0], 16),
    v4([224, 0, 0, 0], 4),
    v4([240, 0, 0, 0], 4),
];

/// The same of IPv6. What holds an IPv4 address is judged by that one: [`embedded`].
const V6: [Ipv6Net; 8] = [
    // Unspecified, loopback, and IPv4-compatible, which nobody routes.
    v6([0, 0, 0, 0, 0, 0, 0, 0], 96),
    // IPv4-translated (RFC 2765), and NAT64 where the prefix does not say where the address is.
    v6([0, 0, 0, 0, 0xffff, 0, 0, 0], 96),
    v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48),
    // Teredo.
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32),
    v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7),
    v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10),
    v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10),
    v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8),
];

/// NAT64 (RFC 6052) and 6to4 (RFC 3056).
const NAT64: [u16; 6] = [0x64, 0xff9b, 0, 0, 0, 0];
const SIX_TO_FOUR: u16 = 0x2002;

const fn v4([a, b, c, d]: [u8; 4], prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6([a, b, c, d, e, f, g, h]: [u16; 8], prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), prefix)
}

/// Whether nobody reaches it without being let.
pub(crate) fn is_denied(address: IpAddr) -> bool {
    match embedded(address) {
        IpAddr::V4(address) => V4.iter().any(|network| network.contains(&address)),
        IpAddr::V6(address) => V6.iter().any(|network| network.contains(&address)),
    }
}

/// The IPv4 address that an IPv6 address stands for (mapped, NAT64, 6to4), or the address itself.
pub(crate) fn embedded(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    if let Some(mapped) = v6.to_ipv4_mapped() {
        return mapped.into();
    }
    let parts = v6.segments();
    let v4 = |high: u16, low: u16| IpAddr::V4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)));
    match parts {
        [head @ .., high, low] if head == NAT64 => v4(high, low),
        [SIX_TO_FOUR, high, low, ..] => v4(high, low),
        _ => address,
    }
}

/// Everything denied, as networks.
pub(crate) fn denied_networks() -> Vec<IpNet> {
    let v4 = V4.into_iter().flat_map(forms);
    v4.chain(V6.into_iter().map(IpNet::V6)).collect()
}

/// An IPv4 network, and the IPv6 networks that translators make of it.
pub(crate) fn forms(network: Ipv4Net) -> [IpNet; 3] {
    let (bits, prefix) = (u128::from(u32::from(network.network())), network.prefix_len());
    let nat64 = Ipv6Addr::from((0x0064_ff9b_u128 << 96) | bits);
    let six_to_four = Ipv6Addr::from((u128::from(SIX_TO_FOUR) << 112) | (bits << 80));
    let net = |address, prefix| IpNet::V6(Ipv6Net::new_assert(address, prefix));
    [IpNet::V4(network), net(nat64, 96 + prefix), net(six_to_four, 16 + prefix)]
}

/// What is left of `network` without `hole`: the halves that the hole is not in, again and again.
pub(crate) fn without(network: IpNet, hole: &IpNet) -> Vec<IpNet> {
    if hole.contains(&network) {
        return Vec::new();
    }
    if !network.contains(hole) {
        return vec![network];
    }
    let halves = network.subnets(network.prefix_len() + 1).into_iter().flatten();
    halves.flat_map(|half| without(half, hole)).collect()
}

/// The addresses of this host's interfaces, as they are now.
///
/// # Errors
/// The kernel does not tell.
pub(crate) fn own() -> std::io::Result<Vec<IpAddr>> {
    let addresses = nix::ifaddrs::getifaddrs()?.filter_map(|interface| interface.address);
    let ip = |address: nix::sys::socket::SockaddrStorage| {
        let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
    };
    Ok(addresses.filter_map(ip).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nobody_elses_is_denied_in_every_form() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.255.0.1",
            "168.63.129.16",
            "169.254.169.254",
            "169.254.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.168.1.1",
            "224.0.0.1",
            "239.255.255.250",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::10.0.0.1",
            "::8.8.8.8",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:0:10.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::8.8.8.8",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "2002:c0a8:101::",
            "2001::1",
            "fc00::1",
            "fd00:ec2::254",
            "fdff:ffff::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(is_denied(address.parse().expect(address)), "{address}");
        }
    }

    #[test]
    fn what_is_public_is_not() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.0.0.1",
            "128.0.0.1",
            "168.63.129.15",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "192.167.1.1",
            "203.0.113.7",
            "223.255.255.255",
            "2606:4700::1111",
            "2001:4860:4860::8888",
            "2001:db8::1",
            "64:ff9b::8.8.8.8",
            "::ffff:8.8.8.8",
            "2002:808:808::1",
            "fbff::1",
            "2a00::1",
        ] {
            assert!(!is_denied(address.parse().expect(address)), "{address}");
        }
    }

    #[test]
    fn the_networks_deny_what_the_judge_denies() {
        let networks = denied_networks();
        let is_in = |address: &str| {
            let address: IpAddr = address.parse().expect(address);
            networks.iter().any(|network| network.contains(&address))
        };
        for address in
            ["10.1.2.3", "169.254.169.254", "fd00:ec2::254", "64:ff9b::10.0.0.1", "2002:7f00:1::", "::1"]
        {
            assert!(is_in(address), "{address}");
        }
        for address in ["8.8.8.8", "203.0.113.7", "2606:4700::1111", "64:ff9b::8.8.8.8", "2002:808:808::"] {
            assert!(!is_in(address), "{address}");
        }
    }

    #[test]
    fn a_hole_in_a_network_is_all_that_is_taken_out() {
        let (network, hole): (IpNet, IpNet) =
            ("10.0.0.0/8".parse().expect("a network"), "10.1.2.0/24".parse().expect("a network"));
        let left = without(network, &hole);
        assert_eq!(left.len(), 16);
        let is_left =
            |address: &str| left.iter().any(|net| net.contains(&address.parse::<IpAddr>().expect(address)));
        assert!(is_left("10.1.1.255") && is_left("10.1.3.0") && is_left("10.255.0.1") && is_left("10.0.0.0"));
        assert!(!is_left("10.1.2.0") && !is_left("10.1.2.255") && !is_left("11.0.0.0"));
        assert!(without(hole, &network).is_empty());
        assert_eq!(without(network, &"192.168.0.0/16".parse().expect("a network")), [network]);
        assert!(without(network, &"::/0".parse().expect("a network")) == [network]);
    }
}
