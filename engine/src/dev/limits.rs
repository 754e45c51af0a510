//! Bounds of a cluster for trying things out, and where each number comes from.

use core::time::Duration;

/// How long the nodes may take until all of them listen: a start reads a log of a second or two, and new files are written first.
pub(crate) const START_WAIT: Duration = Duration::from_secs(30);

/// How long they may take to stop in order before they are killed: as long as they give themselves, and a little.
pub(crate) const STOP_WAIT: Duration = Duration::from_secs(30);

const _: () = assert!(STOP_WAIT.as_secs() > crate::daemon::limits::DRAIN_MAX.as_secs());

/// How often is looked whether a node listens or has ended.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The first port that is tried for HTTP: beside that of a daemon without a configuration.
pub(crate) const HTTP_PORTS_FROM: u16 = 8181;

/// The first port that is tried for what is between nodes: beyond those of customers on many cores.
pub(crate) const PEER_PORTS_FROM: u16 = 7950;

/// Ports that are tried for one listener: below those that the system gives to callers (`ip_local_port_range`), wherever it begins.
pub(crate) const PORTS_TRIED: u16 = 1000;

/// Signals that may wait: the first one stops, and all others say the same.
pub(crate) const SIGNALS_MAX: usize = 4;

/// Messages without a fate on one node, remembered keys, and finished messages: three nodes share one machine.
pub(crate) const MESSAGES_MAX: u32 = 100_000;

/// The longest run that can be asked for: a day.
pub(crate) const RUN_MAX: Duration = Duration::from_secs(24 * 3600);
