//! How many commits under way at once suit the database, found by trying.
//!
//! On a quick disk one or two lanes are best: more make batches smaller and statements dearer. On a slow one more lanes
//! hide the wait for it. Which it is no setting knows, so now and then a busy writer tries one lane more or one less for a
//! moment and stays with what wrote more rows.

use std::time::{Duration, Instant};

/// Where it begins, and its bounds.
const FIRST: usize = 2;
const MOST: usize = 4;
/// How long a width is looked at, and for how many commits at least.
const WINDOW: Duration = Duration::from_millis(250);
const COMMITS: u32 = 16;
/// Windows between two trials.
const REST: u32 = 8;
/// What another width must write more: less is noise.
const BETTER: f64 = 1.05;

/// The number of lanes, and what is known of it.
pub(super) struct Width {
    lanes: usize,
    /// Rows a second at this width, lately.
    rate: Option<f64>,
    /// The width that is tried in this window.
    trial: Option<usize>,
    /// Tries upwards next, else downwards.
    up: bool,
    rested: u32,
    window: Window,
}

#[derive(Default)]
struct Window {
    began: Option<Instant>,
    rows: u32,
    commits: u32,
    /// A commit ended and nobody waited: then it was not the width that bounded the rate.
    idle: bool,
}

impl Width {
    /// Two lanes.
    pub(super) const fn new() -> Self {
        let window = Window { began: None, rows: 0, commits: 0, idle: false };
        Self { lanes: FIRST, rate: None, trial: None, up: true, rested: 0, window }
    }

    /// How many commits may be under way now.
    pub(super) fn lanes(&self) -> usize {
        self.trial.unwrap_or(self.lanes)
    }

    /// A commit of so many rows has ended; `waiting` tells whether others wait for a lane.
    pub(super) fn committed(&mut self, now: Instant, rows: usize, waiting: bool) {
        let began = *self.window.began.get_or_insert(now);
        self.window.rows = self.window.rows.saturating_add(u32::try_from(rows).unwrap_or(u32::MAX));
        self.window.commits += 1;
        self.window.idle |= !waiting;
        let span = now.duration_since(began);
        if span < WINDOW || self.window.commits < COMMITS {
            return;
        }
        let seen = std::mem::take(&mut self.window);
        self.window.began = Some(now);
        if seen.idle {
            self.trial = None;
        } else {
            self.judge(f64::from(seen.rows) / span.as_secs_f64());
        }
    }

    /// A busy window wrote rows at this rate.
    fn judge(&mut self, rate: f64) {
        match (self.trial.take(), self.rate) {
            (Some(tried), Some(usual)) if rate > usual * BETTER => {
                (self.lanes, self.rate) = (tried, Some(rate));
            }
            (Some(tried), _) => self.up = tried < self.lanes,
            (None, usual) => {
                self.rate = Some(usual.map_or(rate, |usual| f64::midpoint(usual, rate)));
                self.rested += 1;
                if self.rested >= REST {
                    (self.rested, self.trial) = (0, Some(self.neighbour()));
                }
            }
        }
    }

    const fn neighbour(&self) -> usize {
        match (self.up, self.lanes) {
            (true, MOST) | (false, 2..) => self.lanes - 1,
            _ => self.lanes + 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A writer and the time.
    struct Played(Width, Instant);

    impl Played {
        fn new() -> Self {
            Self(Width::new(), Instant::now())
        }

        /// A minute on a database that writes `rate(lanes)` rows a second; the lanes at its end.
        fn minute(&mut self, waiting: bool, rate: impl Fn(usize) -> f64) -> usize {
            let Self(width, now) = self;
            for _ in 0..30_000 {
                *now += Duration::from_millis(2);
                width.committed(*now, (rate(width.lanes()) * 0.002) as usize, waiting);
            }
            width.lanes
        }
    }

    #[test]
    fn a_slow_disk_gets_more_lanes_and_a_quick_one_fewer() {
        let slow = |lanes: usize| 9_000.0 * (lanes as f64).powf(0.6);
        let quick = |lanes: usize| 60_000.0 / (lanes as f64).powf(0.4);
        let mut played = Played::new();
        assert_eq!(played.minute(true, slow), MOST);
        assert_eq!(played.minute(true, quick), 1, "and it changes its mind");
        assert_eq!(played.minute(true, slow), MOST);
    }

    #[test]
    fn without_a_difference_or_without_load_it_stays() {
        assert_eq!(Played::new().minute(true, |_| 20_000.0), FIRST);
        assert_eq!(Played::new().minute(false, |lanes| 9_000.0 * lanes as f64), FIRST);
    }
}
