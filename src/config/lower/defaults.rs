//! `[defaults]`: what entries and targets have unless they say otherwise.

use std::time::Duration;

use super::file::FileKeys;
use super::kubernetes::KubernetesKeys;
use super::scalar::duration;
use super::{Lowering, References, file, kubernetes};
use crate::config::OnMissing;
use crate::config::problems::At;
use crate::config::tree::Table;
use crate::names::StoreName;

#[derive(Debug, Default)]
pub(super) struct Defaults {
    pub store: Option<At<StoreName>>,
    /// A default store is written, even if it is wrong.
    pub has_store: bool,
    pub refresh_interval: Option<At<Duration>>,
    pub max_stale: Option<At<Duration>>,
    pub on_missing: Option<At<OnMissing>>,
    pub file: FileKeys,
    pub kubernetes: KubernetesKeys,
}

pub(super) fn lower(
    cx: &Lowering<'_>,
    table: Option<Table<'_>>,
    references: &References,
) -> Defaults {
    let Some(mut table) = table else {
        return Defaults::default();
    };
    let has_store = table.has("store");
    let store = table
        .string("store")
        .and_then(|text| cx.store(text, references));
    let refresh_interval = table.take("refresh_interval").and_then(duration);
    let max_stale = table.take("max_stale").and_then(duration);
    let on_missing = on_missing(&mut table);
    let file = table.table("file").map(|mut table| {
        let keys = file::keys(cx, &mut table);
        table.finish();
        keys
    });
    let kubernetes = table.table("kubernetes").map(|mut table| {
        let keys = kubernetes::keys(cx, &mut table, references);
        table.finish();
        keys
    });
    table.finish();
    Defaults {
        store,
        has_store,
        refresh_interval,
        max_stale,
        on_missing,
        file: file.unwrap_or_default(),
        kubernetes: kubernetes.unwrap_or_default(),
    }
}

/// What to do when a source is gone.
pub(super) fn on_missing(table: &mut Table<'_>) -> Option<At<OnMissing>> {
    let words = [
        ("fail", OnMissing::Fail),
        ("keep_last", OnMissing::KeepLast),
        ("drop", OnMissing::Drop),
    ];
    table.choice("on_missing", &words)
}
