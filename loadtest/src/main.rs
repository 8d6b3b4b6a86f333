//! `signet-loadtest`: drives a Hydra-compatible server and says what it costs. This file starts what the command line
//! asks for and prints; the loops are in `drive`, the scenarios in `scenarios`, the meters in `measure`.

mod assertion;
mod bare;
mod chance;
mod cli;
mod curve;
mod drive;
mod fair;
#[cfg_attr(not(test), expect(dead_code, reason = "some of it is for the tests of the server"))]
mod fault_proxy;
mod flow;
mod folder;
mod growth;
mod http;
mod machine;
mod measure;
mod memory;
mod once;
mod overload;
mod postgres;
mod private_jwk;
mod probe;
mod replay;
mod report;
mod results;
mod run_set;
mod scenarios;
mod seed;
mod side;
mod sign;
mod smoke;
mod soak;
mod spread;
mod starts;
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
use machine::Machine;
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
    if let Command::BareServer { document } = cli.command {
        return bare::serve(document);
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
        Command::Sign { alg } => shown(vec![bench.sign(&alg).await?]),
        Command::BareInsert { batch, connections } => {
            let dsn = options.dsn()?;
            let single = bench.insert(&dsn, 1, 1).await?;
            shown(vec![single, bench.insert(&dsn, batch.max(1), connections.max(1)).await?])
        }
        Command::RunSet(args) => run_set(&bench, &target, &args, &options).await?,
        Command::Smoke { other_admin } => smoke::run(&bench, &target, other_admin).await?,
        Command::Soak(args) => return soak::soak(&args, &options.soak_terms()?).await,
        Command::Skew(args) => return soak::skew(&args, &options.soak_terms()?).await,
        Command::Rolling(args) => return soak::rolling(&args, &options.soak_terms()?).await,
        Command::Seed { remove: true, .. } => return seed::remove(&options.dsn()?).await,
        Command::Seed { rows, shape, .. } => return seed::fill(&options.dsn()?, 0..rows, shape).await,
        other => return part(other, &bench, &target, &options).await,
    };
    write_json(&options, &reports)
}

/// Runs a part of the report and keeps what it finds, or writes the report.
async fn part(command: Command, bench: &Bench, target: &Target, options: &Options) -> Result<()> {
    let folder = options.folder();
    match command {
        Command::Starts { count, program } => {
            folder.save(results::STARTS, &starts::run(target, &program, count).await?)
        }
        Command::Memory { tokens } => folder.save(results::MEMORY, &memory::run(bench, target, tokens).await?),
        Command::Overload(args) => folder.save(results::OVERLOAD, &overload::run(bench, target, &args).await?),
        Command::Growth { rows, rounds, cold, expire, keep, small, shape } => {
            let how = growth::Options { rows, rounds, cold, expired: expire, keep, shape };
            let name = if small { results::GROWTH_SMALL } else { results::GROWTH };
            folder.save(name, &growth::run(bench, target, &options.dsn()?, &how).await?)
        }
        Command::Curve(args) => folder.save(results::CURVE, &curve::run(bench, target, &args).await?),
        Command::Fair(args) => folder.save(results::track(args.track), &fair::run(bench, &args).await?),
        Command::Replay { rounds, requests } => {
            folder.save(results::REPLAY, &replay::run(target, rounds, requests).await?)
        }
        Command::Machine { fsync } => {
            let machine = Machine::read(bench.postgres.as_deref(), fsync.as_deref()).await?;
            folder.save(results::MACHINE, &machine)
        }
        Command::Report { markdown, note } => {
            results::Findings::read(&folder)?.write(&markdown, &note)?;
            println!("written to {}", markdown.display());
            Ok(())
        }
        _ => bail!("handled before"),
    }
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

async fn run_set(bench: &Bench, target: &Target, args: &SetArgs, options: &Options) -> Result<Vec<Report>> {
    if bench.pace.rate.is_some() {
        bail!("run-set measures capacity first and picks its own rates: leave --rate out");
    }
    let size = SetSize {
        rounds: args.rounds,
        introspected: args.tokens,
        revoked: args.revoked,
        revoked_refresh: args.revoked_refresh,
        assertions: args.assertions,
        batch: args.batch,
    };
    let found = run_set::run(bench, target, &args.beside, size).await?;
    options.folder().save(results::SET, &found)?;
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
