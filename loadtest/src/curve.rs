//! How throughput and latency go with the load: closed loops over few and many connections, then open loops at shares of
//! the best of them.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::cli::CurveArgs;
use crate::drive::Pace;
use crate::growth::kinds;
use crate::measure::Bench;
use crate::report::Report;
use crate::run_set::shown;
use crate::scenarios::Kind;
use crate::target::Target;

/// The warm-up is this part of a point: the points before have warmed the server.
const WARM_UP: u32 = 20;

/// One path, from an idle server to a full one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Curve {
    pub closed: Vec<Report>,
    /// Each with the percentage of the capacity.
    pub open: Vec<(u8, Report)>,
}

/// Runs what touches the stores: new tokens, introspection, refresh.
pub async fn run(bench: &Bench, target: &Target, args: &CurveArgs) -> Result<Vec<Curve>> {
    let pace = Pace { warmup: bench.pace.duration / WARM_UP, ..bench.pace };
    let bench = Bench { pace, ..bench.clone() };
    let mut curves = Vec::new();
    for kind in kinds() {
        curves.push(curve(&bench, target, &kind, args).await?);
    }
    Ok(curves)
}

async fn curve(bench: &Bench, target: &Target, kind: &Kind, args: &CurveArgs) -> Result<Curve> {
    let mut closed = Vec::new();
    for connections in &args.connections {
        closed.push(point(&bench.with_connections(*connections), target, kind).await?);
    }
    let most = args.connections.iter().copied().max().context("--connections names none")?;
    let (capacity, mut open) = (capacity(&closed), Vec::new());
    for share in &args.shares {
        let rate = capacity * f64::from(*share) / 100.0;
        open.push((*share, point(&bench.with_connections(most).at_rate(rate), target, kind).await?));
    }
    Ok(Curve { closed, open })
}

async fn point(bench: &Bench, target: &Target, kind: &Kind) -> Result<Report> {
    bench.quiet().await;
    Ok(shown(one_chain_each(kind).run(bench, target).await?))
}

/// Each chain is a whole code flow before the run, and there are many connections.
fn one_chain_each(kind: &Kind) -> Kind {
    match kind {
        Kind::Refresh { .. } => Kind::Refresh { id_token: false, duplicates: 0, chains: 1 },
        other => other.clone(),
    }
}

/// The best closed loop.
fn capacity(closed: &[Report]) -> f64 {
    closed.iter().map(|report| report.per_second).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::made_up;

    #[test]
    fn the_capacity_is_the_best_closed_loop_wherever_it_is() {
        let closed = [50.0, 300.0, 280.0].map(|rate| made_up("a", rate, 1.0));
        assert_eq!(capacity(&closed), 300.0);
        assert_eq!(capacity(&[]), 0.0);
    }
}
