//! Go's duration text (`1h30m0s`), which configuration and client lifespans are written in.
//! Anyone may call it. Text this module writes, it also reads back to the same duration.

use std::time::Duration;

const UNITS: [(&str, u128); 7] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
];
const HOUR: u128 = 3_600_000_000_000;
/// Go keeps a duration as a signed 64-bit count of nanoseconds.
const MOST: u128 = i64::MAX as u128;

/// Reads Go duration text. `None` for anything Go would refuse, and for a negative duration.
#[must_use]
pub fn parse_go(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let (nanos, left) = one_part(rest)?;
        total = total.checked_add(nanos).filter(|sum| *sum <= MOST)?;
        rest = left;
    }
    Some(Duration::from_nanos(u64::try_from(total).ok()?))
}

/// Reads one number with its unit and returns it in nanoseconds, with what follows it.
fn one_part(text: &str) -> Option<(u128, &str)> {
    let (whole, rest) = digits(text);
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(after) => digits(after),
        None => ("", rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let (unit, rest) = unit(rest)?;
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse::<u64>().ok()?.into() };
    let mut nanos = whole.checked_mul(unit)?;
    // Digits below a nanosecond are dropped, as Go drops them; twenty are more than any unit needs.
    let (mut scale, mut part) = (1_u128, 0_u128);
    for digit in fraction.bytes().take(20) {
        part = part.checked_mul(10)?.checked_add(u128::from(digit.wrapping_sub(b'0')))?;
        scale = scale.checked_mul(10)?;
    }
    nanos = nanos.checked_add(part.checked_mul(unit)?.checked_div(scale)?)?;
    Some((nanos, rest))
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
}

fn unit(text: &str) -> Option<(u128, &str)> {
    if let Some(rest) = text.strip_prefix('h') {
        return Some((HOUR, rest));
    }
    UNITS.iter().find_map(|(name, nanos)| text.strip_prefix(name).map(|rest| (*nanos, rest)))
}

/// Writes a duration exactly as Go's `Duration.String()`: `1h0m0s`, `1m30s`, `1.5s`, `100ms`, `0s`.
#[must_use]
pub fn format_go(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    if nanos == 0 {
        return "0s".to_owned();
    }
    if nanos < 1_000 {
        return format!("{nanos}ns");
    }
    if nanos < 1_000_000 {
        return format!("{}\u{b5}s", decimal(nanos, 1_000));
    }
    if nanos < 1_000_000_000 {
        return format!("{}ms", decimal(nanos, 1_000_000));
    }
    let (hours, minutes) = (nanos / HOUR, nanos % HOUR / 60_000_000_000);
    let seconds = decimal(nanos % 60_000_000_000, 1_000_000_000);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

/// `nanos / unit` with only the decimals that say something. `unit` is a power of ten.
fn decimal(nanos: u128, unit: u128) -> String {
    let (whole, fraction) = (nanos / unit, nanos % unit);
    if fraction == 0 {
        return whole.to_string();
    }
    let width = unit.ilog10() as usize;
    let fraction = format!("{fraction:0width$}");
    format!("{whole}.{}", fraction.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::{Duration, format_go, parse_go};

    #[test]
    fn text_is_written_as_go_writes_it() {
        for (nanos, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_100, "1.1\u{b5}s"),
            (100_000_000, "100ms"),
            (1_500_000_000, "1.5s"),
            (30_000_000_000, "30s"),
            (90_000_000_000, "1m30s"),
            (3_600_000_000_000, "1h0m0s"),
            (3_661_000_000_001, "1h1m1.000000001s"),
            (2_592_000_000_000_000, "720h0m0s"),
        ] {
            assert_eq!(format_go(Duration::from_nanos(nanos)), text);
            assert_eq!(parse_go(text), Some(Duration::from_nanos(nanos)), "{text}");
        }
    }

    #[test]
    fn text_is_read_as_go_reads_it() {
        for (text, nanos) in [
            ("0", Some(0)),
            ("1h30m", Some(5_400_000_000_000)),
            (".5s", Some(500_000_000)),
            ("1.h", Some(3_600_000_000_000)),
            ("3us", Some(3_000)),
            ("1s1s", Some(2_000_000_000)),
            ("", None),
            ("1", None),
            ("s", None),
            (".s", None),
            ("-1s", None),
            ("1d", None),
            ("1 h", None),
            ("99999999h", None),
            ("999999999999999999999999s", None),
        ] {
            assert_eq!(parse_go(text), nanos.map(Duration::from_nanos), "{text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read_back(nanos in 0..i64::MAX as u64) {
            let duration = Duration::from_nanos(nanos);
            proptest::prop_assert_eq!(parse_go(&format_go(duration)), Some(duration));
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = parse_go(&text);
        }
    }
}
