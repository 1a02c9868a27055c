//! The objects, round by round: first what says something about others, then stores, then what uses them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::context::{Context, Known};
use super::draft::{Entry, Store};
use super::intake::Kept;
use super::object::{self, Family, Object, Place};
use super::report::{Became, Finding, Report, Row};
use super::tree::{self, Field, Node};
use super::verdict::Verdict;
use super::{eso, kes};

/// What is to be written, each beside its row of the report.
#[derive(Debug, Default)]
pub(super) struct Drafts {
    pub stores: BTreeMap<String, (Store, Option<usize>)>,
    pub entries: Vec<(Entry, usize)>,
}

/// Keys of lists around their objects.
pub(super) fn lists(kept: &[Kept], report: &mut Report) {
    for (file, document) in kept {
        if object::list_around(&document.root).is_none() {
            continue;
        }
        let place = Place {
            file: Arc::clone(file),
            document: document.number,
            line: document.root.line,
        };
        let mut row = Row::new(place, "List".to_owned());
        row.became = Became::Read;
        accounted(&document.root, &[], &mut row);
        report.rows.push(row);
    }
}

/// What became of each key is put into the row, whose object is refused where one of them is.
fn accounted(node: &Node, wrong: &[String], row: &mut Row) {
    tree::account(node, &mut |path, line, verdict| match verdict {
        Verdict::Exact => row.exact += 1,
        Verdict::Noted(_) | Verdict::Warned(_) | Verdict::Refused(_) => {
            if matches!(verdict, Verdict::Refused(_)) {
                row.became = Became::Refused;
            }
            row.findings.push(Finding {
                path: path.to_owned(),
                line,
                verdict,
            });
        }
    });
    for sentence in wrong {
        row.refuse(sentence);
    }
}

/// A row with what became of the object's keys.
fn told(object: &Object<'_>, became: Became) -> Row {
    let mut row = Row::unrelated(object);
    row.became = became;
    accounted(object.node, &object.wrong.borrow(), &mut row);
    row
}

/// Everything that is read for what it says about others comes first.
pub(super) fn surroundings(objects: &[Object<'_>], cx: &mut Context, report: &mut Report) {
    for object in objects {
        let read = match object.family {
            Family::Deployment => kes::settings::of_deployment(object, cx),
            Family::Values => kes::settings::of_values(object, cx),
            Family::Namespace => namespace_rules(object),
            Family::ServiceAccount => role(object, cx),
            Family::EsoClusterSecret => {
                cx.spread.insert(object.name.to_owned());
                continue;
            }
            Family::EsoOther => {
                object.metadata().leave();
                object
                    .map
                    .leave_rest("of an object that is refused as a whole");
                object.refuse("objects of this `apiVersion` and `kind` are not converted");
                report.rows.push(told(object, Became::Refused));
                continue;
            }
            Family::Unrelated => false,
            Family::KesSecret | Family::EsoSecret | Family::EsoStore | Family::EsoClusterStore => {
                continue;
            }
        };
        report.rows.push(if read {
            told(object, Became::Read)
        } else {
            Row::unrelated(object)
        });
    }
}

const NAMESPACE: &str = "only its rules about secrets are read";

/// Rules by which KES kept namespaces apart.
fn namespace_rules(object: &Object<'_>) -> bool {
    let rules = [
        "externalsecrets.kubernetes-client.io/permitted-key-name",
        "iam.amazonaws.com/permitted",
    ];
    let metadata = object.metadata();
    metadata.leave();
    object.map.leave_rest(NAMESPACE);
    let found = rules.iter().filter_map(|rule| metadata.annotation(rule));
    let found: Vec<&Field> = found.map(|(field, _)| field).collect();
    for field in &found {
        field.warn("an access rule of KES: it ends with the move, whoever may write the configuration here may use every store");
    }
    !found.is_empty()
}

/// The role of a service account.
fn role(object: &Object<'_>, cx: &mut Context) -> bool {
    let metadata = object.metadata();
    metadata.leave();
    object.map.leave_rest("only its role is read");
    let Some((_, role)) = metadata.annotation("eks.amazonaws.com/role-arn") else {
        return false;
    };
    let namespace = object
        .namespace
        .map(str::to_owned)
        .or_else(|| cx.options.namespace.clone());
    let name = (namespace.unwrap_or_default(), object.name.to_owned());
    cx.roles.insert(name, role.to_owned());
    true
}

type Out<'a> = (&'a mut Drafts, &'a mut Report);

pub(super) fn stores(objects: &[Object<'_>], cx: &mut Context, (drafts, report): Out<'_>) {
    let mut places = BTreeMap::new();
    for object in objects {
        let cluster = object.family == Family::EsoClusterStore;
        if !cluster && object.family != Family::EsoStore {
            continue;
        }
        versions(object);
        let (id, known) = eso::store::read(object, cluster, cx);
        let mut row = told(object, Became::Left);
        if let Some(first) = places.get(&id) {
            row.refuse(format!(
                "there are two of this name; the other one is at {first}"
            ));
        } else if is_taken(&known, drafts) {
            row.refuse("another store of the input has the name that it would get");
            cx.stores
                .insert(id.clone(), Known::Refused(object.place.clone()));
        } else if row.became == Became::Refused {
            let refused = Known::Refused(object.place.clone());
            cx.stores.insert(id.clone(), refused);
        } else {
            if let Known::Converted { store, .. } = &known {
                row.became = Became::Table(format!("stores.{}", store.name));
                let draft = ((**store).clone(), Some(report.rows.len()));
                drafts.stores.insert(store.name.clone(), draft);
            }
            cx.stores.insert(id.clone(), known);
        }
        places.entry(id).or_insert_with(|| object.place.clone());
        report.rows.push(row);
    }
}

/// A namespace may be called `cluster`.
fn is_taken(known: &Known, drafts: &Drafts) -> bool {
    match known {
        Known::Converted { store, .. } => drafts.stores.contains_key(&store.name),
        Known::Mapped { .. } | Known::Refused(_) => false,
    }
}

fn versions(object: &Object<'_>) {
    if !eso::VERSIONS.contains(&object.version) {
        object.refuse("this version of the API is not known; v1alpha1, v1beta1 and v1 are");
    }
}

/// What spreads over namespaces comes first: what it made itself is left out only where it is converted.
pub(super) fn entries(objects: &[Object<'_>], cx: &mut Context, (drafts, report): Out<'_>) {
    let spreads = |it: &&Object<'_>| it.family == Family::EsoClusterSecret;
    for object in objects.iter().filter(spreads) {
        let row = entry(object, cx, drafts, report.rows.len());
        if !matches!(row.became, Became::Table(_)) {
            cx.spread.remove(object.name);
        }
        report.rows.push(row);
    }
    let single = [Family::KesSecret, Family::EsoSecret];
    for object in objects.iter().filter(|it| single.contains(&it.family)) {
        let row = entry(object, cx, drafts, report.rows.len());
        report.rows.push(row);
    }
}

/// One that is to be written is put to the others, with the number of its row.
fn entry(object: &Object<'_>, cx: &Context, drafts: &mut Drafts, number: usize) -> Row {
    let entry = if object.family == Family::KesSecret {
        if object.version != "v1" {
            object.refuse("this version of the API is not known; v1 is");
        }
        kes::read(object, cx)
    } else {
        versions(object);
        if object.family == Family::EsoSecret {
            eso::secret::read(object, cx)
        } else {
            eso::cluster::read(object, cx)
        }
    };
    let mut row = told(object, Became::Left);
    if let Some(entry) = entry.filter(|_| row.became != Became::Refused) {
        row.became = Became::Table(format!("secrets.{}", entry.name));
        drafts.entries.push((entry, number));
    }
    row
}
