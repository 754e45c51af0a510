//! `switchyard`: the command line.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use engine::daemon::{self, ServeOptions};
use tracing_subscriber::EnvFilter;

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
}

#[derive(Debug, Default, Args)]
struct Serve {
    /// The TOML configuration. Without it: one account and a sandbox carrier, for trying things out.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data directory; overrides node.data of the configuration.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Breaks sockets and files as FILE says. For tests only.
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_env("SWITCHYARD_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    let Command::Serve(serve) = cli.command.unwrap_or_else(|| Command::Serve(Serve::default()));
    let options = ServeOptions { config: serve.config, data: serve.data, faults: serve.faults };
    match daemon::serve(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("switchyard: {error}");
            if error.is_configuration() { ExitCode::from(EXIT_CONFIGURATION) } else { ExitCode::FAILURE }
        }
    }
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
}
