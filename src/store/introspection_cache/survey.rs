//! What a Redis says of itself, and whether it lets the cache do its work. Leaves nothing behind but a key for a second.

use super::address::Address;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, RedisError, RedisResult};
use std::time::{Duration, Instant};

/// How long each of its servers may take to be connected to, and to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct RedisSurvey {
    /// Its version; empty when it may not be asked.
    pub version: String,
    /// The shortest of a few round trips.
    pub round_trip: Duration,
    /// `maxmemory`, in bytes; 0 for no limit.
    pub max_memory: u64,
    /// `maxmemory_policy`.
    pub policy: String,
    /// It takes no writes.
    pub read_only: bool,
    /// Commands that it refused, each with its words.
    pub refused: Vec<(&'static str, String)>,
}

/// Looks at a Redis as the cache would use it.
///
/// # Errors
/// A line on why it cannot be reached, without a password.
pub async fn survey(url: &str, prefix: &str) -> Result<RedisSurvey, String> {
    let address = Address::parse(url).map_err(|e| e.to_string())?;
    tokio::time::timeout(PATIENCE * 2, look(&address, prefix))
        .await
        .map_err(|_| "no answer in time".to_owned())?
        .map_err(|e| e.to_string())
}

async fn look(address: &Address, prefix: &str) -> RedisResult<RedisSurvey> {
    let client = address.client(0).await?;
    let config =
        AsyncConnectionConfig::new().set_connection_timeout(Some(PATIENCE)).set_response_timeout(Some(PATIENCE));
    let mut link = client.get_multiplexed_async_connection_with_config(&config).await?;
    let mut found = RedisSurvey { round_trip: Duration::MAX, ..RedisSurvey::default() };
    for _ in 0..5 {
        let began = Instant::now();
        match redis::cmd("PING").query_async::<redis::Value>(&mut link).await {
            Err(fault) if !answered(&fault) => return Err(fault),
            _ => found.round_trip = found.round_trip.min(began.elapsed()),
        }
    }
    if let Ok(info) = redis::cmd("INFO").query_async::<String>(&mut link).await {
        let line = |name: &str| {
            info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map_or("", str::trim).to_owned()
        };
        found.version = line("redis_version");
        found.max_memory = line("maxmemory").parse().unwrap_or_default();
        found.policy = line("maxmemory_policy");
    }
    try_all(&mut link, prefix, &mut found).await?;
    let channel = format!("{prefix}:doctor");
    let mut ear = client.get_async_pubsub().await?;
    if let Err(fault) = ear.subscribe(&channel).await {
        note("SUBSCRIBE", fault, &mut found)?;
    }
    Ok(found)
}

/// The commands that the cache uses, on names like the cache's own.
async fn try_all(link: &mut MultiplexedConnection, prefix: &str, found: &mut RedisSurvey) -> RedisResult<()> {
    let key = format!("{prefix}:t:doctor");
    let with = |name: &str, args: &[&str]| {
        let mut command = redis::cmd(name);
        args.iter().for_each(|arg| {
            command.arg(*arg);
        });
        command
    };
    let commands: [(&'static str, Cmd); 3] = [
        ("SET", with("SET", &[&key, "1", "PX", "1000"])),
        ("GET", with("GET", &[&key])),
        ("PUBLISH", with("PUBLISH", &[&format!("{prefix}:doctor"), "1"])),
    ];
    for (name, command) in commands {
        if let Err(fault) = command.query_async::<redis::Value>(link).await {
            note(name, fault, found)?;
        }
    }
    Ok(())
}

fn note(command: &'static str, fault: RedisError, found: &mut RedisSurvey) -> RedisResult<()> {
    match fault.code() {
        _ if !answered(&fault) => return Err(fault),
        // Another member of the cluster has that key.
        Some("MOVED" | "ASK") => {}
        Some("READONLY") => found.read_only = true,
        _ => found.refused.push((command, fault.to_string())),
    }
    Ok(())
}

/// The server said no, which is an answer.
fn answered(fault: &RedisError) -> bool {
    !(fault.is_io_error() || fault.is_connection_dropped() || fault.is_timeout())
}
