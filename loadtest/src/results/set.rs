//! A set as markdown, with its charts beside it.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;

use super::hydra;
use super::plot::{Bar, draw};
use crate::report::table::{MARKDOWN_HEADING, markdown_row};
use crate::report::{Part, warning};
use crate::run_set::{BARE_HTTP, Found, MIXED, OPAQUE, SINGLE};
use crate::spread::Spread;

/// All that is said of a set; its charts go into the folder.
pub fn sections(found: &Found, folder: &Path, name: &str) -> Result<String> {
    let charts = charts(found, folder, name)?;
    Ok([glance(found), ratios(found), parts(found), charts, rounds(found)].concat())
}

/// Every scenario in a line: median over the rounds, with the lowest and the highest.
fn glance(found: &Found) -> String {
    let mut text = format!(
        "\n## Every scenario\n\nMedian over the rounds, with the lowest and the highest. The column for Ory Hydra was \
         measured on another day on a machine of this kind: take it for its order of magnitude.\n\n\
         | a second | here | range | of the bare handler | range | Hydra {} | about |\n|---|---:|---|---:|---|---|---:|\n",
        hydra::VERSION
    );
    for (name, unit) in found.scenarios() {
        let Some(rate) = Spread::of(found.rates(name)) else { continue };
        let share = found.ratio(name, BARE_HTTP).map_or_else(
            || "- | -".to_owned(),
            |share| format!("{:.3} | {:.3} to {:.3}", share.median, share.low, share.high),
        );
        let theirs = hydra::figure(name).map_or_else(
            || "- | -".to_owned(),
            |(figure, note)| format!("{figure:.0}{} | {}", remark(note), times(rate.median / figure)),
        );
        let _ = writeln!(
            text,
            "| {name}, {unit}s | {:.0} | {:.0} to {:.0} | {share} | {theirs} |",
            rate.median, rate.low, rate.high
        );
    }
    text
}

fn times(factor: f64) -> String {
    if factor < 10.0 { format!("{factor:.1}×") } else { format!("{factor:.0}×") }
}

fn remark(note: &str) -> String {
    if note.is_empty() { String::new() } else { format!(" ({note})") }
}

/// What is held against the disk instead of the handler.
fn ratios(found: &Found) -> String {
    let (single, batched) = (SINGLE, format!("bare-insert {}/commit", found.batch));
    let mut text = String::new();
    for (scenario, limit) in [(OPAQUE, single), (OPAQUE, &batched), (&batched, single)] {
        if let Some(share) = found.ratio(scenario, limit) {
            let _ = writeln!(
                text,
                "| {scenario} : {limit} | {:.2} | {:.2} to {:.2} |",
                share.median, share.low, share.high
            );
        }
    }
    if text.is_empty() {
        text
    } else {
        format!("\n## Against the disk\n\n| what | ratio | range |\n|---|---:|---|\n{text}")
    }
}

/// The steps of a flow and the kinds of the mix.
fn parts(found: &Found) -> String {
    let mut text = String::new();
    for (scenario, title) in [("code-flow ES256", "The requests of a code flow"), (MIXED, "The kinds of the mix")] {
        let Some(first) = found.rounds.iter().flatten().find(|report| report.scenario == scenario) else { continue };
        let _ = write!(
            text,
            "\n## {title}\n\nMilliseconds under full load; median over the rounds.\n\n| part | p50 | p99 |\n|---|---:|---:|\n"
        );
        for part in &first.parts {
            let of = |pick: &dyn Fn(&Part) -> f64| {
                let rounds = found.rounds.iter().flatten().filter(|report| report.scenario == scenario);
                let same = rounds.filter_map(|report| report.parts.iter().find(|other| other.name == part.name));
                Spread::of(same.map(pick)).map_or(0.0, |spread| spread.median)
            };
            let (p50, p99) = (of(&|part| part.latency_ms.p50), of(&|part| part.latency_ms.p99));
            let _ = writeln!(text, "| {} | {p50:.2} | {p99:.2} |", part.name);
        }
    }
    text
}

/// Draws a chart for every scenario and shows them.
fn charts(found: &Found, folder: &Path, name: &str) -> Result<String> {
    let mut text = "\n## Charts\n".to_owned();
    for (scenario, unit) in found.scenarios() {
        let rates = found.rates(scenario).into_iter().enumerate();
        let mut bars: Vec<Bar> =
            rates.map(|(n, value)| Bar { label: format!("round {}", n + 1), value, ours: true }).collect();
        if let Some((value, _)) = hydra::figure(scenario) {
            bars.push(Bar { label: format!("Hydra {}", hydra::VERSION), value, ours: false });
        }
        let file = format!("{}.svg", scenario.to_lowercase().replace(' ', "-"));
        draw(&folder.join(&file), &format!("{scenario}: {unit}s a second"), &bars)?;
        let _ = writeln!(text, "\n![{scenario}, {unit}s a second]({name}/{file})");
    }
    Ok(text)
}

fn rounds(found: &Found) -> String {
    let mut text = String::new();
    for (number, reports) in found.rounds.iter().enumerate() {
        let _ = write!(text, "\n## Round {}\n\n{MARKDOWN_HEADING}", number + 1);
        reports.iter().for_each(|report| text.push_str(&markdown_row(report)));
        for (report, warning) in reports.iter().filter_map(|report| Some((report, warning(report)?))) {
            let _ = writeln!(text, "\nVoid: {} ({warning}).", report.scenario);
        }
    }
    text
}
