//! A set as a file of markdown, with its charts beside it.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};

use super::hydra;
use super::plot::{Bar, draw};
use super::{BARE_HTTP, CODE_FLOW, Found, MIXED, OPAQUE, Spread};
use crate::report::table::{MARKDOWN_HEADING, markdown_row};
use crate::report::{Part, warning};

/// Writes the markdown, and the charts into a folder of its name.
pub fn write(found: &Found, markdown: &Path) -> Result<()> {
    let folder = markdown.with_extension("");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let name = folder.file_name().context("the markdown has no name")?.to_string_lossy().into_owned();
    let charts = charts(found, &folder, &name)?;
    let text = [head(), glance(found), ratios(found), parts(found), memory(found), charts, rounds(found)].concat();
    std::fs::write(markdown, text).with_context(|| format!("cannot write {}", markdown.display()))
}

fn head() -> String {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    format!(
        "# Load test results\n\nServer, database and generator shared one machine with {cores} cores, so absolute \
         figures are low; the ratios compare runs of the same minutes. The column for Ory Hydra {} was measured on \
         another day on a machine of this kind: take it for its order of magnitude.\n",
        hydra::VERSION
    )
}

/// Every scenario in a line: median over the rounds, with the lowest and the highest.
fn glance(found: &Found) -> String {
    let mut text = format!(
        "\n## At a glance\n\nMedian over the rounds, with the lowest and the highest.\n\n\
         | a second | {} | range | of the bare handler | range | Hydra {} | about |\n|---|---:|---|---:|---|---|---:|\n",
        found.alg,
        hydra::VERSION
    );
    for (name, unit) in found.scenarios() {
        let Some(rate) = Spread::of(found.rates(name)) else { continue };
        let share = found.ratio(name, BARE_HTTP).map_or_else(
            || "- | -".to_owned(),
            |share| format!("{:.3} | {:.3} to {:.3}", share.median, share.low, share.high),
        );
        let theirs = hydra::figure(name, &found.alg).map_or_else(
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
    let (single, batched) = ("bare-insert 1/commit", format!("bare-insert {}/commit", found.batch));
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
    for (scenario, title) in [(CODE_FLOW, "The requests of a code flow"), (MIXED, "The kinds of the mix")] {
        let Some(first) = found.rounds.iter().flatten().find(|report| report.scenario == scenario) else { continue };
        let _ = write!(
            text,
            "\n## {title}\n\nMilliseconds under full load; median over the rounds.\n\n| part | p50 | p99 |\n|---|---:|---:|\n"
        );
        for part in &first.parts {
            let of = |pick: &dyn Fn(&Part) -> f64| {
                let rounds = found.rounds.iter().flatten().filter(|report| report.scenario == scenario);
                let same = rounds.filter_map(|report| report.parts.iter().find(|other| other.name == part.name));
                Spread::of(same.map(pick).collect()).map_or(0.0, |spread| spread.median)
            };
            let (p50, p99) = (of(&|part| part.latency_ms.p50), of(&|part| part.latency_ms.p99));
            let _ = writeln!(text, "| {} | {p50:.2} | {p99:.2} |", part.name);
        }
    }
    text
}

fn memory(found: &Found) -> String {
    let loaded = found.rounds.iter().flatten().filter_map(|report| report.processes.get("server"));
    let loaded = loaded.map(|cost| cost.peak_rss_mb).reduce(f64::max);
    let mut text = String::new();
    for (what, ours, theirs, unit) in [
        ("memory before the first request", found.idle_mb, hydra::IDLE_MB, "MB"),
        ("memory under load, peak", loaded, hydra::LOADED_MB, "MB"),
        ("ready after its start", found.ready_ms, hydra::READY_MS, "ms"),
    ] {
        if let Some(ours) = ours {
            let _ = writeln!(text, "| {what} | {ours:.0} {unit} | {theirs:.0} {unit} |");
        }
    }
    if text.is_empty() {
        return text;
    }
    format!("\n## The process\n\n| | here | Hydra {} |\n|---|---:|---:|\n{text}", hydra::VERSION)
}

/// Draws a chart for every scenario and shows them.
fn charts(found: &Found, folder: &Path, name: &str) -> Result<String> {
    let mut text = "\n## Charts\n".to_owned();
    for (scenario, unit) in found.scenarios() {
        let rates = found.rates(scenario).into_iter().enumerate();
        let mut bars: Vec<Bar> =
            rates.map(|(n, value)| Bar { label: format!("round {}", n + 1), value, ours: true }).collect();
        if let Some((value, _)) = hydra::figure(scenario, &found.alg) {
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
