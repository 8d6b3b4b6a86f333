//! Figures of several rounds, told as one.

use serde::{Deserialize, Serialize};

/// The lowest, the middle and the highest of some figures.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    pub low: f64,
    pub median: f64,
    pub high: f64,
}

impl Spread {
    pub fn of(found: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut found: Vec<f64> = found.into_iter().collect();
        found.sort_by(f64::total_cmp);
        // Of an even number the middle two.
        let median = f64::midpoint(*found.get(found.len().checked_sub(1)? / 2)?, *found.get(found.len() / 2)?);
        Some(Self { low: *found.first()?, median, high: *found.last()? })
    }

    /// Of one figure.
    pub fn single(value: f64) -> Self {
        Self { low: value, median: value, high: value }
    }

    /// Of the shares of one figure in another, pair by pair; one of nothing is left out.
    pub fn shares(pairs: impl IntoIterator<Item = (f64, f64)>) -> Option<Self> {
        Self::of(pairs.into_iter().filter(|(_, whole)| *whole > 0.0).map(|(part, whole)| part / whole))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_two_is_between_them() {
        let spread = |low, median, high| Some(Spread { low, median, high });
        assert_eq!(Spread::of([3.0, 1.0]), spread(1.0, 2.0, 3.0));
        assert_eq!(Spread::of([5.0, 1.0, 4.0]), spread(1.0, 4.0, 5.0));
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn a_share_of_nothing_is_none() {
        assert_eq!(Spread::shares([(1.0, 2.0), (3.0, 0.0)]), Some(Spread::single(0.5)));
        assert_eq!(Spread::shares([(1.0, 0.0)]), None);
    }
}
