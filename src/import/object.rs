//! The objects in the documents: which of them are converted, which are read for what they say about others, and which
//! have nothing to do with it.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use super::tree::{Field, Map, Node, Shape};
use super::yaml::Document;

/// Where an object begins.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub file: Arc<str>,
    /// Counted from 1.
    pub document: u32,
    /// Counted from 1, in the file.
    pub line: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.document, self.line)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    KesSecret,
    EsoSecret,
    EsoClusterSecret,
    EsoStore,
    EsoClusterStore,
    /// Of ESO or named so, and not converted.
    EsoOther,
    /// May have settings of KES or ESO in its environment.
    Deployment,
    Namespace,
    ServiceAccount,
    /// Helm values with settings of KES.
    Values,
    Unrelated,
}

/// One object, as far as every object is alike.
#[derive(Debug)]
pub(super) struct Object<'t> {
    pub place: Place,
    pub family: Family,
    pub kind: &'t str,
    /// What follows the `/` of `apiVersion`.
    pub version: &'t str,
    pub name: &'t str,
    pub namespace: Option<&'t str>,
    pub node: &'t Node,
    pub map: Map<'t>,
    /// What is wrong with it as a whole.
    pub wrong: RefCell<Vec<String>>,
}

/// What is done without an object's `kind` and `apiVersion`.
struct Head<'t> {
    api_version: &'t str,
    kind: &'t str,
}

fn head(map: Map<'_>) -> Head<'_> {
    let word = |key: &str| {
        let field = map.fields().iter().find(|field| *field.key == *key);
        field.and_then(|field| field.node.as_text()).unwrap_or("")
    };
    Head {
        api_version: word("apiVersion"),
        kind: word("kind"),
    }
}

/// An annotation, in which `kubectl apply` keeps what it last sent. Nobody wants it of anything.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Settings of KES by which its values are told from others.
const KES_SETTINGS: [&str; 4] = [
    "POLLER_INTERVAL_MILLISECONDS",
    "WATCHED_NAMESPACES",
    "ROLE_PERMITTED_ANNOTATION",
    "AWS_INTERMEDIATE_ROLE_ARN",
];

fn family(map: Map<'_>) -> Family {
    let Head { api_version, kind } = head(map);
    let group = api_version.split('/').next().unwrap_or("");
    match (group, kind) {
        ("kubernetes-client.io", "ExternalSecret") => Family::KesSecret,
        ("external-secrets.io", "ExternalSecret") => Family::EsoSecret,
        ("external-secrets.io", "ClusterExternalSecret") => Family::EsoClusterSecret,
        ("external-secrets.io", "SecretStore") => Family::EsoStore,
        ("external-secrets.io", "ClusterSecretStore") => Family::EsoClusterStore,
        ("external-secrets.io" | "generators.external-secrets.io", _) => Family::EsoOther,
        ("apps", "Deployment") => Family::Deployment,
        ("v1", "Namespace") => Family::Namespace,
        ("v1", "ServiceAccount") => Family::ServiceAccount,
        // Misspelled, or of a release that nobody knows yet.
        (_, "ExternalSecret" | "ClusterExternalSecret" | "SecretStore" | "ClusterSecretStore") => {
            Family::EsoOther
        }
        ("", "") if are_values(map) => Family::Values,
        (_, _) => Family::Unrelated,
    }
}

fn are_values(map: Map<'_>) -> bool {
    let env = |map: Map<'_>| {
        let env = map.fields().iter().find(|field| &*field.key == "env");
        let env = env.and_then(|field| field.node.as_map());
        env.is_some_and(|env| {
            env.fields()
                .iter()
                .any(|it| KES_SETTINGS.contains(&&*it.key))
        })
    };
    let chart = map.fields().iter().find(|it| &*it.key == CHART);
    env(map) || chart.and_then(|it| it.node.as_map()).is_some()
}

/// The chart of KES, in the values of one that includes it.
pub(super) const CHART: &str = "kubernetes-external-secrets";

/// What is in a document: the objects of lists one by one.
pub(super) fn objects<'t>(file: &Arc<str>, document: &'t Document) -> Vec<Object<'t>> {
    let mut found = Vec::new();
    collect(file, document.number, &document.root, &mut found);
    found
}

fn collect<'t>(file: &Arc<str>, document: u32, node: &'t Node, found: &mut Vec<Object<'t>>) {
    let place = Place {
        file: Arc::clone(file),
        document,
        line: node.line,
    };
    let Some(map) = node.as_map() else {
        found.push(Object {
            place,
            family: Family::Unrelated,
            kind: "",
            version: "",
            name: "",
            namespace: None,
            node,
            map: Map::EMPTY,
            wrong: RefCell::default(),
        });
        return;
    };
    if let Some(items) = items(map) {
        for item in items {
            collect(file, document, item, found);
        }
        return;
    }
    let Head { api_version, kind } = head(map);
    let metadata = map.fields().iter().find(|field| &*field.key == "metadata");
    let metadata = metadata.and_then(|field| field.node.as_map());
    let text = |key: &str| {
        let mut fields = metadata?.fields().iter();
        fields.find(|field| *field.key == *key)?.node.as_text()
    };
    found.push(Object {
        place,
        family: family(map),
        kind,
        version: api_version
            .split_once('/')
            .map_or("", |(_, version)| version),
        name: text("name").unwrap_or(""),
        namespace: text("namespace"),
        node,
        map,
        wrong: RefCell::default(),
    });
}

/// Of a `List`, as `kubectl get` writes it.
fn items(map: Map<'_>) -> Option<&[Node]> {
    let Head { kind, .. } = head(map);
    let field = map.fields().iter().find(|field| &*field.key == "items")?;
    match &field.node.shape {
        Shape::List(items) if kind.ends_with("List") => Some(items),
        Shape::Null | Shape::Scalar { .. } | Shape::List(_) | Shape::Map(_) => None,
    }
}

/// The keys of a list around its objects.
pub(super) fn list_around(node: &Node) -> Option<Map<'_>> {
    let map = node.as_map()?;
    items(map)?;
    for field in map.fields() {
        match &*field.key {
            "items" | "apiVersion" | "kind" => {
                field.note("the objects of the list are told of one by one");
            }
            "metadata" => field.note("added by the API server"),
            _ => {}
        }
    }
    Some(map)
}

impl<'t> Object<'t> {
    /// As people call it.
    pub(super) fn title(&self) -> String {
        let kind = if self.kind.is_empty() {
            "document"
        } else {
            self.kind
        };
        let name = match (self.namespace, self.name) {
            (_, "") => return super::words::cut(kind, 60),
            (Some(namespace), name) => format!("{kind} {namespace}/{name}"),
            (None, name) => format!("{kind} {name}"),
        };
        super::words::cut(&name, 160)
    }

    pub(super) fn lacks(&self, what: &str) {
        self.refuse(format!("it has no {what}"));
    }

    pub(super) fn refuse(&self, sentence: impl Into<String>) {
        self.wrong.borrow_mut().push(sentence.into());
    }

    /// Takes note of what every object has, and gives its labels and annotations.
    pub(super) fn metadata(&self) -> Metadata<'t> {
        let mut of = Metadata::default();
        for key in ["apiVersion", "kind"] {
            self.map.text(key);
        }
        let Some(metadata) = self.map.map("metadata") else {
            return of;
        };
        metadata.text("name");
        metadata.text("namespace");
        for field in metadata.fields() {
            match &*field.key {
                "creationTimestamp"
                | "generation"
                | "managedFields"
                | "resourceVersion"
                | "selfLink"
                | "uid"
                | "deletionGracePeriodSeconds" => {
                    field.note("added by the API server");
                }
                "finalizers" => field.note("of the object itself, not of its Secret"),
                "deletionTimestamp" => field.refuse("the object is being deleted"),
                "ownerReferences" => {
                    of.owners = field.maps();
                    field.note("of the object itself, not of its Secret");
                }
                _ => {}
            }
        }
        of.labels = metadata
            .get("labels")
            .and_then(Field::map)
            .map(|it| (it, it.texts()));
        of.annotations = metadata
            .get("annotations")
            .and_then(Field::map)
            .map(|it| (it, it.texts()));
        if let Some((_, texts)) = &mut of.annotations {
            texts.retain(|(field, _)| {
                let is_kubectls = &*field.key == LAST_APPLIED;
                if is_kubectls {
                    field.note("added by `kubectl apply`");
                }
                !is_kubectls
            });
        }
        of
    }

    /// A text with `{{` where no template of the object's belongs: Helm has not been here yet.
    pub(super) fn unrendered(&self) -> Option<u32> {
        unrendered(self.node)
    }
}

fn unrendered(node: &Node) -> Option<u32> {
    match &node.shape {
        Shape::Null => None,
        Shape::Scalar { text, .. } => text.contains("{{").then_some(node.line),
        Shape::List(items) => items.iter().find_map(unrendered),
        Shape::Map(fields) => fields.iter().find_map(|field| {
            // Templates are the object's own there; annotations hold whole manifests.
            let own = matches!(
                &*field.key,
                "template"
                    | "templateFrom"
                    | "annotations"
                    | "transform"
                    | "status"
                    | "managedFields"
            );
            let key = field.key.contains("{{").then_some(field.line);
            key.or_else(|| if own { None } else { unrendered(&field.node) })
        }),
    }
}

/// What an object says of itself.
#[derive(Debug, Default)]
pub(super) struct Metadata<'t> {
    pub labels: Option<Texts<'t>>,
    pub annotations: Option<Texts<'t>>,
    pub owners: Vec<Map<'t>>,
}

type Texts<'t> = (Map<'t>, Vec<(&'t Field, &'t str)>);

impl<'t> Metadata<'t> {
    /// Not copied to the Secret by whoever wrote it.
    pub(super) fn leave(&self) {
        for (_, texts) in [&self.labels, &self.annotations].into_iter().flatten() {
            for (field, _) in texts {
                field.note("of the object itself, not of its Secret");
            }
        }
    }

    pub(super) fn annotation(&self, name: &str) -> Option<(&'t Field, &'t str)> {
        let (_, texts) = self.annotations.as_ref()?;
        let found = texts.iter().find(|(field, _)| *field.key == *name);
        found.map(|(field, text)| (*field, *text))
    }
}
