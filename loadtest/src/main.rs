//! `signet-loadtest`: drives a Hydra-compatible server and says what it costs. This file reads the command line and
//! prints; the loops are in `drive`, the meters in `measure`.

mod bare;
mod client;
mod drive;
mod measure;
mod postgres;
mod report;
mod run_set;
mod scenarios;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};

use client::Origin;
use drive::Pace;
use measure::Bench;
use report::{Report, table};
use run_set::SetSize;
use scenarios::Target;
use watch::Watched;

/// The generator's own name among the watched processes.
const GENERATOR: &str = "generator";

const EXAMPLES: &str = "\
Examples:
  What the server can do (closed loop, 64 requests in flight):
    signet-loadtest client-credentials --concurrency 64 --watch server=$(pgrep -x signet)

  How it feels at a given load (open loop; latency counts from the moment a request was due):
    signet-loadtest introspect --rate 2000 --watch server=1234 --watch postgres=567

  The limits of this machine, measured the same way:
    signet-loadtest bare-http
    signet-loadtest bare-insert --postgres postgres://user:secret@localhost/scratch

  Everything, three rounds, with the ratios:
    signet-loadtest run-set --postgres \"$DSN\" --markdown loadtest/RESULTS.md

Closed loops measure capacity and flatter latency; open loops measure latency. Use both. A figure taken while the
generator used more than 80 % of the cores is the generator's own, and the report says so.";

#[derive(Parser)]
#[command(name = "signet-loadtest", version, about = "Measures a Hydra-compatible OAuth 2.0 server", after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    scenario: Scenario,
    #[command(flatten)]
    options: Options,
}

#[derive(Args)]
struct Options {
    /// Public URL of the server.
    #[arg(long, global = true, env = "SIGNET_LOADTEST_PUBLIC", default_value = "http://127.0.0.1:4444")]
    public: String,
    /// Admin URL of the server.
    #[arg(long, global = true, env = "SIGNET_LOADTEST_ADMIN", default_value = "http://127.0.0.1:4445")]
    admin: String,
    /// Open loop: requests a second, whatever the server does. Without it the loop is closed.
    #[arg(long, global = true)]
    rate: Option<f64>,
    /// Connections; in a closed loop this many requests are in flight.
    #[arg(long, global = true, default_value_t = 64)]
    concurrency: usize,
    /// Seconds that are measured.
    #[arg(long, global = true, default_value_t = 30.0)]
    duration: f64,
    /// Seconds before that, driven and not measured.
    #[arg(long, global = true, default_value_t = 5.0)]
    warmup: f64,
    /// Seconds after which a request counts as failed.
    #[arg(long, global = true, default_value_t = 10.0)]
    timeout: f64,
    /// NAME=PID of a process whose CPU time and memory to report, its children included. May be repeated.
    #[arg(long, global = true, value_name = "NAME=PID")]
    watch: Vec<Watched>,
    /// Connection string of the server's database, to count write transactions, WAL and (with pg_stat_statements) statements and rows.
    #[arg(long, global = true, env = "SIGNET_LOADTEST_POSTGRES", value_name = "DSN", hide_env_values = true)]
    postgres: Option<String>,
    /// Also write the reports to this file.
    #[arg(long, global = true, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Threads of the generator; by default one for each core.
    #[arg(long, global = true)]
    threads: Option<usize>,
}

#[derive(Subcommand)]
enum Scenario {
    /// One new token a request, by client_credentials.
    ClientCredentials {
        /// Form of the tokens: opaque or jwt (signed with the server's own algorithm).
        #[arg(long, default_value = "opaque", value_parser = ["opaque", "jwt"])]
        strategy: String,
        /// Clients that take turns.
        #[arg(long, default_value_t = 1)]
        clients: usize,
    },
    /// Introspection of live tokens, issued before the run.
    Introspect {
        /// Form of the tokens.
        #[arg(long, default_value = "opaque", value_parser = ["opaque", "jwt"])]
        strategy: String,
        /// Tokens that take turns.
        #[arg(long, default_value_t = 1000)]
        tokens: usize,
    },
    /// Revocation of live tokens, each once; the run ends early when they are used up.
    Revoke {
        /// Tokens issued before the run.
        #[arg(long, default_value_t = 50_000)]
        tokens: usize,
    },
    /// Limit: a bare actix-web handler on this machine.
    BareHttp,
    /// Limit: rows inserted into a scratch table of --postgres, single and batched.
    BareInsert {
        /// Rows a commit.
        #[arg(long, default_value_t = 512)]
        batch: usize,
        /// Connections of the batched run.
        #[arg(long, default_value_t = 2)]
        connections: usize,
    },
    /// All of them in turn, and the ratios between them.
    RunSet {
        /// How often the whole set is run.
        #[arg(long, default_value_t = 3)]
        rounds: usize,
        /// Tokens for introspection.
        #[arg(long, default_value_t = 1000)]
        tokens: usize,
        /// Tokens for revocation.
        #[arg(long, default_value_t = 50_000)]
        revoked: usize,
        /// Rows a commit of the batched insert.
        #[arg(long, default_value_t = 512)]
        batch: usize,
        /// Where the markdown goes.
        #[arg(long, default_value = "loadtest/RESULTS.md", value_name = "FILE")]
        markdown: PathBuf,
    },
    #[command(name = bare::SUBCOMMAND, hide = true)]
    BareServer,
}

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
    if matches!(cli.scenario, Scenario::BareServer) {
        return bare::serve();
    }
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = cli.options.threads {
        runtime.worker_threads(threads.max(1));
    }
    runtime.enable_all().build()?.block_on(run(cli))
}

async fn run(cli: Cli) -> Result<()> {
    let options = &cli.options;
    let target = Target { public: Origin::parse(&options.public)?, admin: Origin::parse(&options.admin)? };
    let bench = bench(options)?;
    let reports = match cli.scenario {
        Scenario::ClientCredentials { strategy, clients } => {
            vec![run_set::client_credentials(&bench, &target, &strategy, clients).await?]
        }
        Scenario::Introspect { strategy, tokens } => {
            vec![run_set::introspect(&bench, &target, &strategy, tokens).await?]
        }
        Scenario::Revoke { tokens } => vec![run_set::revoke(&bench, &target, tokens).await?],
        Scenario::BareHttp => vec![run_set::bare_http(&bench).await?],
        Scenario::BareInsert { batch, connections } => bare_insert(&bench, batch, connections).await?,
        Scenario::RunSet { rounds, tokens, revoked, batch, markdown } => {
            if options.rate.is_some() {
                bail!("run-set measures capacity first and picks its own rates: leave --rate out");
            }
            let size = SetSize { rounds, introspected: tokens, revoked, batch };
            let found = run_set::run(&bench, &target, size).await?;
            std::fs::write(&markdown, run_set::markdown(&found, batch)).context("cannot write the markdown")?;
            println!("written to {}", markdown.display());
            return write_json(options, &found.concat());
        }
        Scenario::BareServer => bail!("handled before"),
    };
    reports.iter().for_each(|report| print!("{}", table(report)));
    write_json(options, &reports)
}

fn bench(options: &Options) -> Result<Bench> {
    let seconds = |name: &str, value: f64| {
        Duration::try_from_secs_f64(value).with_context(|| format!("--{name} must be a number of seconds"))
    };
    if options.concurrency == 0 || options.rate.is_some_and(|rate| !(0.01..=1e7).contains(&rate)) {
        bail!("--concurrency must be at least 1 and --rate between 0.01 and 10000000");
    }
    let pace = Pace {
        connections: options.concurrency,
        rate: options.rate,
        warmup: seconds("warmup", options.warmup)?,
        duration: seconds("duration", options.duration)?,
        timeout: seconds("timeout", options.timeout)?,
    };
    Ok(Bench { pace, watched: options.watch.clone(), postgres: options.postgres.clone() })
}

async fn bare_insert(bench: &Bench, batch: usize, connections: usize) -> Result<Vec<Report>> {
    let dsn = bench.postgres.clone().context("bare-insert needs --postgres")?;
    Ok(vec![bench.insert(&dsn, 1, 1).await?, bench.insert(&dsn, batch.max(1), connections.max(1)).await?])
}

fn write_json(options: &Options, reports: &[Report]) -> Result<()> {
    let Some(path) = &options.json else { return Ok(()) };
    std::fs::write(path, serde_json::to_vec_pretty(reports)?)
        .with_context(|| format!("cannot write {}", path.display()))
}
