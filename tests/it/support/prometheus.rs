//! Reading Prometheus text: series by name and labels.

use std::collections::BTreeMap;

/// All series of one scrape.
pub struct Metrics(Vec<Series>);

struct Series {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Metrics {
    pub fn parse(text: &str) -> Self {
        Self(
            text.lines()
                .filter(|line| !line.is_empty() && !line.starts_with('#'))
                .map(|line| series(line).unwrap_or_else(|| panic!("not a series: {line}")))
                .collect(),
        )
    }

    /// The sum of all series of that name that carry these labels; `None` when there is no such series.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let found: Vec<f64> = self
            .0
            .iter()
            .filter(|series| series.name == name && series.has(labels))
            .map(|series| series.value)
            .collect();
        (!found.is_empty()).then(|| found.iter().sum())
    }

    /// [`Self::sum`] of a family that is there in every scrape; one that is missing fails the test.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.sum(name, labels)
            .unwrap_or_else(|| panic!("no series {name} with {labels:?}"))
    }
}

impl Series {
    fn has(&self, labels: &[(&str, &str)]) -> bool {
        labels
            .iter()
            .all(|(name, value)| self.labels.get(*name).is_some_and(|have| have == value))
    }
}

fn series(line: &str) -> Option<Series> {
    let (name, labels, rest) = if let Some((name, rest)) = line.split_once('{') {
        let (labels, rest) = label_set(rest)?;
        (name, labels, rest)
    } else {
        let (name, rest) = line.split_once(' ')?;
        (name, BTreeMap::new(), rest)
    };
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some(Series {
        name: name.to_owned(),
        labels,
        value,
    })
}

/// `a="x",b="y"} 1`: the labels, and what follows the brace.
fn label_set(text: &str) -> Option<(BTreeMap<String, String>, &str)> {
    let mut labels = BTreeMap::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(',');
        if let Some(after) = rest.strip_prefix('}') {
            return Some((labels, after));
        }
        let (name, after) = rest.split_once("=\"")?;
        let end = closing_quote(after)?;
        let value = after[..end].replace("\\\"", "\"").replace("\\\\", "\\");
        labels.insert(name.to_owned(), value);
        rest = &after[end + 1..];
    }
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })
}

#[test]
fn series_are_found_by_name_and_labels() {
    let metrics = Metrics::parse(
        "# HELP a_total x\na_total{store=\"p\",code=\"2\\\"0\"} 3\na_total{store=\"q\",code=\"500\"} 4\nup 1.5\n",
    );
    assert_eq!(metrics.sum("a_total", &[]), Some(7.0));
    assert_eq!(metrics.sum("a_total", &[("code", "2\"0")]), Some(3.0));
    assert_eq!(metrics.sum("a_total", &[("store", "r")]), None);
    assert!((metrics.value("up", &[]) - 1.5).abs() < f64::EPSILON);
}
