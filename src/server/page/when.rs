//! Points in time, as a person at night wants them: how long ago, how soon.
//!
//! The script says the same in the same words, so that nothing jumps when it takes over.

use jiff::Timestamp;

use super::html::Html;

/// How a time is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// `2h 5m ago`
    Past,
    /// `in 2h 5m`, or `now` once it is over.
    Due,
}

pub(super) fn write(html: &mut Html, (at, now): (Timestamp, Timestamp), told: Told) {
    let (class, before, seconds, after) = match told {
        Told::Past => ("", "", now.duration_since(at).as_secs(), " ago"),
        Told::Due => ("due", "in ", at.duration_since(now).as_secs(), ""),
    };
    html.raw("<time");
    if !class.is_empty() {
        html.raw(" class=\"").raw(class).raw("\"");
    }
    html.raw(" datetime=\"").text(&format!("{at:.0}"));
    html.raw("\">");
    if seconds < 1 {
        html.raw("now");
    } else {
        html.raw(before).text(&span(seconds)).raw(after);
    }
    html.raw("</time>");
}

/// By its largest unit, and the one below where that says something.
fn span(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        ..60 => format!("{seconds}s"),
        60..3600 => format!("{minutes}m"),
        3600..86_400 => format!("{hours}h {}m", minutes % 60),
        86_400..864_000 => format!("{days}d {}h", hours % 24),
        864_000.. => format!("{days}d"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_short() {
        for (seconds, text) in [
            (1, "1s"),
            (59, "59s"),
            (60, "1m"),
            (3599, "59m"),
            (3600, "1h 0m"),
            (7500, "2h 5m"),
            (90_000, "1d 1h"),
            (864_000, "10d"),
        ] {
            assert_eq!(span(seconds), text);
        }
    }

    #[test]
    fn what_is_due_is_never_late_and_what_is_past_never_to_come() {
        let now: Timestamp = "2026-01-02T03:00:00Z".parse().unwrap();
        let told = |at: &str, told| {
            let mut html = Html::default();
            write(&mut html, (at.parse().unwrap(), now), told);
            html.into_string()
        };
        let past = |text: &str| format!("<time datetime=\"{text}");
        assert_eq!(
            told("2026-01-02T02:58:00Z", Told::Past),
            past("2026-01-02T02:58:00Z\">2m ago</time>")
        );
        assert!(told("2026-01-02T03:58:00Z", Told::Past).ends_with(">now</time>"));
        assert!(told("2026-01-02T03:58:00Z", Told::Due).ends_with(">in 58m</time>"));
        assert!(told("2026-01-02T02:58:00Z", Told::Due).ends_with(">now</time>"));
    }
}
