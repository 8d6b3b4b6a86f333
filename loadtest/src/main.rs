//! `signet-loadtest`: drives a Hydra-compatible server and says what it costs. This file starts what the command line
//! asks for and prints; the loops are in `drive`, the scenarios in `scenarios`, the meters in `measure`.

mod assertion;
mod bare;
mod chance;
mod cli;
mod drive;
#[cfg_attr(not(test), expect(dead_code, reason = "some of it is for the tests of the server"))]
mod fault_proxy;
mod flow;
mod growth;
mod http;
mod measure;
mod postgres;
mod report;
mod run_set;
mod scenarios;
mod seed;
mod smoke;
mod soak;
mod tally;
mod target;
#[cfg(test)]
mod tests;
mod watch;
mod work;

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Parser as _;

use cli::{Cli, Command, Options, SetArgs};
use measure::Bench;
use report::Report;
use run_set::SetSize;
use scenarios::Kind;
use target::Target;

/// The generator's own name among the watched processes.
const GENERATOR: &str = "generator";

fn main() -> ExitCode {
    match start(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("signet-loadtest: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(cli: Cli) -> Result<()> {
    if matches!(cli.command, Command::BareServer) {
        return bare::serve();
    }
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = cli.options.threads {
        runtime.worker_threads(threads.max(1));
    }
    runtime.enable_all().build()?.block_on(run(cli))
}

async fn run(Cli { command, options }: Cli) -> Result<()> {
    let (target, bench) = (options.target()?, options.bench()?);
    let reports = match command {
        Command::Scenario(kind) => scenario(&kind, &bench, &target).await?,
        Command::BareHttp => shown(vec![run_set::bare_http(&bench).await?]),
        Command::BareInsert { batch, connections } => {
            let dsn = options.dsn()?;
            let single = bench.insert(&dsn, 1, 1).await?;
            shown(vec![single, bench.insert(&dsn, batch.max(1), connections.max(1)).await?])
        }
        Command::RunSet(args) => run_set(&bench, &target, &args).await?,
        Command::Smoke { other_admin } => smoke::run(&bench, &target, other_admin).await?,
        Command::Seed { rows, remove, shape } => {
            let client = postgres::connect(&options.dsn()?).await?;
            return if remove { seed::remove(&client).await } else { seed::fill(&client, 0..rows, shape).await };
        }
        Command::Growth { rows, keep, shape } => {
            growth::run(&bench, &target, &options.dsn()?, &growth::Options { rows, keep, shape }).await?
        }
        Command::Soak(args) => return soak::soak(&args, &options.soak_terms()?).await,
        Command::Rolling(args) => return soak::rolling(&args, &options.soak_terms()?).await,
        Command::BareServer => bail!("handled before"),
    };
    write_json(&options, &reports)
}

async fn scenario(kind: &Kind, bench: &Bench, target: &Target) -> Result<Vec<Report>> {
    let Kind::WrongSecrets { .. } = kind else { return Ok(shown(vec![kind.run(bench, target).await?])) };
    let without = Kind::WrongSecrets { percent: 0 }.run(bench, target).await?;
    let reports = shown(vec![without, kind.run(bench, target).await?]);
    if let [without, with] = reports.as_slice()
        && let Some(sentence) = scenarios::compared(without, with)
    {
        println!("{sentence}");
    }
    Ok(reports)
}

async fn run_set(bench: &Bench, target: &Target, args: &SetArgs) -> Result<Vec<Report>> {
    if bench.pace.rate.is_some() {
        bail!("run-set measures capacity first and picks its own rates: leave --rate out");
    }
    let size = SetSize {
        rounds: args.rounds,
        introspected: args.tokens,
        revoked: args.revoked,
        revoked_refresh: args.revoked_refresh,
        batch: args.batch,
    };
    let found = run_set::run(bench, target, size, args.ready).await?;
    run_set::markdown::write(&found, &args.markdown)?;
    println!("written to {}", args.markdown.display());
    Ok(found.rounds.concat())
}

fn shown(reports: Vec<Report>) -> Vec<Report> {
    reports.into_iter().map(run_set::shown).collect()
}

fn write_json(options: &Options, reports: &[Report]) -> Result<()> {
    let Some(path) = &options.json else { return Ok(()) };
    std::fs::write(path, serde_json::to_vec_pretty(reports)?)
        .with_context(|| format!("cannot write {}", path.display()))
}
