//! How throughput and latency go with the load: closed loops over few and many connections, then open loops at shares of
//! the best of them.

use std::sync::Arc;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::cli::CurveArgs;
use crate::drive::Pace;
use crate::growth::kinds;
use crate::measure::Bench;
use crate::report::Report;
use crate::run_set::shown;
use crate::scenarios::{Kind, Scenario};
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
    let most = args.connections.iter().copied().max().context("--connections names none")?;
    bench.quiet().await;
    let path = Path::prepare(kind, target, most).await?;
    let (mut closed, mut open) = (Vec::new(), Vec::new());
    for connections in &args.connections {
        closed.push(path.point(&bench.with_connections(*connections), target).await?);
    }
    let capacity = capacity(&closed);
    for share in &args.shares {
        let rate = capacity * f64::from(*share) / 100.0;
        open.push((*share, path.point(&bench.with_connections(most).at_rate(rate), target).await?));
    }
    if let Path::Ready(scenario) = &path {
        target.forget(&scenario.clients).await;
    }
    Ok(Curve { closed, open })
}

/// What is driven.
enum Path {
    /// The same clients and tokens at every point.
    Ready(Scenario),
    /// What a point leaves is used up, so each has its own.
    Anew(Kind),
}

impl Path {
    async fn prepare(kind: &Kind, target: &Target, workers: usize) -> Result<Self> {
        Ok(match kind {
            // A chain is a whole code flow before the run: one for each of the many connections.
            Kind::Refresh { .. } => Self::Anew(Kind::Refresh { id_token: false, duplicates: 0, chains: 1 }),
            kind => Self::Ready(kind.prepare(target, workers).await?),
        })
    }

    async fn point(&self, bench: &Bench, target: &Target) -> Result<Report> {
        Ok(shown(match self {
            Self::Ready(Scenario { name, unit, source, .. }) => bench.http(name, unit, Arc::clone(source)).await?,
            Self::Anew(kind) => {
                bench.quiet().await;
                kind.run(bench, target).await?
            }
        }))
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
