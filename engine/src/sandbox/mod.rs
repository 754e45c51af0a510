//! The sandbox: a carrier inside the daemon, for a newcomer's first message.
//!
//! It is a real SMPP endpoint on a loopback port and shares nothing with the shards: they reach it over TCP like any other
//! carrier. It has std threads and blocking sockets, one thread to a connection, because it is off the hot path and shall be
//! plain to read. It keeps nothing: a stop of the daemon forgets the receipts that had not yet left.

mod carrier;
mod limits;
mod script;

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{io, thread};

use crate::daemon::clock;
use carrier::Carrier;

/// How many ids a connection may use before it could meet the next one's: ids are milliseconds shifted by this.
const ID_BITS: u32 = 20;

/// A running sandbox. Its threads end with the process.
#[derive(Clone, Copy, Debug)]
pub struct Sandbox {
    address: SocketAddr,
}

impl Sandbox {
    /// Listens on a free loopback port and serves it.
    ///
    /// # Errors
    /// When there is no port or no thread.
    pub fn start() -> io::Result<Self> {
        let listener = TcpListener::bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0))?;
        let address = listener.local_addr()?;
        thread::Builder::new().name("sandbox".to_owned()).spawn(move || accept(&listener))?;
        Ok(Self { address })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

fn accept(listener: &TcpListener) {
    let connections = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        let Ok(stream) = stream else { continue };
        if connections.fetch_add(1, Ordering::Relaxed) >= limits::CONNECTIONS_MAX {
            connections.fetch_sub(1, Ordering::Relaxed);
            continue;
        }
        let open = Arc::clone(&connections);
        let spawned = thread::Builder::new().name("sandbox-link".to_owned()).spawn(move || {
            if let Err(error) = serve(stream) {
                tracing::debug!(event = "sandbox-link-lost", %error);
            }
            open.fetch_sub(1, Ordering::Relaxed);
        });
        if spawned.is_err() {
            connections.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// One connection until its end.
fn serve(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(limits::WRITE_TIMEOUT))?;
    let began = clock::now();
    let mut carrier = Carrier::new(began, began.wall.0 << ID_BITS);
    let mut buffer = vec![0; limits::READ_BYTES];
    loop {
        stream.write_all(carrier.pending())?;
        carrier.handle_written();
        if carrier.is_closed() {
            return Ok(());
        }
        let now = clock::now();
        let wait = carrier.timeout().map_or(limits::READ_TIMEOUT_MAX, |at| at.since(now.mono));
        if wait.is_zero() {
            carrier.handle_timeout(now);
            continue;
        }
        stream.set_read_timeout(Some(wait.min(limits::READ_TIMEOUT_MAX)))?;
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(bytes) => carrier.handle_bytes(clock::now(), &buffer[..bytes]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                carrier.handle_timeout(clock::now());
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
