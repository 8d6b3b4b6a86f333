//! `metrics list`: every metric that a server may expose, from the table that servers record into. Dashboards and alerts
//! are checked against it.

use serde_json::{Map, Value, json};

use super::output::{Row, Show};
use crate::http::{admin, gateway, metrics, public};
use crate::store::{self, SweepCounts};
use crate::telemetry::metrics::{Described, Metrics as Table};

/// `metrics …`.
#[derive(Debug, clap::Subcommand)]
pub enum Metrics {
    /// List every metric: name, type, labels with the values they can have, meaning
    ///
    /// A running server exposes those that have something to say. A histogram is exposed as NAME_bucket, NAME_sum and
    /// NAME_count. Values of null depend on the installation.
    #[command(after_help = super::help::METRICS)]
    List(Show),
}

/// Runs it.
///
/// # Errors
/// When a path of `--format` leads nowhere.
pub fn run(command: &Metrics) -> anyhow::Result<()> {
    let Metrics::List(show) = command;
    let table = Table::new(env!("CARGO_PKG_VERSION"))?;
    let rows: Vec<Row> = table.described().iter().map(row).collect();
    let items: Vec<Value> = table.described().iter().map(item).collect();
    show.list(&["NAME", "TYPE", "LABELS", "HELP"], &rows, &json!({"items": items}), "")
}

fn row(of: &Described) -> Row {
    let labels: Vec<&str> = of.labels.iter().map(|label| label.name).collect();
    let cells = vec![of.name.clone(), of.kind.as_str().to_owned(), labels.join(","), of.help.clone()];
    Row { id: of.name.clone(), cells }
}

fn item(of: &Described) -> Value {
    let labels: Map<String, Value> = of
        .labels
        .iter()
        .map(|label| {
            let values = if label.values.is_empty() { elsewhere(label.name) } else { label.values.to_vec() };
            let values = if values.is_empty() { Value::Null } else { json!(values) };
            (label.name.to_owned(), values)
        })
        .collect();
    json!({"name": of.name, "type": of.kind.as_str(), "labels": labels, "help": of.help})
}

/// Label values that other rooms decide.
fn elsewhere(label: &str) -> Vec<&'static str> {
    match label {
        "http_route" | "endpoint" => {
            let routes = public::ROUTES.iter().chain(&admin::ROUTES).chain(&gateway::ROUTES).chain(&metrics::ROUTES);
            let mut patterns: Vec<_> = routes.map(|(_, pattern)| *pattern).chain(["unmatched"]).collect();
            patterns.sort_unstable();
            patterns.dedup();
            patterns
        }
        "db_operation_name" => store::operations().to_vec(),
        "table" => SweepCounts::TABLES.to_vec(),
        _ => Vec::new(),
    }
}
