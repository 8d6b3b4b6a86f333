//! What was found apart from the set: the machine, the process, overload, growth, the tracks beside another product.

use std::fmt::Write as _;

use super::glance::thousands;
use super::goals::count;
use super::{Findings, hydra};
use crate::fair::Fair;
use crate::growth::{Growth, Size};
use crate::machine::Machine;
use crate::memory::Memory;
use crate::overload::Overload;
use crate::replay::Replay;
use crate::report::Report;
use crate::run_set::{BARE_HTTP, OPAQUE, REFRESH};
use crate::scenarios::COLD;
use crate::spread::Spread;

pub fn sections(found: &Findings) -> String {
    let tracks = found.tracks.iter().map(track);
    let sections = [
        found.machine.as_ref().map(machine),
        found.memory.as_ref().map(memory),
        found.overload.as_ref().map(overload),
        found.curve.as_deref().map(super::curve::section),
        found.growth.as_ref().map(|found| growth(found, "Growth")),
        found.growth_small.as_ref().map(small),
        found.replay.as_ref().map(replay),
    ];
    sections.into_iter().flatten().chain(tracks).collect()
}

fn machine(machine: &Machine) -> String {
    let Machine { cores, processor, memory_mb, kernel, fsync_us, settings } = machine;
    let list = |pairs: Vec<String>| if pairs.is_empty() { "not measured".to_owned() } else { pairs.join(", ") };
    let fsync = fsync_us.iter().map(|(name, micros)| format!("{name} {micros:.0} us")).collect();
    let settings = settings.iter().map(|(name, value)| format!("{name} = {value}")).collect();
    format!(
        "\n## The machine\n\n{cores} cores ({processor}), {memory_mb} MB of memory, Linux {kernel}.\n\npg_test_fsync, one \
         write of 8 kB: {}.\n\nPostgreSQL: {}.\n",
        list(fsync),
        list(settings)
    )
}

fn spread(found: Option<Spread>, digits: usize) -> String {
    let Some(Spread { low, median, high }) = found else { return "-".to_owned() };
    format!("{median:.digits$} ({low:.digits$} to {high:.digits$})")
}

fn rates(found: Option<Spread>) -> String {
    let Some(Spread { low, median, high }) = found else { return "-".to_owned() };
    format!("{} ({} to {})", thousands(median), thousands(low), thousands(high))
}

fn memory(memory: &Memory) -> String {
    let Memory { tokens, before_mb, peak_mb, after_mb, report } = memory;
    format!(
        "\n## Memory\n\n{} tokens at {}/s, introspection and refreshes among them: {before_mb:.0} MB before, at most \
         {peak_mb:.0} MB, {after_mb:.0} MB when the load had ended. Hydra {}: {:.0} MB idle, {:.0} MB loaded.\n",
        count(*tokens),
        thousands(report.parts.first().map_or(0.0, |part| part.per_second)),
        hydra::VERSION,
        hydra::IDLE_MB,
        hydra::LOADED_MB
    )
}

fn cores(report: &Report) -> String {
    let each = report.processes.iter().map(|(name, cost)| format!("{name} {:.2}", cost.cores));
    each.collect::<Vec<_>>().join(", ")
}

fn overload(found: &Overload) -> String {
    let Overload { strategy, factor, connections, pinned, rounds } = found;
    let mut text = format!(
        "\n## Overload\n\nclient_credentials, {strategy}; {pinned}. The peak is the best closed loop; the storm is an open \
         loop of {factor} times that over {connections} connections. Latency counts from the moment when a request was \
         due. Unloaded is the 99th percentile of an open loop at a tenth of the peak, before the storm.\n\n| round | peak/s | offered, times the peak | tokens/s in the storm | of the peak | p99 of tokens, ms | \
         unloaded, ms | p50 of 503, ms | p99 of 503, ms | health: asked, failed, p99 ms | cores in the storm | outcomes |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|---:|---|---|---|\n"
    );
    for (number, round) in rounds.iter().enumerate() {
        let outcomes = round.storm.outcomes.iter().map(|(name, n)| format!("{name}: {n}")).collect::<Vec<_>>();
        let milliseconds = |found: Option<f64>| found.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1}"));
        let _ = writeln!(
            text,
            "| {} | {:.0} | {:.1} | {:.0} | {:.2} | {} | {} | {} | {} | {}, {}, {:.1} | {} | {} |",
            number + 1,
            round.peak.per_second,
            round.offered(),
            round.storm.answered_per_second,
            round.storm.answered_per_second / round.peak.per_second.max(f64::MIN_POSITIVE),
            milliseconds(round.accepted_p99()),
            milliseconds(round.unloaded_p99()),
            milliseconds(round.refused_p50()),
            milliseconds(round.refused_p99()),
            round.probed.asked,
            round.probed.failed,
            round.probed.latency_ms.p99,
            cores(&round.storm),
            outcomes.join(", ")
        );
    }
    text
}

const INTROSPECT: &str = "introspect opaque";

/// Growth out of the buffers; the goals are of one that stays within them.
fn small(found: &Growth) -> String {
    let text = growth(found, "Growth with few buffers");
    let does = match found.outgrows_buffers() {
        Some(true) => "are larger than",
        Some(false) => "still fit into",
        None => return text,
    };
    text + &format!("\nThe indexes of the last size {does} shared_buffers; no goal is judged by this.\n")
}

fn growth(found: &Growth, title: &str) -> String {
    let mut text = format!(
        "\n## {title}\n\nRows of ballast of each kind; shared_buffers = {}. Cold introspections are drawn at random from \
         tokens issued between the ballast. Units a second, closed loop.\n\n| rows | bare handler | client_credentials | \
         introspection | introspection, cold (tokens) | refresh | rows, MB | indexes, MB |\n\
         |---:|---:|---:|---:|---:|---:|---|---|\n",
        found.shared_buffers
    );
    for size in &found.sizes {
        let of = |name: &str| rates(Spread::of(size.rates(name)));
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} ({}) | {} | {} | {} |",
            count(size.rows),
            of(BARE_HTTP),
            of(OPAQUE),
            of(INTROSPECT),
            of(COLD),
            size.cold,
            of(REFRESH),
            megabytes(size, |table| table.rows_mb),
            megabytes(size, |table| table.indexes_mb)
        );
    }
    let left = [OPAQUE, INTROSPECT, COLD, REFRESH];
    let left = left.map(|name| format!("{name} {}", spread(found.left(name), 2))).join(", ");
    let _ = writeln!(
        text,
        "\nOver the bare handler, a rate is taken as a share of the bare handler's in its round: so without what the machine \
         itself did between the sizes. The rates as they are, the last size against the first: {left}."
    );
    text.push_str(&janitor(found));
    text
}

fn megabytes(size: &Size, of: fn(&crate::seed::TableSize) -> f64) -> String {
    let sum: f64 = size.tables.iter().map(of).sum();
    let each = size.tables.iter().map(|table| format!("{} {:.0}", table.name, of(table)));
    format!("{sum:.0} ({})", each.collect::<Vec<_>>().join(", "))
}

fn janitor(found: &Growth) -> String {
    let mut text = String::new();
    for (number, swept) in found.janitor.iter().enumerate() {
        let (without, with) = (swept.without.latency_ms, swept.with.latency_ms);
        let _ = writeln!(
            text,
            "| {} | {} | {:.2} | {:.2} | {:.2} | {:.2} | {} |",
            number + 1,
            swept.without.pace,
            without.p50,
            without.p99,
            with.p50,
            with.p99,
            swept.rows
        );
    }
    if text.is_empty() {
        return "\nThe janitor was left out.\n".to_owned();
    }
    format!(
        "\nThe janitor, at the last size: client_credentials at half of the capacity, with nothing to sweep and then with \
         expired tokens.\n\n| round | pace | p50 without, ms | p99 without, ms | p50 with, ms | p99 with, ms | tokens \
         swept |\n|---|---|---:|---:|---:|---:|---:|\n{text}"
    )
}

fn replay(replay: &Replay) -> String {
    let mut text = format!(
        "\n## Hydra's published procedure\n\n{}, database in memory, no durability. Hydra's own figures are from its \
         repository and from another machine.\n\n| requests a second | here | Hydra, published |\n|---|---:|---:|\n",
        replay.tool
    );
    for (name, found, published) in replay.lines() {
        let _ = writeln!(text, "| {name} | {} | {published} |", rates(found));
    }
    text
}

fn track(found: &Fair) -> String {
    let mut text = format!("\n## Side by side: {}\n\nWhat is the same on all sides:\n\n", found.track.title());
    found.track.settings().iter().for_each(|line| text.push_str(&format!("- {line}\n")));
    if let Some(key) = &found.key {
        let _ = writeln!(text, "- the key of this run: {key}");
    }
    if found.sides.len() < 2 {
        text.push_str("\nOnly one side was run: there was no other server.\n");
    }
    let ratio = if found.sides.len() < 2 { "" } else { " first / second |" };
    let rule = if ratio.is_empty() { "" } else { "---:|" };
    let _ = writeln!(text, "\n| a second | {} |{ratio}", found.sides.join(" | "));
    let _ = writeln!(text, "|---|{}{rule}", "---:|".repeat(found.sides.len()));
    for (name, unit) in found.scenarios() {
        let each: Vec<_> = found.sides.iter().map(|side| rates(found.spread(side, name))).collect();
        let share = if ratio.is_empty() { String::new() } else { format!(" {} |", spread(found.ratio(name), 2)) };
        let _ = writeln!(text, "| {name}, {unit}s | {} |{share}", each.join(" | "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::TableSize;

    #[test]
    fn whether_the_indexes_outgrew_the_buffers_is_said() {
        let of = |buffers_mb, indexes_mb| {
            let table = TableSize { name: "access_token".to_owned(), rows_mb: 1.0, indexes_mb, dead: 0 };
            let size = Size { rows: 10, cold: 0, tables: vec![table.clone(), table], rounds: Vec::new() };
            small(&Growth { sizes: vec![size], buffers_mb, ..Growth::default() })
        };
        assert!(of(64.0, 33.0).contains("last size are larger than shared_buffers"));
        assert!(of(64.0, 32.0).contains("last size still fit into shared_buffers"));
        assert!(!of(0.0, 32.0).contains("no goal"));
    }
}
