//! Intervals of others as ours, which are from ten seconds to a year.

use std::fmt::Write as _;

const SHORTEST: u64 = 10_000;
const LONGEST: u64 = 8760 * 3_600_000;

/// What becomes of an interval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Interval {
    Exact(String),
    /// The nearest that is allowed.
    Near(String, &'static str),
    /// Once, and never again.
    Never,
}

/// Milliseconds.
pub(super) fn of(milliseconds: u64) -> Interval {
    match milliseconds {
        0 => Interval::Never,
        1..SHORTEST => Interval::Near(written(SHORTEST), "the shortest interval here is 10s"),
        SHORTEST..=LONGEST if milliseconds.is_multiple_of(1000) => {
            Interval::Exact(written(milliseconds))
        }
        SHORTEST..=LONGEST => {
            let whole = milliseconds.div_ceil(1000) * 1000;
            Interval::Near(
                written(whole.min(LONGEST)),
                "intervals are whole seconds here",
            )
        }
        _ => Interval::Near(written(LONGEST), "the longest interval here is 8760h"),
    }
}

/// A duration as Go reads it: `1h0m0s`, `1.5h`, `0`.
pub(super) fn go(text: &str) -> Option<u64> {
    let units = [
        ("ns", 1e-6),
        ("us", 1e-3),
        ("µs", 1e-3),
        ("μs", 1e-3),
        ("ms", 1.0),
        ("s", 1e3),
        ("m", 6e4),
        ("h", 3.6e6),
    ];
    let negative = text.starts_with('-');
    let mut rest = text.trim_start_matches(['+', '-']);
    if text.len() > 64 || text.len() - rest.len() > 1 {
        return None;
    }
    if rest == "0" {
        return Some(0);
    }
    let mut sum = 0.0;
    while !rest.is_empty() || sum == 0.0 {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, more) = rest.split_at(end);
        let end = more
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(more.len());
        let (unit, more) = more.split_at(end);
        let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
        sum += number.parse::<f64>().ok()? * factor;
        rest = more;
        if rest.is_empty() {
            break;
        }
    }
    // Go takes what is below zero for zero here.
    if negative {
        Some(0)
    } else {
        Some(rounded(sum))
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast of a float stops at the ends, which are beyond every interval"
)]
fn rounded(milliseconds: f64) -> u64 {
    milliseconds.ceil() as u64
}

fn written(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    let mut text = String::new();
    for (count, unit) in [
        (seconds / 3600, "h"),
        (seconds / 60 % 60, "m"),
        (seconds % 60, "s"),
    ] {
        if count > 0 {
            let _ = write!(text, "{count}{unit}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_of_go_are_read() {
        for (text, milliseconds) in [
            ("1h0m0s", 3_600_000),
            ("90s", 90_000),
            ("1.5h", 5_400_000),
            ("0", 0),
            ("0s", 0),
            ("100ms", 100),
            ("-1s", 0),
            ("9999999h", 35_999_996_400_000),
        ] {
            assert_eq!(go(text), Some(milliseconds), "{text}");
        }
        for bad in ["", "1", "1d", "h", "1h 2m", "--1s", ".s", "1.2.3s", "soon"] {
            assert_eq!(go(bad), None, "{bad}");
        }
    }

    #[test]
    fn intervals_stay_within_ours() {
        assert_eq!(of(5_400_000), Interval::Exact("1h30m".into()));
        assert_eq!(of(0), Interval::Never);
        for (milliseconds, near) in [
            (1, "10s"),
            (9_999, "10s"),
            (10_001, "11s"),
            (u64::MAX, "8760h"),
        ] {
            assert!(
                matches!(of(milliseconds), Interval::Near(text, _) if text == near),
                "{milliseconds}"
            );
        }
    }
}
