//! Hydra's published procedure, to the letter: `hey -n 10000 -c 100` against a server with its database in memory, for
//! introspection and client_credentials. Where there is no hey, the driver sends as many requests over as many
//! connections, and the report says so.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::drive::{Pace, Window, drive};
use crate::http::Call;
use crate::http::connection::Wire;
use crate::spread::Spread;
use crate::target::{Target, issue, machine};
use crate::work::calls;

/// Requests and connections of the procedure.
pub const REQUESTS: u64 = 10_000;
const CONNECTIONS: usize = 100;
const TOOL: &str = "hey";

/// What came out.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Replay {
    /// Who sent the requests.
    pub tool: String,
    /// Path and requests a second, round by round.
    pub introspection: Vec<f64>,
    pub client_credentials: Vec<f64>,
}

impl Replay {
    pub fn lines(&self) -> [(&'static str, Option<Spread>, &'static str); 2] {
        [
            ("introspection", Spread::of(self.introspection.iter().copied()), "5,109 to 7,934"),
            ("client_credentials", Spread::of(self.client_credentials.iter().copied()), "411 to 513"),
        ]
    }
}

/// Runs both so many times.
pub async fn run(target: &Target, rounds: usize, requests: u64) -> Result<Replay> {
    let client = target.create_client(&machine("opaque")).await?;
    let token = target.token_call(&client);
    let introspection = target.introspection(&issue(&mut Wire::default(), &token).await?, "\"active\":true");
    let hey = Command::new(TOOL).arg("-h").output().is_ok();
    let mut found = Replay {
        tool: if hey { format!("{TOOL} -n {requests} -c {CONNECTIONS}") } else { own_name(requests) },
        introspection: Vec::new(),
        client_credentials: Vec::new(),
    };
    for _ in 0..rounds {
        for (call, rates) in [(&introspection, &mut found.introspection), (&token, &mut found.client_credentials)] {
            let rate = if hey { by_hey(call, requests)? } else { by_driver(call, requests).await? };
            println!("{} {}: {rate:.0} requests a second", found.tool, call.path);
            rates.push(rate);
        }
    }
    target.forget(&[client]).await;
    Ok(found)
}

fn own_name(requests: u64) -> String {
    format!("signet-loadtest (no {TOOL} here), {requests} requests, {CONNECTIONS} connections")
}

fn by_hey(call: &Call, requests: u64) -> Result<f64> {
    let mut hey = Command::new(TOOL);
    hey.args(["-n", &requests.to_string(), "-c", &CONNECTIONS.to_string(), "-m", call.method.as_str()]);
    hey.args(["-T", call.content_type, "-d", std::str::from_utf8(&call.body)?]);
    if let Some(authorization) = &call.authorization {
        hey.args(["-H", &format!("Authorization: {authorization}")]);
    }
    let done = hey.arg(format!("http://{}{}", call.origin.authority, call.path)).output().context("cannot run hey")?;
    rate_of(&String::from_utf8_lossy(&done.stdout), requests)
}

/// Requests a second from what hey prints; an error when not all of them were answered 200.
fn rate_of(said: &str, requests: u64) -> Result<f64> {
    let line = said.lines().find_map(|line| line.trim().strip_prefix("Requests/sec:"));
    let rate = line.context("hey told no rate")?.trim().parse().context("hey's rate is no number")?;
    let codes = said.split("Status code distribution:").nth(1).unwrap_or_default();
    let good =
        codes.lines().find_map(|line| line.trim().strip_prefix("[200]")?.split_whitespace().next()?.parse().ok());
    if good != Some(requests) {
        bail!("not every request was answered 200: {said}");
    }
    Ok(rate)
}

async fn by_driver(call: &Call, requests: u64) -> Result<f64> {
    const LONG: std::time::Duration = std::time::Duration::from_secs(600);
    let pace =
        Pace { connections: CONNECTIONS, rate: None, warmup: std::time::Duration::ZERO, duration: LONG, timeout: LONG };
    let (call, started) = (call.clone(), Instant::now());
    let source = calls(move |n| (n < requests).then(|| call.clone()));
    let tally = drive(source, pace, Window::new(&pace), std::sync::Arc::default()).await?;
    if tally.failed > 0 {
        bail!("{} requests failed", tally.failed);
    }
    Ok(requests as f64 / started.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(status: &str) -> String {
        format!(
            "\nSummary:\n  Total:\t0.5 secs\n  Requests/sec:\t19876.5432\n\nStatus code distribution:\n  {status}\n"
        )
    }

    #[test]
    fn the_rate_counts_when_every_request_was_answered() {
        assert_eq!(rate_of(&said("[200]\t10000 responses"), REQUESTS).ok(), Some(19876.5432));
        for wrong in ["[200]\t9999 responses\n  [503]\t1 responses", "[503]\t10000 responses", ""] {
            assert!(rate_of(&said(wrong), REQUESTS).is_err(), "{wrong}");
        }
        assert!(rate_of("", REQUESTS).is_err());
    }
}
