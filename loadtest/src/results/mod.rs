//! The report: the goals first, then what every part of a run has found, with charts in a folder of its name.

mod curve;
mod glance;
mod goals;
mod hydra;
mod once;
mod parts;
mod plot;
mod set;

use std::path::Path;

use anyhow::{Context, Result};

use crate::curve::Curve;
use crate::fair::{Fair, Track};
use crate::folder::Folder;
use crate::growth::Growth;
use crate::machine::Machine;
use crate::memory::Memory;
use crate::overload::Overload;
use crate::replay::Replay;
use crate::run_set::Found;
use crate::starts::Starts;

/// The names under which the parts are kept.
pub const MACHINE: &str = "machine";
pub const SET: &str = "set";
pub const STARTS: &str = "starts";
pub const MEMORY: &str = "memory";
pub const OVERLOAD: &str = "overload";
pub const GROWTH: &str = "growth";
/// With shared_buffers smaller than the indexes.
pub const GROWTH_SMALL: &str = "growth-small";
pub const CURVE: &str = "curve";
pub const REPLAY: &str = "replay";

/// The name of a track's part.
pub const fn track(track: Track) -> &'static str {
    match track {
        Track::Defaults => "fair-defaults",
        Track::Equalised => "fair-equalised",
    }
}

/// All that was found; what was not run is not there.
#[derive(Default)]
pub struct Findings {
    machine: Option<Machine>,
    set: Option<Found>,
    starts: Option<Starts>,
    memory: Option<Memory>,
    overload: Option<Overload>,
    growth: Option<Growth>,
    growth_small: Option<Growth>,
    curve: Option<Vec<Curve>>,
    replay: Option<Replay>,
    tracks: Vec<Fair>,
}

impl Findings {
    pub fn read(folder: &Folder) -> Result<Self> {
        let tracks = [Track::Defaults, Track::Equalised].map(|name| folder.read(track(name)));
        Ok(Self {
            machine: folder.read(MACHINE)?,
            set: folder.read(SET)?,
            starts: folder.read(STARTS)?,
            memory: folder.read(MEMORY)?,
            overload: folder.read(OVERLOAD)?,
            growth: folder.read(GROWTH)?,
            growth_small: folder.read(GROWTH_SMALL)?,
            curve: folder.read(CURVE)?,
            replay: folder.read(REPLAY)?,
            tracks: tracks.into_iter().filter_map(Result::transpose).collect::<Result<_>>()?,
        })
    }

    /// Writes the markdown, and the charts into a folder of its name; `note` is a sentence about this run.
    pub fn write(&self, markdown: &Path, note: &str) -> Result<()> {
        let folder = markdown.with_extension("");
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let name = folder.file_name().context("the markdown has no name")?.to_string_lossy().into_owned();
        let set = match &self.set {
            Some(set) => set::sections(set, &folder, &name)? + &once::section(&set.once),
            None => String::new(),
        };
        let text = [head(note), glance::table(&goals::all(self)), parts::sections(self), set].concat();
        std::fs::write(markdown, text).with_context(|| format!("cannot write {}", markdown.display()))
    }
}

fn head(note: &str) -> String {
    let note = if note.is_empty() { String::new() } else { format!("{note}\n\n") };
    format!(
        "# Load test results\n\n{note}Server, database and generator share one machine, so absolute figures are low; a \
         ratio compares runs of the same round. A goal is reached when the median over the rounds reaches it.\n\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::growth::Size;
    use crate::report::{Part, Report, made_up};
    use crate::spread::Spread;
    use crate::{run_set, scenarios};
    use goals::{Limit, Unit};

    #[test]
    fn every_goal_has_a_line_before_anything_was_measured() {
        let goals = goals::all(&Findings::default());
        assert_eq!(goals.len(), 30);
        assert!(goals.iter().all(|goal| goal.found.is_none() && goal.reached().is_none()));
    }

    #[test]
    fn a_slow_disk_is_named_beside_the_goal_for_quick_ones() {
        let machine = |micros| Machine { fsync_us: vec![("fdatasync".to_owned(), micros)], ..Machine::default() };
        let path = |micros| {
            let found = Findings { machine: Some(machine(micros)), ..Findings::default() };
            goals::all(&found).into_iter().find(|goal| goal.limit == Limit::AtLeast(15_000.0)).map(|goal| goal.path)
        };
        assert!(path(600.0).is_some_and(|path| path.ends_with("(0.60 ms here)")));
        assert!(path(3000.0).is_some_and(|path| path.contains("does not bind")));
    }

    #[test]
    fn growth_is_judged_as_it_is_and_over_the_bare_handler() {
        let report = |name: &str, rate| made_up(&format!("{name}, 1 rows"), rate, 1.0);
        let size = |rows, bare, ours| Size {
            rows,
            cold: 0,
            tables: Vec::new(),
            rounds: vec![vec![report(run_set::BARE_HTTP, bare), report(run_set::OPAQUE, ours)]],
        };
        // The machine itself became half as fast.
        let sizes = vec![size(10_000, 100.0, 50.0), size(10_000_000, 50.0, 25.0)];
        let growth = Some(Growth { sizes, ..Growth::default() });
        let goals = goals::all(&Findings { growth, ..Findings::default() });
        let lines: Vec<_> = goals.iter().filter_map(|goal| Some((goal.path.as_str(), goal.found?.median))).collect();
        let path = "client_credentials, throughput with 10M rows / with 10k";
        assert_eq!(lines, [(path, 0.5), (&*format!("{path}, each over the bare handler"), 1.0)]);
    }

    #[test]
    fn staleness_is_judged_by_the_time_to_inactive() {
        let latency_ms = made_up("a", 1.0, 51.0).latency_ms;
        let (name, buckets) = (scenarios::INACTIVE_AFTER.into(), Vec::new());
        let part = Part { name, count: 1, failed: 0, per_second: 1.0, latency_ms, buckets };
        let once = vec![Report { parts: vec![part], ..made_up(scenarios::STALENESS, 1.0, 1.0) }];
        let set = Some(Found { rounds: Vec::new(), once, batch: 1 });
        let goals = goals::all(&Findings { set, ..Findings::default() });
        let judged: Vec<_> = goals.iter().filter_map(|goal| Some((goal.limit, goal.found?, goal.reached()))).collect();
        assert_eq!(judged, [(Limit::AtMost(50.0), Spread::single(51.0), Some(false))]);
    }

    #[test]
    fn starts_are_judged_by_their_median() {
        let starts = Starts { ready_ms: vec![90.0, 300.0, 95.0], idle_mb: vec![20.0, 20.0, 21.0] };
        let goals = goals::all(&Findings { starts: Some(starts), ..Findings::default() });
        let ready = goals.iter().find(|goal| goal.unit == Unit::Milliseconds && goal.found.is_some());
        assert_eq!(ready.and_then(|goal| goal.found), Some(Spread { low: 90.0, median: 95.0, high: 300.0 }));
        assert_eq!(ready.and_then(goals::Goal::reached), Some(true));
    }
}
