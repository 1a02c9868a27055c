//! `data`, `dataFrom` and `dataFromWithOptions`.

use super::super::draft::{Bulk, Entry, Item, Remote, Rewrite, Service, Spot, What};
use super::super::tree::{Field, Map};
use super::super::words::quoted;
use super::{is_set, property, unused};

pub(super) fn read(spec: Map<'_>, entry: &mut Entry, service: Service) {
    if let Some(field) = spec.get("dataFrom") {
        let keys = super::super::texts(field).into_iter().enumerate();
        let bulks = keys.map(|(index, key)| {
            let line = field.line_of(index);
            let list = "dataFrom";
            extract(reference(key, service), Spot { list, index, line })
        });
        entry.data_from.extend(bulks);
        field.warn(OBJECTS);
    }
    if let Some(field) = spec.get("dataFromWithOptions") {
        let items = field.maps().into_iter().enumerate();
        let bulks = items.filter_map(|(index, map)| {
            let line = field.line_of(index);
            let list = "dataFromWithOptions";
            let remote = with_options(map, field, service)?;
            Some(extract(remote, Spot { list, index, line }))
        });
        entry.data_from.extend(bulks);
    }
    // As it was called once.
    let legacy = spec.get("properties");
    let data = match (spec.get("data"), legacy) {
        (Some(data), Some(legacy)) => {
            legacy.warn_whole("left out: beside `data` KES does not read it");
            Some(data)
        }
        (data, legacy) => data.or(legacy),
    };
    if let Some(field) = data {
        let list = if field.key.as_ref() == "data" {
            "data"
        } else {
            "properties"
        };
        for (index, map) in field.maps().into_iter().enumerate() {
            let line = field.line_of(index);
            let spot = Spot { list, index, line };
            item(map, (field, spot), (entry, service));
        }
    }
}

const OBJECTS: &str =
    "what is no JSON object gave no keys or numbered ones in KES; here it is an error";

fn extract(remote: Remote, spot: Spot) -> Bulk {
    Bulk {
        what: What::Extract(remote),
        rewrite: Vec::new(),
        conversion: None,
        store: None,
        spot,
    }
}

/// A parameter's version may stand behind its name.
fn reference(key: String, service: Service) -> Remote {
    let version = match (service, key.rsplit_once(':')) {
        (Service::ParameterStore, Some((name, version)))
            if !name.is_empty() && !version.contains('/') =>
        {
            Some((name.to_owned(), version.to_owned()))
        }
        (Service::ParameterStore | Service::SecretsManager, _) => None,
    };
    match version {
        Some((key, version)) => Remote {
            key,
            version: Some(version),
            ..Remote::default()
        },
        None => Remote {
            key,
            ..Remote::default()
        },
    }
}

fn with_options(map: Map<'_>, list: &Field, service: Service) -> Option<Remote> {
    let version = version(map, service);
    if let Some(field) = map.get("isBinary")
        && field.flag() == Some(true)
    {
        field.warn("left out: it has no effect in KES here");
    }
    list.warn(OBJECTS);
    let Some(key) = map.text("key") else {
        list.refuse("an item has no `key`");
        return None;
    };
    let mut remote = reference(key.to_owned(), service);
    remote.version = version.or(remote.version);
    Some(remote)
}

/// `versionId`, else `versionStage`.
fn version(map: Map<'_>, service: Service) -> Option<String> {
    let id = map
        .get("versionId")
        .filter(|field| field.text().is_some_and(|it| !it.is_empty()));
    let stage = map
        .get("versionStage")
        .filter(|field| field.text().is_some_and(|it| !it.is_empty()));
    if service == Service::ParameterStore {
        for field in [id, stage].into_iter().flatten() {
            field.warn("left out: KES does not look at it for Parameter Store");
        }
        return None;
    }
    if let (Some(_), Some(stage)) = (id, stage) {
        stage.warn("left out: beside `versionId` KES does not look at it");
    }
    let id = id.and_then(Field::text).map(|id| format!("uuid/{id}"));
    id.or_else(|| stage.and_then(Field::text).map(str::to_owned))
}

fn item(map: Map<'_>, (list, spot): (&Field, Spot), (entry, service): (&mut Entry, Service)) {
    unused(map, &["version", "secretType"]);
    let binary = map.get("isBinary");
    let decoding = is_set(binary).then_some("base64");
    if let Some(field) = binary.filter(|_| decoding.is_some()) {
        field.warn("base64 with spaces or of another alphabet is an error here, in KES it is not");
    }
    let version = version(map, service);
    let property = map.get("property").and_then(|field| {
        let text = field.text()?;
        let converted = property::convert(text);
        converted.map_err(|why| field.refuse(why)).ok()
    });
    let recursive = is_set(map.get("recursive"));
    if let Some(path) = map.get("path") {
        if map.get("key").is_some() || map.get("name").is_some() || property.is_some() {
            path.refuse("beside `path` there must be no `key`, `name` or `property`");
        }
        below((path, spot), (service, recursive, decoding), entry);
        return;
    }
    for key in ["key", "name"] {
        if map.get(key).is_none() {
            list.refuse(format!("an item has no {}", quoted(key)));
        }
    }
    let (Some(key), Some(name)) = (map.text("key"), map.text("name")) else {
        return;
    };
    let mut remote = reference(key.to_owned(), service);
    remote.version = version.or(remote.version);
    remote.property = property;
    remote.decoding = decoding;
    let item = Item {
        key: name.to_owned(),
        remote,
        store: None,
        spot: Some(spot),
    };
    // In KES a later item of the same name wins.
    if entry.data.iter().any(|earlier| earlier.key == item.key) {
        list.warn(format!(
            "two items are called {}: the later one counts, as in KES",
            quoted(name)
        ));
        entry.data.retain(|earlier| earlier.key != item.key);
    }
    entry.data.push(item);
}

/// All parameters below a path, each called by the end of its name.
fn below(
    (field, spot): (&Field, Spot),
    (service, recursive, decoding): (Service, bool, Option<&'static str>),
    entry: &mut Entry,
) {
    let Some(path) = field.text() else {
        return;
    };
    if service != Service::ParameterStore {
        field.refuse("KES knows paths of Parameter Store only");
        return;
    }
    let level = path.trim_end_matches('/');
    let direct = format!("^{}/[^/]+$", regex::escape(level));
    entry.data_from.push(Bulk {
        what: What::Find {
            path: Some(path.to_owned()),
            regexp: (!recursive).then_some(direct),
            tags: Vec::new(),
            decoding,
        },
        rewrite: vec![Rewrite::Regexp {
            source: "^.*/".to_owned(),
            target: String::new(),
        }],
        conversion: None,
        store: None,
        spot,
    });
    field.warn("a key that an item of `data` has, too, comes from that item here; two parameters with the same end of their names are an error");
}
