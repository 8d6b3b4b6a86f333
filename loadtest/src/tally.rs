//! What was seen inside the measured window: of whole units of work, and of their parts by name.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use hdrhistogram::Histogram;

use crate::http::connection::Step;
use crate::work::Unit;

/// The longest time a histogram tells apart, in microseconds: ten minutes.
const LONGEST: u64 = 600_000_000;

/// What one worker, and by addition a whole run, has seen.
pub struct Tally {
    pub latency: Histogram<u64>,
    pub outcomes: BTreeMap<String, u64>,
    pub failed: u64,
    /// Units begun inside the window, and successes that ended in it, whenever they were due: an open loop that runs
    /// late counts here what really happened in that time.
    pub begun: u64,
    pub answered: u64,
    pub last: Option<Instant>,
    /// Kinds of units, or steps of one.
    pub parts: BTreeMap<&'static str, Part>,
}

/// The same of one part, to two digits: there are many of them, in every worker.
pub struct Part {
    pub latency: Histogram<u32>,
    pub failed: u64,
}

impl Part {
    fn new() -> Result<Self> {
        Ok(Self { latency: Histogram::new_with_bounds(1, LONGEST, 2)?, failed: 0 })
    }
}

impl Tally {
    pub fn new() -> Result<Self> {
        Ok(Self {
            latency: Histogram::new_with_bounds(1, LONGEST, 3)?,
            outcomes: BTreeMap::new(),
            failed: 0,
            begun: 0,
            answered: 0,
            last: None,
            parts: BTreeMap::new(),
        })
    }

    /// Counts a unit of work.
    pub fn record(&mut self, unit: &Unit, took: Duration) -> Result<()> {
        self.latency.saturating_record(micros(took));
        match self.outcomes.get_mut(&*unit.outcome) {
            Some(count) => *count += 1,
            None => drop(self.outcomes.insert(unit.outcome.clone().into_owned(), 1)),
        }
        self.failed += u64::from(!unit.ok);
        self.last = Some(Instant::now());
        unit.kind.map_or(Ok(()), |name| self.part(&Step { name, took, ok: unit.ok }))
    }

    /// Counts a part.
    pub fn part(&mut self, step: &Step) -> Result<()> {
        let part = part_of(&mut self.parts, step.name)?;
        part.latency.saturating_record(micros(step.took));
        part.failed += u64::from(!step.ok);
        Ok(())
    }

    pub fn add(&mut self, other: &Self) -> Result<()> {
        self.latency.add(&other.latency)?;
        for (outcome, count) in &other.outcomes {
            *self.outcomes.entry(outcome.clone()).or_default() += count;
        }
        for (name, seen) in &other.parts {
            let part = part_of(&mut self.parts, name)?;
            part.latency.add(&seen.latency)?;
            part.failed += seen.failed;
        }
        self.failed += other.failed;
        self.begun += other.begun;
        self.answered += other.answered;
        self.last = self.last.max(other.last);
        Ok(())
    }
}

fn part_of<'a>(parts: &'a mut BTreeMap<&'static str, Part>, name: &'static str) -> Result<&'a mut Part> {
    use std::collections::btree_map::Entry;
    match parts.entry(name) {
        Entry::Occupied(entry) => Ok(entry.into_mut()),
        Entry::Vacant(entry) => Ok(entry.insert(Part::new()?)),
    }
}

fn micros(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}
