//! `find` of `data_from`: which secrets, by what they are called and tagged.

use super::{Lowering, StoreFacts, StoreKind, remote_name, tags};
use crate::config::problems::{Place, Problem};
use crate::config::tree::{Table, Value};
use crate::config::{Find, NamePattern};

/// The keys that say what is found; there may be others beside them.
pub(super) fn read(
    cx: &Lowering<'_>,
    table: &mut Table<'_>,
    at: Place,
    facts: &StoreFacts,
) -> Find {
    if facts.kind == StoreKind::File {
        cx.problems.push(
            Problem::error(at, "`find`: a file store cannot be searched")
                .help("name its keys one by one in `data`"),
        );
    }
    let has_path = table.has("path");
    let path = table.string("path");
    let path = if path.is_some() == has_path {
        remote_name::path(cx, path, at, facts)
    } else {
        None
    };
    let has_name = table.has("name");
    let name = table.table("name").and_then(|table| name(cx, table));
    let tags = table.take("tags").map(|v| tags::lower(cx, v));
    let has_tags = tags
        .as_ref()
        .is_some_and(|tags| tags.as_ref().is_none_or(|tags| !tags.is_empty()));
    if !has_path && !has_name && !has_tags {
        cx.problems.push(
            Problem::absence(
                table.at,
                "`find` needs at least one of `path`, `name`, `tags`",
            )
            .help("what it finds satisfies all that are given"),
        );
    }
    Find {
        path,
        name,
        keys: None,
        tags: tags.flatten().unwrap_or_default(),
    }
}

fn name(cx: &Lowering<'_>, mut table: Table<'_>) -> Option<NamePattern> {
    let text = table.need("regexp").and_then(Value::string);
    table.finish();
    let text = text?;
    let pattern = NamePattern::new(text.value).filter(|_| !text.value.is_empty());
    if pattern.is_none() {
        cx.problems.push(
            Problem::error(text.at, "`regexp` must be a regular expression")
                .help("not empty, not huge, without look-around and back-references; it may match anywhere in a name"),
        );
    }
    pattern
}
