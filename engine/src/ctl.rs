//! The command line of `switchyard ctl`: what is asked of a daemon, and of its files.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use engine::admin::ctl;
use engine::admin::log::{self, LogToolError, Shown};
use engine::admin::words::Request;
use wal::Lsn;

#[derive(Debug, Args)]
pub(crate) struct Ctl {
    /// The data directory of the daemon.
    #[arg(long, value_name = "DIR", default_value = "data")]
    data: PathBuf,
    /// One line of JSON instead of tables.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// How the node is: readiness, and each shard's messages, queues, log and times.
    Status,
    /// How the cluster is, as this node sees it: who is spoken to, who decides how many partitions, and who is how far behind.
    Cluster {
        #[command(subcommand)]
        how: Option<HowCluster>,
    },
    /// Each SMPP session: links to carriers, and binds of customers: state, window, rate, times, counts, errors by code, what came
    /// last, what went wrong last.
    Links,
    /// Each webhook: what waits for it, what it took, what went wrong last, and when it is tried again.
    Webhooks,
    /// What passes over the sessions of one carrier or one account, as it passes; until Ctrl-C.
    Trace {
        /// The carrier's name.
        #[arg(long, value_name = "NAME", required_unless_present = "account", conflicts_with = "account")]
        carrier: Option<String>,
        /// The account's name.
        #[arg(long, value_name = "NAME")]
        account: Option<String>,
        /// Shows texts and the values of optional parameters.
        #[arg(long)]
        texts: bool,
        /// Shows whole numbers.
        #[arg(long)]
        numbers: bool,
    },
    /// What waits, by carrier and class, and since when.
    Queue,
    /// What became of a message: its state and its trace, without its text.
    Message {
        /// The message's id.
        id: String,
        /// Shows the recipient's whole number.
        #[arg(long)]
        show_numbers: bool,
    },
    /// Reads the configuration again, and says what is in force and what needs a restart.
    Reload,
    /// Reads the files of a shard's log, without a daemon.
    Log {
        #[command(subcommand)]
        how: HowLog,
    },
}

#[derive(Debug, Subcommand)]
enum HowCluster {
    /// The same: this is what `cluster` alone says.
    Status,
    /// Lets a node join: says the number that it gets, which no other node ever had. Then start it with an empty data directory, and itself among the
    /// members of its configuration with `joins = true`.
    Join {
        /// Where it is, as its node.region says.
        #[arg(long)]
        region: String,
        /// Where the other nodes reach its shard 0, as iad.example:7900.
        #[arg(long, value_name = "HOST:PORT")]
        address: String,
        /// The name in its certificate, if that is not the host.
        #[arg(long, default_value = "")]
        tls_name: String,
        /// It votes, and is home of nothing: a third node for two regions.
        #[arg(long)]
        votes_only: bool,
    },
    /// Lets a node hand its partitions on, and be home of nothing; before it is switched off.
    Drain {
        /// Its number.
        node: u32,
    },
    /// Lets a node that was drained be home of its share again.
    Return {
        /// Its number.
        node: u32,
    },
    /// Takes a node out of the cluster for ever: one that goes, or that has lost its disk. Its number is never used again.
    Remove {
        /// Its number.
        node: u32,
    },
}

#[derive(Debug, Subcommand)]
enum HowLog {
    /// Prints a line for each frame, entry and record.
    Dump {
        /// The directory of a shard, as DIR/shard-0.
        #[arg(value_name = "DIR/shard-N")]
        dir: PathBuf,
        /// From this place on, as 0x3000 or 12288.
        #[arg(long, value_name = "LSN", value_parser = parse_lsn, default_value = "0")]
        from: Lsn,
        /// Shows texts and senders.
        #[arg(long)]
        show_texts: bool,
        /// Shows whole numbers of recipients.
        #[arg(long)]
        show_numbers: bool,
    },
    /// Scans a log as a start does: whole, torn tail, or damaged and where.
    Verify {
        /// The directory of a shard, as DIR/shard-0.
        #[arg(value_name = "DIR/shard-N")]
        dir: PathBuf,
    },
}

fn parse_lsn(text: &str) -> Result<Lsn, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map(Lsn).map_err(|_| "expected a place in the log, as 0x3000 or 12288".to_owned())
}

/// Does what was asked, and says how it went.
pub(crate) fn run(options: Ctl) -> ExitCode {
    let Ctl { data, json, what } = options;
    let request = match what {
        What::Status => Request::Status,
        What::Cluster { how: None | Some(HowCluster::Status) } => Request::Cluster,
        What::Cluster { how: Some(HowCluster::Join { region, address, tls_name, votes_only }) } => {
            Request::Join { region, address, tls_name, votes_only }
        }
        What::Cluster { how: Some(HowCluster::Drain { node }) } => Request::Drain { node },
        What::Cluster { how: Some(HowCluster::Return { node }) } => Request::Return { node },
        What::Cluster { how: Some(HowCluster::Remove { node }) } => Request::Remove { node },
        What::Links => return ended(links(&data, json)),
        What::Trace { carrier, account, texts, numbers } => {
            let request = Request::Trace { carrier, account, texts, numbers };
            return ended(ctl::follow(&data, request, |response| {
                let line = if json { ctl::to_json(response) } else { ctl::to_text(response, now_ms()) };
                let mut out = io::stdout().lock();
                out.write_all(line.as_bytes())?;
                out.flush()
            }));
        }
        What::Queue => Request::Queue,
        What::Webhooks => Request::Webhooks,
        What::Message { id, show_numbers } => Request::Message { id, show_numbers },
        What::Reload => Request::Reload,
        What::Log { how } => {
            return ended(match read_log(how) {
                // Whoever reads has seen enough.
                Err(LogToolError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
                other => other,
            });
        }
    };
    ended(ctl::ask(&data, request).map(|response| {
        let text = if json { ctl::to_json(&response) } else { ctl::to_text(&response, now_ms()) };
        super::say(&text);
    }))
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

/// Sessions of both sides, which are two questions to the daemon.
fn links(data: &Path, json: bool) -> Result<(), ctl::CtlError> {
    let carriers = ctl::ask(data, Request::Links)?;
    let customers = ctl::ask(data, Request::Customers)?;
    let text = match json {
        true => ctl::to_json_together(&carriers, &customers),
        false => format!("{}\n{}", ctl::to_text(&carriers, now_ms()), ctl::to_text(&customers, now_ms())),
    };
    super::say(&text);
    Ok(())
}

fn read_log(how: HowLog) -> Result<(), LogToolError> {
    let mut out = io::stdout().lock();
    match how {
        HowLog::Dump { dir, from, show_texts, show_numbers } => {
            log::dump(&dir, from, Shown { texts: show_texts, numbers: show_numbers }, &mut out)?;
        }
        HowLog::Verify { dir } => log::verify(&dir, &mut out)?,
    }
    out.flush().map_err(LogToolError::Output)
}

fn ended<E: std::fmt::Display>(result: Result<(), E>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("switchyard: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_the_log_is_read_in_both_forms() {
        assert_eq!((parse_lsn("0x3000"), parse_lsn("12288")), (Ok(Lsn(12288)), Ok(Lsn(12288))));
        assert!(parse_lsn("3000h").is_err());
    }
}
