//! `loadgen`, the load generator: customers and carriers of a daemon, on one thread, measured from outside.
//!
//! ```text
//!   customers ──native · HTTP──▶ daemon ──SMPP──▶ carriers
//!       ▲ answers, fates            receipts ◀──────┘
//!       └────────────── Ledger: every intent, by nonce ──────────────┘
//! ```
//!
//! It is the judge of the daemon and shares nothing with it but the bytes on the wire. Every message carries a nonce in
//! its text; carriers count nonces; at the end what customers were told is held against what carriers saw.

mod args;
mod carrier;
mod clock;
mod configuration;
mod customer;
mod daemon;
#[cfg(test)]
mod fake;
mod feed;
mod fleet;
mod inquiry;
mod latencies;
mod ledger;
mod limits;
mod message;
mod os;
mod probe;
mod random;
mod report;
mod run;
mod socket;
mod turn;
mod verdict;
mod wheel;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use crate::args::{Action, Cli};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let Action::Run(options) = Cli::parse().command;
    let report = match run::run(&options) {
        Ok(report) => report,
        Err(error) => {
            eprintln!("loadgen: {error}");
            return ExitCode::from(2);
        }
    };
    let written = writeln!(std::io::stdout().lock(), "{report}");
    if let Err(error) = written {
        eprintln!("loadgen: writing the table: {error}");
    }
    if report.ok { ExitCode::SUCCESS } else { ExitCode::from(1) }
}
