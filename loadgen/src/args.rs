//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use wire::id::Class;

use crate::carrier::behaviour::{Behaviour, Delay, Share};
use crate::limits::{CUSTOMERS_MAX, MESSAGES_MAX, RECIPIENTS_MAX, TEXT_BYTES_MAX, TEXT_BYTES_MIN};

/// Customers and carriers under load, measured from outside.
#[derive(Debug, Parser)]
#[command(name = "loadgen", version, about)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Action,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Drives messages through a daemon and accounts for every one. Exit status: 0 if nothing was lost, sent twice or
    /// left without its fate; 1 if something was; 2 if there was no run.
    Run(Box<Options>),
}

/// The protocols of customers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Protocol {
    /// Frames over TCP.
    Native,
    /// SMPP, as ESMEs that bind as transceivers.
    Smpp,
    /// HTTP and JSON.
    Http,
}

/// How an open loop's messages arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Spacing {
    /// One after each period.
    Even,
    /// Independently of each other.
    Poisson,
}

/// A run.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Messages to be measured.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=i64::from(MESSAGES_MAX)))]
    pub(crate) messages: u32,
    /// Messages a second, an open loop; without it, as fast as the customers' windows allow.
    #[arg(long, value_parser = positive)]
    pub(crate) rate: Option<f64>,
    /// Without a rate: messages without a fate, at most. Those whose fate never comes count too.
    #[arg(long, default_value_t = 32_768, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) open_max: u32,
    /// How an open loop's messages arrive.
    #[arg(long, value_enum, default_value = "even")]
    pub(crate) arrivals: Spacing,
    /// What customers speak.
    #[arg(long, value_enum, default_value = "native")]
    pub(crate) protocol: Protocol,
    /// Customers' connections.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=i64::from(CUSTOMERS_MAX)))]
    pub(crate) customers: u16,
    /// Unanswered submissions of a native or SMPP connection.
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) window: u16,
    /// Unanswered requests of an HTTP connection.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) pipeline: u16,
    /// Messages of an HTTP request.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) batch: u16,
    /// The class of all messages: otp, transactional, notification or marketing; without it, the account's.
    #[arg(long, value_parser = class)]
    pub(crate) class: Option<Class>,
    /// Bytes of a text.
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u16).range(TEXT_BYTES_MIN as i64..=TEXT_BYTES_MAX as i64))]
    pub(crate) text_bytes: u16,
    /// Different recipients.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..=i64::from(RECIPIENTS_MAX)))]
    pub(crate) recipients: u32,
    /// Messages before the measured ones: keys that the daemon remembers. They are accounted for, but not measured.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=i64::from(MESSAGES_MAX)))]
    pub(crate) prefill: u32,
    /// How long to wait for fates after the last answer, in seconds.
    #[arg(long, default_value_t = 60)]
    pub(crate) drain_seconds: u32,
    /// Where to write the figures as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// What is drawn by chance repeats with it.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// No progress on standard error.
    #[arg(long)]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) carriers: CarrierOptions,
    #[command(flatten)]
    pub(crate) spawned: SpawnOptions,
    #[command(flatten)]
    pub(crate) running: RunningOptions,
}

/// The carriers.
#[derive(Debug, Args)]
#[command(next_help_heading = "Carriers")]
pub(crate) struct CarrierOptions {
    /// Carriers of a daemon of our own.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) carriers: u16,
    /// Binds of each shard of a daemon of our own to each carrier.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=32))]
    pub(crate) binds: u16,
    /// Unanswered submissions of a bind of a daemon of our own.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub(crate) carrier_window: u16,
    /// Unanswered receipts of a bind.
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(crate) receipt_window: u32,
    /// From a submission to its answer, in ms: 5, uniform:1-10 or exponential:20.
    #[arg(long, default_value = "0", value_name = "DELAY")]
    pub(crate) carrier_latency: Delay,
    /// Submissions a second of a carrier, beyond which it answers with ESME_RTHROTTLED; 0: any.
    #[arg(long, default_value_t = 0.0)]
    pub(crate) carrier_rate: f64,
    /// Submissions refused for now.
    #[arg(long, default_value = "0", value_name = "SHARE")]
    pub(crate) temporary: Share,
    /// Submissions refused for good.
    #[arg(long, default_value = "0", value_name = "SHARE")]
    pub(crate) permanent: Share,
    /// Submissions that are never answered.
    #[arg(long, default_value = "0", value_name = "SHARE")]
    pub(crate) silent: Share,
    /// From the answer to the receipt, in ms.
    #[arg(long, default_value = "0", value_name = "DELAY")]
    pub(crate) receipt_delay: Delay,
    /// Receipts that say UNDELIV.
    #[arg(long, default_value = "0", value_name = "SHARE")]
    pub(crate) receipt_failed: Share,
    /// Receipts that never come.
    #[arg(long, default_value = "0", value_name = "SHARE")]
    pub(crate) receipt_missing: Share,
    /// Receipts that come twice.
    #[arg(long, default_value = "0", value_name = "SHARE")]
    pub(crate) receipt_twice: Share,
    /// Receipts that come before the answer.
    #[arg(long, default_value = "0", value_name = "SHARE")]
    pub(crate) receipt_early: Share,
}

/// A daemon of our own.
#[derive(Debug, Args)]
#[command(next_help_heading = "A daemon of our own")]
pub(crate) struct SpawnOptions {
    /// Start a daemon with a fitting configuration on free ports.
    #[arg(long, conflicts_with_all = ["native", "http", "smpp", "smpp_password", "account", "key", "listen_carrier"])]
    pub(crate) spawn: bool,
    /// Its program; without it, the one beside this one, which is built first if cargo runs this one.
    #[arg(long, value_name = "PATH", requires = "spawn")]
    pub(crate) engine: Option<PathBuf>,
    /// How many nodes: one alone, or a cluster of several on this machine, each with one of the cores and all with the same carriers.
    /// Customers are dealt to them, and what is measured of the daemon is of all together.
    #[arg(long, default_value_t = 1, requires = "spawn", value_parser = clap::value_parser!(u16).range(1..=7))]
    pub(crate) nodes: u16,
    /// Its cores; this program takes the others, if there are any.
    #[arg(long, value_delimiter = ',', default_value = "0", value_name = "CORES")]
    pub(crate) engine_cores: Vec<usize>,
    /// Where it keeps its data, which stays; without it, a temporary directory.
    #[arg(long, value_name = "DIR", requires = "spawn")]
    pub(crate) data: Option<PathBuf>,
    /// How often to kill it (SIGKILL) while it works, and start it again.
    #[arg(long, default_value_t = 0, requires = "spawn", conflicts_with = "nodes")]
    pub(crate) kills: u32,
}

/// A daemon that runs already.
#[derive(Debug, Args)]
#[command(next_help_heading = "A daemon that runs already")]
pub(crate) struct RunningOptions {
    /// Where it speaks the native protocol; traces are asked for there.
    #[arg(long, required_unless_present = "spawn")]
    pub(crate) native: Option<SocketAddr>,
    /// Where it speaks HTTP.
    #[arg(long)]
    pub(crate) http: Option<SocketAddr>,
    /// Where it speaks SMPP.
    #[arg(long)]
    pub(crate) smpp: Option<SocketAddr>,
    /// The account's password over SMPP.
    #[arg(long)]
    pub(crate) smpp_password: Option<String>,
    /// The account's name.
    #[arg(long, default_value = "load")]
    pub(crate) account: String,
    /// The account's key.
    #[arg(long, required_unless_present = "spawn")]
    pub(crate) key: Option<String>,
    /// Where to listen as a carrier that it is configured with; once for each.
    #[arg(long, value_name = "ADDR", required_unless_present = "spawn")]
    pub(crate) listen_carrier: Vec<SocketAddr>,
    /// How long it may be away, in seconds: its customers come back and repeat what was not answered.
    #[arg(long, default_value_t = 0, conflicts_with = "spawn")]
    pub(crate) outage_seconds: u32,
}

impl CarrierOptions {
    /// What all carriers do.
    pub(crate) const fn behaviour(&self) -> Behaviour {
        Behaviour {
            latency: self.carrier_latency,
            rate_per_s: self.carrier_rate,
            temporary: self.temporary,
            permanent: self.permanent,
            silent: self.silent,
            receipt_delay: self.receipt_delay,
            receipt_failed: self.receipt_failed,
            receipt_missing: self.receipt_missing,
            receipt_twice: self.receipt_twice,
            receipt_early: self.receipt_early,
        }
    }
}

fn class(text: &str) -> Result<Class, &'static str> {
    Class::from_name(text).ok_or("expected otp, transactional, notification or marketing")
}

fn positive(text: &str) -> Result<f64, &'static str> {
    text.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate > 0.0).ok_or("expected a number above 0")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Options, clap::Error> {
        let words = format!("loadgen run {line}");
        Cli::try_parse_from(words.split_whitespace()).map(|Cli { command: Action::Run(options) }| *options)
    }

    #[test]
    fn the_commands_that_others_build_on_are_understood() {
        Cli::command().debug_assert();
        let options = parse("--spawn --messages 1000 --rate 500 --protocol http --json out.json").unwrap();
        assert!(options.spawned.spawn);
        assert_eq!((options.messages, options.rate, options.protocol), (1000, Some(500.0), Protocol::Http));
        let options = parse("--native 127.0.0.1:7700 --key k --listen-carrier 127.0.0.1:2775").unwrap();
        assert_eq!(options.running.listen_carrier.len(), 1);
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        assert!(parse("").is_err());
        assert!(parse("--spawn --native 127.0.0.1:7700").is_err());
        assert!(parse("--spawn --rate 0").is_err());
        assert!(parse("--spawn --nodes 8").is_err());
        assert!(parse("--spawn --nodes 3 --kills 1").is_err());
        assert!(parse("--spawn --silent 2").is_err());
        assert!(parse("--spawn --text-bytes 4").is_err());
        assert!(parse("--spawn --class bulk").is_err());
    }
}
