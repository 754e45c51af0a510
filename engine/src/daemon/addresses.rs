//! The ports of the daemon, chosen before the first shard starts.
//!
//! Shards listen on the same addresses side by side (SO_REUSEPORT), and each tells its customers the ports of all. So the
//! numbers must be known before any of them listens, also where the system chooses: a socket that is bound and does not
//! listen holds each number until the shards have it. And since SO_REUSEPORT would let a second daemon of the same user
//! share the ports without a word, each address is first tried without it.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};

use crate::config::Listen;

use super::DaemonError;
use super::ports::Ports;

/// Addresses that are ours until this is dropped.
#[derive(Debug)]
pub(super) struct Reserved {
    /// All of them, with their ports.
    pub(super) ports: Ports,
    _sockets: Vec<Socket>,
}

/// Reserves the addresses of a node of `shards` shards, for customers and, from `peers` on, for the other nodes of its cluster.
///
/// # Errors
/// When an address is taken, not ours, or not allowed.
pub(super) fn reserve(
    listen: Listen,
    peers: Option<SocketAddr>,
    shards: u16,
) -> Result<Reserved, DaemonError> {
    assert!(peers.is_none_or(|first| first.port() != 0), "the other nodes know the port");
    let mut sockets = Vec::new();
    let mut take = |address: SocketAddr, key: &'static str| {
        let failed = |error| DaemonError::Listen { address, key, error };
        let (socket, address) = hold(address).map_err(failed)?;
        sockets.push(socket);
        Ok::<_, DaemonError>(address)
    };
    let http = take(listen.http, "listen.http")?;
    let native = take(listen.native, "listen.native")?;
    let smpp = listen.smpp.map(|address| take(address, "listen.smpp")).transpose()?;
    let https = listen.https.map(|address| take(address, "listen.https")).transpose()?;
    let smpp_tls = listen.smpp_tls.map(|address| take(address, "listen.smpp_tls")).transpose()?;
    let native_tls = listen.native_tls.map(|address| take(address, "listen.native_tls")).transpose()?;
    let mut of_shards = |first, key, place: fn(SocketAddr, u16) -> SocketAddr| {
        (0..shards).map(|shard| take(place(first, shard), key)).collect::<Result<Vec<_>, _>>()
    };
    let native_shards = of_shards(listen.native, "listen.native", own)?;
    let native_tls_shards =
        listen.native_tls.map_or(Ok(Vec::new()), |first| of_shards(first, "listen.native_tls", own))?;
    let peers = peers.map_or(Ok(Vec::new()), |first| of_shards(first, "cluster.listen", nth))?;
    let ports =
        Ports { http, native, native_shards, smpp, https, native_tls, native_tls_shards, smpp_tls, peers };
    Ok(Reserved { ports, _sockets: sockets })
}

/// A shard's own address beside that of all. With a port of the system's choice, so are the shards' own.
fn own(all: SocketAddr, shard: u16) -> SocketAddr {
    let port = if all.port() == 0 { 0 } else { all.port().saturating_add(1 + shard) };
    SocketAddr::new(all.ip(), port)
}

/// Where a shard hears the other nodes: the first of them at the address itself.
fn nth(first: SocketAddr, shard: u16) -> SocketAddr {
    SocketAddr::new(first.ip(), first.port().saturating_add(shard))
}

fn hold(address: SocketAddr) -> io::Result<(Socket, SocketAddr)> {
    if address.port() != 0 {
        bound(address, Sharing::WithNobody)?;
    }
    let socket = bound(address, Sharing::WithShards)?;
    let address = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
    Ok((socket, address))
}

/// With whom an address is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sharing {
    WithNobody,
    WithShards,
}

fn bound(address: SocketAddr, sharing: Sharing) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Connections of an earlier process may still be in TIME_WAIT, which is no reason to refuse.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(sharing == Sharing::WithShards)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn ports_of_the_systems_choice_are_known_before_anybody_listens() {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let tls =
            Listen { https: Some(any), native_tls: Some(any), smpp_tls: Some(any), ..Listen::default() };
        let reserved = reserve(Listen { http: any, native: any, smpp: Some(any), ..tls }, None, 2).unwrap();
        let Ports {
            http,
            native,
            native_shards,
            smpp,
            https,
            native_tls,
            native_tls_shards,
            smpp_tls,
            peers,
        } = &reserved.ports;
        assert!(peers.is_empty());
        let of_tls = https.iter().chain(native_tls).chain(native_tls_shards).chain(smpp_tls);
        let plain = [http, native].into_iter().chain(native_shards).chain(smpp);
        let mut all: Vec<u16> = plain.chain(of_tls).map(SocketAddr::port).collect();
        all.sort_unstable();
        all.dedup();
        assert!(all.len() == 10 && !all.contains(&0), "{all:?}");
    }

    #[test]
    fn a_port_on_which_somebody_listens_is_refused_and_named() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let http = taken.local_addr().unwrap();
        let said = reserve(Listen { http, native: any, ..Listen::default() }, None, 1);
        let said = said.unwrap_err().to_string();
        assert!(said.starts_with(&format!("listen.http: {http} is not to be had")), "{said}");
    }

    #[test]
    fn each_shard_has_a_port_for_the_other_nodes_from_the_one_that_they_know() {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let customers = Listen { http: any, native: any, ..Listen::default() };
        // A pair of neighbours that are free now: the system's next ones may be taken, so a few are tried.
        let pair = (0..100).find_map(|_| {
            let (_, first) = hold(any).ok()?;
            let first = SocketAddr::new(first.ip(), first.port().saturating_sub(1));
            reserve(customers, Some(first), 2).ok().map(|reserved| (first, reserved))
        });
        let (first, reserved) = pair.expect("two neighbouring ports are free");
        let second = SocketAddr::new(first.ip(), first.port() + 1);
        assert_eq!(reserved.ports.peers, [first, second]);
        let listens = TcpListener::bind(any).unwrap();
        let taken = listens.local_addr().unwrap();
        let said = reserve(customers, Some(taken), 1).unwrap_err().to_string();
        assert!(said.starts_with(&format!("cluster.listen: {taken} is not to be had")), "{said}");
    }
}
