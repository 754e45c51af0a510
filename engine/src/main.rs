//! `switchyard`: the command line.

mod ctl;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use engine::check;
use engine::daemon::{self, DaemonError, ServeOptions};
use engine::dev::{self, DevOptions, Regions};
use engine::host::{self, Weight};
use engine::key::{NewKey, NewWebhookSecret};
use engine::logging::LogFormat;
use engine::password::NewPassword;

/// The allocator of the whole program: threads that allocate on one core and free on another are what it is good at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The exit status of a wrong configuration; clap's own for a wrong command line is the same.
const EXIT_CONFIGURATION: u8 = 2;

/// Takes messages, gets each to a carrier exactly once where that can be known, and says what became of it.
#[derive(Debug, Parser)]
#[command(name = "switchyard", version, about)]
struct Cli {
    /// Without one: serve.
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the daemon until SIGTERM or SIGINT.
    Serve(Serve),
    /// Says what a configuration means on this machine, or what is wrong with it, and starts nothing.
    Check(Check),
    /// Asks a daemon that runs, or looks at its files.
    Ctl(ctl::Ctl),
    /// Runs a cluster on this machine for trying things out: a node for each region, and one sandbox carrier for all.
    Dev(Dev),
    /// Makes a key for an account: prints the key, and the line with its hash for the configuration.
    Key,
    /// Makes a secret for an account's webhook: prints the line for the configuration, and the account's server needs the same.
    WebhookSecret,
    /// Makes a password for an SMPP customer: prints it, and the line with its hash for the configuration.
    Password {
        /// Hashes the password on the first line of standard input instead, and prints the line for the configuration alone.
        #[arg(long)]
        stdin: bool,
    },
}

#[derive(Debug, Default, Args)]
struct Serve {
    /// The TOML configuration. Without it: one account and a sandbox carrier, for trying things out.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data directory; overrides node.data of the configuration.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// How log lines look, over the configuration: text, or json.
    #[arg(long, value_name = "FORMAT", value_parser = LogFormat::parse)]
    log_format: Option<LogFormat>,
    /// Breaks sockets and files as FILE says. For tests only.
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Check {
    /// The TOML configuration.
    #[arg(value_name = "FILE", required_unless_present = "host")]
    file: Option<PathBuf>,
    /// Looks at this machine too: kernel, io_uring, limits, clock, and the data directory.
    #[arg(long)]
    host: bool,
    /// The data directory; overrides node.data of the configuration.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Dev {
    /// The regions, each of which gets a node: 2 to 7 names with commas between them.
    #[arg(long, value_name = "NAMES", default_value = "sin,fra,iad", value_parser = dev::parse_regions)]
    regions: Regions,
    /// The directory with the nodes' files and data; what is in it from an earlier run goes on.
    #[arg(long, value_name = "DIR", default_value = "data-dev")]
    data: PathBuf,
    /// How long to run once all nodes listen, as 30s or 5m. Without it: until SIGTERM or SIGINT.
    #[arg(long = "for", value_name = "TIME", value_parser = dev::parse_run)]
    run_for: Option<Duration>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.command.unwrap_or_else(|| Command::Serve(Serve::default())) {
        Command::Serve(options) => serve(options),
        Command::Check(options) => check(options),
        Command::Ctl(options) => ctl::run(options),
        Command::Dev(options) => dev(options),
        Command::Key => made(NewKey::make().map(|key| key.to_text())),
        Command::WebhookSecret => made(NewWebhookSecret::make().map(|secret| secret.to_text())),
        Command::Password { stdin: false } => made(NewPassword::make().map(|password| password.to_text())),
        Command::Password { stdin: true } => hash_of_stdin(),
    }
}

fn serve(serve: Serve) -> ExitCode {
    let Serve { config, data, log_format, faults } = serve;
    let options = ServeOptions { config, data, faults, log_format };
    match daemon::serve(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn check(options: Check) -> ExitCode {
    let told = options.file.as_deref().map(|file| check::explain(file, options.data.clone())).transpose();
    match told {
        Ok(told) => say(&told.unwrap_or_default()),
        Err(error) => return failed(&error),
    }
    if !options.host {
        return ExitCode::SUCCESS;
    }
    let findings = match check::host_findings(options.file.as_deref(), options.data) {
        Ok(findings) => findings,
        Err(error) => return failed(&error),
    };
    say(&check::host_report(&findings));
    let fatal = findings.iter().any(|finding: &host::Finding| finding.weight == Weight::Fatal);
    if fatal { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn dev(Dev { regions: Regions(regions), data, run_for }: Dev) -> ExitCode {
    match dev::run(&DevOptions { regions, data, run_for }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("switchyard: {error}");
            ExitCode::FAILURE
        }
    }
}

fn hash_of_stdin() -> ExitCode {
    let mut line = String::new();
    if let Err(error) = io::stdin().read_line(&mut line) {
        eprintln!("switchyard: standard input cannot be read: {error}");
        return ExitCode::FAILURE;
    }
    let password = line.trim_end_matches(['\n', '\r']);
    made(NewPassword::of(password).map(|password| password.to_text()))
}

/// Prints what was made of the system's randomness.
fn made(text: io::Result<String>) -> ExitCode {
    match text {
        Ok(text) => {
            say(&text);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("switchyard: nothing was made: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Says why, and gives the exit status for it.
fn failed(error: &DaemonError) -> ExitCode {
    eprintln!("switchyard: {error}");
    if error.is_configuration() { ExitCode::from(EXIT_CONFIGURATION) } else { ExitCode::FAILURE }
}

/// Prints for a person. Whoever started us may have closed our standard output.
fn say(text: &str) {
    let _ = write!(io::stdout(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_subcommand_means_serve_and_serve_takes_its_options() {
        assert!(Cli::parse_from(["switchyard"]).command.is_none());
        let cli = Cli::parse_from(["switchyard", "serve", "--config", "a.toml", "--data", "d"]);
        let Some(Command::Serve(serve)) = cli.command else { panic!("serve") };
        assert_eq!(serve.config, Some(PathBuf::from("a.toml")));
        assert_eq!((serve.data, serve.faults), (Some(PathBuf::from("d")), None));
    }

    #[test]
    fn a_cluster_for_trying_things_out_takes_regions_and_a_time() {
        let cli = Cli::parse_from(["switchyard", "dev", "--regions", "a,b", "--for", "30s"]);
        let Some(Command::Dev(dev)) = cli.command else { panic!("dev") };
        assert_eq!((dev.regions.0.len(), dev.run_for.map(|time| time.as_secs())), (2, Some(30)));
        assert!(Cli::try_parse_from(["switchyard", "dev", "--regions", "a"]).is_err());
    }
}
