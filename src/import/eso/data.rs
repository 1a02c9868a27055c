//! `data` and `dataFrom`.

use super::super::context::Chosen;
use super::super::draft::{Bulk, Item, Remote, Service, Spot, What};
use super::super::tree::{Field, Map, Node};
use super::refs::{Scope, source_ref};
use super::{find, rewrite};

/// What the items of one entry stand in.
#[derive(Clone, Copy)]
pub(super) struct Around<'a> {
    pub scope: Scope<'a>,
    pub store: Option<&'a Chosen>,
    /// Whether one is named for all items, be it refused.
    pub named: bool,
    pub version: &'a str,
}

pub(super) fn items(field: &Field, around: Around<'_>) -> Vec<Item> {
    let items = field.maps().into_iter().enumerate();
    let one = |(index, map): (usize, Map<'_>)| {
        let line = field.line_of(index);
        let list = "data";
        let spot = Spot { list, index, line };
        let item = item(map, field, around)?;
        Some(Item {
            spot: Some(spot),
            ..item
        })
    };
    items.filter_map(one).collect()
}

fn item(map: Map<'_>, list: &Field, around: Around<'_>) -> Option<Item> {
    let key = map.text("secretKey");
    if key.is_none() {
        list.refuse("an item has no `secretKey`");
    }
    let own = source_ref(map, around.scope);
    let chosen = store(own.as_ref(), list, around);
    let Some(remote) = map.get("remoteRef") else {
        list.refuse("an item has no `remoteRef`");
        return None;
    };
    let remote = reference(remote, service(chosen), Strategy::NoEffect);
    chosen?;
    Some(Item {
        key: key?.to_owned(),
        remote: remote?,
        store: own?
            .filter(|own| Some(own) != around.store)
            .map(|it| it.name),
        spot: None,
    })
}

/// Of one item; the outer `None` where its own is refused.
fn store<'a>(
    own: Option<&'a Option<Chosen>>,
    list: &Field,
    around: Around<'a>,
) -> Option<&'a Chosen> {
    let chosen = own?.as_ref().or(around.store);
    if chosen.is_none() && !around.named {
        list.refuse("an item has no store");
    }
    chosen
}

pub(super) fn service(chosen: Option<&Chosen>) -> Service {
    chosen.map_or(Service::SecretsManager, |chosen| chosen.service)
}

/// What `conversionStrategy` means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strategy {
    /// The names are written there.
    NoEffect,
    /// Read elsewhere.
    Elsewhere,
}

fn reference(field: &Field, service: Service, strategy: Strategy) -> Option<Remote> {
    let map = field.map()?;
    let key = map.text("key");
    if key.is_none() {
        field.refuse("`key` is missing");
    }
    let decoding = decoding(map);
    null_bytes(map);
    if strategy == Strategy::NoEffect {
        conversion(map);
    }
    let metadata = match map
        .get("metadataPolicy")
        .and_then(|field| Some((field, field.text()?)))
    {
        None | Some((_, "None")) => false,
        Some((_, "Fetch")) => true,
        Some((field, _)) => {
            field.refuse("`metadataPolicy` must be None or Fetch");
            false
        }
    };
    let property = map.text("property").filter(|text| !text.is_empty());
    let version = version(map, service, metadata);
    Some(Remote {
        key: key?.to_owned(),
        property: property.map(str::to_owned),
        version,
        decoding,
        metadata,
    })
}

fn version(map: Map<'_>, service: Service, metadata: bool) -> Option<String> {
    let field = map.get("version")?;
    let version = field.text().filter(|text| !text.is_empty())?;
    if metadata {
        field.warn("left out: tags belong to no version");
        return None;
    }
    let uuid = version.len() == 36 && version.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    if service == Service::SecretsManager && uuid {
        field.warn("an id here; ESO takes it for a stage, and `uuid/<id>` for an id");
    } else if service == Service::SecretsManager && (version == "latest" || is_number(version)) {
        field.warn("Secrets Manager has no numbers of versions: it is a stage of this name");
    }
    Some(version.to_owned())
}

fn is_number(version: &str) -> bool {
    let digits = version.strip_prefix('v').unwrap_or(version);
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

pub(super) fn decoding(map: Map<'_>) -> Option<&'static str> {
    let field = map.get("decodingStrategy")?;
    match field.text()? {
        "None" => None,
        "Base64" => Some("base64"),
        "Base64URL" => Some("base64url"),
        "Auto" => {
            field.warn("`Auto` decodes whatever can be base64, and many plain values can");
            Some("auto")
        }
        _ => {
            field.refuse("`decodingStrategy` must be None, Base64, Base64URL or Auto");
            None
        }
    }
}

pub(super) fn null_bytes(map: Map<'_>) {
    let Some(field) = map.get("nullBytePolicy") else {
        return;
    };
    match field.text() {
        Some("Ignore") | None => {}
        Some("Fail") => field.warn("values with a null byte are delivered here"),
        Some(_) => field.refuse("`nullBytePolicy` must be Ignore or Fail"),
    }
}

fn conversion(map: Map<'_>) -> Option<&'static str> {
    let field = map.get("conversionStrategy")?;
    match field.text()? {
        "Default" => None,
        "Unicode" => Some("unicode"),
        _ => {
            field.refuse("`conversionStrategy` must be Default or Unicode");
            None
        }
    }
}

pub(super) fn bulk(field: &Field, around: Around<'_>) -> Vec<Bulk> {
    let items = field.list().unwrap_or_default().iter().enumerate();
    items
        .filter_map(|(index, node)| bulk_item((index, node), field, around))
        .collect()
}

fn bulk_item((index, node): (usize, &Node), list: &Field, around: Around<'_>) -> Option<Bulk> {
    let Some(map) = node.as_map() else {
        list.refuse("each item must be a mapping");
        return None;
    };
    let own = source_ref(map, around.scope);
    let chosen = store(own.as_ref(), list, around);
    let rewrite = map.get("rewrite").map(rewrite::steps).unwrap_or_default();
    let (what, conversion) = match (map.get("extract"), map.get("find")) {
        (Some(extract), None) => {
            let conversion = extract.node.as_map().and_then(conversion);
            let remote = reference(extract, service(chosen), Strategy::Elsewhere);
            (remote.map(What::Extract), conversion)
        }
        (None, Some(find)) => {
            let conversion = find.node.as_map().and_then(conversion);
            (find::read(find, chosen), conversion)
        }
        (None, None) if around.version == "v1alpha1" => (flat(map, list), conversion(map)),
        (_, _) => {
            if own.is_some() {
                list.refuse("an item needs either `extract` or `find`");
            }
            (None, None)
        }
    };
    chosen?;
    Some(Bulk {
        what: what?,
        // As in ESO, what is rewritten is not converted.
        conversion: conversion.filter(|_| rewrite.is_empty()),
        rewrite,
        store: own?
            .filter(|own| Some(own) != around.store)
            .map(|it| it.name),
        spot: Spot {
            list: "dataFrom",
            index,
            line: node.line,
        },
    })
}

/// As v1alpha1 wrote an extract.
fn flat(map: Map<'_>, list: &Field) -> Option<What> {
    let text = |name| {
        map.text(name)
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    };
    let (key, property, version) = (text("key"), text("property"), text("version"));
    if key.is_none() {
        list.refuse("an item has no `key`");
    }
    let remote = Remote {
        key: key?,
        property,
        version,
        ..Remote::default()
    };
    Some(What::Extract(remote))
}
