//! User codes (RFC 8628 §6.1): short enough to type, so they are looked up by a keyed hash, and whoever guesses is
//! counted elsewhere.

use super::world::{Entropy, NoEntropy};
use crate::crypto::seal::{MacRing, Secrets};

/// How user codes look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserCodeFormat {
    /// The characters of its alphabet, each once.
    alphabet: Vec<char>,
    length: usize,
}

/// Letters and digits without those that look alike.
const HIGH: &str = "abcdefghijkmnpqrstuvwxyzACDEFGHJKLMNPQRTUVWXY34679";
const MEDIUM: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const LOW: &str = "0123456789";

/// An alphabet must have at least so many characters.
pub const FEWEST_CHARACTERS: usize = 8;

impl UserCodeFormat {
    /// The format of a preset (`high`, `medium` or `low`; `high` for anything else), with its own length or alphabet in
    /// the preset's place. `None` for an alphabet of fewer than [`FEWEST_CHARACTERS`].
    pub fn new(preset: &str, length: Option<u8>, characters: Option<&str>) -> Option<Self> {
        let (own, usual) = match preset {
            "low" => (LOW, 9),
            "medium" => (MEDIUM, 8),
            _ => (HIGH, 8),
        };
        let mut alphabet: Vec<char> = characters.unwrap_or(own).chars().collect();
        alphabet.sort_unstable();
        alphabet.dedup();
        let length = length.map_or(usual, usize::from);
        (alphabet.len() >= FEWEST_CHARACTERS).then_some(Self { alphabet, length })
    }

    /// What was meant by what somebody typed: without spaces and dashes, and in the alphabet's case where it has but
    /// one.
    pub fn normalise(&self, typed: &str) -> String {
        let dash = |c: char| matches!(c, '-' | '\u{2010}'..='\u{2015}');
        let meant = |c: &char| self.alphabet.contains(c) || !(c.is_whitespace() || dash(*c));
        let kept = typed.chars().filter(meant);
        let has = |case: fn(char) -> bool| self.alphabet.iter().any(|c| case(*c));
        match (has(char::is_uppercase), has(char::is_lowercase)) {
            (true, false) => kept.flat_map(char::to_uppercase).collect(),
            (false, true) => kept.flat_map(char::to_lowercase).collect(),
            _ => kept.collect(),
        }
    }

    fn generate(&self, entropy: &dyn Entropy) -> Result<String, NoEntropy> {
        let size = u32::try_from(self.alphabet.len()).unwrap_or(u32::MAX).max(1);
        // The rest of the range would favour the first characters.
        let fair = u32::MAX - u32::MAX % size;
        let mut code = String::new();
        let mut left = self.length;
        while left > 0 {
            let drawn = u32::from_be_bytes(entropy.bytes()?);
            let at = usize::try_from(drawn % size).unwrap_or_default();
            if let (true, Some(character)) = (drawn < fair, self.alphabet.get(at)) {
                code.push(*character);
                left -= 1;
            }
        }
        Ok(code)
    }
}

/// Makes user codes and finds them again.
#[derive(Clone, Debug)]
pub struct UserCodes {
    format: UserCodeFormat,
    ring: MacRing,
}

impl UserCodes {
    /// Codes of this format under the system secrets.
    pub fn new(format: UserCodeFormat, secrets: &Secrets) -> Self {
        Self { format, ring: secrets.mac_ring("code/user") }
    }

    /// A new code, every one as likely as any other.
    ///
    /// # Errors
    /// [`NoEntropy`].
    pub fn generate(&self, entropy: &dyn Entropy) -> Result<String, NoEntropy> {
        self.format.generate(entropy)
    }

    /// What was meant by what somebody typed.
    pub fn normalise(&self, typed: &str) -> String {
        self.format.normalise(typed)
    }

    /// The key of a new code's row, under the newest secret: nobody without it can list the codes in a database.
    pub fn hash(&self, code: &str) -> [u8; 32] {
        self.ring.tag(&[self.normalise(code).as_bytes()])
    }

    /// The keys that the row of what somebody typed may have, one for each system secret, newest first.
    pub fn hashes(&self, typed: &str) -> Vec<[u8; 32]> {
        self.ring.tags(&[self.normalise(typed).as_bytes()])
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// The numbers of a linear congruence, so that every draw differs.
    struct Counting(AtomicU64);
    impl Entropy for Counting {
        fn fill(&self, out: &mut [u8]) -> Result<(), NoEntropy> {
            for byte in out {
                let step = |x: u64| x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let x = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |x| Some(step(x))).unwrap();
                *byte = u8::try_from(x >> 56).unwrap();
            }
            Ok(())
        }
    }

    fn codes(preset: &str, length: Option<u8>, characters: Option<&str>) -> UserCodes {
        let secrets = Secrets::new(&["a-system-secret-of-some-length".to_owned()]).unwrap();
        UserCodes::new(UserCodeFormat::new(preset, length, characters).unwrap(), &secrets)
    }

    #[test]
    fn j01_presets_are_hydras() {
        for (preset, size, length) in [("high", 50, 8), ("medium", 26, 8), ("low", 10, 9)] {
            let format = UserCodeFormat::new(preset, None, None).unwrap();
            assert_eq!((format.alphabet.len(), format.length), (size, length), "{preset}");
        }
        let own = UserCodeFormat::new("low", Some(15), Some("foobarbaz1234")).unwrap();
        assert_eq!((own.alphabet.len(), own.length), (10, 15));
        assert_eq!(UserCodeFormat::new("low", None, Some("aaaaaaaaaaa")), None);
    }

    #[test]
    fn j01_what_people_type_is_forgiven_where_it_is_clear() {
        for (preset, typed, meant) in [
            ("medium", " abcd-efgh ", "ABCDEFGH"),
            ("low", "123 456\u{2013}789", "123456789"),
            ("high", "aCdE-34 67", "aCdE3467"),
        ] {
            let codes = codes(preset, None, None);
            assert_eq!(codes.normalise(typed), meant);
            assert_eq!(codes.hash(typed), codes.hash(meant));
        }
        assert_ne!(codes("high", None, None).hash("aaaa"), codes("high", None, None).hash("AAAA"));
        assert_eq!(codes("low", None, Some("abcdefg-")).normalise("A-B c"), "a-bc");
    }

    #[test]
    fn i13_a_code_made_under_an_older_secret_is_found() {
        let with = |secrets: &[&str]| {
            let secrets = Secrets::new(&secrets.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>()).unwrap();
            UserCodes::new(UserCodeFormat::new("high", None, None).unwrap(), &secrets)
        };
        let (old, both) = (with(&["old"]), with(&["new", "old"]));
        assert_eq!(both.hashes("abcd"), [both.hash("abcd"), old.hash("abcd")]);
    }

    #[test]
    fn j01_every_character_is_as_likely() {
        let (codes, entropy) = (codes("high", None, None), Counting(AtomicU64::new(7)));
        let drawn: String = (0..2000).map(|_| codes.generate(&entropy).unwrap()).collect();
        let expected = f64::from(u32::try_from(drawn.len()).unwrap()) / 50.0;
        let mut chi2 = 0.0;
        for c in HIGH.chars() {
            let seen = f64::from(u32::try_from(drawn.matches(c).count()).unwrap());
            chi2 += (seen - expected).powi(2) / expected;
        }
        assert!(chi2 < 95.0, "49 degrees of freedom, one in ten thousand: {chi2}");
    }

    proptest! {
        #[test]
        fn a_code_is_found_as_it_is_and_grouped(seed: u64, preset in "high|medium|low") {
            let codes = codes(&preset, None, None);
            let code = codes.generate(&Counting(AtomicU64::new(seed))).unwrap();
            prop_assert_eq!(codes.normalise(&code), code.clone());
            let grouped = format!("{}-{} ", code.get(..4).unwrap(), code.get(4..).unwrap());
            prop_assert_eq!(codes.hash(&grouped), codes.hash(&code));
        }
    }
}
