//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};

use crate::drive::Pace;
use crate::fair::Track;
use crate::folder::Folder;
use crate::http::Origin;
use crate::measure::Bench;
use crate::scenarios::Kind;
use crate::seed::Shape;
use crate::side::Side;
use crate::soak::{self, RollingArgs, SkewArgs, SoakArgs};
use crate::target::Target;
use crate::watch::Watched;
use crate::{bare, replay};

const EXAMPLES: &str = "\
Examples:
  What the server can do (closed loop, 64 requests in flight):
    signet-loadtest client-credentials --concurrency 64 --watch server=$(pgrep -x signet)

  How it feels at a given load (open loop; latency counts from the moment a request was due):
    signet-loadtest introspect --rate 2000 --watch server=1234 --watch postgres=567

  A user's whole sign-in, each of its eight requests reported:
    signet-loadtest code-flow --remember

  How long a second replica calls a revoked token active:
    signet-loadtest staleness --other-admin http://127.0.0.1:5445

  The limits of this machine, measured the same way:
    signet-loadtest bare-http
    signet-loadtest bare-insert --postgres postgres://user:secret@localhost/scratch

  Everything, three rounds, with the ratios:
    signet-loadtest run-set --postgres \"$DSN\"
    signet-loadtest report --markdown loadtest/RESULTS.md

  Beside a Hydra, with the same work asked of both:
    signet-loadtest fair --track equalised --side signet=http://127.0.0.1:4444,http://127.0.0.1:4445 \\
      --side hydra=http://127.0.0.1:5444,http://127.0.0.1:5445

Closed loops measure capacity and flatter latency; open loops measure latency. Use both. A figure taken while the
generator used more than 80 % of the cores is the generator's own, and the report says so.";

#[derive(Parser)]
#[command(name = "signet-loadtest", version, about = "Measures a Hydra-compatible OAuth 2.0 server", after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub options: Options,
}

/// What holds for every command.
#[derive(Args)]
pub struct Options {
    /// Public URL of the server.
    #[arg(long, global = true, env = "SIGNET_LOADTEST_PUBLIC", default_value = "http://127.0.0.1:4444")]
    pub public: String,
    /// Admin URL of the server.
    #[arg(long, global = true, env = "SIGNET_LOADTEST_ADMIN", default_value = "http://127.0.0.1:4445")]
    pub admin: String,
    /// Open loop: units of work a second, whatever the server does. Without it the loop is closed.
    #[arg(long, global = true)]
    pub rate: Option<f64>,
    /// Workers, each with a connection; in a closed loop this many units are in flight.
    #[arg(long, global = true, default_value_t = 64)]
    pub concurrency: usize,
    /// Seconds that are measured.
    #[arg(long, global = true, default_value_t = 30.0)]
    pub duration: f64,
    /// Seconds before that, driven and not measured.
    #[arg(long, global = true, default_value_t = 5.0)]
    pub warmup: f64,
    /// Seconds after which a request counts as failed.
    #[arg(long, global = true, default_value_t = 10.0)]
    pub timeout: f64,
    /// NAME=PID of a process whose CPU time and memory to report, its children included. May be repeated.
    #[arg(long, global = true, value_name = "NAME=PID")]
    pub watch: Vec<Watched>,
    /// Connection string of the server's database, to count write transactions, WAL and (with pg_stat_statements) statements and rows.
    #[arg(long, global = true, env = "SIGNET_LOADTEST_POSTGRES", value_name = "DSN", hide_env_values = true)]
    pub postgres: Option<String>,
    /// Also write the reports to this file.
    #[arg(long, global = true, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Where the findings for the report are kept.
    #[arg(long, global = true, default_value = "target/load", value_name = "FOLDER")]
    pub save: PathBuf,
    /// Threads of the generator; by default one for each core.
    #[arg(long, global = true)]
    pub threads: Option<usize>,
}

/// What to do.
#[derive(Subcommand)]
pub enum Command {
    #[command(flatten)]
    Scenario(Kind),
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
    /// The scenarios worth publishing in turn, and the ratios between them.
    RunSet(SetArgs),
    /// Every scenario for a moment: ends with 1 when any of them fails.
    Smoke {
        /// Admin URL of a second replica, for the staleness.
        #[arg(long, value_name = "URL")]
        other_admin: Option<String>,
    },
    /// Fills a Signet database (--postgres) with ballast by SQL.
    Seed {
        #[command(flatten)]
        shape: Shape,
        /// Rows of each kind: access tokens, refresh tokens, consents.
        #[arg(long, default_value_t = 1_000_000)]
        rows: u64,
        /// Removes the ballast instead.
        #[arg(long)]
        remove: bool,
    },
    /// Throughput with so many rows of ballast, cold introspection, and the latency beside a janitor at work.
    Growth {
        #[command(flatten)]
        shape: Shape,
        /// Rows of each kind, smallest first.
        #[arg(long, value_delimiter = ',', default_value = "10000,1000000,10000000")]
        rows: Vec<u64>,
        #[arg(long, default_value_t = 3)]
        rounds: usize,
        /// Live tokens among the ballast that are introspected at random, at most.
        #[arg(long, default_value_t = 200_000)]
        cold: u64,
        /// Expired rows of each kind that the janitor is given in every round; 0 leaves it out.
        #[arg(long, default_value_t = 300_000)]
        expire: u64,
        /// Leaves the ballast there afterwards.
        #[arg(long)]
        keep: bool,
        /// The database's shared_buffers are smaller than its indexes: a section of its own in the report.
        #[arg(long)]
        small: bool,
    },
    /// Limit: signatures that all cores can make.
    Sign {
        /// What signs: ES256 or RS256 (of 2048 bits).
        #[arg(long, default_value = "RS256", value_parser = ["ES256", "RS256"])]
        alg: String,
    },
    /// Starts a server again and again: when it is ready, and what it holds when idle.
    Starts {
        #[arg(long, default_value_t = 5)]
        count: usize,
        /// The program and its arguments, which serves at --public.
        #[arg(last = true, required = true)]
        program: Vec<String>,
    },
    /// What the server (--watch server=PID) holds while it issues very many tokens.
    Memory {
        #[arg(long, default_value_t = 1_000_000)]
        tokens: u64,
    },
    /// A multiple of what the server can carry: what it still does, how it refuses, and whether it answers probes.
    Overload(StormArgs),
    /// Tokens, introspection and refresh from an idle server to a full one.
    Curve(CurveArgs),
    /// One product beside another in turns; with one side only that.
    Fair(FairArgs),
    /// Hydra's published procedure: hey -n 10000 -c 100.
    Replay {
        #[arg(long, default_value_t = 3)]
        rounds: usize,
        /// Another number of requests than the published.
        #[arg(long, default_value_t = replay::REQUESTS)]
        requests: u64,
    },
    /// What the figures are measured on, for the report.
    Machine {
        /// What pg_test_fsync said.
        #[arg(long, value_name = "FILE")]
        fsync: Option<PathBuf>,
    },
    /// Writes the report from what was saved.
    Report {
        /// Where the markdown goes, and into a folder of its name the charts.
        #[arg(long, default_value = "loadtest/RESULTS.md", value_name = "FILE")]
        markdown: PathBuf,
        /// A sentence about this run.
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Replicas of --signet on --postgres under traffic and faults: ends with 1 when a rule was broken.
    Soak(SoakArgs),
    /// Restarts such replicas in turn under the same traffic: ends with 1 when a request failed.
    Rolling(RollingArgs),
    /// Replaces such replicas of --signet-old by those of --signet and back under the same traffic: ends with 1 when a
    /// request failed.
    Skew(SkewArgs),
    #[command(name = bare::SUBCOMMAND, hide = true)]
    BareServer { document: usize },
}

#[derive(Args)]
pub struct SetArgs {
    /// How often the whole set is run.
    #[arg(long, default_value_t = 3)]
    pub rounds: usize,
    /// Tokens for introspection.
    #[arg(long, default_value_t = 1000)]
    pub tokens: usize,
    /// Access tokens for revocation.
    #[arg(long, default_value_t = 50_000)]
    pub revoked: usize,
    /// Refresh tokens for revocation, each of a flow of its own.
    #[arg(long, default_value_t = 5_000)]
    pub revoked_refresh: usize,
    /// Assertions of private_key_jwt.
    #[arg(long, default_value_t = 50_000)]
    pub assertions: usize,
    /// Rows a commit of the batched insert.
    #[arg(long, default_value_t = 512)]
    pub batch: usize,
    /// `NAME=PUBLIC,ADMIN[,PID]` of another server of the set: `redis`, `local` (with introspection.local_entries) and
    /// `rs256`. May be repeated.
    #[arg(long, value_name = "SIDE")]
    pub beside: Vec<Side>,
}

#[derive(Args)]
pub struct FairArgs {
    /// `NAME=PUBLIC,ADMIN[,PID]` of each side, Signet first. May be repeated.
    #[arg(long, required = true, value_name = "SIDE")]
    pub side: Vec<Side>,
    #[arg(long, value_enum, default_value = "defaults")]
    pub track: Track,
    /// The key given to both sides of the equalised track.
    #[arg(long, default_value = "RS256", value_parser = ["ES256", "RS256"])]
    pub key: String,
    #[arg(long, default_value_t = 3)]
    pub rounds: usize,
    /// Clients of the scenario in which not every secret was seen before.
    #[arg(long, default_value_t = 1000)]
    pub clients: usize,
    /// Access tokens for revocation.
    #[arg(long, default_value_t = 20_000)]
    pub revoked: usize,
}

#[derive(Args)]
pub struct CurveArgs {
    /// Connections of the closed loops.
    #[arg(long, value_delimiter = ',', default_value = "1,16,64,256")]
    pub connections: Vec<usize>,
    /// Percentages of the best closed loop at which the open ones run.
    #[arg(long, value_delimiter = ',', default_value = "25,50,70,90", value_parser = clap::value_parser!(u8).range(1..))]
    pub shares: Vec<u8>,
}

#[derive(Args)]
pub struct StormArgs {
    /// Form of the tokens: jwt costs the server a signature each, and the generator next to nothing.
    #[arg(long, default_value = "jwt", value_parser = ["opaque", "jwt"])]
    pub strategy: String,
    /// So many times the peak.
    #[arg(long, default_value_t = 10.0)]
    pub factor: f64,
    /// Connections of the storm.
    #[arg(long, default_value_t = 2000)]
    pub connections: usize,
    #[arg(long, default_value_t = 3)]
    pub rounds: usize,
    /// What runs where, for the report.
    #[arg(long, default_value = "all processes share all cores")]
    pub pinned: String,
}

impl Options {
    pub fn target(&self) -> Result<Target> {
        Ok(Target { public: Origin::parse(&self.public)?, admin: Origin::parse(&self.admin)? })
    }

    /// The meters and the pace.
    pub fn bench(&self) -> Result<Bench> {
        let seconds = |name: &str, value: f64| {
            Duration::try_from_secs_f64(value).with_context(|| format!("--{name} must be a number of seconds"))
        };
        if self.concurrency == 0 || self.rate.is_some_and(|rate| !(0.01..=1e7).contains(&rate)) {
            bail!("--concurrency must be at least 1 and --rate between 0.01 and 10000000");
        }
        let pace = Pace {
            connections: self.concurrency,
            rate: self.rate,
            warmup: seconds("warmup", self.warmup)?,
            duration: seconds("duration", self.duration)?,
            timeout: seconds("timeout", self.timeout)?,
        };
        Ok(Bench { pace, watched: self.watch.clone(), postgres: self.postgres.clone() })
    }

    /// Where findings are kept.
    pub fn folder(&self) -> Folder {
        Folder(self.save.clone())
    }

    /// What a soak takes of the options for all commands.
    pub fn soak_terms(&self) -> Result<soak::Terms> {
        let bench = self.bench()?;
        Ok(soak::Terms {
            dsn: self.dsn()?,
            rate: self.rate,
            workers: bench.pace.connections,
            duration: bench.pace.duration,
        })
    }

    /// The connection string, for commands that cannot do without.
    pub fn dsn(&self) -> Result<String> {
        self.postgres.clone().context("this command needs --postgres")
    }
}
