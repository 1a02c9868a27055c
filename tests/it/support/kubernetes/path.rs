//! Where a request's path leads: a kind, one object of it, or a part of one.

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Path<'a> {
    pub group: &'a str,
    pub version: &'a str,
    /// Empty for what is of the cluster, and over all namespaces.
    pub namespace: &'a str,
    pub plural: &'a str,
    pub name: &'a str,
    /// As `scale`.
    pub part: &'a str,
}

impl<'a> Path<'a> {
    pub fn read(path: &'a str) -> Self {
        let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
        let (group, version, rest) = match *segments.as_slice() {
            ["api", version, ref rest @ ..] => ("", version, rest),
            ["apis", group, version, ref rest @ ..] => (group, version, rest),
            _ => return Self::default(),
        };
        let (namespace, rest) = match *rest {
            ["namespaces", namespace, _, ..] => (namespace, &rest[2..]),
            _ => ("", rest),
        };
        let at = |place: usize| rest.get(place).copied().unwrap_or_default();
        Self {
            group,
            version,
            namespace,
            plural: at(0),
            name: at(1),
            part: at(2),
        }
    }

    pub fn is_collection(&self) -> bool {
        !self.plural.is_empty() && self.name.is_empty()
    }

    /// The kind as `kubectl` names it.
    pub fn resource(&self) -> String {
        match (self.plural, self.group) {
            (plural, "") => plural.to_owned(),
            (plural, group) => format!("{plural}.{group}"),
        }
    }
}
