//! `SecretStore` and `ClusterSecretStore`, of AWS.

use super::super::context::{Admits, Context, Known, StoreId};
use super::super::draft::{Service, Store};
use super::super::object::Object;
use super::super::texts;
use super::super::tree::{Field, Map, Node};
use super::store_auth;

const ACCESS: &str = "which namespaces may use a store is an access rule of the cluster; it ends with the move: whoever may write the configuration here may use every store";

/// What the store is known by, and what becomes of it; refusals of its keys apart.
pub(in crate::import) fn read(
    object: &Object<'_>,
    cluster: bool,
    cx: &Context,
) -> (StoreId, Known) {
    object.metadata().leave();
    super::status(object.map);
    let namespace = if cluster {
        None
    } else {
        Some(super::super::namespace_of(object, cx))
    };
    let id = StoreId {
        namespace: namespace.clone(),
        name: object.name.to_owned(),
    };
    let scope = namespace.as_deref().unwrap_or("cluster");
    let name = super::super::store_name(cx, scope, object.name);
    let Some(spec) = object.map.map("spec") else {
        object.lacks("spec");
        return (id, Known::Refused(object.place.clone()));
    };
    let admits = conditions(spec);
    // Of two of one name the first one counts.
    cx.admits.borrow_mut().entry(id.clone()).or_insert(admits);
    if let Some(field) = spec.get("refreshInterval") {
        field.note("how often ESO looks at the store itself");
    }
    if let Some(field) = spec.get("retrySettings") {
        field.warn_whole("here failures are tried again with growing delays");
    }
    if let Some(field) = spec.get("controller") {
        field.warn_whole("which instance of ESO served it; here every store is served");
    }
    if let Some(ours) = cx.mapped(&id) {
        let provider = spec.get("provider");
        let aws = provider.and_then(|it| it.node.as_map()?.map("aws"));
        let service = aws.and_then(service).unwrap_or(Service::SecretsManager);
        if let Some(field) = provider {
            field.note("a store of yours takes its place, as --store says");
        }
        let name = ours.to_owned();
        return (id, Known::Mapped { name, service });
    }
    let aws = provider(spec, object);
    let Some(aws) = aws else {
        return (id, Known::Refused(object.place.clone()));
    };
    let store = Box::new(store(aws, name, (namespace.as_deref(), cx)));
    (id, Known::Converted { store })
}

fn provider<'t>(spec: Map<'t>, object: &Object<'_>) -> Option<Map<'t>> {
    let Some(provider) = spec.map("provider") else {
        object.lacks("provider");
        return None;
    };
    for field in provider
        .fields()
        .iter()
        .filter(|field| &*field.key != "aws")
    {
        field.refuse("only the provider `aws` is converted");
    }
    let aws = provider.map("aws");
    if aws.is_none() && provider.fields().is_empty() {
        object.lacks("provider.aws");
    }
    aws.filter(|_| provider.fields().len() == 1)
}

fn service(aws: Map<'_>) -> Option<Service> {
    match aws.text("service") {
        Some("SecretsManager") => Some(Service::SecretsManager),
        Some("ParameterStore") => Some(Service::ParameterStore),
        Some(_) | None => None,
    }
}

fn store(aws: Map<'_>, name: String, (namespace, cx): (Option<&str>, &Context)) -> Store {
    let service = match (service(aws), aws.get("service")) {
        (Some(service), _) => service,
        (None, field) => {
            if let Some(field) = field {
                field.refuse("only SecretsManager and ParameterStore are converted");
            }
            Service::SecretsManager
        }
    };
    let region = region(aws, cx);
    let mut comments = Vec::new();
    let auth = store_auth::read(aws, (namespace, cx), &mut comments);
    for key in ["secretsManager", "parameterStore"] {
        if let Some(field) = aws.get(key) {
            field.note("of what ESO pushes to AWS; nothing is pushed here");
        }
    }
    let endpoint = cx.kes.eso_endpoint(service);
    Store {
        name,
        service,
        region,
        prefix: aws
            .text("prefix")
            .filter(|it| !it.is_empty())
            .map(str::to_owned),
        endpoint,
        auth,
        comments,
    }
}

fn region(aws: Map<'_>, cx: &Context) -> Option<String> {
    if let Some(region) = aws.text("region").filter(|it| !it.is_empty()) {
        return Some(region.to_owned());
    }
    let field = aws.fields().iter().find(|field| &*field.key == "region");
    let supplied = cx.options.region.clone();
    if supplied.is_none() {
        let refusal = "the input says no region; `--region` supplies it";
        match field {
            Some(field) => field.refuse(refusal),
            None => aws.refuse_any(refusal),
        }
    }
    supplied
}

/// One of them has to admit a namespace; one that says nothing admits none.
fn conditions(spec: Map<'_>) -> Admits {
    let Some(field) = spec.get("conditions") else {
        return Admits::All;
    };
    let conditions = field.maps();
    field.warn(ACCESS);
    if conditions.is_empty() {
        return Admits::All;
    }
    let mut named = Some(Vec::new());
    for condition in conditions {
        for inner in condition.fields() {
            match &*inner.key {
                "namespaces" => {
                    let more = texts(inner);
                    if let Some(named) = &mut named {
                        named.extend(more);
                    }
                }
                "namespaceRegexes" | "namespaceSelector" => {
                    named = None;
                    inner.warn_whole(ACCESS);
                }
                _ => {}
            }
        }
    }
    named.map_or(Admits::Unknown, Admits::Named)
}

/// The first key of a list of mappings, for what is said of all.
pub(super) fn pairs(field: &Field) -> Vec<(String, String)> {
    let items = field.list().unwrap_or_default();
    let mut pairs = Vec::new();
    for map in items.iter().filter_map(Node::as_map) {
        if let (Some(key), Some(value)) = (map.text("key"), map.text("value")) {
            pairs.push((key.to_owned(), value.to_owned()));
        }
    }
    if pairs.len() != items.len() {
        field.refuse("each item needs `key` and `value`");
    }
    pairs
}
