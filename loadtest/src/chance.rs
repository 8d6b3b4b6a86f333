//! Numbers that look random. A load test needs them unique and spread, not secret.

use std::hash::{BuildHasher as _, RandomState};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A number that differs from one call and one run to the next.
pub fn fresh() -> u64 {
    RandomState::new().hash_one(0_u8)
}

/// Mixes the bits of a number (the finish of splitmix64): neighbours end far apart.
pub fn mixed(n: u64) -> u64 {
    let mut z = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A text of 43 characters that differs from call to call, as long as a PKCE verifier must be.
pub fn text() -> String {
    let seed = fresh();
    let bytes: Vec<u8> = (0..4).flat_map(|n| mixed(seed ^ n).to_le_bytes()).collect();
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Chooses among `n` with the `k`-th being chosen in proportion to `1 / k`, as few clients make most of the traffic.
pub struct Zipf(Vec<f64>);

impl Zipf {
    pub fn new(n: usize) -> Self {
        let mut sum = 0.0;
        let weights = (1..=n).map(|k| {
            sum += 1.0 / k as f64;
            sum
        });
        Self(weights.collect())
    }

    /// The choice of draw number `n`, from 0.
    pub fn choose(&self, n: u64) -> usize {
        let total = self.0.last().copied().unwrap_or(0.0);
        // 53 bits are what a double holds.
        let point = (mixed(n) >> 11) as f64 / (1_u64 << 53) as f64 * total;
        self.0.partition_point(|sum| *sum <= point).min(self.0.len().saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_a_pkce_verifier_and_new_each_time() {
        assert_eq!(text().len(), 43);
        assert_ne!(text(), text());
    }

    #[test]
    fn the_first_of_a_thousand_is_chosen_an_eighth_of_the_time() {
        let zipf = Zipf::new(1000);
        let drawn: Vec<usize> = (0..100_000).map(|n| zipf.choose(n)).collect();
        let share = |k: usize| drawn.iter().filter(|d| **d == k).count() as f64 / drawn.len() as f64;
        // The thousandth harmonic number is 7.485.
        assert!((share(0) - 1.0 / 7.485).abs() < 0.01, "{}", share(0));
        assert!((share(1) - 0.5 / 7.485).abs() < 0.01, "{}", share(1));
        assert!(drawn.iter().all(|d| *d < 1000));
    }
}
