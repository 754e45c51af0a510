//! Addresses of other nodes by their names: looked up beside the shard, since a look-up may take seconds.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::{io, thread};

use crossbeam::channel::{Receiver, Sender, unbounded};
use wire::id::NodeId;

use crate::config::HostPort;
use crate::runtime::WakeHandle;

/// A shard's end: at most one look-up for each node is under way.
#[derive(Debug)]
pub(super) struct Lookups {
    waker: WakeHandle,
    sender: Sender<(NodeId, io::Result<SocketAddr>)>,
    found: Receiver<(NodeId, io::Result<SocketAddr>)>,
    under_way: BTreeSet<NodeId>,
}

impl Lookups {
    pub(super) fn new(waker: WakeHandle) -> Self {
        let (sender, found) = unbounded();
        Self { waker, sender, found, under_way: BTreeSet::new() }
    }

    /// Whether [`Lookups::poll`] has something.
    pub(super) fn has_found(&self) -> bool {
        !self.found.is_empty()
    }

    /// The address of a node, if it needs no look-up. Else it is looked up, unless it is already.
    pub(super) fn find(&mut self, node: NodeId, address: &HostPort) -> Option<SocketAddr> {
        if let Ok(ip) = address.host.parse::<IpAddr>() {
            return Some(SocketAddr::new(ip, address.port));
        }
        if !self.under_way.insert(node) {
            return None;
        }
        let (host, port) = (address.host.clone(), address.port);
        let (sender, waker) = (self.sender.clone(), self.waker.clone());
        let look_up = move || {
            let found = (host.as_str(), port).to_socket_addrs();
            let found =
                found.and_then(|mut found| found.next().ok_or_else(|| io::ErrorKind::NotFound.into()));
            // The shard may be gone by now.
            let _ = sender.send((node, found));
            waker.wake();
        };
        if let Err(error) = thread::Builder::new().name("look-up".to_owned()).spawn(look_up) {
            let _ = self.sender.send((node, Err(error)));
        }
        None
    }

    /// The next node that was looked up.
    pub(super) fn poll(&mut self) -> Option<(NodeId, io::Result<SocketAddr>)> {
        let (node, found) = self.found.try_recv().ok()?;
        self.under_way.remove(&node);
        Some((node, found))
    }
}
