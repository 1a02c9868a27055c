//! Pages and events of a collection, read into our own types; of the rest of an object nothing is read.
//!
//! Each must be of the collection that was asked for.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::{Collection, Event, Object};
use crate::kube::error::Refusal;
use crate::kube::wire::{self, Malformed};
use crate::names::{Namespace, ObjectName, ResourceVersion, Uid};

const NOT_A_LIST: Malformed = Malformed("answered with something that is not a list of metadata");
const NOT_AN_EVENT: Malformed = Malformed("told of something that is not a change of metadata");
const ANOTHER: Malformed = Malformed("told of another object than was asked for");
const UNNAMED_STATE: Malformed = Malformed("told of an object without a usable uid and version");

/// One page of a list.
pub(super) struct Page {
    pub(super) objects: Vec<Object>,
    pub(super) version: ResourceVersion,
    /// Where the next page begins.
    pub(super) next: Option<String>,
}

/// One line of a watch.
pub(super) enum Told {
    Event(ResourceVersion, Event),
    /// Nothing happened up to this version.
    Bookmark(ResourceVersion),
    Refused(Refusal),
}

pub(super) fn page(body: &[u8], collection: &Collection) -> Result<Page, Malformed> {
    let list: List = serde_json::from_slice(body).map_err(|_| NOT_A_LIST)?;
    if list.kind != "PartialObjectMetadataList" {
        return Err(NOT_A_LIST);
    }
    let objects = list.items.into_iter().map(|item| item.object(collection));
    Ok(Page {
        objects: objects.collect::<Result<_, _>>()?,
        version: version(&list.metadata.resource_version)?,
        next: list.metadata.next.filter(|token| !token.is_empty()),
    })
}

pub(super) fn line(text: &[u8], collection: &Collection) -> Result<Told, Malformed> {
    let Line { kind, object } = serde_json::from_slice(text).map_err(|_| NOT_AN_EVENT)?;
    if kind == "ERROR" {
        return Ok(Told::Refused(refusal(object)?));
    }
    let item: Item = serde_json::from_str(object.get()).map_err(|_| NOT_AN_EVENT)?;
    if item.kind.as_deref() != Some("PartialObjectMetadata") {
        return Err(NOT_AN_EVENT);
    }
    let next = version(&item.metadata.resource_version)?;
    Ok(match &*kind {
        "ADDED" | "MODIFIED" => Told::Event(next, Event::Changed(item.object(collection)?)),
        "DELETED" => Told::Event(next, Event::Gone(item.object(collection)?)),
        "BOOKMARK" => Told::Bookmark(next),
        _ => return Err(NOT_AN_EVENT),
    })
}

/// What the server has to say instead of an event. Its message is not read.
fn refusal(object: &RawValue) -> Result<Refusal, Malformed> {
    let Code { code } = serde_json::from_str(object.get()).map_err(|_| NOT_AN_EVENT)?;
    Ok(Refusal {
        code,
        status: wire::status(object.get().as_bytes()),
        retry_after: None,
    })
}

fn version(text: &str) -> Result<ResourceVersion, Malformed> {
    ResourceVersion::new(text).map_err(|_| UNNAMED_STATE)
}

#[derive(Deserialize)]
struct List {
    kind: String,
    metadata: ListMetadata,
    #[serde(deserialize_with = "wire::items")]
    items: Vec<Item>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMetadata {
    resource_version: String,
    #[serde(rename = "continue")]
    next: Option<String>,
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Deserialize)]
struct Code {
    code: u16,
}

#[derive(Deserialize)]
struct Item {
    /// Items of a list may go without.
    kind: Option<String>,
    metadata: Metadata,
}

/// A bookmark has a version and nothing else.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    #[serde(default)]
    name: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    uid: String,
    #[serde(default)]
    resource_version: String,
    deletion_timestamp: Option<IgnoredAny>,
    labels: Option<BTreeMap<String, String>>,
}

impl Item {
    fn object(self, collection: &Collection) -> Result<Object, Malformed> {
        let Metadata {
            name,
            namespace,
            uid,
            resource_version,
            deletion_timestamp,
            labels,
        } = self.metadata;
        if self
            .kind
            .is_some_and(|kind| kind != "PartialObjectMetadata")
        {
            return Err(ANOTHER);
        }
        let (namespace, labels) = match collection {
            Collection::Secrets { namespace: asked } => {
                let namespace = Namespace::new(namespace).map_err(|_| ANOTHER)?;
                if asked.as_ref().is_some_and(|asked| *asked != namespace) {
                    return Err(ANOTHER);
                }
                (Some(namespace), None)
            }
            Collection::Namespaces { .. } if namespace.is_empty() => (None, labels),
            Collection::Namespaces { .. } => return Err(ANOTHER),
        };
        Ok(Object {
            namespace,
            name: ObjectName::new(name).map_err(|_| ANOTHER)?,
            uid: Uid::new(uid).map_err(|_| UNNAMED_STATE)?,
            resource_version: version(&resource_version)?,
            labels: labels.unwrap_or_default(),
            deleting: deletion_timestamp.is_some(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selector::Selector;

    const DB: &str = r#"{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{
        "name":"db","namespace":"app","uid":"u-1","resourceVersion":"7","labels":{"a":"b"},
        "annotations":{"x":"MARKER"},"managedFields":[{"manager":"m"}]}}"#;

    fn secrets(namespace: Option<&str>) -> Collection {
        let namespace = namespace.map(|it| Namespace::new(it).unwrap());
        Collection::Secrets { namespace }
    }

    fn event(kind: &str, object: &str) -> String {
        format!(r#"{{"type":"{kind}","object":{object}}}"#)
    }

    fn told(kind: &str, object: &str, of: &Collection) -> Result<Told, Malformed> {
        line(event(kind, object).as_bytes(), of)
    }

    #[test]
    fn an_event_is_of_the_collection_that_was_asked_for() {
        for (of, fits) in [
            (secrets(None), true),
            (secrets(Some("app")), true),
            (secrets(Some("other")), false),
            (
                Collection::Namespaces {
                    selector: Selector::everything(),
                },
                false,
            ),
        ] {
            assert_eq!(told("ADDED", DB, &of).is_ok(), fits, "{of:?}");
        }
        let of = secrets(None);
        for (was, is) in [
            ("PartialObjectMetadata\"", "Secret\""),
            ("\"app\"", "\"\""),
            ("\"db\"", "\"D B\""),
            ("\"u-1\"", "\"\""),
            ("\"7\"", "\"\""),
        ] {
            assert!(
                told("MODIFIED", &DB.replace(was, is), &of).is_err(),
                "{was}"
            );
        }
        assert!(told("SOMETHING", DB, &of).is_err());
        assert!(line(b"{}", &of).is_err() && line(b"\xff", &of).is_err());
    }

    #[test]
    fn events_say_what_happened_and_up_to_where() {
        let of = secrets(None);
        let Ok(Told::Event(version, Event::Changed(object))) = told("ADDED", DB, &of) else {
            panic!("not a change");
        };
        assert_eq!(version.as_str(), "7");
        assert_eq!(object.name.as_str(), "db");
        assert!(object.labels.is_empty() && !object.deleting);
        assert!(!format!("{object:?}").contains("MARKER"));
        let gone = told("DELETED", DB, &of);
        assert!(matches!(gone, Ok(Told::Event(_, Event::Gone(_)))));
        let bookmark = r#"{"kind":"PartialObjectMetadata","metadata":{"resourceVersion":"9","creationTimestamp":null}}"#;
        let bookmark = told("BOOKMARK", bookmark, &of);
        assert!(matches!(bookmark, Ok(Told::Bookmark(v)) if v.as_str() == "9"));
        let expired = r#"{"kind":"Status","reason":"Expired","code":410,"message":"MARKER"}"#;
        let expired = told("ERROR", expired, &of);
        assert!(matches!(expired, Ok(Told::Refused(refusal)) if refusal.code == 410));
    }

    #[test]
    fn a_page_is_complete_or_refused() {
        let list = |kind: &str, items: &str| {
            let text = format!(
                r#"{{"kind":"{kind}","metadata":{{"resourceVersion":"9","continue":"t"}},"items":{items}}}"#
            );
            page(text.as_bytes(), &secrets(Some("app")))
        };
        let good = list("PartialObjectMetadataList", &format!("[{DB}]"))
            .ok()
            .unwrap();
        assert_eq!((good.objects.len(), good.next.as_deref()), (1, Some("t")));
        assert!(list("SecretList", "[]").is_err());
        let other = DB.replace("\"app\"", "\"other\"");
        assert!(list("PartialObjectMetadataList", &format!("[{DB},{other}]")).is_err());
        let none = list("PartialObjectMetadataList", "null").ok().unwrap();
        assert!(none.objects.is_empty());
        // Bug: it was an empty list, as if all that was listed before were gone.
        let without = r#"{"kind":"PartialObjectMetadataList","metadata":{"resourceVersion":"9"}}"#;
        assert!(page(without.as_bytes(), &secrets(None)).is_err());
    }
}
