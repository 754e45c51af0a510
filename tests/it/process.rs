//! The built programs as real processes: sockets, files, signals and power cuts of the process.
//!
//! What can be said in virtual time is said in the simulator. Here stands what needs a kernel: that the daemon syncs what it
//! answers for, starts from what a `kill -9` left, and refuses what it must not touch. One function to a behaviour.

#![allow(
    clippy::print_stdout,
    reason = "the harness prints what a test that fails needs: the seed, and where connections ended"
)]

#[path = "process/aged.rs"]
mod aged;
#[path = "process/api.rs"]
mod api;
#[path = "process/bound.rs"]
mod bound;
#[path = "process/carrier.rs"]
mod carrier;
#[path = "process/cluster.rs"]
mod cluster;
#[path = "process/clustered.rs"]
mod clustered;
#[path = "process/customer.rs"]
mod customer;
#[path = "process/daemon.rs"]
mod daemon;
#[path = "process/damage.rs"]
mod damage;
#[path = "process/dev.rs"]
mod dev;
#[path = "process/dice.rs"]
mod dice;
#[path = "process/disk.rs"]
mod disk;
#[path = "process/doors.rs"]
mod doors;
#[path = "process/far.rs"]
mod far;
#[path = "process/first.rs"]
mod first;
#[path = "process/golden.rs"]
mod golden;
#[path = "process/handset.rs"]
mod handset;
#[path = "process/held.rs"]
mod held;
#[path = "process/http.rs"]
mod http;
#[path = "process/kill.rs"]
mod kill;
#[path = "process/ledger.rs"]
mod ledger;
#[path = "process/lent.rs"]
mod lent;
#[path = "process/load.rs"]
mod load;
#[path = "process/members.rs"]
mod members;
#[path = "process/operator.rs"]
mod operator;
#[path = "process/pdu.rs"]
mod pdu;
#[path = "process/prober.rs"]
mod prober;
#[path = "process/programs.rs"]
mod programs;
#[path = "process/receiver.rs"]
mod receiver;
#[path = "process/regions.rs"]
mod regions;
#[path = "process/senders.rs"]
mod senders;
#[path = "process/stop.rs"]
mod stop;
#[path = "process/taken_back.rs"]
mod taken_back;
#[path = "process/tls.rs"]
mod tls;
#[path = "process/tunnel.rs"]
mod tunnel;
#[path = "process/verdict.rs"]
mod verdict;
#[path = "process/wan.rs"]
mod wan;
#[path = "process/watched.rs"]
mod watched;
#[path = "process/webhook.rs"]
mod webhook;
#[path = "process/world.rs"]
mod world;
