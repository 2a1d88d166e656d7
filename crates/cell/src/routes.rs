//! The walls of the cell's network, made before anything of a user is near and then locked: routes on which
//! nothing is reached, and no right in any process of the cell to change them. In: networks. Deliberately
//! absent: the way out, which the worker makes (slirp4netns), and which names it.

use std::io;
use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::Socket;
use netlink_sys::protocols::NETLINK_ROUTE;
use nix::errno::Errno;
use rustix::thread::CapabilitySet;

/// Over a network's devices, routes and rules; and over packets that no route is asked for.
const RIGHTS: [CapabilitySet; 2] = [CapabilitySet::NET_ADMIN, CapabilitySet::NET_RAW];

/// Makes everything in `networks` unreachable in this process' network namespace. More specific routes, as that
/// of the device's own network, go first: names resolve at its forwarder.
///
/// # Errors
/// The kernel refuses a route. A kernel without IPv6 has nothing to close there.
pub(crate) fn close(networks: &[IpNet]) -> io::Result<()> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    for network in networks {
        socket.send(&unreachable(network), 0)?;
        match acknowledged(&socket)? {
            None => {}
            Some(Errno::EAFNOSUPPORT | Errno::EOPNOTSUPP) if network.addr().is_ipv6() => {}
            Some(errno) => return Err(io::Error::other(format!("{network}: {}", errno.desc()))),
        }
    }
    Ok(())
}

fn unreachable(network: &IpNet) -> Vec<u8> {
    let (address_family, destination) = match network.network() {
        IpAddr::V4(address) => (AddressFamily::Inet, RouteAddress::Inet(address)),
        IpAddr::V6(address) => (AddressFamily::Inet6, RouteAddress::Inet6(address)),
    };
    let mut route = RouteMessage::default();
    route.header = RouteHeader {
        address_family,
        destination_prefix_length: network.prefix_len(),
        table: RouteHeader::RT_TABLE_MAIN,
        protocol: RouteProtocol::Static,
        scope: RouteScope::Universe,
        kind: RouteType::Unreachable,
        ..RouteHeader::default()
    };
    route.attributes = vec![RouteAttribute::Destination(destination)];
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::from(RouteNetlinkMessage::NewRoute(route)));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

/// The error that the kernel answers with, if it is one.
fn acknowledged(socket: &Socket) -> io::Result<Option<Errno>> {
    let (bytes, _) = socket.recv_from_full()?;
    let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&bytes).map_err(io::Error::other)?;
    match answer.payload {
        NetlinkPayload::Error(error) => {
            Ok(error.code.map(|code| Errno::from_raw(code.get().saturating_abs())))
        }
        other => Err(io::Error::other(format!("the kernel answered {}", other.message_type()))),
    }
}

/// Gives up the rights over this network, for this process and all that it starts. What starts in a further
/// user namespace has rights there, and none over this network.
///
/// # Errors
/// The kernel refuses.
pub(crate) fn lock() -> io::Result<()> {
    for right in RIGHTS {
        rustix::thread::remove_capability_from_bounding_set(right)?;
    }
    let mut sets = rustix::thread::capabilities(None)?;
    for set in [&mut sets.effective, &mut sets.permitted, &mut sets.inheritable] {
        RIGHTS.into_iter().for_each(|right| set.remove(right));
    }
    Ok(rustix::thread::set_capabilities(None, sets)?)
}
