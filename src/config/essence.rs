//! What of a configuration decides what is delivered, and where, as a text: two configurations that deliver something
//! else never have one text. Not when it is done, and how fast.
//!
//! The text of a configuration is the same in every release, or after an upgrade each entry would look anew, and one that
//! is delivered once would be delivered again. So a setting is told only where it is not what it has been without being
//! written in the first release that knew it. That value is written down here once more, and stays: where a later release
//! has another default, that one is told. Every structure is taken apart in full, so that a new setting does not get by.

mod places;
mod sources;
mod targets;
mod told;

use std::collections::BTreeMap;

use self::told::{Table, Told};
use super::{Config, Entry, Selection, Store, Target};
use crate::assemble;
use crate::assemble::json_format::JsonFormat;
use crate::names::{ClusterName, Instance, StoreName};

impl Config {
    /// Of an entry: with its stores and clusters, the text of its templates, and what this release makes of it all.
    pub(crate) fn essence(&self, entry: &Entry, instance: &Instance) -> String {
        let clusters: BTreeMap<_, _> = entry
            .goes_to()
            .filter_map(|name| Some((name.as_str(), places::cluster(self.clusters.get(name)?))))
            .collect();
        let stores: BTreeMap<_, _> = entry
            .comes_from()
            .filter_map(|name| Some((name.as_str(), places::store(self.stores.get(name)?))))
            .collect();
        let instance = (!clusters.is_empty()).then(|| Told::text(instance.as_str()));
        let named = |(name, it): (&str, Told)| (Told::text(name), it);
        let table = Table::default()
            .with("assemble", Told::number(assemble::REVISION))
            .with("entry", told(entry))
            .with("stores", Told::map(stores.into_iter().map(named)))
            .may("instance", instance)
            .some("clusters", Told::map(clusters.into_iter().map(named)));
        table.told().into_string()
    }
}

impl Store {
    /// What decides what an answer means.
    pub(crate) fn essence(&self) -> String {
        places::store(self).into_string()
    }
}

impl Entry {
    /// The clusters that it names, each as often as it does.
    pub(crate) fn goes_to(&self) -> impl Iterator<Item = &ClusterName> {
        let named = self.targets.iter().filter_map(|target| match target {
            Target::Kubernetes(target) => Some(&target.cluster),
            Target::File(_) => None,
        });
        named.chain(self.selections.iter().map(Selection::cluster))
    }

    fn comes_from(&self) -> impl Iterator<Item = &StoreName> {
        let data = self.data.iter().map(|item| &item.store);
        data.chain(self.data_from.iter().map(|item| &item.store))
    }
}

fn told(entry: &Entry) -> Told {
    let Entry {
        store,
        refresh_interval: _,
        refresh_policy: _,
        suspended: _,
        max_stale: _,
        data_from,
        data,
        json_format,
        templates,
        // What they hold is among the templates.
        template_files: _,
        targets,
        selections,
    } = entry;
    let json_format = match json_format {
        JsonFormat::Raw => None,
        JsonFormat::Kes => Some("kes"),
        JsonFormat::Eso => Some("eso"),
    };
    Table::default()
        .with("store", Told::text(store.as_str()))
        .some("data_from", Told::list(data_from.iter().map(sources::bulk)))
        .some("data", Told::list(data.iter().map(sources::item)))
        .may("json_format", json_format.map(Told::word))
        .may("templates", templates.as_deref().map(sources::templates))
        .some("targets", Told::list(targets.iter().map(targets::target)))
        .some(
            "selections",
            Told::list(selections.iter().map(targets::selection)),
        )
        .told()
}
