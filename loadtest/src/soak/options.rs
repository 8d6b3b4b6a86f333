//! What the command line of `soak`, `rolling` and `skew` may say.

use std::path::PathBuf;

use clap::Args;

/// What all of them need.
#[derive(Args, Clone)]
pub struct FleetArgs {
    /// The server's program.
    #[arg(long, value_name = "FILE", default_value = "target/release/signet")]
    pub signet: PathBuf,
    /// The Redis that the soak starts and kills itself.
    #[arg(long, value_name = "FILE", default_value = "redis-server")]
    pub redis_server: PathBuf,
    /// Share of a short measured capacity at which the traffic runs, when there is no --rate; 300 units of work a second at most.
    #[arg(long, default_value_t = 0.6)]
    pub share: f64,
    /// Decides the faults and which unit of work is which.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Where all requests go as JSON lines, with hashes in the place of tokens.
    #[arg(long, value_name = "FILE")]
    pub history: Option<PathBuf>,
    /// Where the logs of the replicas go and stay; otherwise they stay only when a rule was broken.
    #[arg(long, value_name = "DIR")]
    pub logs: Option<PathBuf>,
}

#[derive(Args)]
pub struct SoakArgs {
    #[command(flatten)]
    pub fleet: FleetArgs,
    /// How many replicas.
    #[arg(long, default_value_t = 2)]
    pub replicas: u8,
    /// The PostgreSQL is the soak's own and on this machine: make it crash, too.
    #[arg(long)]
    pub own_postgres: bool,
    /// Seconds for which a refresh token that was used gets the same answer again (the server's setting).
    #[arg(long, default_value_t = 0)]
    pub grace: u32,
    /// Where the report goes.
    #[arg(long, default_value = "loadtest/SOAK.md", value_name = "FILE")]
    pub markdown: PathBuf,
}

#[derive(Args)]
pub struct RollingArgs {
    #[command(flatten)]
    pub fleet: FleetArgs,
    /// How many replicas.
    #[arg(long, default_value_t = 3)]
    pub replicas: u8,
    /// How often all of them are restarted, one after the other.
    #[arg(long, default_value_t = 20)]
    pub times: u32,
    /// Then there are so many for a while.
    #[arg(long, default_value_t = 5)]
    pub most: u8,
    /// And then so few, before it is as in the beginning.
    #[arg(long, default_value_t = 2)]
    pub fewest: u8,
    /// Where the report goes.
    #[arg(long, default_value = "loadtest/ROLLING.md", value_name = "FILE")]
    pub markdown: PathBuf,
}

#[derive(Args)]
pub struct SkewArgs {
    #[command(flatten)]
    pub fleet: FleetArgs,
    /// The program of the release before.
    #[arg(long, value_name = "FILE")]
    pub signet_old: PathBuf,
    /// How many replicas.
    #[arg(long, default_value_t = 3)]
    pub replicas: u8,
    /// Where the report goes.
    #[arg(long, default_value = "loadtest/SKEW.md", value_name = "FILE")]
    pub markdown: PathBuf,
}
