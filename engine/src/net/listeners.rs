//! Listening sockets, one of each address on each shard: the kernel deals connections among them (`SO_REUSEPORT`).

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd as _, OwnedFd};

use socket2::{Domain, Protocol, Socket, Type};

use super::limits::{ACCEPT_PAUSE, BACKLOG};
use super::tls::Guard;
use super::{ListenerTag, NetError};
use crate::ring::{Op, Ring, Tag, What};

#[derive(Debug, Default)]
pub(super) struct Listeners {
    all: Vec<Listener>,
}

#[derive(Debug)]
struct Listener {
    tag: ListenerTag,
    guard: Guard,
    socket: Option<OwnedFd>,
    accept: Option<Op>,
}

/// What to do after an accept failed.
enum Next {
    Again,
    Later,
}

impl Listeners {
    pub(super) fn add(
        &mut self,
        ring: &mut Ring,
        address: SocketAddr,
        tag: ListenerTag,
        guard: Guard,
    ) -> Result<SocketAddr, NetError> {
        let refused = |source| NetError::Listen { address, source };
        let socket = open(address).map_err(refused)?;
        let bound = socket.local_addr().map_err(refused)?;
        let index = self.all.len();
        self.all.push(Listener { tag, guard, socket: Some(socket.into()), accept: None });
        self.arm(ring, index);
        Ok(bound.as_socket().expect("a socket of an internet family has such an address"))
    }

    /// No new connections. The kernel refuses them from now on, and resets those that nobody has accepted yet.
    pub(super) fn stop(&mut self, ring: &mut Ring) {
        for listener in &mut self.all {
            match listener.accept {
                Some(accept) => ring.cancel(accept),
                None => listener.socket = None,
            }
        }
    }

    pub(super) fn tag(&self, id: u64) -> (ListenerTag, Guard) {
        let listener = &self.all[index(id)];
        (listener.tag, listener.guard)
    }

    /// An accept was answered; arms it again when it was the last answer.
    pub(super) fn answered(&mut self, ring: &mut Ring, id: u64, error: Option<&io::Error>, more: bool) {
        if more {
            return;
        }
        let listener = &mut self.all[index(id)];
        listener.accept = None;
        match error.map_or(Some(Next::Again), after) {
            Some(Next::Again) => self.arm(ring, index(id)),
            Some(Next::Later) => {
                ring.timer(ACCEPT_PAUSE, Tag { what: What::AcceptLater, id });
            }
            None => listener.socket = None,
        }
    }

    /// A pause is over.
    pub(super) fn pause_over(&mut self, ring: &mut Ring, id: u64) {
        self.arm(ring, index(id));
    }

    fn arm(&mut self, ring: &mut Ring, index: usize) {
        let listener = &mut self.all[index];
        if let (Some(socket), None) = (&listener.socket, listener.accept) {
            let id = u64::try_from(index).expect("listeners are few");
            listener.accept = Some(ring.accept(socket.as_raw_fd(), Tag { what: What::Accept, id }));
        }
    }
}

fn index(id: u64) -> usize {
    usize::try_from(id).expect("the id was made from an index")
}

fn after(error: &io::Error) -> Option<Next> {
    match error.raw_os_error() {
        Some(libc::ECANCELED) => None,
        // The peer gave up before it was accepted: that concerns one connection.
        Some(libc::ECONNABORTED | libc::EPROTO) => Some(Next::Again),
        // Descriptors or memory are short.
        _ => Some(Next::Later),
    }
}

fn open(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}
