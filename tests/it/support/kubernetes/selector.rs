//! Label selectors, as `kubectl` and the API server write them.

use serde_json::Value;

/// All of it must hold.
pub struct Selector(Vec<Requirement>);

enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
}

impl Selector {
    /// Understands what is well formed.
    pub fn read(text: &str) -> Self {
        let mut parts = vec![String::new()];
        let mut depth = 0;
        for c in text.chars() {
            match c {
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => {}
            }
            match (c, depth, parts.last_mut()) {
                (',', 0, _) => parts.push(String::new()),
                (_, _, Some(part)) => part.push(c),
                (_, _, None) => {}
            }
        }
        let parts = parts.iter().map(|part| part.trim());
        let parts = parts.filter(|part| !part.is_empty());
        Self(parts.map(Requirement::read).collect())
    }

    pub fn matches(&self, labels: &Value) -> bool {
        self.0.iter().all(|requirement| requirement.holds(labels))
    }
}

impl Requirement {
    fn read(text: &str) -> Self {
        let one = |value: &str| vec![value.trim().to_owned()];
        let set = |rest: &str| {
            let inner = rest.trim().trim_start_matches('(').trim_end_matches(')');
            inner.split(',').map(|v| v.trim().to_owned()).collect()
        };
        let key = |key: &str| key.trim().to_owned();
        if let Some((k, rest)) = text.split_once(" notin ") {
            Self::NotIn(key(k), set(rest))
        } else if let Some((k, rest)) = text.split_once(" in ") {
            Self::In(key(k), set(rest))
        } else if let Some((k, value)) = text.split_once("!=") {
            Self::NotIn(key(k), one(value))
        } else if let Some((k, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
            Self::In(key(k), one(value))
        } else if let Some(k) = text.strip_prefix('!') {
            Self::Absent(key(k))
        } else {
            Self::Exists(key(text))
        }
    }

    /// `notin` and `!=` hold where there is no such label.
    fn holds(&self, labels: &Value) -> bool {
        let have = |key: &str| labels[key].as_str();
        let within = |key: &str, values: &[String]| {
            have(key).is_some_and(|have| values.iter().any(|value| value == have))
        };
        match self {
            Self::In(key, values) => within(key, values),
            Self::NotIn(key, values) => !within(key, values),
            Self::Exists(key) => have(key).is_some(),
            Self::Absent(key) => have(key).is_none(),
        }
    }
}
