//! `cargo sim`: the simulator's command line.
//!
//! ```text
//!   cargo sim -- --seeds 1000 [--first 7] [--promise 4]     many seeds
//!   cargo sim -- --seed 42                                  one, with the hash of the run
//!   cargo sim -- --canary                                   the judge is deceived and must notice
//!   cargo sim -- --mutants                                  engines that break a promise, and must be caught
//! ```

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use tests::run::{self, Options};
use tests::{Canary, Outcome, mutants};

/// Seeds within which a deceit must show.
const CANARY_SEEDS: u64 = 200;

#[derive(Debug, Parser)]
#[command(about = "Runs the engine in an invented world")]
struct Arguments {
    /// Run one seed and print its hash.
    #[arg(long)]
    seed: Option<u64>,
    /// With --seed: print what happens.
    #[arg(long)]
    trace: bool,
    /// Run so many seeds.
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// Only this promise counts.
    #[arg(long)]
    promise: Option<u8>,
    /// Deceive the judge: exits with 0 when it noticed every deceit.
    #[arg(long)]
    canary: bool,
    /// Break the engine: exits with 0 when every mutant was caught.
    #[arg(long)]
    mutants: bool,
    /// With --mutants: only those whose name contains this.
    #[arg(long)]
    only: Option<String>,
}

fn main() -> io::Result<ExitCode> {
    let arguments = Arguments::parse();
    run::explain_panics();
    let options = Options { only: arguments.promise, canary: None };
    if arguments.trace {
        run::trace();
    }
    if let Some(seed) = arguments.seed {
        return one(seed, options);
    }
    if arguments.canary {
        return canaries();
    }
    if arguments.mutants {
        return mutants::run(arguments.only.as_deref());
    }
    many(&arguments, options)
}

fn one(seed: u64, options: Options) -> io::Result<ExitCode> {
    let outcome = run::seed(seed, options);
    writeln!(io::stdout(), "seed {seed}: hash {:016x}, {:?}", outcome.hash, outcome.sights)?;
    if outcome.violation.is_some() {
        tell(seed, &outcome)?;
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

fn many(arguments: &Arguments, options: Options) -> io::Result<ExitCode> {
    let started = Instant::now();
    let report = run::seeds(arguments.first, arguments.seeds, options, 10);
    for (seed, outcome) in &report.failures {
        tell(*seed, outcome)?;
    }
    let (took, sights) = (started.elapsed(), report.sights);
    let mut out = io::stdout();
    writeln!(out, "{} seeds in {took:.1?}, {} failed", report.runs, report.failures.len())?;
    writeln!(out, "virtual time {} s, {} events", sights.virtual_ns / 1_000_000_000, sights.events)?;
    writeln!(
        out,
        "{} acknowledged, {} segments taken, {} doubts, {} deaths, {} syncs, {} replays",
        sights.acknowledged, sights.taken, sights.doubts, sights.deaths, sights.syncs, sights.replays
    )?;
    writeln!(out, "{} snapshots, {} segments released", sights.snapshots, sights.released)?;
    writeln!(out, "{} segments by lent links, {} slices of rates lent", sights.lent, sights.slices)?;
    writeln!(out, "{} texts of handsets told", sights.heard)?;
    writeln!(out, "{} questions answered by carriers", sights.answered_questions)?;
    writeln!(
        out,
        "{} messages and {} words between nodes, {} take-overs, {} states made anew, {} taken from another node, {} nodes came or went",
        sights.peer_messages,
        sights.words,
        sights.taken_over,
        sights.rebuilt,
        sights.installed,
        sights.came_and_went
    )?;
    let [delivered, failed, expired, cancelled, unknown] = sights.fates;
    writeln!(
        out,
        "delivered {delivered}, failed {failed}, expired {expired}, cancelled {cancelled}, unknown {unknown}"
    )?;
    Ok(if report.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn canaries() -> io::Result<ExitCode> {
    let mut all = true;
    for canary in [Canary::SyncLies, Canary::BytesDropped] {
        let options = Options { only: None, canary: Some(canary) };
        let report = run::seeds(1, CANARY_SEEDS, options, 1);
        match report.failures.first().and_then(|(seed, outcome)| Some((seed, outcome.violation.as_ref()?))) {
            Some((seed, violation)) => {
                let what = violation.what.get(..160).unwrap_or(&violation.what);
                writeln!(
                    io::stdout(),
                    "{canary:?}: caught at seed {seed}: promise {}: {what}",
                    violation.promise
                )?;
            }
            None => {
                all = false;
                writeln!(io::stdout(), "{canary:?}: not caught in {CANARY_SEEDS} seeds: the judge is blind")?;
            }
        }
    }
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn tell(seed: u64, outcome: &Outcome) -> io::Result<()> {
    let Some(violation) = &outcome.violation else { return Ok(()) };
    writeln!(
        io::stdout(),
        "seed {seed} broke promise {} at {} ms of virtual time: {}\n  repeat: cargo sim -- --seed {seed}",
        violation.promise,
        violation.at / 1_000_000,
        violation.what
    )
}
